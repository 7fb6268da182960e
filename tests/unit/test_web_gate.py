"""The gate of the web integrations: credentials, renewal, CSRF and response cookies."""

from collections.abc import Callable
from typing import Any

import pytest

from clusterpass import (
    Config,
    ConfigurationError,
    InvalidInput,
    InvalidRefreshToken,
    KeyRing,
    RequestRefused,
    ScopeMissing,
    Session,
    SessionRevoked,
    StoreUnavailable,
    SubjectBanned,
    TokenExpired,
    TokenMalformed,
    TokenMissing,
    TokenPair,
)
from clusterpass.model.bans import Ban
from clusterpass.tokens.refresh import RefreshTokens
from clusterpass.tokens.refresh_secrets import new_refresh_secret, read_refresh_secrets
from clusterpass.tokens.undelivered import UndeliveredToken
from clusterpass.web.csrf import CsrfTokens
from clusterpass.web.flow import Ask, run
from clusterpass.web.gate import Gate, Needs, Visit
from clusterpass.web.messages import SOCKET
from clusterpass.web.needs import scope_names
from clusterpass.web.settings import WebSettings

from .web_request import FakeRequest

CONFIG = Config(issuer="https://shop.example", keys=KeyRing.generate())
GATE = Gate(CONFIG, WebSettings())
COOKIES = GATE.settings.cookies
SESSION_ID = bytes(16)
REFRESH = (
    RefreshTokens(read_refresh_secrets((new_refresh_secret(),)), bytes)
    .first("alice", SESSION_ID)
    .encode()
)
SESSION_TEXT = "A" * 22
SESSION = Session("alice", SESSION_TEXT, None, 1, 2, 3, claims={"scope": "orders:*"})
PAIR = TokenPair("new access", "new refresh", 900, SESSION_TEXT, "alice", durable=True,
                 session_expires_in=600)  # fmt: skip
CSRF = GATE.csrf.make(SESSION_TEXT) if GATE.csrf else ""
OWN = {"Origin": "https://shop.example", "X-CSRF-Token": CSRF}
OWN_FORM = {"Origin": "https://shop.example"}


