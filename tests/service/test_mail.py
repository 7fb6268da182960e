"""One-time links are mailed: by a real mail server, or by a function of the operator's."""

import email
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from clusterpass import ConfigurationError, MailFailed, UserDirectory
from clusterpass.service.mail import LinkMail, make_sender, send_in_time
from clusterpass.service.settings.loading import load_settings
from tests.ports import free_port

from ..cli.conftest import manager, run, url
from ..cluster.conftest import tls_files
from .conftest import PASSWORD, bearer

__all__ = ["manager", "run", "tls_files", "url"]  # fixtures of other folders

FROM = "accounts@example.org"
LINK = "https://auth.example/page/link?token=cpl_" + "x" * 300
MAIL = LinkMail("reset", "alice@example.org", "zoë", LINK, 1_800_000_000)
NEW = "battery staple horse"


class Inbox:
    """The mails that a server has accepted; it refuses everybody at refused.example."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.is_encrypted: list[bool] = []

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.endswith("@refused.example"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        self.recipients.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.is_encrypted.append(session.ssl is not None)
        message = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return "250 OK"

    def let_in(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"secret", handled=False)


@contextmanager
def serving(**options: Any) -> Iterator[tuple[Inbox, dict[str, Any]]]:
    """A mail server, and the settings by which it is reached."""
    inbox, port = Inbox(), free_port()
    if options.get("auth_required"):
        options["authenticator"] = inbox.let_in
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield inbox, {"smtp_host": "127.0.0.1", "smtp_port": port, "mail_from": FROM}
    finally:
        controller.stop()


@pytest.fixture
def certificate(tls_files: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls_files.cert_file, tls_files.key_file)
    return context


def send(mail: LinkMail = MAIL, **given: Any) -> None:
    sender = make_sender(load_settings(None, given))
    assert sender is not None
    sender(mail)


@pytest.mark.parametrize("kind", ["invitation", "reset"])
def test_the_mail_server_gets_a_mail_with_the_whole_link(kind: Any) -> None:
    with serving() as (inbox, given):
        send(LinkMail(kind, MAIL.to, "zoë", LINK, MAIL.expires_at), smtp_security="none", **given)
    (mail,) = inbox.mails
    assert parseaddr(mail["From"]) == ("ClusterPass", FROM)
    assert (mail["To"], mail["Auto-Submitted"]) == (MAIL.to, "auto-generated")
    assert mail["Subject"] in {"Set your password", "Set a new password"}
    assert mail["Message-ID"].endswith("@example.org>")
    text = mail.get_content()
    assert LINK in text.splitlines()
    assert "Hello zoë," in text
    assert "15 Jan 2027, 08:00 UTC" in text


def test_a_connection_is_encrypted_before_anything_is_said(
    certificate: ssl.SSLContext, tls_files: Any
) -> None:
    more = {"smtp_ca_file": tls_files.ca_file, "smtp_username": "me", "smtp_password": "secret"}
    options = {"tls_context": certificate, "require_starttls": True, "auth_required": True}
    with serving(**options) as (inbox, given):
        send(**given, **more)
        with pytest.raises(MailFailed) as caught:
            send(**given, **{**more, "smtp_password": "wrong"})
    assert caught.value.reason == "SMTPAuthenticationError"
    assert (inbox.is_encrypted, inbox.logins[0]) == ([True], (b"me", b"secret"))


def test_a_server_that_speaks_tls_from_the_start(
    certificate: ssl.SSLContext, tls_files: Any
) -> None:
    with serving(ssl_context=certificate) as (inbox, given):
        send(smtp_security="tls", smtp_ca_file=tls_files.ca_file, **given)
    assert len(inbox.mails) == 1


def test_a_server_without_a_valid_certificate_gets_nothing(certificate: ssl.SSLContext) -> None:
    with serving(tls_context=certificate) as (inbox, given):
        with pytest.raises(MailFailed) as caught:
            send(**given)
        assert caught.value.reason == "SSLCertVerificationError"
    with serving() as (plain, given):
        with pytest.raises(MailFailed):
            send(**given)  # it offers no STARTTLS
    assert inbox.mails == plain.mails == []


def test_a_server_that_refuses_or_is_not_there() -> None:
    with serving() as (inbox, given):
        with pytest.raises(MailFailed) as caught:
            mail = LinkMail("reset", "bob@refused.example", "bob", LINK, 5)
            send(mail, smtp_security="none", **given)
        assert LINK not in str(caught.value) + repr(caught.value)
    assert inbox.mails == []
    with pytest.raises(MailFailed) as caught:
        send(smtp_security="none", **given)
    assert caught.value.reason == "ConnectionRefusedError"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"smtp_host": "mail.example"}, "mail_from"),
        ({"smtp_host": "m", "mail_from": FROM, "mail_sender": "a:b"}, "not both"),
        ({"smtp_host": "m", "mail_from": FROM, "smtp_username": "me"}, "belong together"),
        ({"smtp_host": "mail.example", "mail_from": FROM, "smtp_security": "none"}, "plaintext"),
        ({"mail_from": "Accounts <a@b.c>"}, "mail_from"),
        ({"mail_from": "accounts@büro.example"}, "xn--"),
        ({"mail_sender": "nonsense"}, "module:function"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load_settings(None, given)


taken: list[LinkMail] = []


def take(mail: LinkMail) -> None:
    taken.append(mail)


async def take_later(mail: LinkMail) -> None:
    taken.append(mail)


def fail(mail: LinkMail) -> None:
    raise LookupError(mail.link)


@pytest.mark.parametrize("name", ["take", "take_later"])
def test_a_function_of_the_operator_sends_instead(name: str) -> None:
    taken.clear()
    send(mail_sender=f"{__name__}:{name}")
    assert taken == [MAIL]
    assert LINK not in repr(MAIL)


def test_a_function_that_fails_or_is_not_there() -> None:
    with pytest.raises(MailFailed) as caught:
        send(mail_sender=f"{__name__}:fail")
    assert (caught.value.reason, LINK in str(caught.value)) == ("LookupError", False)
    with pytest.raises(ConfigurationError, match="mail_sender"):
        send(mail_sender=f"{__name__}:nobody")


def test_nothing_sends_unless_it_is_set() -> None:
    assert make_sender(load_settings(None, {})) is None


# Over HTTP, and on the command line.


def link_in(mail: EmailMessage) -> str:
    return next(line for line in mail.get_content().splitlines() if "?token=" in line)


@pytest.fixture
def root(directory, new_name):
    name = new_name()
    directory.add(name, PASSWORD)
    return name


@pytest.fixture
def office(start, settings, root):
    async def opened(**given):
        given = {"administrators": (root,), "smtp_security": "none", **given}
        return await start(settings.model_copy(update=given))

    return opened


async def make(service, root, kind, subject, to):
    headers = bearer(await service.login(root))
    body = {"subject": subject, "send_to": to}
    return await service.client.post(f"/admin/{kind}", json=body, headers=headers)


async def test_a_link_is_mailed_and_told_to_nobody_else(office, root, alice, new_name, directory):
    with serving() as (inbox, given):
        service = await office(**given)
        for kind, name in (("reset-link", alice), ("invite", new_name())):
            made = await make(service, root, kind, name, "alice@example.org")
            assert made.status_code == 200
            body = made.json()
            assert (body["link"], body["token"], body["sent_to"]) == (
                *(None, None, "alice@example.org"),
            )
            token = link_in(inbox.mails[-1]).partition("=")[2]
            assert token not in made.text + service.log.getvalue()
            directory.use_link(token, NEW)
            directory.authenticate(name, NEW)


@pytest.mark.parametrize(
    "to",
    [
        *("", "alice", "a@b\r\nBcc: c@d", "a@b, c@d", "A <a@b.c>", "a@b\x00", "a@[", "a@b."),
        *("bob(x)@example.org", "=?utf-8?q?bob?=@example.org", "a@=?utf-8?b?ZXZpbA==?="),
    ],
)
async def test_no_mail_goes_to_what_is_no_address(office, root, alice, to):
    with serving() as (inbox, given):
        made = await make(await office(**given), root, "reset-link", alice, to)
    assert (made.status_code, made.json()["error"], inbox.mails) == (400, "invalid_input", [])


async def test_a_mail_that_cannot_be_sent_is_an_error_without_a_link(office, root, alice):
    with serving() as (inbox, given):
        service = await office(**given)
        made = await make(service, root, "reset-link", alice, "bob@refused.example")
    assert (made.status_code, made.json()["error"]) == (502, "mail_failed")
    assert "token" not in made.text
    assert inbox.mails == []


@pytest.mark.parametrize("to", ["zoë.o'neil+x@büro.example", "a..b@example.org", "a!b=c@localhost"])
def test_a_mail_goes_to_the_very_address(to: str) -> None:
    with serving() as (inbox, given):
        send(replace(MAIL, to=to), smtp_security="none", **given)
    assert inbox.recipients == [to]


hanging = threading.Event()
is_waited_for: list[bool] = []


def hang(mail: LinkMail) -> None:
    # A thread of the event loop would be missed by those who look up hosts and read keys.
    is_waited_for.append(not threading.current_thread().daemon)
    hanging.wait(60)


async def test_senders_that_hang_hold_up_nobody(office, root, alice, monkeypatch):
    monkeypatch.setattr("clusterpass.service.mail._DEADLINE", 0.05)
    hanging.clear()
    service = await office(mail_sender=f"{__name__}:hang")
    tokens = bearer(await service.login(root))
    try:
        for reason in [*(["TimeoutError"] * 8), "TooManyMails"]:
            body = {"subject": alice, "send_to": "alice@example.org"}
            made = await service.client.post("/admin/reset-link", json=body, headers=tokens)
            failure = (made.status_code, made.json()["error"], made.json()["reason"])
            assert failure == (502, "mail_failed", reason)
        assert not any(is_waited_for)
    finally:
        hanging.set()


async def test_a_mail_that_no_thread_can_send_takes_no_place(monkeypatch):
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(20):  # more than may be under way at once
        with pytest.raises(MailFailed) as caught:
            await send_in_time(hang, MAIL)
        assert caught.value.reason == "RuntimeError"


async def test_where_no_mails_are_sent_a_link_is_made_for_nobody(office, root, new_name, directory):
    name = new_name()
    made = await make(await office(), root, "invite", name, "alice@example.org")
    assert (made.status_code, made.json()["error"]) == (400, "invalid_input")
    assert name not in [user.name for user in directory.list()]


def test_the_command_line_mails_a_link(run, manager):
    with serving() as (inbox, given):
        environment = {
            f"CLUSTERPASS_{name.upper()}": str(value)
            for name, value in {**given, "smtp_security": "none"}.items()
        }
        to = ("--send-to", "alice@example.org")
        sent = run("users", "invite", "alice", *to, **environment)
        assert (sent.returncode, sent.stdout) == (0, "sent to alice@example.org\n")
        members = json.loads(
            run("users", "reset-link", "alice", *to, "--json", **environment).stdout
        )
        assert (members["link"], members["sent_to"]) == (None, "alice@example.org")
        run("users", "add", "bob", "--password-stdin", text_in=PASSWORD)
        refused = run("users", "reset-link", "bob", "--send-to", "x@refused.example", **environment)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "The mail could not be sent" in refused.stderr
        assert "clusterpass users reset-link bob" in refused.stderr
    assert len(inbox.mails) == 2
    with UserDirectory(manager) as users:
        assert users.use_link(link_in(inbox.mails[1]).partition("=")[2], NEW).count == 0
    assert run("users", "reset-link", "alice", *to).returncode == 1
