"""Counting of login attempts: by known device, by address, and of strangers."""

import logging
from typing import Any

import pytest

from clusterpass import Config, InvalidCredentials, InvalidInput, KeyRing, StoreUnavailable
from clusterpass.web.flow import run
from clusterpass.web.gate import Gate, Visit
from clusterpass.web.known_devices import DEVICE_HEADER, KnownDevices
from clusterpass.web.login_attempts import LoginAttempts
from clusterpass.web.settings import WebSettings

from .web_request import FakeRequest

KEYS = KeyRing.generate()
CONFIG = Config(issuer="https://shop.example", keys=KEYS)
COOKIE = "__Host-clusterpass-device"
BROWSER = {"Sec-Fetch-Site": "same-origin"}


class Throttle:
    """Notes what it is asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.error = error

    def admit(self, username: str, **options: Any) -> None:
        self.asked.append(("admit", username, options))
        if self.error is not None:
            raise self.error

    def forget(self, username: str, **options: Any) -> None:
        self.asked.append(("forget", username, options))
        if self.error is not None:
            raise self.error


def attempts(**settings: Any) -> LoginAttempts:
    return LoginAttempts(Gate(CONFIG, WebSettings(**settings)), CONFIG)


def counted(visit: Visit, username: str = "alice", **settings: Any) -> dict[str, Any]:
    """Return how the attempt of a visit is counted."""
    throttle = Throttle()
    run(throttle, attempts(**settings).count(visit, username))
    ((_, name, options),) = throttle.asked
    assert name == username
    return options


def left(visit: Visit, *, to_browser: bool | None = None, **settings: Any) -> tuple[str, str]:
    """The header by which the device is known after a login."""
    made = attempts(**settings)
    run(Throttle(), made.count(visit, "alice"))
    run(Throttle(), made.succeed(visit, to_browser=to_browser))
    ((name, value),) = visit.headers
    return name, value


def test_a_stranger_is_counted_by_the_address() -> None:
    assert counted(Visit(FakeRequest("POST"))) == {"address": "192.0.2.7", "known": None}
    for peer in (None, "", "/run/app.sock", "testclient"):
        assert counted(Visit(FakeRequest("POST", peer=peer)))["address"] is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "settings", "address"),
    [
        ("10.0.0.1", "192.0.2.9", {}, None),
        ("127.0.0.1", "192.0.2.9", {}, None),
        ("10.0.0.1", "192.0.2.9", {"trusted_proxies": ("10.0.0.0/8",)}, "192.0.2.9"),
        ("10.0.0.5", "10.0.0.5", {}, "10.0.0.5"),
        ("10.0.0.5", "192.0.2.9, 10.0.0.5", {}, "10.0.0.5"),
        ("10.0.0.5", "", {}, "10.0.0.5"),
        ("8.8.8.8", "192.0.2.9", {}, "8.8.8.8"),
    ],
    ids=["proxy", "local", "trusted", "told", "told last", "direct", "public"],
)
def test_the_address_of_an_unknown_proxy_is_everybodys(
    peer: str,
    forwarded: str,
    settings: dict[str, Any],
    address: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    made, throttle = attempts(**settings), Throttle()
    with caplog.at_level(logging.WARNING, "clusterpass.web"):
        for _ in range(2):
            run(throttle, made.count(Visit(FakeRequest(peer=peer, headers=headers)), "alice"))
    assert [options["address"] for _, _, options in throttle.asked] == [address] * 2
    assert len(caplog.records) == (1 if address is None else 0), "it is said once"


def test_a_browser_is_known_by_its_cookie() -> None:
    visit = Visit(FakeRequest("POST", headers=BROWSER))
    name, value = left(visit)
    assert name == "Set-Cookie" and value.startswith(f"{COOKIE}=") and "SameSite=Strict" in value
    assert f"; Max-Age={90 * 86_400};" in value
    token = value.partition(";")[0].partition("=")[2]
    known = KnownDevices(KEYS, secure=True).known(token, "alice")
    back = {COOKIE: token}
    assert known is not None
    assert counted(Visit(FakeRequest("POST", cookies=back)))["known"] == known
    assert counted(Visit(FakeRequest("POST", cookies=back)), "bob")["known"] is None
    twice = {"Cookie": f"{COOKIE}={token}; {COOKIE}={token}"}
    assert counted(Visit(FakeRequest("POST", headers=twice)))["known"] is None
    again = Visit(FakeRequest("POST", headers=BROWSER, cookies=back))
    _, renewed = left(again)
    assert renewed.startswith(f"{COOKIE}={known}."), "the device keeps its id"


def test_an_app_is_known_by_its_header() -> None:
    name, token = left(Visit(FakeRequest("POST")))
    assert name == DEVICE_HEADER
    assert counted(Visit(FakeRequest("POST", headers={DEVICE_HEADER: token})))["known"]
    twice = FakeRequest("POST", headers={DEVICE_HEADER: [token, token]})
    assert counted(Visit(twice))["known"] is None


def test_the_application_may_say_who_is_a_browser() -> None:
    assert left(Visit(FakeRequest("POST")), to_browser=True)[0] == "Set-Cookie"
    browser = Visit(FakeRequest("POST", headers=BROWSER))
    assert left(browser, to_browser=False)[0] == DEVICE_HEADER


def test_a_page_on_another_site_brings_the_cookie_too() -> None:
    visit = Visit(FakeRequest("POST", headers=BROWSER))
    assert "SameSite=None" in left(visit, cookie_same_site="none")[1]


def test_without_an_attempt_nothing_is_given_back() -> None:
    visit, throttle, made = Visit(FakeRequest("POST")), Throttle(), attempts()
    run(throttle, made.succeed(visit))
    assert (throttle.asked, visit.headers) == ([], [])
    run(throttle, made.count(visit, "alice"))
    run(throttle, made.succeed(visit))
    run(throttle, made.succeed(visit))
    assert [verb for verb, _, _ in throttle.asked] == ["admit", "forget"]


def test_a_login_succeeds_although_the_attempt_cannot_be_given_back() -> None:
    visit, made = Visit(FakeRequest("POST")), attempts()
    run(Throttle(), made.count(visit, "alice"))
    run(Throttle(StoreUnavailable(reason="timeout")), made.succeed(visit))
    assert [name for name, _ in visit.headers] == [DEVICE_HEADER]


def test_an_attempt_that_was_not_counted_is_not_made() -> None:
    visit, made = Visit(FakeRequest("POST")), attempts()
    with pytest.raises(StoreUnavailable):
        run(Throttle(StoreUnavailable(reason="timeout")), made.count(visit, "alice"))
    with pytest.raises(InvalidCredentials):
        run(Throttle(InvalidInput("no subject")), made.count(visit, ""))
    assert visit.attempt is None