class Manager:
    """Answers as it is told, by verb; notes what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def ask(*arguments: Any, **options: Any) -> Any:
            self.asked.append((verb, *arguments, options))
            answer = self.answers[verb]
            if isinstance(answer, list):
                answer = answer.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask


def browser(method: str = "GET", *, access: str = "access", refresh: str = REFRESH, **headers: str):
    cookies = {COOKIES.access.name: access, COOKIES.refresh.name: refresh}
    return FakeRequest(
        method,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        cookies={name: value for name, value in cookies.items() if value},
    )


def sending(method: str, **headers: str) -> FakeRequest:
    return browser(method, **headers)


def admit(request: Any, manager: Any, needs: Needs = Needs(), **options: Any) -> Visit:  # noqa: B008
    visit = Visit(request)
    run(manager, GATE.admit(visit, needs, **options))
    return visit


def set_cookies(visit: Visit) -> dict[str, str]:
    """The names and values of the cookies that the response sets."""
    found = [value for name, value in visit.headers if name == "Set-Cookie"]
    return dict(each.partition(";")[0].split("=", 1) for each in found)


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


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({}, False),
        ({"Origin": "https://shop.example"}, True),
        ({"Origin": "http://shop.example"}, False),
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Sec_Fetch_Site": "cross-site", "Origin": "https://shop.example"}, False),
    ],
)
def test_who_says_nothing_is_not_of_the_own_site(headers: dict[str, str], is_own: bool) -> None:
    for method in ("POST", "GET"):
        if is_own:
            GATE.require_own_site(browser(method, **headers))
        else:
            with pytest.raises(RequestRefused):
                GATE.require_own_site(browser(method, **headers))


def test_an_outage_leaves_the_cookies() -> None:
    visit = Visit(browser())
    for manager in (
        Manager(verify=StoreUnavailable()),
        Manager(verify=TokenExpired(), refresh=StoreUnavailable()),
    ):
        with pytest.raises(StoreUnavailable):
            run(manager, GATE.admit(visit))
    assert visit.headers == []


def test_a_request_that_the_framework_has_checked_needs_no_csrf_token() -> None:
    for manager, request in (
        (Manager(verify=SESSION), browser("POST")),
        (Manager(verify=SESSION, refresh=PAIR), browser("POST", access="")),
    ):
        assert run(manager, GATE.admit(Visit(request, is_genuine=True))) is SESSION
        with pytest.raises(RequestRefused):
            run(manager, GATE.admit(Visit(request)))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_CSRF_Token": CSRF, "Origin": "https://evil.example"},
        {"X_CSRF_Token": CSRF, "Origin": "http://shop.example"},
        {"X_CSRF_Token": CSRF, "Sec_Fetch_Site": "same-site"},
        {"X_CSRF_Token": CSRF, "Sec_Fetch_Site": "cross-site"},
        {"X_CSRF_Token": CSRF[:-1] + "x"},
        {"Origin": "https://shop.example"},
        {"X_CSRF_Token": GATE.csrf.make("B" * 22) if GATE.csrf else ""},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW"])
def test_a_forged_request_is_refused(method: str, headers: dict[str, str]) -> None:
    for request, answers in (
        (browser(method, **headers), {"verify": SESSION}),
        (browser(method, access="", **headers), {}),
    ):
        manager = Manager(**answers)
        with pytest.raises(RequestRefused):
            admit(request, manager)
        assert "refresh" not in [each[0] for each in manager.asked]


@pytest.mark.parametrize(
    "headers",
    [
        {"X_CSRF_Token": CSRF},
        {"X_CSRF_Token": CSRF, "Origin": "https://shop.example"},
        {"X_CSRF_Token": CSRF, "Sec_Fetch_Site": "same-origin", "Origin": "https://shop.example"},
    ],
)
def test_a_request_of_the_site_is_admitted(headers: dict[str, str]) -> None:
    assert admit(browser("POST", **headers), Manager(verify=SESSION)).session is SESSION


def test_a_form_brings_its_token_in_a_field() -> None:
    origin = {"Origin": "https://shop.example"}
    request = browser("POST", **origin)
    assert admit(request, Manager(verify=SESSION), form_token=CSRF).session is SESSION
    with pytest.raises(RequestRefused):
        admit(request, Manager(verify=SESSION), form_token="0" * 64)
    twice = browser("POST", X_CSRF_Token=CSRF)
    assert admit(twice, Manager(verify=SESSION), form_token=CSRF).session is SESSION
    with pytest.raises(RequestRefused):  # one of the two may be somebody else's
        admit(twice, Manager(verify=SESSION), form_token="0" * 64)
    sent = {"X-CSRF-Token": [CSRF, CSRF], "Cookie": twice.header("cookie")}
    two = FakeRequest("POST", headers=sent)
    with pytest.raises(RequestRefused):
        admit(two, Manager(verify=SESSION))


def test_reading_needs_no_csrf_token() -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        assert admit(browser(method), Manager(verify=SESSION)).session is SESSION


def test_without_csrf_a_cookie_is_enough() -> None:
    gate = Gate(CONFIG, WebSettings(csrf=False))
    assert gate.csrf is None
    assert run(Manager(verify=SESSION), gate.admit(Visit(browser("POST")))) is SESSION


def test_a_socket_is_opened_by_its_own_site_only() -> None:
    own = browser(SOCKET, Origin="https://shop.example")
    open_gate = Gate(CONFIG, WebSettings(csrf=False))
    assert admit(own, Manager(verify=SESSION)).session is SESSION
    for headers in ({}, {"Origin": "null"}, {"Origin": "https://evil.example"}):
        for answer in (SESSION, TokenExpired(), TokenMalformed()):
            with pytest.raises(RequestRefused):  # before its tokens are looked at
                admit(browser(SOCKET, **headers), Manager(verify=answer))
            with pytest.raises(RequestRefused):  # which no CSRF token could protect
                run(Manager(verify=answer), open_gate.admit(Visit(browser(SOCKET, **headers))))
    with pytest.raises(RequestRefused):  # Django checks nothing of what is a GET for it
        run(Manager(), GATE.admit(Visit(browser(SOCKET), is_genuine=True)))
    with pytest.raises(TokenExpired):  # its handshake could not set the new cookies
        admit(own, Manager(verify=TokenExpired()))


@pytest.mark.parametrize(
    ("method", "headers", "may"),
    [
        ("POST", {}, True),
        ("POST", {"Origin": "https://shop.example"}, True),
        ("POST", {"Sec_Fetch_Site": "same-origin", "Origin": "https://shop.example"}, True),
        ("POST", {"Sec_Fetch_Site": "cross-site"}, False),
        ("POST", {"Sec_Fetch_Site": "same-site"}, False),
        ("POST", {"Sec_Fetch_Site": "none", "Origin": "https://evil.example"}, False),
        ("PUT", {"Origin": "https://evil.example"}, False),
        ("POST", {"Origin": "null"}, False),
        ("GET", {"Sec_Fetch_Site": "cross-site"}, True),
    ],
)
def test_whom_a_request_may_log_in(method: str, headers: dict[str, str], may: bool) -> None:
    visit = Visit(browser(method, **headers))
    if may:
        GATE.require_own_login(visit)
    else:
        with pytest.raises(RequestRefused):
            GATE.require_own_login(visit)
        GATE.require_own_login(Visit(visit.request, is_genuine=True))


def test_without_csrf_the_same_site_may_log_in_and_no_other() -> None:
    gate = Gate(CONFIG, WebSettings(csrf=False))
    gate.require_own_login(Visit(browser("POST", Sec_Fetch_Site="same-site")))
    for headers in ({"Sec_Fetch_Site": "cross-site"}, {"Origin": "https://evil.example"}):
        with pytest.raises(RequestRefused):
            gate.require_own_login(Visit(browser("POST", **headers)))


def test_pages_survive_a_change_of_the_signing_key() -> None:
    old = KeyRing.generate()
    new = KeyRing([KeyRing.generate().signing_key, old.signing_key])
    secret, newer = new_refresh_secret(), new_refresh_secret()
    of_secret = CsrfTokens(old, (secret,)).make("s")
    CsrfTokens(KeyRing.generate(), (newer, secret)).require("s", of_secret)
    CsrfTokens(old, (secret,)).require("s", CsrfTokens(old).make("s"))
    public = KeyRing.from_jwks(old.public_jwks())
    CsrfTokens(public, (secret,)).require("s", of_secret)
    token = CsrfTokens(old).make("s")
    CsrfTokens(new).require("s", token)
    assert CsrfTokens(new).make("s") != token
    with pytest.raises(RequestRefused):
        CsrfTokens(KeyRing.generate()).require("s", token)


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
