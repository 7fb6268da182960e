"""The request guard of the service: paths, hosts, HSTS, and CORS for listed origins."""

import asyncio
import json
from typing import Any

import pytest

from clusterpass.service.asgi.request_guard import RequestGuard
from clusterpass.service.settings.loading import make_settings
from clusterpass.service.settings.service import Settings

APP, OTHER = b"https://app.example", b"https://evil.example"
YEAR = "max-age=31536000"


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, _: str, **fields: Any) -> None:
        self.lines.append(fields)


class Answer:
    """The response of the request guard, or of the application behind it."""

    def __init__(self, sent: list[Any]) -> None:
        start, self.body = sent[0], b"".join(part["body"] for part in sent[1:])
        self.status = start["status"]
        self.headers = [(name.decode(), value.decode()) for name, value in start["headers"]]

    def get(self, name: str) -> str | None:
        values = [value for given, value in self.headers if given == name]
        assert len(values) <= 1
        return values[0] if values else None


def ask(
    settings: Settings,
    raw: str = "/verify",
    *headers: tuple[bytes, bytes],
    method: str = "GET",
    path: str | None = None,
    host: bytes | None = b"auth.example",
    client: tuple[str, int] | None = ("10.0.0.1", 1),
    log: Log | None = None,
) -> Answer:
    async def inside(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the guard reads no body")

    own = [] if host is None else [(b"host", host)]
    scope = {
        "type": "http",
        "method": method,
        "path": raw if path is None else path,
        "raw_path": raw.encode(),
        "headers": [*own, *headers],
        "client": client,
        "scheme": "http",
    }
    asyncio.run(RequestGuard(inside, settings, logger=log or Log())(scope, receive, send))
    return Answer(sent)


def settings(**given: Any) -> Settings:
    return make_settings(given)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/sessions/a%2Fb", "/sessions/a/b"),
        ("/sessions/a%2fb", "/sessions/a/b"),
        ("/sessions/a%5Cb", "/sessions/a\\b"),
        ("/sessions/a%5cb", "/sessions/a\\b"),
        ("/sessions/a\\b", "/sessions/a\\b"),
        ("/x/../verify", "/x/../verify"),
        ("/x/%2e%2E/verify", "/x/../verify"),
        ("/x/.%2e/verify", "/x/../verify"),
        ("/./verify", "/./verify"),
        ("/verify/.", "/verify/."),
        ("/verify/..", "/verify/.."),
        ("/verify%00", "/verify\0"),
        ("/verify%0d%0aX:1", "/verify\r\nX:1"),
        ("/verify%7f", "/verify\x7f"),
    ],
)
def test_a_path_that_may_be_taken_for_another_is_refused(raw: str, path: str) -> None:
    log = Log()
    answer = ask(settings(), raw, path=path, log=log)
    assert (answer.status, json.loads(answer.body)["error"]) == (400, "invalid_request")
    assert answer.get("connection") == "close"
    assert answer.get("cache-control") == "no-store"
    assert answer.get("content-type") == "application/problem+json"
    assert answer.get("x-request-id")
    ((line),) = log.lines
    assert (line["status"], line["method"]) == (400, "GET")
    assert "\r" not in line["path"] and "\0" not in line["path"]


@pytest.mark.parametrize(
    "raw",
    ["/verify", "/.well-known/jwks.json", "/sessions/a%20b", "/a..b", "/...", "/a%252Fb", "*"],
)
def test_every_other_path_is_passed_on(raw: str) -> None:
    assert ask(settings(), raw).body == b"inside"


@pytest.mark.parametrize(
    ("hosts", "host", "status"),
    [
        ("", b"anything", 200),
        ("", None, 200),
        ("", b"", 200),
        ("auth.example", b"auth.example", 200),
        ("auth.example", b"AUTH.example", 200),
        ("Auth.Example", b"auth.example:8443", 200),
        ("auth.example:8443", b"auth.example:8443", 200),
        ("auth.example:8443", b"auth.example", 421),
        ("auth.example:8443", b"auth.example:443", 421),
        ("a.example, b.example", b"b.example", 200),
        ("[::1]", b"[::1]:8000", 200),
        ("auth.example", b"evil.example", 421),
        ("auth.example", b"auth.example.evil.example", 421),
        ("auth.example", b"auth.example.", 421),
        ("auth.example", b"x@auth.example", 421),
        ("auth.example", b"auth.example:80:80", 421),
        ("auth.example", b"auth.example\xa0", 421),
        ("auth.example", b"", 400),
        ("auth.example", None, 400),
    ],
)
def test_only_hosts_that_are_configured_are_answered(
    hosts: str, host: bytes | None, status: int
) -> None:
    answer = ask(settings(hosts=hosts), host=host)
    assert answer.status == status
    if status == 421:
        assert json.loads(answer.body)["error"] == "misdirected_request"
    for path in ("/healthz", "/readyz"):
        assert ask(settings(hosts=hosts), path, host=host).status == 200


def test_two_hosts_are_refused_wherever_they_lead() -> None:
    for path in ("/verify", "/healthz"):
        for hosts in ("", "auth.example"):
            answer = ask(settings(hosts=hosts), path, (b"host", b"auth.example"))
            assert answer.status == 400


