"""Cross-site attacks on a site in each framework: cookies, tokens and logins."""

from collections.abc import Iterator
from typing import Any

import pytest

from .django_site import in_django
from .test_web_gate import REFRESH as REFRESH_TOKEN
from .web_asked import Answer, Ask
from .web_sites import SITES, AsyncSessions, Sessions

ACCESS = "__Host-clusterpass-access"
PLACES = ["header", "cookie", "query"]
REFRESH = "__Host-clusterpass-refresh"
SPACES = ["\u2000", "\u00a0", "\u0085", "\u3000"]
BYTES = ["\xa0", "\x85", "\xc2", "\xff"]
"""Bytes that are white space in Latin-1, or none, as characters of that."""
FORM = ("Content-Type", "application/x-www-form-urlencoded")
JSON = ("Content-Type", "application/json")
CROSS_SITE = ("Sec-Fetch-Site", "cross-site")
SAME_SITE = ("Sec-Fetch-Site", "same-site")
OWN_SITE = ("Sec-Fetch-Site", "same-origin")
SOCKET = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]


class Site:
    """A site, and its sessions."""

    def __init__(self, name: str, ask: Ask, sessions: Sessions) -> None:
        self.name, self.ask, self.sessions = name, ask, sessions

    def answer(self, method: str, target: str, *headers: tuple[str, str], body: str = "") -> Answer:
        """Return the response to a request to ``shop.example``."""
        return self.ask(method, target, [("Host", "shop.example"), *headers], body.encode())

    def whose(self, *cookies: str) -> str:
        """Return the user whose page a browser with ``cookies`` gets; empty: it is refused."""
        return self.whose_bytes("; ".join(cookies).encode().decode("latin-1"))

    def whose_bytes(self, *headers: str) -> str:
        """Return the user whose page these raw Cookie headers get, a character being a byte."""
        answer = self.answer("GET", "/page", *(("Cookie", each) for each in headers))
        assert answer.status == (200 if answer.body in {b"alice", b"mallory"} else 401)
        return answer.body.decode() if answer.status == 200 else ""


@pytest.fixture(scope="module", params=[*SITES, "django"])
def shared(request: pytest.FixtureRequest) -> Iterator[Site]:
    settings: dict[str, Any] = {"token_places": PLACES, "login_url": "/login"}
    if request.param == "django":
        sessions = Sessions()
        with in_django(sessions, settings) as ask:
            yield Site("django", ask, sessions)
        return
    sessions = Sessions() if request.param == "flask" else AsyncSessions()
    yield Site(request.param, SITES[request.param](sessions, settings), sessions)


@pytest.fixture
def site(shared: Site) -> Site:
    shared.sessions.opened.clear()
    return shared


@pytest.mark.parametrize("space", SPACES, ids=ascii)
def test_a_name_with_other_white_space_is_another_name(site: Site, space: str) -> None:
    tossed, own = f"{space}{ACCESS}=mine", f"{ACCESS}=good"
    assert site.whose(own) == "alice"
    assert site.whose(tossed) == ""
    assert site.whose(own, tossed) == site.whose(tossed, own) == "alice"
    assert site.whose(f"{ACCESS}{space}=mine") == ""


@pytest.mark.parametrize("byte", BYTES, ids=ascii)
def test_a_single_byte_makes_another_name(site: Site, byte: str) -> None:
    tossed, own = f"{byte}{ACCESS}=mine", f"{ACCESS}=good"
    for sent in (tossed, f"{ACCESS}{byte}=mine", f"a=b; {tossed}", f"a=b;{tossed}{byte}"):
        assert site.whose_bytes(sent) == ""
    assert site.whose_bytes(f"{own}; {tossed}") == site.whose_bytes(f"{tossed}; {own}") == "alice"


@pytest.mark.parametrize(
    "sent",
    [
        f"{ACCESS.upper()}=mine",
        f"={ACCESS}=mine",
        f"a={ACCESS}=mine",
        f"a=b, {ACCESS}=mine",
        f'a="; {ACCESS}"=mine',
        f'"{ACCESS}"=mine',
        f"%5f_{ACCESS[2:]}=mine",
        f"{ACCESS}",
    ],
)
def test_what_only_looks_like_the_cookie_is_none(site: Site, sent: str) -> None:
    assert site.whose(sent) == ""
    assert site.whose(sent, f"{ACCESS}=good") == "alice"


