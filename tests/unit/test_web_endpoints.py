"""The endpoints of the web integrations: responses to browsers and apps, and redirects."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from clusterpass import (
    ConfigurationError,
    InvalidRefreshToken,
    RequestRefused,
    ScopeMissing,
    SessionRevoked,
    StepUpRequired,
    StoreUnavailable,
    TokenExpired,
    TokenMalformed,
    TokenMissing,
)
from clusterpass.model.values import Ended
from clusterpass.web import endpoints
from clusterpass.web.flow import run
from clusterpass.web.gate import Gate, Visit
from clusterpass.web.messages import WebAnswer, WebRequest
from clusterpass.web.settings import WebSettings

from .gate_scene import (
    CONFIG,
    COOKIES,
    CSRF,
    GATE,
    PAIR,
    REFRESH,
    SESSION,
    SESSION_TEXT,
    Manager,
    browser,
    set_cookies,
)
from .web_request import FakeRequest

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
LED = Gate(CONFIG, WebSettings(login_url="/login", step_up_url="https://id.example/again?app=1"))


def location(answer: WebAnswer) -> str:
    return dict(answer.headers)["Location"]


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        ("/page", "/page"),
        ("/page?a=1&b=/c", "/page?a=1&b=/c"),
        ("/", "/"),
        ("", "/"),
        (None, "/"),
        ("page", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/page\x7f", "/"),
    ],
)
def test_only_paths_of_this_site_are_safe(target: str | None, safe: str) -> None:
    assert endpoints.safe_target(target) == safe
    assert endpoints.safe_target(target, "/home") == (safe if safe == target else "/home")


@pytest.mark.parametrize(
    ("headers", "is_browser", "is_navigation"),
    [
        ({}, False, False),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, True, True),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, True, False),
        ({"Sec-Fetch-Mode": "cors", "Accept": "text/html"}, False, False),
        ({"Accept": "text/html,application/xhtml+xml"}, False, True),
        ({"Accept": "application/json"}, False, False),
        ({"X-Client": "web"}, True, False),
        ({"X-Client": "app"}, False, False),
    ],
)
def test_who_asks(headers: dict[str, str], is_browser: bool, is_navigation: bool) -> None:
    request = FakeRequest(headers=headers)
    assert endpoints.is_browser(request) is is_browser
    assert endpoints.is_navigation(request) is is_navigation


@pytest.mark.parametrize(
    ("kind", "is_form"),
    [
        ("application/x-www-form-urlencoded", True),
        ("Multipart/Form-Data; boundary=x", True),
        ("application/json", False),
        (None, False),
    ],
)
def test_what_is_a_form(kind: str | None, is_form: bool) -> None:
    assert endpoints.is_form(FakeRequest(headers={"Content-Type": kind} if kind else {})) is is_form


def test_an_app_gets_a_token_response() -> None:
    visit = Visit(FakeRequest("POST"))
    answer = endpoints.pair_answer(GATE, visit, PAIR)
    assert json.loads(answer.body()) == {
        "access_token": "new access",
        "refresh_token": "new refresh",
        "token_type": "Bearer",
        "expires_in": 900,
        "session_id": SESSION_TEXT,
        "durable": True,
        "acr": "",
    }
    assert (answer.status, answer.headers) == (200, (("Cache-Control", "no-store"),))
    assert visit.headers == []


def test_a_browser_gets_cookies_and_its_csrf_token() -> None:
    visit = Visit(FakeRequest("POST", headers={"Sec-Fetch-Site": "same-origin"}))
    answer = endpoints.pair_answer(GATE, visit, PAIR)
    members = json.loads(answer.body())
    assert members["csrf_token"] == CSRF
    assert "new" not in json.dumps(members)
    assert answer.headers == (("Cache-Control", "no-store"),)
    assert set_cookies(visit)[COOKIES.access.name] == "new access"
    for name, value in visit.headers:
        assert name == "Set-Cookie"
        assert value.startswith("__Host-")
        assert "; Path=/; Secure; " in value
        assert "SameSite=Lax" in value


def test_who_wants_the_other_gets_it() -> None:
    app, web = FakeRequest("POST"), FakeRequest("POST", headers={"X-Client": "web"})
    assert "access_token" in (
        endpoints.pair_answer(GATE, Visit(web), PAIR, to_browser=False).members or {}
    )
    assert "access_token" not in (
        endpoints.pair_answer(GATE, Visit(app), PAIR, to_browser=True).members or {}
    )


def test_a_form_is_led_on() -> None:
    visit = Visit(FakeRequest("POST", headers=FORM))
    answer = endpoints.pair_answer(GATE, visit, PAIR, target="/orders")
    assert (answer.status, location(answer), answer.body()) == (303, "/orders", b"")
    assert set_cookies(visit)
    evil = endpoints.pair_answer(GATE, visit, PAIR, target="https://evil.example")
    assert location(evil) == "/"
    assert location(endpoints.pair_answer(GATE, visit, PAIR)) == "/"


@pytest.mark.parametrize(
    ("to_browser", "allow_cross_site", "may"),
    [
        (None, False, False),
        (True, False, False),
        (False, False, True),
        (None, True, True),
        (True, True, True),
    ],
)
def test_another_site_sets_no_cookies(
    to_browser: bool | None, allow_cross_site: bool, may: bool
) -> None:
    visit = Visit(FakeRequest("POST", headers={"Sec-Fetch-Site": "cross-site"}))
    options: Any = {"to_browser": to_browser, "allow_cross_site": allow_cross_site}
    if may:
        endpoints.require_own_login(GATE, visit, **options)
        assert endpoints.pair_answer(GATE, visit, PAIR, **options).status == 200
        assert bool(visit.headers) is (to_browser is not False)
    else:
        with pytest.raises(RequestRefused):
            endpoints.require_own_login(GATE, visit, **options)
        with pytest.raises(RequestRefused):
            endpoints.pair_answer(GATE, visit, PAIR, **options)
        assert visit.headers == []


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/page", "/page"),
        ("/page?access_token=x", "/page"),
        ("/page?a=1&access_token=x&b=%2F&access_token=y", "/page?a=1&b=%2F"),
        ("/page?access%5Ftoken=x&a", "/page?a"),
        ("/page?access_token", "/page"),
        ("/page?access_tokens=1&a=access_token=x", "/page?access_tokens=1&a=access_token=x"),
        ("/page?a=?access_token=x", "/page?a=?access_token=x"),
    ],
)
def test_a_login_leads_back_without_the_token(target: str, kept: str) -> None:
    request = FakeRequest(target=target, headers=PAGE)
    led = location(endpoints.error_answer(LED, request, TokenMissing()))
    assert parse_qs(urlsplit(led).query) == {"next": [kept]}


def test_a_refresh_by_body_looks_at_no_cookie() -> None:
    visit = Visit(browser("POST", Sec_Fetch_Site="same-origin"))
    manager = Manager(refresh=PAIR)
    answer = run(manager, endpoints.refresh(GATE, visit, "mine"))
    assert manager.asked == [("refresh", "mine", {"address": "192.0.2.7"})]
    assert (answer.members or {})["refresh_token"] == "new refresh"  # type: ignore[call-overload]
    assert visit.headers == []


def test_a_refresh_by_cookie() -> None:
    visit, manager = Visit(browser("POST", X_CSRF_Token=CSRF)), Manager(refresh=PAIR)
    answer = run(manager, endpoints.refresh(GATE, visit))
    assert manager.asked == [("refresh", REFRESH, {"address": "192.0.2.7"})]
    assert b"new refresh" not in answer.body()
    assert set_cookies(visit)[COOKIES.refresh.name] == "new refresh"
    with pytest.raises(RequestRefused):
        run(Manager(), endpoints.refresh(GATE, Visit(browser("POST"))))
    with pytest.raises(TokenMissing):
        run(Manager(), endpoints.refresh(GATE, Visit(FakeRequest("POST"))))
    over = Visit(browser("POST", X_CSRF_Token=CSRF))
    with pytest.raises(InvalidRefreshToken):
        run(Manager(refresh=InvalidRefreshToken(reason="revoked")), endpoints.refresh(GATE, over))
    assert set(set_cookies(over).values()) == {""}


def logged_out(request: WebRequest, manager: Manager, **options: Any) -> tuple[WebAnswer, Visit]:
    visit = Visit(request)
    return run(manager, endpoints.logout(GATE, visit, **options)), visit


def test_an_app_logs_out() -> None:
    manager = Manager(logout=Ended(1, True))
    request = FakeRequest("POST", headers={"Authorization": "Bearer mine"})
    answer, visit = logged_out(request, manager)
    assert (answer.status, answer.body(), visit.headers) == (204, b"", [])
    assert answer.headers == (("Cache-Control", "no-store"),)
    assert manager.asked == [("logout", "mine", {"address": "192.0.2.7"})]
    with pytest.raises(TokenMalformed):
        logged_out(request, Manager(logout=TokenMalformed()))
    with pytest.raises(TokenMissing):
        logged_out(FakeRequest("POST"), Manager())


def test_a_browser_logs_out() -> None:
    manager = Manager(logout=Ended(1, True))
    answer, visit = logged_out(browser("POST", X_CSRF_Token=CSRF), manager)
    assert answer.status == 204
    assert manager.asked == [("logout", REFRESH, {"address": "192.0.2.7"})]
    assert set(set_cookies(visit).values()) == {""}
    with pytest.raises(RequestRefused):
        logged_out(browser("POST"), Manager())


def test_a_browser_with_one_cookie_logs_out_too() -> None:
    manager = Manager(logout=Ended(1, True), verify=SESSION)
    request = browser("POST", refresh="", X_CSRF_Token=CSRF)
    answer, _ = logged_out(request, manager)
    assert (answer.status, manager.asked[-1][1]) == (204, "access")
    gone = Manager(verify=SessionRevoked(reason="revoked", ended_at=1))
    answer, visit = logged_out(request, gone)
    assert answer.status == 204
    assert set(set_cookies(visit).values()) == {""}


def test_an_outage_logs_nobody_out() -> None:
    visit = Visit(browser("POST", X_CSRF_Token=CSRF))
    with pytest.raises(StoreUnavailable):
        run(Manager(logout=StoreUnavailable()), endpoints.logout(GATE, visit))
    assert visit.headers == []


def test_a_form_that_logs_out_is_led_to_the_login() -> None:
    request = browser("POST", **{"Content-Type": FORM["Content-Type"]})
    visit = Visit(request)
    answer = run(Manager(logout=Ended(1, True)), endpoints.logout(LED, visit, form_token=CSRF))
    assert (answer.status, location(answer)) == (303, "/login")


def test_devices_are_listed_and_ended() -> None:
    bearer = FakeRequest("DELETE", headers={"Authorization": "Bearer mine"})
    manager = Manager(verify=SESSION, sessions=[[SESSION]], revoke=Ended(1, True))
    listed = run(manager, endpoints.devices(GATE, Visit(bearer)))
    assert json.loads(listed.body())[0] == {
        "id": SESSION_TEXT,
        "device": None,
        "device_type": None,
        "created_at": 1,
        "active_at": 0,
        "expires_at": 3,
        "current": True,
        "impersonated_by": None,
    }
    ended = run(manager, endpoints.end_device(GATE, Visit(bearer), "other"))
    assert ended.members == {"ended": 1}
    assert listed.headers == ended.headers == (("Cache-Control", "no-store"),)
    assert manager.asked[-1] == ("revoke", "alice", "other", {})
    own = Visit(browser("DELETE", X_CSRF_Token=CSRF))
    run(manager, endpoints.end_device(GATE, own, SESSION_TEXT))
    assert set(set_cookies(own).values()) == {""}, "it was the browser's own"


def test_logging_out_everywhere_asks_the_store() -> None:
    manager = Manager(verify=SESSION, revoke_all=Ended(3, True))
    visit = Visit(browser("POST", X_CSRF_Token=CSRF))
    answer = run(manager, endpoints.logout_everywhere(GATE, visit))
    assert (answer.members, answer.headers) == ({"ended": 3}, (("Cache-Control", "no-store"),))
    assert manager.asked[0][2] == {"verification": "strict"}
    assert set(set_cookies(visit).values()) == {""}


def test_a_page_is_led_to_the_login_and_an_app_is_not() -> None:
    error = TokenMissing()
    page = FakeRequest(target="/orders?a=1", headers=PAGE)
    assert location(endpoints.error_answer(LED, page, error)) == "/login?next=%2Forders%3Fa%3D1"
    for gate, request in (
        (LED, FakeRequest(headers={"Accept": "application/json"})),
        (LED, FakeRequest("POST", headers=PAGE)),
        (GATE, page),
    ):
        answer = endpoints.error_answer(gate, request, error)
        assert (answer.status, answer.media_type) == (401, "application/problem+json")
        assert ("WWW-Authenticate", "Bearer") in answer.headers


def test_a_page_is_led_to_where_one_authenticates_again() -> None:
    error = StepUpRequired(acr_values=("2",))
    page = FakeRequest(target="/pay", headers=PAGE)
    answer = endpoints.error_answer(LED, page, error)
    assert location(answer) == "https://id.example/again?app=1&next=%2Fpay"
    assert endpoints.error_answer(GATE, page, error).status == 401


@pytest.mark.parametrize(
    ("error", "status"), [(ScopeMissing(scope="a"), 403), (StoreUnavailable(), 503)]
)
def test_other_refusals_lead_nowhere(error: Any, status: int) -> None:
    answer = endpoints.error_answer(LED, FakeRequest(headers=PAGE), error)
    assert answer.status == status
    assert json.loads(answer.body())["status"] == status
    if status == 503:
        assert "Retry-After" in dict(answer.headers)


def test_a_fault_of_ours_is_told_to_the_operator_alone(caplog):
    page = FakeRequest()
    answer = endpoints.error_answer(GATE, page, ConfigurationError("set it to 'strict'"))
    assert answer.status == 500
    assert b"strict" not in answer.body()
    assert caplog.messages == [
        "a request was answered with 500: configuration_invalid: set it to 'strict'"
    ]
    caplog.clear()
    endpoints.error_answer(GATE, page, StoreUnavailable())
    assert caplog.messages == [], "an outage is reported by the store, and once"


def test_a_request_that_was_renewed_before_is_not_renewed_by_a_refresh() -> None:
    manager = Manager(verify=[TokenExpired(), SESSION], refresh=PAIR)
    visit = Visit(browser("POST", X_CSRF_Token=CSRF))
    run(manager, GATE.admit(visit))  # middleware, for example
    answer = run(manager, endpoints.refresh(GATE, visit))
    assert isinstance(answer.members, dict)
    assert answer.members["session_id"] == SESSION_TEXT
    assert [each[1] for each in manager.asked if each[0] == "refresh"] == [REFRESH]
    assert set_cookies(visit)[COOKIES.refresh.name] == "new refresh"


def test_a_logout_ends_the_session_by_the_token_that_counts_now() -> None:
    manager = Manager(verify=[TokenExpired(), SESSION], refresh=PAIR, logout=Ended(1, True))
    visit = Visit(browser("POST", X_CSRF_Token=CSRF))
    run(manager, GATE.admit(visit))
    run(manager, endpoints.logout(GATE, visit))
    assert [each[1] for each in manager.asked if each[0] == "logout"] == ["new refresh"]
    assert set(set_cookies(visit).values()) == {""}
