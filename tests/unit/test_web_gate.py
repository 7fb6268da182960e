"""The gate of the web integrations: credentials, renewal, CSRF and response cookies."""

from typing import Any

import pytest

from clusterpass import (
    ConfigurationError,
    InvalidInput,
    InvalidRefreshToken,
    RequestRefused,
    ScopeMissing,
    Session,
    SessionRevoked,
    StoreUnavailable,
    SubjectBanned,
    TokenExpired,
    TokenMalformed,
    TokenMissing,
)
from clusterpass.model.bans import Ban
from clusterpass.tokens.undelivered_token import UndeliveredToken
from clusterpass.web.flow import Ask, run
from clusterpass.web.gate import Gate, Needs, Visit
from clusterpass.web.messages import SOCKET
from clusterpass.web.needs import scope_names
from clusterpass.web.settings import WebSettings

from .gate_scene import (
    CONFIG,
    COOKIES,
    CSRF,
    GATE,
    OWN_FORM,
    PAIR,
    REFRESH,
    SESSION,
    Manager,
    admit,
    browser,
    set_cookies,
)
from .web_request import FakeRequest


def test_a_bearer_token_comes_first() -> None:
    request = FakeRequest(
        headers={"Authorization": "Bearer mine"}, cookies={COOKIES.access.name: "other"}
    )
    manager = Manager(verify=SESSION)
    visit = admit(request, manager)
    assert manager.asked == [("verify", "mine", {})]
    assert (visit.session, visit.access_token, visit.headers) == (SESSION, "mine", [])
    assert not visit.is_by_cookie


def test_what_a_route_needs_is_asked_for() -> None:
    manager = Manager(verify=SESSION)
    request = FakeRequest(headers={"Authorization": "Bearer mine"})
    admit(request, manager, Needs(level="2", max_auth_age=60, strict=True))
    assert manager.asked[0][2] == {"level": "2", "max_auth_age": 60, "verification": "strict"}
    admit(request, manager, Needs(scopes=("orders:write",)))
    with pytest.raises(ScopeMissing):
        admit(request, manager, Needs(scopes=("orders:read", "admin")))
    banned = Session("alice", "s", None, 1, 2, 3, bans=(Ban("chat", 1, None, "spam", 5),))
    with pytest.raises(SubjectBanned):
        admit(request, Manager(verify=banned), Needs(not_banned="chat"))


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (FakeRequest(), TokenMissing),
        (FakeRequest(headers={"Authorization": "Basic x"}), TokenMissing),
        (FakeRequest(headers={"Authorization": "Bearer "}), TokenMalformed),
        (FakeRequest(headers={"Authorization": ["Bearer a", "Bearer b"]}), InvalidInput),
        (FakeRequest(query={"access_token": ["a"]}), TokenMissing),
        (browser(access="", refresh=""), TokenMissing),
    ],
    ids=["nothing", "basic", "empty", "two", "query", "empty cookies"],
)
def test_who_sends_no_token_is_refused(request_: FakeRequest, error: type[Exception]) -> None:
    with pytest.raises(error):
        admit(request_, Manager())


def test_a_token_in_the_query_is_for_those_who_allow_it() -> None:
    gate = Gate(CONFIG, WebSettings(token_places=("query",)))
    manager, own = Manager(verify=SESSION), {"access_token": ["a"]}
    assert run(manager, gate.admit(Visit(FakeRequest(SOCKET, query=own)))) is SESSION
    with pytest.raises(InvalidInput):
        run(manager, gate.admit(Visit(FakeRequest(SOCKET, query={"access_token": ["a", "b"]}))))
    with pytest.raises(TokenMissing):
        run(manager, gate.admit(Visit(FakeRequest(headers={"Authorization": "Bearer a"}))))


@pytest.mark.parametrize(
    ("method", "accept", "counts"),
    [
        ("GET", "text/event-stream", True),
        ("GET", ["text/html", "application/json, Text/Event-Stream;q=0.9"], True),
        ("GET", "text/html, */*", False),
        ("GET", "text/event-stream2", False),
        ("GET", (), False),
        ("POST", "text/event-stream", False),
        ("DELETE", "text/event-stream", False),
        (SOCKET, (), True),
    ],
)
def test_a_token_in_the_query_counts_where_no_header_can_be_set(
    method: str, accept: str | list[str], counts: bool
) -> None:
    gate = Gate(CONFIG, WebSettings(token_places=("header", "cookie", "query")))
    request = FakeRequest(method, headers={"Accept": accept}, query={"access_token": ["a"]})
    if counts:
        assert run(Manager(verify=SESSION), gate.admit(Visit(request))) is SESSION
    else:
        with pytest.raises(TokenMissing):
            run(Manager(), gate.admit(Visit(request)))


