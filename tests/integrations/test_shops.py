"""A shop is visited by a phone, a browser and an administrator, in each framework."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from clusterpass import Config, KeyRing, SessionManager

ACCESS, REFRESH, CSRF = "clusterpass-access", "clusterpass-refresh", "clusterpass-csrf"
DEVICE = "clusterpass-device"
"""The cookie that a login leaves whose attempts are limited; it outlives the session."""
WEB = {"X-Client": "web"}
Visit = Callable[[], httpx.Client]


def log_in(client: httpx.Client, name: str, device: str = "", **headers: str) -> dict[str, Any]:
    answer = client.post(
        "/login",
        json={"username": name, "password": "pw", "device": device or None},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    assert answer.status_code == 200, answer.text
    assert "no-store" in answer.headers["cache-control"]
    found: dict[str, Any] = answer.json()
    return found


def browse(client: httpx.Client, name: str) -> dict[str, Any]:
    """Log in as a browser does."""
    return log_in(client, name, Sec_Fetch_Site="same-origin")


def bearer(pair: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access_token']}"}


def csrf(client: httpx.Client) -> dict[str, str]:
    return {"X-CSRF-Token": client.cookies[CSRF]}


@pytest.fixture
def phone(visit: Visit) -> tuple[httpx.Client, dict[str, Any]]:
    client = visit()
    return client, log_in(client, "alice", "phone")


@pytest.fixture
def browser(visit: Visit) -> httpx.Client:
    client = visit()
    browse(client, "alice")
    return client


def test_an_app_gets_a_body_and_no_cookies(phone, visit):
    client, pair = phone
    assert pair["token_type"] == "Bearer"
    assert not client.cookies
    assert client.get("/me", headers=bearer(pair)).json() == {
        "name": "alice",
        "roles": ["editor"],
    }


def test_a_browser_gets_cookies_and_no_tokens(visit):
    client = visit()
    answer = client.post(
        "/login",
        json={"username": "alice", "password": "pw"},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert {"access_token", "refresh_token"}.isdisjoint(answer.json())
    assert answer.json()["csrf_token"] == client.cookies[CSRF]
    for cookie in answer.headers.get_list("set-cookie"):
        assert ("HttpOnly" in cookie) is not cookie.startswith(CSRF)
        same_site = "Strict" if cookie.startswith(DEVICE) else "Lax"
        assert f"SameSite={same_site}" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
    assert client.get("/me").json()["name"] == "alice"


def test_a_wrong_password_is_refused(visit):
    answer = visit().post("/login", json={"username": "alice", "password": "no"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({}, 401, "token_missing"),
        ({"Authorization": "Bearer garbage"}, 401, "token_malformed"),
        ({"Authorization": "Bearer"}, 401, "token_malformed"),
        ({"Authorization": "Basic YTpi"}, 401, "token_missing"),
    ],
)
def test_who_is_refused_is_told_how(visit, headers, status, error):
    answer = visit().get("/me", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_scopes_have_wildcards(phone, visit):
    client, pair = phone
    assert client.get("/edit", headers=bearer(pair)).status_code == 200
    refused = client.post("/orders", headers=bearer(pair))
    assert refused.status_code == 403
    assert 'scope="orders:write"' in refused.headers["www-authenticate"]
    root = visit()
    assert root.post("/orders", headers=bearer(log_in(root, "root"))).status_code == 200


def test_an_app_refreshes_by_its_body(phone):
    client, pair = phone
    renewed = client.post("/refresh", json={"refresh_token": pair["refresh_token"]})
    assert client.get("/me", headers=bearer(renewed.json())).status_code == 200
    assert not client.cookies
    again = client.post("/refresh", json={"refresh_token": pair["refresh_token"]})
    assert again.json()["refresh_token"] == renewed.json()["refresh_token"], "a retry is safe"
    refused = client.post("/refresh", json={"refresh_token": "nonsense"})
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_refresh_token")


def test_a_browser_refreshes_by_its_cookie(browser):
    before = browser.cookies[ACCESS]
    assert browser.post("/refresh").status_code == 403
    answer = browser.post("/refresh", headers=csrf(browser))
    assert answer.status_code == 200
    assert "access_token" not in answer.json()
    assert browser.cookies[ACCESS] != before
    assert browser.get("/me").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "0" * 64},
        {"X-CSRF-Token": "ä"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
    ids=repr,
)
def test_a_forged_request_changes_nothing(browser, headers):
    own = {} if "X-CSRF-Token" in headers or not headers else csrf(browser)
    sent = {name: value.encode("latin-1") for name, value in {**own, **headers}.items()}
    for path in ("/logout", "/logout-all", "/refresh", "/orders"):
        answer = browser.post(path, headers=sent)
        assert answer.status_code == 403, path
        assert answer.json()["error"] in {"request_refused", "insufficient_scope"}
        assert "set-cookie" not in answer.headers
    assert browser.get("/me").status_code == 200


def test_the_csrf_token_of_another_session_is_worth_nothing(browser, visit):
    other = visit()
    browse(other, "alice")
    assert browser.post("/logout", headers=csrf(other)).status_code == 403
    assert browser.post("/logout", headers=csrf(browser)).status_code == 204


def test_a_bearer_token_needs_no_csrf_token(browser, phone):
    _, pair = phone
    answer = browser.post("/logout", headers=bearer(pair))
    assert answer.status_code == 204
    assert browser.get("/me").status_code == 200, "the session of its cookies goes on"


def test_a_browser_whose_access_token_is_over_is_renewed_on_the_way(browser):
    for name in (ACCESS, CSRF):
        browser.cookies.delete(name)
    answer = browser.get("/me")
    assert answer.status_code == 200
    assert browser.cookies[ACCESS]
    assert browser.cookies[CSRF]
    assert browser.post("/logout", headers=csrf(browser)).status_code == 204


def test_two_tabs_that_are_renewed_at_once_stay(browser, visit):
    other = visit()
    for name in (ACCESS, REFRESH, CSRF):
        other.cookies.set(name, browser.cookies[name], domain="127.0.0.1")
    for tab in (browser, other):
        tab.cookies.delete(ACCESS)
        assert tab.get("/me").status_code == 200
    assert browser.cookies[REFRESH] == other.cookies[REFRESH]


def test_a_renewal_on_the_way_needs_the_csrf_token_too(browser):
    token = csrf(browser)
    browser.cookies.delete(ACCESS)
    assert browser.post("/logout-all").status_code == 403
    assert ACCESS not in browser.cookies, "nothing was exchanged"
    assert browser.post("/logout-all", headers=token).json()["ended"] >= 1


def test_devices_are_listed_and_ended(phone, browser):
    client, pair = phone
    listed = client.get("/devices", headers=bearer(pair)).json()
    assert [each["id"] for each in listed if each["current"]] == [pair["session_id"]]
    assert "phone" in {each["device"] for each in listed}
    mine = next(each["id"] for each in browser.get("/devices").json() if each["current"])
    assert client.delete(f"/devices/{mine}", headers=bearer(pair)).json() == {"ended": 1}
    refused = browser.get("/me")
    assert (refused.status_code, refused.json()["reason"]) == (401, "revoked")
    assert set(browser.cookies) <= {DEVICE}, "cookies of an ended session are of no use"
    gone = client.delete("/devices/nonsense", headers=bearer(pair))
    assert gone.status_code == 404


def test_logging_out_takes_the_cookies(browser):
    answer = browser.post("/logout", headers=csrf(browser))
    assert (answer.status_code, answer.content) == (204, b"")
    assert set(browser.cookies) <= {DEVICE}
    assert browser.get("/me").json()["error"] == "token_missing"


def test_logging_out_twice_is_no_error(browser):
    kept = dict(browser.cookies)
    browser.post("/logout", headers=csrf(browser))
    for name, value in kept.items():
        browser.cookies.set(name, value, domain="127.0.0.1")
    assert browser.post("/logout", headers=csrf(browser)).status_code == 204
    assert set(browser.cookies) <= {DEVICE}


def test_logging_out_everywhere(visit):
    first, second = visit(), visit()
    pairs = [log_in(client, "bob") for client in (first, second)]
    assert first.post("/logout-all", headers=bearer(pairs[0])).json()["ended"] >= 2
    assert second.get("/me", headers=bearer(pairs[1])).status_code == 401


def test_only_an_administrator_kicks(phone, browser, visit):
    client, pair = phone
    assert client.post("/admin/kick/alice", headers=bearer(pair)).status_code == 403
    root = visit()
    admin = bearer(log_in(root, "root"))
    assert root.post("/admin/kick/nobody", headers=admin).status_code == 404
    assert root.post("/admin/kick/alice", headers=admin).json()["ended"] >= 2
    for refused in (client.get("/me", headers=bearer(pair)), browser.get("/me")):
        assert (refused.status_code, refused.json()["reason"]) == (401, "revoked")


def test_the_device_comes_from_the_request_unless_it_is_named(visit):
    chrome = "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36"
    client = visit()
    client.headers["User-Agent"] = chrome
    for device, shown in (("", "Chrome on Linux"), ("é" * 200, "é" * 64)):
        pair = log_in(client, "bob", device)
        listed = client.get("/devices", headers=bearer(pair)).json()
        current = next(each for each in listed if each["current"])
        assert (current["device"], current["device_type"]) == (shown, "computer")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"no boundary here"),
        ("multipart/form-data; boundary=x", b"--x\r\n"),
        ("multipart/form-data; boundary=\xe9", b"--x--"),
        ("application/x-www-form-urlencoded; charset=nonsense", b"csrf_token=1"),
        ("application/x-www-form-urlencoded", b"csrf_token=%FF&\xff&=&%"),
    ],
)
def test_a_form_that_cannot_be_read_changes_nothing(browser, kind, body):
    for path in ("/logout", "/orders"):
        headers = {"Content-Type": kind.encode("latin-1")}
        answer = browser.post(path, headers=headers, content=body)
        assert 400 <= answer.status_code < 500, (path, answer.text)
    assert browser.get("/me").status_code == 200


def guess(client: httpx.Client, name: str) -> int:
    return client.post("/login", json={"username": name, "password": "a guess"}).status_code


def test_guesses_are_limited_and_the_user_is_shown_them(phone, visit, request, cluster_url):
    _, pair = phone
    subject = json.loads(base64.urlsafe_b64decode(pair["access_token"].split(".")[1] + "=="))["sub"]
    assert guess(visit(), "alice") == 401
    url = f"{cluster_url}?namespace={request.node.callspec.params['shop']}"
    config = Config(issuer="https://shop.example", keys=KeyRing.generate())
    with SessionManager.from_url(url, config) as sessions:
        refused = [each for each in sessions.history(subject) if each.kind == "refused"]
    assert [each.text for each in refused] == ["invalid_credentials"]
    assert [guess(visit(), "nobody") for _ in range(11)] == [401] * 10 + [429]
