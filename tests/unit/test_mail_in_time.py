"""``send_in_time``: the limit of concurrent mails, and the time that a request waits for one."""

import threading
from contextvars import ContextVar

import pytest

from clusterpass import MailFailed
from clusterpass.service import mail
from clusterpass.service.mail import LinkMail, send_in_time

MAIL = LinkMail("reset", "alice@example.org", "alice", "https://auth.example/page/link", 1)
PLACES = 8
request: ContextVar[str] = ContextVar("request", default="none")


async def test_each_mail_gives_its_place_back() -> None:
    sent: list[tuple[LinkMail, str, bool]] = []

    def send(each: LinkMail) -> None:
        sent.append((each, request.get(), threading.current_thread().daemon))

    request.set("the request")
    for _ in range(3 * PLACES):
        await send_in_time(send, MAIL)
    # What is traced belongs to the request; the process does not wait for a thread to end.
    assert sent == [(MAIL, "the request", True)] * (3 * PLACES)


async def test_a_mail_that_cannot_be_sent_gives_its_place_back_and_says_why() -> None:
    error = MailFailed(reason="SMTPDataError")

    def fail(_: LinkMail) -> None:
        raise error

    for _ in range(3 * PLACES):
        with pytest.raises(MailFailed) as failed:
            await send_in_time(fail, MAIL)
        assert failed.value is error


async def test_where_no_thread_can_be_started_no_place_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(3 * PLACES):
        with pytest.raises(MailFailed) as failed:
            await send_in_time(lambda _: None, MAIL)
        assert failed.value.reason == "RuntimeError"


async def test_a_server_that_hangs_keeps_its_places_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail, "_DEADLINE", 0.01)
    may_end = threading.Event()
    try:
        for reason in [*["TimeoutError"] * PLACES, "TooManyMails"]:
            with pytest.raises(MailFailed) as failed:
                await send_in_time(lambda _: may_end.wait(60) and None, MAIL)
            assert failed.value.reason == reason
    finally:
        may_end.set()
        for thread in threading.enumerate():
            if thread.name == "mail":
                thread.join(60)
    await send_in_time(lambda _: None, MAIL)
