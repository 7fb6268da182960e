"""Django's throttled authentication backend: attempts that it counts and records."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import InvalidCredentials, TooManyAttempts
from clusterpass.integrations.django import backends
from clusterpass.integrations.django.backends import LoginThrottle


class Attempts:
    """The state of a request, which counts attempts; a failure is raised instead."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.installed, self.attempts = self, self
        self.visit: Any = SimpleNamespace(name="the visit")
        self.counted: list[Any] = []
        self.refused: list[Any] = []

    def throttle(self) -> str:
        return "the throttle"

    def count(self, visit: Any, username: str) -> Any:
        return (visit.name, username)

    def run(self, throttle: str, flow: Any) -> None:
        self.counted.append((throttle, *flow))
        if self.failure is not None:
            raise self.failure

    def note_refusal(self, username: object, error: str) -> None:
        self.refused.append((username, error))


def tried(
    monkeypatch: pytest.MonkeyPatch, state: Any, credentials: Any, *, is_async: bool = False
) -> None:
    monkeypatch.setattr(backends, "find_state", lambda _: state)
    monkeypatch.setattr(backends, "named_in", lambda given: given.get("email"))
    if state is not None:
        monkeypatch.setattr(backends, "run", state.run)
    request: Any = object()
    throttle = LoginThrottle()
    if is_async:
        asyncio.run(throttle.aauthenticate(request, **credentials))
    else:
        throttle.authenticate(request, **credentials)


ALICE = {"email": "alice", "password": "pw"}


@pytest.mark.parametrize("is_async", [False, True])
def test_an_attempt_is_counted_in_its_request(
    monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    state = Attempts()
    tried(monkeypatch, state, ALICE, is_async=is_async)
    assert state.counted == [("the throttle", "the visit", "alice")]
    assert state.refused == []


@pytest.mark.parametrize("is_async", [False, True])
def test_one_too_many_is_refused_and_noted(monkeypatch: pytest.MonkeyPatch, is_async: bool) -> None:
    error = TooManyAttempts(retry_after=7)
    state = Attempts(error)
    with pytest.raises(TooManyAttempts) as refused:
        tried(monkeypatch, state, ALICE, is_async=is_async)
    assert refused.value is error
    assert state.refused == [("alice", "too_many_attempts")]


def test_a_name_that_no_account_can_have_is_refused_by_who_judges_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = Attempts(InvalidCredentials())
    with pytest.raises(InvalidCredentials):
        tried(monkeypatch, state, ALICE)
    assert state.refused == [], "Django tells of it by its signal"


def test_what_names_nobody_or_is_of_no_request_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = Attempts()
    tried(monkeypatch, state, {"token": "x"})
    tried(monkeypatch, None, ALICE)
    monkeypatch.setattr(backends, "named_in", lambda _: "alice")
    LoginThrottle().authenticate(None, **ALICE)
    assert state.counted == []