@pytest.mark.parametrize(
    ("given", "headers", "client", "sent"),
    [
        ({}, [(b"x-forwarded-proto", b"https")], "10.0.0.1", None),
        ({"trusted_proxies": "10.0.0.0/8"}, [], "10.0.0.1", None),
        ({"trusted_proxies": "10.0.0.0/8"}, [(b"x-forwarded-proto", b"http")], "10.0.0.1", None),
        ({"trusted_proxies": "10.0.0.0/8"}, [(b"x-forwarded-proto", b"https")], "10.0.0.1", YEAR),
        ({"trusted_proxies": "10.0.0.0/8"}, [(b"x-forwarded-proto", b"https")], "11.0.0.1", None),
        ({"trusted_proxies": "10.0.0.0/8"}, [(b"x-forwarded-proto", b"https")], "a-path", None),
        (
            {"trusted_proxies": "10.0.0.0/8"},
            [(b"x-forwarded-proto", b"http, HTTPS")],
            "::ffff:10.0.0.1",
            YEAR,
        ),
        (
            {"trusted_proxies": "10.0.0.0/8"},
            [(b"x-forwarded-proto", b"https"), (b"x-forwarded-proto", b"http")],
            "10.0.0.1",
            None,
        ),
        (
            {"trusted_proxies": "10.0.0.0/8", "hsts_seconds": 0},
            [(b"x-forwarded-proto", b"https")],
            "10.0.0.1",
            None,
        ),
        ({"hsts_always": True, "hsts_seconds": 60}, [], "11.0.0.1", "max-age=60"),
        ({"hsts_always": True, "hsts_seconds": 0}, [], "11.0.0.1", None),
    ],
)
def test_https_is_asked_for_where_the_request_came_over_it(
    given: dict[str, Any], headers: list[tuple[bytes, bytes]], client: str, sent: str | None
) -> None:
    for raw in ("/verify", "/a%2fb"):
        answer = ask(settings(**given), raw, *headers, client=(client, 1))
        assert answer.get("strict-transport-security") == sent


PREFLIGHT = (b"access-control-request-method", b"POST")


def test_a_listed_origin_may_make_the_calls() -> None:
    given = settings(cors_origins="https://App.example,http://localhost:3000")
    answer = ask(given, "/login", (b"origin", APP), PREFLIGHT, method="OPTIONS", log=(log := Log()))
    assert (answer.status, answer.body) == (204, b"")
    assert answer.get("access-control-allow-origin") == "https://app.example"
    assert "Authorization" in (answer.get("access-control-allow-headers") or "")
    assert "POST" in (answer.get("access-control-allow-methods") or "")
    assert answer.get("vary") == "Origin"
    assert [line["status"] for line in log.lines] == [204]
    for raw in ("/login", "/a%2fb"):
        answer = ask(given, raw, (b"origin", b"http://localhost:3000"), method="POST")
        assert answer.get("access-control-allow-origin") == "http://localhost:3000"
        assert "X-Request-ID" in (answer.get("access-control-expose-headers") or "")
        assert answer.get("access-control-allow-credentials") is None


@pytest.mark.parametrize(
    "origins",
    [
        [OTHER],
        [b"null"],
        [b"*"],
        [b""],
        [b"https://app.example.evil.example"],
        [b"http://app.example"],
        [b"https://app.example:444"],
        [APP, APP],
        [APP, OTHER],
        [],
    ],
)
def test_no_other_origin_may(origins: list[bytes]) -> None:
    given = settings(cors_origins="https://app.example")
    for method in ("OPTIONS", "POST"):
        sent = [(b"origin", each) for each in origins]
        answer = ask(given, "/login", *sent, PREFLIGHT, method=method)
        assert answer.body == b"inside", "the application answers"
        assert answer.get("access-control-allow-origin") is None
        assert answer.get("vary") == "Origin"


def test_the_page_is_for_no_other_origin_and_without_a_list_none_is() -> None:
    for path in ("/", "/page/login", "/page/"):
        given = settings(cors_origins="https://app.example")
        answer = ask(given, path, (b"origin", APP), PREFLIGHT, method="OPTIONS")
        assert (answer.body, answer.headers) == (b"inside", [])
    answer = ask(settings(), "/login", (b"origin", APP), PREFLIGHT, method="OPTIONS")
    assert (answer.body, answer.headers) == (b"inside", [])


def test_the_page_is_for_no_other_origin_where_it_has_a_prefix() -> None:
    given = settings(cors_origins="https://app.example", page_prefix="/auth")
    for path, is_page in (("/auth", True), ("/auth/page/login", True), ("/authx", False)):
        answer = ask(given, path, (b"origin", APP), PREFLIGHT, method="OPTIONS")
        assert (answer.body == b"inside") is is_page


@pytest.mark.parametrize(
    ("changes", "is_open"),
    [
        ({}, True),
        ({"headers": []}, True),
        ({"headers": [(b"host", b"a"), (b"accept", b"*/*")]}, True),
        ({"headers": [(b"host", b"a"), (b"host", b"b")]}, False),
        ({"raw_path": b"/a%2fb"}, False),
        ({"raw_path": b"/a/../b"}, False),
        ({"raw_path": b"/a\\b"}, False),
        ({"raw_path": None}, False),
    ],
)
def test_what_is_certainly_in_order_passes_at_once(changes: dict[str, Any], is_open: bool) -> None:
    async def app(*_: Any) -> None:
        raise AssertionError

    scope = {"type": "http", "path": "/a", "raw_path": b"/a", "headers": [], "method": "GET"}
    guard = RequestGuard(app, settings(), logger=Log())
    assert guard.is_open_to({**scope, **changes}) is is_open
    for chosen in (settings(hosts=["a.example"]), settings(cors_origins=[APP.decode()])):
        assert not RequestGuard(app, chosen, logger=Log()).is_open_to({**scope, **changes})
