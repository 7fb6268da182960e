"""The gate against forged requests: CSRF tokens, origins, WebSockets, and logins by other sites."""

import pytest

from clusterpass import (
    KeyRing,
    RequestRefused,
    TokenExpired,
    TokenMalformed,
)
from clusterpass.tokens.refresh_secrets import new_refresh_secret
from clusterpass.web.csrf import CsrfTokens
from clusterpass.web.flow import run
from clusterpass.web.gate import Gate, Visit
from clusterpass.web.messages import SOCKET
from clusterpass.web.settings import WebSettings

from .gate_scene import CONFIG, CSRF, GATE, PAIR, SESSION, Manager, admit, browser
from .web_request import FakeRequest


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
