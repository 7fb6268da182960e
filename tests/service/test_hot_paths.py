"""The hot paths answer as the framework's routes of the same paths do: both sides are asked."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from clusterpass.service.asgi.log_lines import make_logger
from clusterpass.service.asgi.request_body import MOST_BODY_BYTES
from clusterpass.service.settings.service import Settings

from .conftest import PASSWORD, bearer
from .two_sides import JSON, Both, Counting, Side, headers_of


@pytest.fixture
async def sides() -> AsyncIterator[Callable[[Settings], Any]]:
    async with AsyncExitStack() as stack:

        async def started(settings: Settings) -> Both:
            made = []
            for has_hot_paths in (True, False):
                log = io.StringIO()
                logger = make_logger("json", log)
                app = Counting(settings, logger=logger, has_hot_paths=has_hot_paths)
                await stack.enter_async_context(app.running())
                transport = httpx.ASGITransport(app, client=("127.0.0.1", 4711))
                client = httpx.AsyncClient(transport=transport, base_url="http://service")
                await stack.enter_async_context(client)
                made.append(Side(app, client, log))
            return Both(*made)

        yield started


@pytest.fixture
async def both(sides: Callable[[Settings], Any], settings: Settings) -> Both:
    return await sides(settings.model_copy(update={"log_warm_verifies": True}))


QUERIES = [
    ("", 200),
    ("verification=strict", 200),
    ("%76erification=%73trict", 200),
    ("level=1", 200),
    ("level=3", 401),
    ("level=9", 400),
    ("level=", 400),
    ("level=1;scope=a", 400),
    ("level", 400),
    ("level=%ff", 400),
    ("max_auth_age=100000", 200),
    ("max_auth_age=100000&level=1&verification=strict", 200),
    ("scope=orders:read", 200),
    ("scope=orders:read&scope=orders:write", 200),
    ("scope=orders:read&scope=admin", 403),
    ("scope=", 400),
    ("not_banned=chat", 200),
    ("not_banned=comments", 403),
    ("not_banned=comments&ban_level=2", 200),
    ("not_banned=chat&not_banned=other&ban_level=1", 200),
    ("ban_level=1", 400),
    ("outage_grace=0", 200),
    ("outage_grace=+5", 200),
    ("&", 200),
]
REFUSED_QUERIES = [
    "nonsense=1",
    "level=1&level=2",
    "verification=cached",
    "verification=strict&verification=strict",
    "max_auth_age=-1",
    "max_auth_age=x",
    "max_auth_age=",
    "max_auth_age=1e3",
    "max_auth_age=99999999999999999999",
    "outage_grace=-1",
    "not_banned=chat&ban_level=0",
    "&".join(["scope=orders:read"] * 33),
    "Level=1",
    "level%00=1",
]


@pytest.fixture
async def tokens(both: Both, alice: str, directory: Any) -> dict[str, Any]:
    manager = directory._sessions
    pair = await both.login(alice, device="Ännas phone", device_type="phone")
    manager.claims.set(alice, {"scope": "orders:*", "näme": ["ä", 1.5, None, {"x": True}]})
    manager.bans.add(alice, scope="comments", reason="späm")
    return pair


@pytest.mark.parametrize(("query", "status"), QUERIES)
async def test_a_verify_is_the_same(both: Both, tokens: dict[str, Any], query: str, status: int):
    for _ in range(2):  # from the store, and from memory
        for method in ("GET", "HEAD"):
            answer = await both.compare(method, f"/verify?{query}", headers=bearer(tokens))
            assert answer.status_code == status, answer.text
            assert bool(answer.content) is (method == "GET")


@pytest.mark.parametrize("query", REFUSED_QUERIES)
async def test_an_invalid_query_is_refused_alike(both: Both, tokens: dict[str, Any], query: str):
    answer = await both.compare("GET", f"/verify?{query}", headers=bearer(tokens), passed_on=True)
    assert answer.status_code == 422, answer.text
    without = await both.compare("GET", f"/verify?{query}", passed_on=True)
    assert without.status_code in {401, 422}


async def test_a_long_query_is_answered_all_the_same(both: Both, tokens: dict[str, Any]):
    query = "&".join(f"not_banned={'x' * 60}{number}" for number in range(10))
    await both.compare("GET", f"/verify?{query}", headers=bearer(tokens), passed_on=True)


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ((), 401),
        ((b"Bearer",), 401),
        ((b"Bearer ",), 401),
        ((b"Basic x",), 401),
        ((b"Bearer a.b.c",), 401),
        ((b"Bearer \xe4",), 401),
        ((b"bearer TOKEN",), 200),
        ((b" Bearer  TOKEN ",), 200),
        ((b"Bearer TOKEN", b"Bearer TOKEN"), 400),
        ((b"Bearer TOKEN", b"Basic x"), 400),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/verify"), ("POST", "/step-up"), ("POST", "/logout")]
)
async def test_credentials_are_read_alike(both, tokens, values, status, method, path):
    if path == "/logout" and status == 200:
        values = (*values, b"Bearer TOKEN")  # a logout can be done once only
        status = 400
    token = tokens["access_token"].encode()
    sent = [(b"Authorization", value.replace(b"TOKEN", token)) for value in values]
    more: dict[str, Any] = {"headers": sent}
    if path == "/step-up":
        more = {"json": {"password": "wrong"}, "headers": sent}
    answer = await both.compare(method, path, **more)
    assert answer.status_code == (401 if path == "/step-up" and status == 200 else status)


@pytest.mark.parametrize("name", ["X-Forwarded-Method", "X-Original-Method"])
@pytest.mark.parametrize("method", ["GET", "head", "POST", ""])
async def test_the_method_that_a_proxy_reports_is_read_alike(both, tokens, name, method):
    headers = {**bearer(tokens), name: method}
    answer = await both.compare("GET", "/verify?outage_grace=60", headers=headers)
    assert answer.status_code == 200


PATHS = ["/verify", "/refresh", "/login", "/logout", "/step-up", "/healthz", "/readyz"]
TAKEN = {"/verify": {"GET", "HEAD"}, "/healthz": {"GET", "HEAD"}, "/readyz": {"GET", "HEAD"}}


@pytest.mark.sampled(25)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"])
async def test_methods_are_answered_alike(both: Both, path: str, method: str):
    is_taken = method in TAKEN.get(path, {"POST"})
    needs_body = path in {"/refresh", "/login", "/step-up"}
    answer = await both.compare(method, path, passed_on=not is_taken or needs_body)
    if not is_taken:
        assert answer.status_code == 405
        assert answer.headers["allow"]
    await both.compare(method, f"{path}/", passed_on=True)


RAW_BODIES = [
    b"",
    b" ",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"1",
    b"{}",
    b'{"x": 1}',
    b'{"username": "a"}',
    b'{"username": 1, "password": ["x"]}',
    b'{"username": "", "password": ""}',
    b'{"refresh_token": 1}',
    b'{"refresh_token": ""}',
    b'{"refresh_token": null}',
    b'{"refresh_token": NaN}',
    b'{"refresh_token": "\xff"}',
    b'{"refresh_token": "\\ud800"}',
    b'{"refresh_token": "' + b"x" * 5000 + b'"}',
    b'{"refresh_token": "x", "more": NaN}',
    b'{"username": "a", "password": "b", "remember": "true"}',
    b'{"username": "a", "password": "b", "remember": 1}',
    b'{"username": "a", "password": "b", "device_type": "a b"}',
    b'{"username": "a", "password": "b", "replace": "short"}',
    b'{"username": "a", "password": "' + b"p" * 2000 + b'"}',
    b'\xef\xbb\xbf{"refresh_token": "cpr_x"}',
    '{"refresh_token": "cpr_x"}'.encode("utf-16"),
    b'{"refresh_token": "cpr_x"} x',
    b"[" * 3000,
]


@pytest.mark.sampled(40)
@pytest.mark.parametrize("path", ["/login", "/refresh", "/step-up", "/logout"])
@pytest.mark.parametrize("body", RAW_BODIES, ids=range(len(RAW_BODIES)))
async def test_an_invalid_body_is_refused_alike(both: Both, path: str, body: bytes):
    passed_on = path != "/logout"  # which needs no body
    answer = await both.compare("POST", path, content=body, headers=JSON, passed_on=passed_on)
    assert answer.status_code in {400, 401, 422}, answer.text


@pytest.mark.parametrize(
    "body",
    [
        b'{"refresh_token": "nonsense"}',
        b'{"refresh_token": "cpr_x", "refresh_token": "cpr_y"}',
        b' {"refresh_token": "\\u00e4\\n"} ',
        b'{"refresh_token":"' + b"x" * 4096 + b'"}',
    ],
)
async def test_a_refused_refresh_is_the_same(both: Both, body: bytes):
    answer = await both.compare("POST", "/refresh?x=1", content=body, headers=JSON)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/login", "/refresh", "/step-up", "/logout"])
async def test_size_and_type_of_a_body_are_judged_alike(both: Both, path: str):
    large = b" " * (MOST_BODY_BYTES + 1)

    async def pieces() -> AsyncIterator[bytes]:
        yield large[:40_000]
        yield large[40_000:]

    for content in (large, pieces):
        for side in (both.hot, both.plain):
            given = content() if callable(content) else content
            answer = await side.ask("POST", path, content=given, headers=JSON)
            assert answer.status_code == 413
            assert answer.headers["connection"] == "close"
    await both.compare("POST", path, content=large, headers=JSON)
    for kind in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/jsonx"}):
        answer = await both.compare("POST", path, content=b"{}", headers=kind)
        assert answer.status_code == 415
    kind = {"Content-Type": " Application/JSON; charset=utf-8"}
    await both.compare("POST", path, content=b"{}", headers=kind, passed_on=path != "/logout")


async def test_a_duplicate_member_means_the_same_to_both(both: Both, alice: str, new_name: Any):
    other = new_name()
    text = f'{{"username": "{other}", "username": "{alice}", "password": "wrong"}}'
    answer = await both.compare("POST", "/login", content=text, headers=JSON)
    assert answer.json()["error"] == "invalid_credentials"
    text = text.replace("wrong", PASSWORD)
    for side in (both.hot, both.plain):
        taken = await side.ask("POST", "/login", content=text, headers=JSON)
        assert taken.status_code == 200
        assert side.take_lines()[-1]["subject"] == alice


async def test_a_refused_login_is_the_same(both: Both, alice: str, directory: Any):
    wrong = {"username": alice, "password": "wrong"}
    answer = await both.compare("POST", "/login", json=wrong)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_credentials")
    control = {"username": alice, "password": PASSWORD, "device": "\x1b"}
    assert (await both.compare("POST", "/login", json=control)).status_code == 400
    directory._sessions.bans.add(alice, reason="späm")
    banned = {"username": alice, "password": PASSWORD}
    answer = await both.compare("POST", "/login", json=banned)
    assert (answer.status_code, answer.json()["ban"]["reason"]) == (403, "späm")


async def test_too_many_attempts_are_the_same(sides: Any, settings: Settings, alice: str):
    both = await sides(settings.model_copy(update={"account_attempts": 1}))
    wrong = {"username": alice, "password": "wrong"}
    await both.plain.ask("POST", "/login", json=wrong)
    answers = [await side.ask("POST", "/login", json=wrong) for side in (both.hot, both.plain)]
    for answer in answers:
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
    ours, theirs = (dict(headers_of(answer)) for answer in answers)
    assert ours.keys() == theirs.keys()


async def issued(side: Side, path: str, body: Any, **more: Any) -> tuple[Any, ...]:
    """Return a response with tokens, without the tokens and their exact lifetime."""
    answer = await side.ask("POST", path, json=body, **more)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    longest = 300 if path == "/step-up" else 900
    assert 0.9 * longest < found.pop("expires_in") <= longest
    secret = {name: len(found.pop(name)) for name in ("refresh_token", "session_id")}
    assert found.pop("access_token").count(".") == 2
    named = {name: value for name, value in headers_of(answer) if name != "content-length"}
    assert ("x-device-token" in named) is (path == "/login")
    secret["device"] = len(named.pop("x-device-token", ""))
    return found, secret, named, side.take_lines()


async def test_issued_tokens_are_the_same(both: Both, alice: str):
    body = {
        "username": alice,
        "password": PASSWORD,
        "device": "d",
        "device_type": "web",
        "remember": True,
        "replace": None,
    }
    assert await issued(both.hot, "/login", body) == await issued(both.plain, "/login", body)
    pairs = [await both.login(alice) for _ in range(4)]
    both.plain.take_lines()
    refreshes = [{"refresh_token": pair["refresh_token"]} for pair in pairs]
    found = [
        await issued(side, "/refresh", refresh)
        for side, refresh in zip((both.hot, both.plain), refreshes, strict=False)
    ]
    assert found[0] == found[1]
    found = [
        await issued(side, "/step-up", {"password": PASSWORD}, headers=bearer(pair))
        for side, pair in zip((both.hot, both.plain), pairs[2:], strict=True)
    ]
    assert found[0] == found[1]


async def test_a_logout_is_the_same(both: Both, alice: str):
    answers = []
    for side in (both.hot, both.plain):
        pair = await both.login(alice)
        side.take_lines()
        headers = {**bearer(pair), "Idempotency-Key": "key"}
        for _ in range(2):
            answer = await side.ask("POST", "/logout", headers=headers)
            assert (answer.status_code, answer.content) == (204, b"")
        answers.append((headers_of(answer), side.take_lines()))
        refused = await both.compare("GET", "/verify", headers=bearer(pair))
        assert refused.json()["error"] == "session_revoked"
    assert answers[0] == answers[1]


@pytest.mark.parametrize("keys", [("",), ("x" * 129,), ("a", "a")])
async def test_a_wrong_idempotency_key_is_refused_alike(both: Both, tokens: Any, keys: Any):
    headers = [*bearer(tokens).items(), *(("Idempotency-Key", key) for key in keys)]
    answer = await both.compare("POST", "/logout", headers=headers)
    assert answer.status_code == 400
    assert (await both.compare("GET", "/verify", headers=bearer(tokens))).status_code == 200


async def test_both_sides_name_the_same_operation(both: Both, tokens: Any, directory: Any):
    """A logout that is repeated on the other side is the same logout."""
    headers = {**bearer(tokens), "Idempotency-Key": "key"}
    for side in (both.hot, both.plain):
        assert (await side.ask("POST", "/logout", headers=headers)).status_code == 204


async def test_a_request_id_is_kept_by_both(both: Both, tokens: Any):
    for given in ("a-b.c_1", "a b"):
        headers = {**bearer(tokens), "X-Request-ID": given}
        for side in (both.hot, both.plain):
            for path in ("/verify", "/healthz"):
                answer = await side.ask("GET", path, headers=headers)
                (found,) = answer.headers.get_list("x-request-id")
                assert (found == given) is (" " not in given)


async def test_the_address_is_read_alike(sides: Any, settings: Settings, alice: str):
    both = await sides(settings.model_copy(update={"trusted_proxies": ("127.0.0.0/8",)}))
    for number, side in enumerate((both.hot, both.plain)):
        headers = {"X-Forwarded-For": f"10.9.9.9, 203.0.113.{number}"}
        body = {"username": alice, "password": PASSWORD}
        assert (await side.ask("POST", "/login", json=body, headers=headers)).status_code == 200
    history = await both.plain.app.service.sessions.history(alice)
    assert {entry.address for entry in history} == {"203.0.113.0", "203.0.113.1"}


async def test_an_unexpected_error_is_the_same(both: Both, tokens: Any, monkeypatch: Any):
    async def broken(*_: Any, **__: Any) -> None:
        raise ValueError("secret-thing")

    found = []
    for side in (both.hot, both.plain):
        side.take_lines()
        monkeypatch.setattr(side.app.service.sessions, "verify", broken)
        answer = await side.ask("GET", "/verify?verification=strict", headers=bearer(tokens))
        assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
        ((line),) = side.take_lines()
        assert line.pop("frames")
        assert "secret-thing" not in json.dumps(line)
        found.append((answer.content, headers_of(answer), line))
    assert found[0] == found[1]


async def test_without_logins_neither_side_has_them(sides: Any, settings: Settings):
    both = await sides(settings.model_copy(update={"login_enabled": False}))
    for path in ("/login", "/step-up"):
        answer = await both.compare("POST", path, json={}, passed_on=True)
        assert answer.status_code == 404


async def test_an_impersonation_is_the_same(both: Both, alice: str, directory: Any, new_name: Any):
    manager = directory._sessions
    root = new_name()
    directory.add(root, PASSWORD)
    actor = manager.verify(manager.login(root).access_token)
    pair = manager.impersonate(actor, alice, reason="Ticket 7")
    tokens = {"access_token": pair.access_token}
    for _ in range(2):
        answer = await both.compare("GET", "/verify", headers=bearer(tokens))
        assert answer.headers["x-auth-actor"] == root
    body = {"password": PASSWORD}
    refused = await both.compare("POST", "/step-up", json=body, headers=bearer(tokens))
    assert refused.status_code == 403


async def test_a_stateless_service_answers_the_same(sides: Any, settings: Settings, alice: str):
    chosen = {"verification": "stateless", "log_warm_verifies": True}
    both = await sides(settings.model_copy(update=chosen))
    tokens = await both.login(alice)
    for query in ("", "?level=1", "?verification=strict", "?scope=x"):
        for _ in range(2):
            await both.compare("GET", f"/verify{query}", headers=bearer(tokens))


async def test_a_response_counts_in_the_cache_and_leaves_with_it(both: Both, tokens: Any):
    sessions = both.hot.app.service.sessions
    async with asyncio.timeout(20):
        while sessions.recall(tokens["access_token"]) is None:
            await sessions.verify(tokens["access_token"])
            await asyncio.sleep(0.02)
    before = sessions.stats().cache.bytes
    answer = await both.hot.ask("GET", "/verify", headers=bearer(tokens))
    assert answer.status_code == 200
    assert sessions.stats().cache.bytes - before > len(answer.content)
    assert sessions.responses.recall(tokens["access_token"])
    await both.hot.ask("POST", "/logout", headers=bearer(tokens))
    assert sessions.responses.recall(tokens["access_token"]) is None