def test_a_cookie_admits_and_sets_nothing() -> None:
    manager = Manager(verify=SESSION)
    visit = admit(browser(), manager)
    assert manager.asked == [("verify", "access", {})]
    assert visit.is_by_cookie
    assert visit.headers == []


@pytest.mark.parametrize("access", ["", "access"], ids=["gone", "over"])
def test_a_browser_is_renewed_on_the_way(access: str) -> None:
    answers = [SESSION] if not access else [TokenExpired(), SESSION]
    manager = Manager(verify=answers, refresh=PAIR)
    visit = admit(browser(access=access), manager)
    assert manager.asked[-2:] == [
        ("refresh", REFRESH, {"address": "192.0.2.7"}),
        ("verify", "new access", {}),
    ]
    assert set_cookies(visit) == {
        COOKIES.access.name: "new access",
        COOKIES.refresh.name: "new refresh",
        COOKIES.csrf.name: CSRF,
    }
    assert visit.access_token == "new access"
    assert all("Max-Age=600" in value for _, value in visit.headers)


def test_without_silent_refresh_nothing_is_renewed() -> None:
    gate = Gate(CONFIG, WebSettings(silent_refresh=False))
    for request, error in ((browser(), TokenExpired), (browser(access=""), TokenMissing)):
        with pytest.raises(error):
            run(Manager(verify=TokenExpired()), gate.admit(Visit(request)))


@pytest.mark.parametrize(
    "manager",
    [
        Manager(verify=SessionRevoked(reason="revoked", ended_at=5)),
        Manager(verify=TokenExpired(), refresh=InvalidRefreshToken(reason="revoked")),
        Manager(
            verify=[TokenExpired(), SessionRevoked(reason="revoked", ended_at=5)], refresh=PAIR
        ),
    ],
    ids=["at once", "by its refresh token", "in between"],
)
def test_an_end_takes_the_cookies(manager: Manager) -> None:
    visit = Visit(browser())
    with pytest.raises((SessionRevoked, InvalidRefreshToken)):
        run(manager, GATE.admit(visit))
    assert set_cookies(visit) == dict.fromkeys(
        (COOKIES.access.name, COOKIES.refresh.name, COOKIES.csrf.name), ""
    )
    assert all("Max-Age=0" in value for _, value in visit.headers)
    assert visit.session is None


@pytest.mark.parametrize(
    ("manager", "presented"),
    [
        (Manager(verify=SessionRevoked(reason="revoked", ended_at=5)), "access"),
        (Manager(verify=TokenExpired(), refresh=InvalidRefreshToken(reason="revoked")), REFRESH),
        (
            Manager(
                verify=[TokenExpired(), SessionRevoked(reason="revoked", ended_at=5)], refresh=PAIR
            ),
            "new access",
        ),
    ],
    ids=["at once", "by its refresh token", "in between"],
)
def test_an_end_can_be_told_on_another_page(manager: Manager, presented: str) -> None:
    visit = Visit(browser())
    with pytest.raises((SessionRevoked, InvalidRefreshToken)):
        run(manager, GATE.identify(visit))
    assert visit.presented == presented
    assert "" not in set_cookies(visit).values()
    assert bool(visit.headers) is (presented == "new access")
    GATE.forget(visit)
    assert set(set_cookies(visit).values()) == {""}


def test_an_app_has_no_cookies_to_lose() -> None:
    visit = Visit(FakeRequest(headers={"Authorization": "Bearer mine"}))
    with pytest.raises(SessionRevoked):
        run(Manager(verify=SessionRevoked(reason="revoked", ended_at=5)), GATE.admit(visit))
    assert (visit.presented, visit.headers) == ("mine", [])


def test_forms_alone_need_no_csrf_cookie() -> None:
    gate = Gate(CONFIG, WebSettings(csrf_cookie=False))
    names = {COOKIES.access.name, COOKIES.refresh.name}
    visit = Visit(browser())
    gate.keep(visit, PAIR)
    assert set(set_cookies(visit)) == names
    gate.forget(visit)
    assert set_cookies(visit) == dict.fromkeys(names, "")
    with pytest.raises(RequestRefused):
        run(Manager(verify=SESSION), gate.admit(Visit(browser("POST"))))
    assert run(Manager(verify=SESSION), gate.admit(Visit(browser("POST")), form_token=CSRF))


def test_other_cookies_of_a_response_stay() -> None:
    visit = Visit(browser())
    visit.headers.append(COOKIES.notice.header("hello", 60))
    GATE.keep(visit, PAIR)
    GATE.keep(visit, PAIR)
    assert len(visit.headers) == 4
    GATE.forget(visit)
    assert len(visit.headers) == 4
    assert set_cookies(visit)[COOKIES.notice.name] == "hello"