def test_a_cookie_that_is_sent_twice_counts_for_neither(site: Site) -> None:
    assert site.whose(f"{ACCESS}=good", f"{ACCESS}=mine") == ""
    assert site.whose(f"{ACCESS}=mine", f"{ACCESS}=good") == ""
    assert site.whose(f"{ACCESS}=good", f"{ACCESS}=good") == ""
    assert site.whose(f"{ACCESS}=good", f"{REFRESH}=a", f"{REFRESH}=b") == ""
    assert site.whose(f"{ACCESS}=good", "theme=a", "theme=b") == "alice"


def test_a_token_in_the_query_is_for_sockets_and_event_streams(site: Site) -> None:
    stream = ("Accept", "text/event-stream")
    assert site.answer("POST", "/change?access_token=good", FORM, CROSS_SITE).status == 401
    assert site.answer("POST", "/change?access_token=good", FORM, stream).status == 401
    assert site.answer("GET", "/page?access_token=good", ("Accept", "*/*")).status == 401
    assert site.answer("GET", "/page?access_token=good", stream).body == b"alice"


def test_a_login_does_not_lead_back_to_a_token(site: Site) -> None:
    page = ("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")
    led = site.answer("GET", "/page?a=1&access_token=good", *page)
    assert (led.status, led.all("location")) == (303, ["/login?next=%2Fpage%3Fa%3D1"])


@pytest.mark.parametrize(
    "sent",
    [
        (FORM, CROSS_SITE),
        (JSON, CROSS_SITE),
        (("Content-Type", "text/plain"), CROSS_SITE),
        (FORM, SAME_SITE),
        (FORM, CROSS_SITE, ("Origin", "https://shop.example")),
        (FORM, ("Origin", "https://evil.example")),
        (FORM, ("Origin", "null")),
        (JSON, ("X-Client", "web"), ("Origin", "https://evil.example")),
    ],
    ids=str,
)
def test_no_other_site_logs_a_browser_in(site: Site, sent: tuple[tuple[str, str], ...]) -> None:
    for path in ("/login", "/again"):
        answer = site.answer("POST", path, *sent)
        assert (answer.status, answer.all("set-cookie")) == (403, [])
        assert b'"error":"request_refused"' in answer.body
    assert site.sessions.opened == []


@pytest.mark.parametrize(
    "sent",
    [
        (FORM, OWN_SITE),
        (JSON, OWN_SITE, ("Origin", "https://shop.example")),
        (FORM, ("Origin", "https://shop.example")),
        (FORM,),
        (JSON, ("X-Client", "web")),
    ],
    ids=str,
)
def test_the_own_site_and_a_program_do(site: Site, sent: tuple[tuple[str, str], ...]) -> None:
    for path in ("/login", "/again"):
        answer = site.answer("POST", path, *sent)
        assert answer.status in {200, 303}
        assert any(each.startswith(f"{ACCESS}=new") for each in answer.all("set-cookie"))
    assert site.sessions.opened == ["mallory"]


def test_an_app_that_gets_no_cookies_may_log_in_from_anywhere(site: Site) -> None:
    answer = site.answer("POST", "/login", JSON, ("Origin", "https://evil.example"))
    assert (answer.status, answer.all("set-cookie")) == (200, [])
    assert b'"access_token":"new"' in answer.body


def test_a_single_sign_on_comes_from_another_site(site: Site) -> None:
    for method, path, target in (("GET", "/callback", "/orders"), ("POST", "/sso", "/")):
        answer = site.answer(method, path, FORM, CROSS_SITE, ("Origin", "https://id.example"))
        assert (answer.status, answer.all("location")) == (303, [target])
        assert any(each.startswith(f"{ACCESS}=new") for each in answer.all("set-cookie"))
    assert site.sessions.opened == ["alice", "alice"]


