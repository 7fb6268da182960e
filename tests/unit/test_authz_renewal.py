"""Session cookies in requests to the front door, and their renewal in the response."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from clusterpass import (
    AsyncSessionManager,
    Session,
    SessionRevoked,
    StoreUnavailable,
    TokenMalformed,
    TokenMissing,
)
from clusterpass.service.authz.decision import Allowed, Denied
from clusterpass.service.authz.original_request import OriginalRequest
from clusterpass.service.authz.policy import EVERYWHERE, Ruling
from clusterpass.service.authz.renewal import BrowserRequest

from .test_proxy_cookies import DAY, NOW, PERIOD, SESSION_ID, make, pair, value_of

HERE = OriginalRequest(method="GET", host="app.example.org")
COOKIES, CLOCK = make()
VALUE = value_of(COOKIES.for_pair(pair(), is_lasting=True))
COOKIE = {"cookie": [f"a=1; {COOKIES.cookie.name}={VALUE}; b=2"]}
SESSION = Session("alice", SESSION_ID, None, NOW, NOW, NOW + DAY)
ALLOWED = Allowed(Ruling(EVERYWHERE), SESSION)


class Store:
    """Says of the session what a test wants, and counts how often it is asked."""

    def __init__(self, answer: Session | Exception = SESSION) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    async def verify(self, token: str, **options: Any) -> Session:
        self.asked.append(options)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(autouse=True)
def _now() -> None:
    CLOCK.now = NOW + PERIOD


def settle(request: BrowserRequest, decision: Any, store: Store) -> Any:
    return asyncio.run(request.settle(cast("AsyncSessionManager", store), decision))


def due(headers: dict[str, list[str]] = COOKIE) -> BrowserRequest:
    request = BrowserRequest(COOKIES, headers, HERE)
    assert request.token().count(".") == 2
    return request


def test_a_due_cookie_is_replaced_once_the_store_has_said_that_the_session_lives() -> None:
    store = Store()
    decision, header = settle(due(), ALLOWED, store)
    assert decision == replace(ALLOWED, is_from_memory=False)
    assert store.asked == [{"verification": "strict"}]
    assert header is not None
    ticket = COOKIES.read(value_of(header))
    assert (ticket.issued_at, ticket.session_id) == (NOW + PERIOD, SESSION_ID)
    assert "; Max-Age=" in header[1], "it lasts, as the one before did"


@pytest.mark.parametrize(
    ("seconds", "decision", "more"),
    [
        (PERIOD - 1, ALLOWED, {}),
        (PERIOD, replace(ALLOWED, session=None), {}),
        (PERIOD, replace(ALLOWED, session=replace(SESSION, in_grace=True)), {}),
        (PERIOD, Denied(Ruling(EVERYWHERE), TokenMissing()), {}),
        *((PERIOD, ALLOWED, {"sec-fetch-dest": [part]}) for part in ("image", "style", "script")),
    ],
)
def test_what_replaces_no_cookie_asks_nobody(seconds: int, decision: Any, more: Any) -> None:
    CLOCK.now = NOW + seconds
    store = Store()
    assert settle(due({**COOKIE, **more}), decision, store) == (decision, None)
    assert store.asked == []


def test_an_outage_lets_the_request_pass_and_changes_no_cookie() -> None:
    assert settle(due(), ALLOWED, Store(StoreUnavailable())) == (ALLOWED, None)


def test_a_session_that_has_just_ended_is_refused() -> None:
    end = SessionRevoked(reason="revoked", ended_at=NOW)
    decision, header = settle(due(), ALLOWED, Store(end))
    assert decision == Denied(ALLOWED.ruling, end)
    assert header is None


def test_a_bearer_token_counts_alone_and_brings_no_cookie() -> None:
    headers = {**COOKIE, "authorization": ["Bearer a.b.c"]}
    request = BrowserRequest(COOKIES, headers, HERE)
    assert request.token() == "a.b.c"
    assert settle(request, ALLOWED, Store()) == (ALLOWED, None)
    with pytest.raises(TokenMissing):
        BrowserRequest(COOKIES, {**COOKIE, "authorization": ["Basic x"]}, HERE).token()


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, TokenMissing),
        ({"cookie": ["a=1"]}, TokenMissing),
        ({"cookie": [f"{COOKIES.cookie.name}="]}, TokenMissing),
        ({"cookie": [f"{COOKIES.cookie.name}={VALUE}"] * 2}, TokenMissing),
        ({"cookie": [f"{COOKIES.cookie.name}=x"]}, TokenMalformed),
        ({"cookie": [f"clusterpass-proxy={VALUE}"]}, TokenMissing),
    ],
)
def test_a_request_without_a_good_cookie(headers: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        BrowserRequest(COOKIES, headers, HERE).token()


@pytest.mark.parametrize("host", [None, "other.example.org", "example.org"])
def test_a_cookie_at_a_host_that_no_browser_sends_it_to(host: str | None) -> None:
    with pytest.raises(TokenMissing):
        BrowserRequest(COOKIES, COOKIE, OriginalRequest(method="GET", host=host)).token()


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ([], None),
        ([f"{COOKIES.cookie.name}={VALUE}"], ""),
        ([f"a=1; {COOKIES.cookie.name}={VALUE}; b=2"], "a=1; b=2"),
        ([f"{COOKIES.cookie.name}={VALUE};b=2;  c"], "b=2;  c"),
        (["a=1", f"{COOKIES.cookie.name}={VALUE}", "b=2"], "a=1;b=2"),
        ([f"x{COOKIES.cookie.name}=1"], f"x{COOKIES.cookie.name}=1"),
    ],
)
def test_the_other_cookies(sent: list[str], left: str | None) -> None:
    assert BrowserRequest(COOKIES, {"cookie": sent}, HERE).other_cookies() == left
