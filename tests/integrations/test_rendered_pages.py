"""Pages that a server renders: forms, redirects, hidden CSRF fields."""

import re

import httpx
import pytest

from .conftest import SHOPS, Shop
from .test_shops import ACCESS, CSRF, DEVICE, REFRESH

WITH_PAGES = ("flask_shop", "aiohttp_shop", "litestar_shop", "quart_shop")
pytestmark = pytest.mark.parametrize("shop", WITH_PAGES, indirect=True)
assert set(WITH_PAGES) <= set(SHOPS)
PAGE = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}


def field(page: str, name: str) -> str:
    found = re.search(rf"name={name} value=\"([^\"]*)\"", page)
    assert found, page
    return found[1]


def submit(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    origin = str(client.base_url).rstrip("/")
    return client.post(path, data=fields, headers={**PAGE, "Origin": origin})


def logged_in(visit) -> httpx.Client:
    client = visit()
    assert submit(client, "/login", username="alice", password="pw").status_code == 303
    return client


def test_who_has_no_session_is_led_to_the_login_and_back(shop: Shop, visit) -> None:
    client = visit()
    led = client.get("/page?tab=2", headers=PAGE)
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=%2Fpage%3Ftab%3D2")
    form = client.get(led.headers["location"], headers=PAGE)
    target = field(form.text, "next")
    back = submit(client, "/login", username="alice", password="pw", next=target)
    assert (back.status_code, back.headers["location"]) == (303, "/page?tab=2")
    assert {ACCESS, REFRESH, CSRF, DEVICE} == set(client.cookies)
    page = client.get(back.headers["location"], headers=PAGE)
    assert "<b id=who>alice</b>" in page.text


def test_a_script_is_not_led_anywhere(shop: Shop, visit) -> None:
    answer = visit().get("/page", headers={"Sec-Fetch-Mode": "cors", "Accept": "text/html"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/\t/evil.example/",
        "javascript:alert(1)",
        "evil",
        "",
    ],
)
def test_a_login_leads_nowhere_else(shop: Shop, visit, target: str) -> None:
    answer = submit(visit(), "/login", username="alice", password="pw", next=target)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_login_leads_to_a_page_of_any_name(shop: Shop, visit) -> None:
    target = "/page?tab=caf\u00e9 \U0001f355&x=%2F"
    answer = submit(visit(), "/login", username="alice", password="pw", next=target)
    assert answer.headers["location"] == "/page?tab=caf%C3%A9%20%F0%9F%8D%95&x=%2F"


def test_a_form_logs_out_by_its_hidden_field(shop: Shop, visit) -> None:
    client = logged_in(visit)
    page = client.get("/page", headers=PAGE)
    assert submit(client, "/logout").status_code == 403
    assert submit(client, "/logout", csrf_token="0" * 64).status_code == 403
    assert client.get("/page", headers=PAGE).status_code == 200
    out = submit(client, "/logout", csrf_token=field(page.text, "csrf_token"))
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert set(client.cookies) == {DEVICE}, "the device stays known, for the limit of guesses"


def test_a_page_renews_what_is_over_without_a_script(shop: Shop, visit) -> None:
    client = logged_in(visit)
    client.cookies.delete(ACCESS)
    page = client.get("/page", headers=PAGE)
    assert page.status_code == 200
    assert client.cookies[ACCESS]


def test_the_commands_of_the_application(shop: Shop, visit) -> None:
    if not hasattr(shop.names["app"], "test_cli_runner"):
        pytest.skip("the framework has no commands")
    client = logged_in(visit)
    runner = shop.names["app"].test_cli_runner()
    listed = runner.invoke(args=["clusterpass", "sessions", "alice"])
    assert listed.exit_code == 0
    assert listed.output.count("\n") >= 1
    kicked = runner.invoke(args=["clusterpass", "kick", "alice"])
    assert re.fullmatch(r"\d+ sessions ended\n", kicked.output)
    assert client.get("/page", headers=PAGE).headers["location"].startswith("/login")