def test_an_outage_leaves_the_cookies() -> None:
    visit = Visit(browser())
    for manager in (
        Manager(verify=StoreUnavailable()),
        Manager(verify=TokenExpired(), refresh=StoreUnavailable()),
    ):
        with pytest.raises(StoreUnavailable):
            run(manager, GATE.admit(visit))
    assert visit.headers == []


def test_the_address_comes_from_trusted_proxies() -> None:
    request = FakeRequest(peer="10.0.0.1", headers={"X-Forwarded-For": "203.0.113.9"})
    assert GATE.address(request) == "10.0.0.1"
    gate = Gate(CONFIG, WebSettings(trusted_proxies=("10.0.0.0/8",)))
    assert gate.address(request) == "203.0.113.9"


def test_an_ask_is_a_call() -> None:
    ask = Ask("verify", "a", level="2")
    assert (ask.verb, ask.arguments, ask.options) == ("verify", ("a",), {"level": "2"})


def test_a_refresh_token_is_exchanged_once_in_a_request() -> None:
    manager = Manager(verify=[TokenExpired(), SESSION, SESSION], refresh=PAIR)
    visit = Visit(browser("POST", **OWN_FORM))
    for needs in (Needs(), Needs(level="2")):
        assert run(manager, GATE.admit(visit, needs, form_token=CSRF)) is SESSION
    assert [each[:2] for each in manager.asked] == [
        ("verify", "access"),
        ("refresh", REFRESH),
        ("verify", "new access"),
        ("verify", "new access"),
    ]
    told = [isinstance(each[1], UndeliveredToken) for each in manager.asked]
    assert told == [False, False, True, True], "the answer that brings the new token may be lost"
    assert manager.asked[-1][-1] == {"level": "2"}, "the token is verified as the second one needs"
    assert visit.access_token == "new access"
    assert "new" not in repr(visit.renewed)
    with pytest.raises(RequestRefused):
        run(manager, GATE.admit(visit))  # without its CSRF token
    manager.answers["verify"] = SessionRevoked(reason="revoked", ended_at=5)
    with pytest.raises(SessionRevoked):
        run(manager, GATE.admit(visit, form_token=CSRF))
    assert set(set_cookies(visit).values()) == {""}


def test_a_token_of_another_library_is_exchanged_once_in_a_request() -> None:
    gate = Gate(CONFIG, WebSettings(old_refresh_cookie="theirs"))
    request = FakeRequest("POST", headers={"Sec-Fetch-Site": "same-origin"},
                          cookies={"theirs": "old"})  # fmt: skip
    manager, visit = Manager(verify=SESSION, refresh=PAIR), Visit(request)
    for _ in range(2):  # its browser has no CSRF token of the new session yet
        assert run(manager, gate.admit(visit)) is SESSION
    assert [each[1] for each in manager.asked if each[0] == "refresh"] == ["old"]


def view(_: Any) -> str:
    """A view, passed by mistake where scopes belong."""
    return "secret"


@pytest.mark.parametrize("scopes", [view, (view,), ("orders:read", 5), (b"a",), ("",), ("a b",), 5])
def test_what_is_no_scope_is_refused_at_once(scopes: Any) -> None:
    with pytest.raises(ConfigurationError, match="with parentheses"):
        Needs(scopes=scopes)
    with pytest.raises(ConfigurationError, match="with parentheses"):
        scope_names(scopes)


def test_one_scope_is_no_sequence_of_letters() -> None:
    assert scope_names("orders:read") == ("orders:read",)
    assert scope_names(iter(["a", "b"])) == ("a", "b")
    assert Needs(scopes=["a", "b"]).scopes == ("a", "b")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "needs",
    [
        {"level": 2},
        {"level": ""},
        {"max_auth_age": "x"},
        {"max_auth_age": -1},
        {"max_auth_age": True},
        {"not_banned": 5},
        {"not_banned": "a b"},
        {"strict": "no"},
    ],
)
def test_a_requirement_that_is_none_is_refused_when_the_route_is_made(needs: Any) -> None:
    with pytest.raises(ConfigurationError):
        Needs(**needs)


def test_a_level_that_there_is_not_is_no_fault_of_the_client() -> None:
    with pytest.raises(ConfigurationError, match="'9', which is none of 1, 2, 3"):
        next(GATE.admit(Visit(FakeRequest()), Needs(level="9")))


@pytest.mark.parametrize(
    ("needs", "is_enough"),
    [
        (Needs(), True),
        (Needs(scopes=("posts",), not_banned="posts"), True),
        (Needs(strict=True), False),
        (Needs(level="2"), False),
        (Needs(max_auth_age=0), False),
    ],
)
def test_what_is_remembered_is_enough_for_some_routes(needs: Needs, is_enough: bool) -> None:
    assert needs.can_be_recalled is is_enough