@pytest.mark.parametrize("shared", ["flask", "aiohttp", "django"], indirect=True)
def test_a_handshake_without_asgi_is_one_of_the_own_site(site: Site) -> None:
    cookie = ("Cookie", f"{ACCESS}=good")

    def answer(*headers: tuple[str, str]) -> int:
        return site.answer("GET", "/socket", *SOCKET, *headers).status

    assert answer(cookie, ("Origin", "https://shop.example")) == 200
    assert answer(cookie, ("Origin", "https://evil.example"), CROSS_SITE) == 403
    assert answer(cookie, OWN_SITE) == 403
    assert answer(("Authorization", "Bearer good"), ("Origin", "https://evil.example")) == 200
    assert site.answer("GET", "/socket?access_token=good", *SOCKET).status == 200


@pytest.mark.parametrize("shared", ["django"], indirect=True)
def test_djangos_check_of_a_form_says_nothing_about_a_handshake(site: Site) -> None:
    cookie, origin = ("Cookie", f"{ACCESS}=good"), ("Origin", "https://evil.example")
    assert site.answer("GET", "/unguarded", cookie, origin).body == b"alice"
    assert site.answer("GET", "/unguarded", cookie, origin, *SOCKET).body == b"nobody"


@pytest.mark.parametrize("shared", ["django"], indirect=True)
def test_channels_reads_cookies_as_strictly(site: Site) -> None:
    def whose(cookies: str) -> bytes:
        sent = cookies.encode().decode("latin-1")
        origin = ("Origin", "https://shop.example")
        return site.answer("WEBSOCKET", "/socket", ("Cookie", sent), origin).body

    assert whose(f"{ACCESS}=good") == b"alice"
    for space in SPACES:
        assert whose(f"{space}{ACCESS}=mine") == b""
        assert whose(f"{ACCESS}=good; {space}{ACCESS}=mine") == b"alice"
    assert whose(f"{ACCESS}=good; {ACCESS}=mine") == b""


@pytest.mark.parametrize("shared", ["django"], indirect=True)
def test_djangos_own_token_lets_a_browser_in(site: Site) -> None:
    token = site.answer("GET", "/token").body.decode()
    cookie = ("Cookie", f"csrftoken={token}")
    body = f"csrfmiddlewaretoken={token}"
    for path in ("/login", "/checked-login", "/again"):
        origin = ("Origin", "http://shop.example")  # as Django sees the request
        assert site.answer("POST", path, FORM, cookie, origin, body=body).status == 303
        assert site.answer("POST", path, FORM, cookie, CROSS_SITE).status == 403


@pytest.mark.parametrize("shared", ["django"], indirect=True)
def test_djangos_own_token_lets_a_browser_renew_its_session(site: Site) -> None:
    token = site.answer("GET", "/token").body.decode()
    cookies = ("Cookie", f"csrftoken={token}; {REFRESH}={REFRESH_TOKEN}")
    sent = [FORM, ("Origin", "http://shop.example"), cookies]
    renewed = site.answer("POST", "/auth/refresh", *sent, body=f"csrfmiddlewaretoken={token}")
    assert renewed.status == 303
    assert any(text.startswith(f"{REFRESH}=new-refresh;") for text in renewed.all("set-cookie"))
    (kept,) = renewed.all("cache-control")
    assert set(kept.split(", ")) == {"no-store", "private"}, "no cache keeps it, Django's neither"
    assert site.answer("POST", "/auth/refresh", *sent).status == 403


@pytest.mark.parametrize("shared", ["litestar", "fastapi"], indirect=True)
def test_a_login_of_the_router_is_json(site: Site) -> None:
    body = '{"username":"alice","password":"pw","device":"="}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        sent = [("Content-Type", kind)] if kind else []
        answer = site.answer("POST", "/auth/login", *sent, CROSS_SITE, body=body)
        assert answer.status == (415 if site.name == "litestar" else 422)
        assert answer.all("set-cookie") == []
    refused = site.answer("POST", "/auth/login", JSON, CROSS_SITE, body=body)
    assert (refused.status, refused.all("set-cookie")) == (403, [])
    assert site.sessions.opened == []
    own = site.answer("POST", "/auth/login", ("Content-Type", "application/json; charset=utf-8"),
                      OWN_SITE, body=body)  # fmt: skip
    assert own.status == 200
    assert site.sessions.opened == ["alice"]
