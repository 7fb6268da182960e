"""Passwords cannot be tried without end, and whoever tries keeps no user out of a known device.

Django's part is in :mod:`tests.integrations.django`.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from clusterpass import Config, EmbeddedCluster

from .login_apps import APPS

DEVICE, DEVICE_HEADER = "clusterpass-device", "x-device-token"
BROWSER = {"X-Client": "web"}
Open = Callable[[], httpx.Client]
_numbers = itertools.count()


@pytest.fixture(scope="module", params=APPS)
def framework(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def url(framework: str, cluster: EmbeddedCluster, config: Config) -> Iterator[str]:
    settings: dict[str, Any] = {
        "store_url": f"{cluster.url}?namespace=attempts-{framework}",
        "issuer": config.issuer,
        "keys": config.keys,
        "cookie_secure": False,
        "account_attempts": 3,
        "address_attempts": 12,
        "trusted_proxies": ["127.0.0.1/32"],
    }
    app, serve = APPS[framework](settings)
    with serve(app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def visit(url: str) -> Iterator[Open]:
    """Opens clients, each at an address of its own."""
    opened: list[httpx.Client] = []

    def open_one() -> httpx.Client:
        address = f"2001:db8:{next(_numbers):x}::1"
        opened.append(httpx.Client(base_url=url, headers={"X-Forwarded-For": address}))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def log_in(
    client: httpx.Client, name: str, password: str = "pw", path: str = "/login", **headers: str
) -> httpx.Response:
    form = {"username": name, "password": password}
    named = {each.replace("_", "-"): value for each, value in headers.items()}
    return client.post(path, json=form, headers=named)


def test_guesses_are_limited_and_the_answer_says_for_how_long(visit, subject) -> None:
    statuses = [log_in(visit(), subject, f"guess {n}").status_code for n in range(3)]
    assert statuses == [401, 401, 401]
    refused = log_in(visit(), subject)
    assert refused.status_code == 429, "the password is right, but nobody looked at it"
    assert refused.json()["error"] == "too_many_attempts"
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 300
    assert log_in(visit(), f"other-{subject}").status_code == 200


@pytest.mark.sampled(3)
def test_logins_that_succeed_are_given_back(visit, subject) -> None:
    assert [log_in(visit(), subject).status_code for _ in range(5)] == [200] * 5
    assert log_in(visit(), subject, "wrong").status_code == 401


@pytest.mark.sampled(3)
def test_guesses_by_strangers_keep_nobody_out_who_is_known(visit, subject) -> None:
    browser, stranger = visit(), visit()
    answer = log_in(browser, subject, X_Client="web")
    assert "clusterpass-access" in answer.cookies
    (cookie,) = [each for each in answer.headers.get_list("set-cookie") if each.startswith(DEVICE)]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert DEVICE_HEADER not in answer.headers
    app = log_in(visit(), subject)
    assert not app.cookies
    token = app.headers[DEVICE_HEADER]
    while log_in(stranger, subject, "guess").status_code != 429:
        pass
    assert log_in(browser, subject, X_Client="web").status_code == 200
    assert log_in(visit(), subject, X_Device_Token=token).status_code == 200
    other = log_in(visit(), f"other-{subject}").headers[DEVICE_HEADER]
    assert log_in(visit(), subject, X_Device_Token=other).status_code == 429


def test_an_address_has_a_limit(visit, subject) -> None:
    one = visit()
    statuses = [log_in(one, f"{subject}-{n}", "guess").status_code for n in range(13)]
    assert statuses == [401] * 12 + [429]
    assert log_in(visit(), f"{subject}-0").status_code == 200


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 256])
def test_a_name_that_no_account_can_have_is_wrong(visit, name) -> None:
    assert log_in(visit(), name).status_code == 401


def test_the_limit_can_be_switched_off(framework, visit, subject) -> None:
    if framework not in {"fastapi", "litestar"}:
        pytest.skip("the application itself counts")
    path = "/unlimited/login"
    statuses = {log_in(visit(), subject, "guess", path).status_code for _ in range(5)}
    assert statuses == {401}
    assert DEVICE_HEADER not in log_in(visit(), subject, "pw", path).headers


def test_the_form_of_the_authorize_button_is_limited_too(framework, visit, subject) -> None:
    if framework != "fastapi":
        pytest.skip("there is no such form")
    form = {"username": subject, "password": "guess"}
    statuses = [visit().post("/token", data=form).status_code for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
