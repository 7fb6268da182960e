"""Redirects of browsers by the front door: to the login page and the step-up page."""

from urllib.parse import parse_qs, urlsplit

import pytest

from clusterpass import InvalidCredentials, SessionRevoked, StepUpRequired, TokenMissing
from clusterpass.service.authz.navigation import (
    REDIRECT,
    Leading,
    is_navigation,
    redirecting,
)
from clusterpass.service.authz.original_request import FAMILIES, Asked, read_original
from clusterpass.service.authz.return_address import ReturnAddresses
from clusterpass.web.problems import of_error

PORTAL = "https://auth.example/auth"
LEADING = Leading(PORTAL, ReturnAddresses(frozenset({"app.example"}), None, secure=True), "1")
NAVIGATION = {"sec-fetch-mode": ["navigate"], "sec-fetch-dest": ["document"]}
HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("method", "headers", "is_one"),
    [
        ("GET", NAVIGATION, True),
        ("GET", {"accept": [HTML]}, True),
        ("GET", {"accept": ["application/json", "Text/HTML;q=0.1"]}, True),
        ("GET", {**NAVIGATION, "accept": ["*/*"]}, True),
        # Not known to be a GET.
        (None, NAVIGATION, False),
        *((each, NAVIGATION, False) for each in ("HEAD", "POST", "PUT", "OPTIONS", "DELETE")),
        # Scripts, images and programs.
        ("GET", {}, False),
        ("GET", {"accept": ["*/*"]}, False),
        ("GET", {"accept": ["application/json"]}, False),
        ("GET", {"accept": ["text/html-not", "text/htm"]}, False),
        ("GET", {"sec-fetch-mode": ["cors"], "accept": [HTML]}, False),
        ("GET", {"sec-fetch-mode": ["no-cors"], "sec-fetch-dest": ["image"]}, False),
        ("GET", {"sec-fetch-mode": ["websocket"], "accept": [HTML]}, False),
        ("GET", {"sec-fetch-site": ["same-origin"], "accept": [HTML]}, False),
        ("GET", {"sec-fetch-mode": ["navigate", "cors"]}, False),
        ("GET", {**NAVIGATION, "authorization": ["Bearer x"]}, False),
        ("GET", {"accept": [HTML], "authorization": ["Basic x"]}, False),
    ],
)
def test_what_a_navigation_is(method, headers, is_one):
    assert is_navigation(method, headers) is is_one


def original(proxy="nginx", uri="/orders?x=1&y=a%20b", *, is_trusted=True, query="", **more):
    prefix = {"original": "x-original", "forwarded": "x-forwarded"}.get(FAMILIES[proxy], "")
    headers = {
        f"{prefix}-method": ["GET"],
        f"{prefix}-proto": ["https"],
        f"{prefix}-host": ["app.example"],
        f"{prefix}-uri": [uri],
    }
    if proxy == "envoy":
        headers = {"host": ["app.example"], "x-forwarded-proto": ["https"]}
    given = {**headers, **more}
    return read_original(Asked(FAMILIES[proxy], is_trusted, given, "GET", uri, query))


@pytest.mark.parametrize("proxy", [name for name in FAMILIES if name != "envoy"])
def test_who_has_no_session_is_led_to_the_login_and_back(proxy):
    for error in (TokenMissing(), SessionRevoked(reason="revoked", ended_at=1)):
        url = LEADING.away(original(proxy), NAVIGATION, error)
        assert url is not None
        path, _, query = url.partition("?")
        assert path == f"{PORTAL}/page/login"
        assert parse_qs(query, strict_parsing=True) == {
            "rd": ["https://app.example/orders?x=1&y=a%20b"]
        }


def test_envoy_sends_the_query_behind_the_path():
    url = LEADING.away(original("envoy", "/orders", query="x=1"), NAVIGATION, TokenMissing())
    assert url is not None
    assert parse_qs(urlsplit(url).query) == {"rd": ["https://app.example/orders?x=1"]}


def test_who_has_to_authenticate_again_is_led_to_the_step_up():
    stale = StepUpRequired(max_age=60)
    url = LEADING.away(original(), NAVIGATION, stale)
    assert url is not None
    assert url.startswith(f"{PORTAL}/page/step-up?rd=https%3A%2F%2Fapp.example%2Forders")
    assert "level" not in parse_qs(urlsplit(url).query)
    lowest = StepUpRequired(acr_values=("1", "2"), max_age=60)
    url = LEADING.away(original(), NAVIGATION, lowest)
    assert url is not None and "level" not in parse_qs(urlsplit(url).query)
    url = LEADING.away(original(), NAVIGATION, StepUpRequired(acr_values=("2", "3")))
    assert url is not None
    assert parse_qs(urlsplit(url).query)["level"] == ["2"]


@pytest.mark.parametrize(
    "asked",
    [
        original(is_trusted=False),
        original(**{"x-original-host": ["evil.example"]}),
        original(**{"x-original-host": []}),
        original(**{"x-original-host": ["app.example", "evil.example"]}),
        original(**{"x-original-method": []}),
        original(**{"x-original-method": ["POST"]}),
        original(uri="evil.example/"),
    ],
)
def test_who_is_led_nowhere(asked):
    assert LEADING.away(asked, NAVIGATION, TokenMissing()) is None


ELSEWHERE = Leading(
    PORTAL,
    ReturnAddresses(frozenset({"app.example", "auth.example"}), None, secure=True),
    "1",
    frozenset({"app.example"}),
)


def test_a_host_of_another_domain_is_left_for_the_portal_by_a_path_of_its_own():
    for error, more in (
        (TokenMissing(), {}),
        (StepUpRequired(max_age=60), {"for": ["step-up"]}),
        (StepUpRequired(acr_values=("2", "3")), {"for": ["step-up"], "level": ["2"]}),
    ):
        url = ELSEWHERE.away(original(), NAVIGATION, error)
        assert url is not None
        start, _, query = url.partition("?")
        assert start == "https://app.example/_clusterpass/begin"
        expected = {"rd": ["/orders?x=1&y=a%20b"], **more}
        assert parse_qs(query, strict_parsing=True) == expected
    assert ELSEWHERE.away(original(), NAVIGATION, InvalidCredentials()) is None
    assert ELSEWHERE.away(original(), {}, TokenMissing()) is None
    here = original(**{"x-original-host": ["auth.example"]})
    url = ELSEWHERE.away(here, NAVIGATION, TokenMissing())
    assert url is not None and url.startswith(f"{PORTAL}/page/login?rd=")


@pytest.mark.parametrize("path", ["begin?rd=/x", "session?rd=/x&code=y", "", "x"])
def test_who_asks_about_the_way_itself_is_led_nowhere(path):
    asked = original(uri=f"/_clusterpass/{path}")
    assert ELSEWHERE.away(asked, NAVIGATION, TokenMissing()) is None


def test_an_error_that_no_page_can_help_with():
    assert LEADING.away(original(), NAVIGATION, InvalidCredentials()) is None


def test_each_proxy_is_told_in_the_way_that_it_understands():
    problem = of_error(TokenMissing())
    for proxy in FAMILIES:
        told = redirecting(problem, "https://auth.example/x", proxy)
        if proxy == "nginx":
            assert (told.status, told.headers[REDIRECT]) == (401, "https://auth.example/x")
            assert told.headers["WWW-Authenticate"] == "Bearer"
        else:
            assert told.status == 302
            assert told.headers == {"Location": "https://auth.example/x"}
