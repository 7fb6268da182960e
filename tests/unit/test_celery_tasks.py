"""The Celery integration without a broker: session headers, identity of tasks, retries."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, Task
from celery.exceptions import Retry

from clusterpass import (
    ConfigurationError,
    InvalidInput,
    ScopeMissing,
    StoreUnavailable,
    TokenMissing,
)
from clusterpass.integrations import celery
from clusterpass.integrations.celery import (
    ClusterPass,
    acting_for,
    current_session,
    for_session,
    session_required,
)

from .test_jobs import CARRIED, ID, REFRESH, Sessions, session

FOUND = session(claims={"scope": "orders:read"})


class Noting(Task):
    """A class of tasks of the application's own."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return [current_session().subject, super().__call__(*args, **kwargs)]


class Shop:
    """An application with a task, and what its broker is sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_installed: bool = True) -> None:
        unheard = SimpleNamespace(connect=lambda _: None)
        names = ("worker_process_init", "worker_process_shutdown", "worker_shutdown")
        monkeypatch.setattr(celery, "signals", SimpleNamespace(**dict.fromkeys(names, unheard)))
        self.app = Celery("shop", set_as_current=False)
        self.sessions: Any = Sessions(FOUND)
        if is_installed:
            ClusterPass(self.app, self.sessions)
        self.sent: list[tuple[Any, ...]] = []

        def apply_async(_: Any, args: Any = None, kwargs: Any = None, **options: Any) -> None:
            self.sent.append((args, kwargs, options))

        monkeypatch.setattr(Task, "apply_async", apply_async)

        @self.app.task(shared=False, base=session_required(scope="orders:read"), name="report")
        def report(month: str = "") -> str:
            return f"{current_session().subject} {month}"

        @self.app.task(shared=False, base=session_required(scope="billing"), name="bill")
        def bill() -> str:
            raise AssertionError("it was not admitted")

        @self.app.task(shared=False, base=session_required(base=Noting), name="noted")
        def noted() -> str:
            return current_session().subject

        self.report, self.bill, self.noted = report, bill, noted


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(monkeypatch)


def test_a_task_is_sent_with_a_session_and_never_with_a_token(shop: Shop) -> None:
    shop.report.apply_async(("May",), {"a": 1}, headers=for_session(FOUND), countdown=3)
    assert shop.sent == [(("May",), {"a": 1}, {"headers": CARRIED, "countdown": 3})]
    for args, kwargs, headers in (
        ((REFRESH,), {}, {}),
        ((), {"x": REFRESH}, {}),
        ((), {}, {"h": REFRESH}),
    ):
        with pytest.raises(InvalidInput, match="holds a token"):
            shop.report.apply_async(args, kwargs, headers=headers)
    assert len(shop.sent) == 1


def test_a_task_that_is_sent_within_a_session_carries_it_unless_it_is_given_another(
    shop: Shop,
) -> None:
    with acting_for(FOUND):
        shop.report.apply_async(headers={"mine": "kept"})
        shop.report.apply_async(headers=for_session(session(subject="bob")))
    shop.report.apply_async()
    headers = [options["headers"] for *_, options in shop.sent]
    assert headers == [{"mine": "kept", **CARRIED}, {**CARRIED, "clusterpass-subject": "bob"}, {}]


def test_a_task_that_is_called_as_a_function_asks_as_well(shop: Shop) -> None:
    with pytest.raises(TokenMissing):
        shop.report("May")
    with acting_for(FOUND):
        assert shop.report("May") == "alice May"
        with pytest.raises(ScopeMissing):
            shop.bill()
    assert shop.sessions.asked == [("alice", ID)] * 2
    with pytest.raises(TokenMissing):
        current_session()


def message(shop: Shop, task: Any, **about: Any) -> Any:
    """Run a task as a worker does that got a message."""
    request = {"id": "1", "called_directly": False, "retries": 0, "args": (), "kwargs": {}, **about}
    task.push_request(**request)
    try:
        return task("May") if task is shop.report else task()
    finally:
        task.pop_request()


def test_a_message_is_of_the_session_in_its_headers(shop: Shop) -> None:
    assert message(shop, shop.report, headers=CARRIED) == "alice May"
    with pytest.raises(TokenMissing):
        message(shop, shop.report, headers={})
    other = session(subject="bob")
    with acting_for(other), pytest.raises(TokenMissing):
        message(shop, shop.report, headers={})


def test_a_base_of_the_application_s_own_runs_around_the_task(shop: Shop) -> None:
    assert message(shop, shop.noted, headers=CARRIED) == ["alice", "alice"]
    with acting_for(FOUND):
        assert shop.noted() == ["alice", "alice"]


def test_an_outage_is_retried_after_a_pause(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    error = StoreUnavailable()
    asked: list[Any] = []

    def retry(_: Any, **options: Any) -> Any:
        asked.append(options)
        return Retry()

    def get(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(Task, "retry", retry)
    monkeypatch.setattr(celery.random, "uniform", lambda least, most: (least, most))
    shop.sessions.get = get
    with pytest.raises(Retry):
        message(shop, shop.report, headers=CARRIED, retries=2)
    assert asked == [{"exc": error, "countdown": (2, 4)}]


def test_what_a_worker_reports_without_a_traceback(shop: Shop) -> None:
    assert issubclass(TokenMissing, shop.report.throws)
    assert issubclass(ScopeMissing, shop.report.throws)
    assert not issubclass(StoreUnavailable, shop.report.throws)


def test_an_application_without_sessions_is_told_what_to_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = Shop(monkeypatch, is_installed=False)
    with acting_for(FOUND), pytest.raises(ConfigurationError, match=r"ClusterPass\(app\)"):
        shop.report("May")
