"""The front door in operation: reloads of the policy file, logs, refused settings, real servers."""

import asyncio
import http.client
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusterpass import ConfigurationError, KeyRing
from clusterpass.service.app import create_app

from ..conftest import PASSWORD, bearer, serving
from .asking import ALWAYS, POLICY, PROXY, ask, asked


async def test_a_changed_file_counts_and_a_broken_one_does_not(door, policy, alice):
    assert (await ask(door, "/news")).status_code == 401

    async def becomes(text: str, status: int) -> None:
        new = policy.with_suffix(".new")
        new.write_text(text)
        new.replace(policy)
        async with asyncio.timeout(20):
            while (await ask(door, "/news")).status_code != status:
                await asyncio.sleep(0.02)

    await becomes(POLICY.replace("/public/**", "/news"), 200)
    loaded = [line for line in door.lines() if line["event"] == "authz_policy_loaded"]
    assert [(line["file"], line["rules"]) for line in loaded] == [(str(policy), 8)]
    new = policy.with_suffix(".new")
    new.write_text(POLICY.replace("access =", "acces ="))
    new.replace(policy)
    async with asyncio.timeout(20):
        while not (kept := [x for x in door.lines() if x["event"] == "authz_policy_kept"]):
            assert (await ask(door, "/news")).status_code == 200
            await asyncio.sleep(0.02)
    assert "did you mean 'access'" in kept[0]["problem"]
    assert (await ask(door, "/news")).status_code == 200
    await becomes(POLICY, 401)


async def test_a_denial_says_who_asked_for_what(door, alice, directory):
    tokens = await door.login(alice)
    secret = tokens["access_token"]
    behind = {"X_Forwarded_For": "203.0.113.5", "X_Request_ID": "from-the-proxy.1"}
    await ask(door, f"/orders/{secret}?token={secret}", "POST", tokens=tokens, **behind)
    line = door.lines()[-1]
    assert {name: line[name] for name in line if name not in {"milliseconds", "timestamp"}} == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "path": "/authz/nginx",
        "status": 403,
        "request_id": "from-the-proxy.1",
        "subject": alice,
        "client": "203.0.113.5",
        "original_method": "POST",
        "original_host": "app.example",
        "original_uri": "/orders/[cut]",
        "rule": "orders",
        "error": "scope_missing",
        "reason": "insufficient_scope",
    }
    directory._sessions.revoke(alice, tokens["session_id"])
    async with asyncio.timeout(10):
        while (await ask(door, "/x", tokens=tokens)).status_code == 200:
            await asyncio.sleep(0.01)
    line = door.lines()[-1]
    assert (line["attempted_subject"], line["reason"], line["rule"]) == (alice, "revoked", "rest")
    await door.client.get(f"/authz/envoy/..%2f{secret}", headers={"Host": "app.example"})
    line = door.lines()[-1]
    assert (line["path"], line["original_uri"]) == ("/authz/envoy", "/[cut]")
    assert line["reason"] == "unsafe_path"
    assert "subject" not in line
    assert secret not in door.log.getvalue()


async def test_what_is_allowed_from_memory_is_logged_on_demand(start, make, policy, alice):
    quiet = await start(make(authz_policy=policy))
    tokens = await quiet.login(alice)
    await ask(quiet, "/x", tokens=tokens)
    async with asyncio.timeout(20):
        while True:
            before = len(quiet.lines())
            assert (await ask(quiet, "/x", tokens=tokens)).status_code == 200
            if len(quiet.lines()) == before:
                break
            await asyncio.sleep(0.02)
    loud = await start(make(authz_policy=policy, log_warm_verifies=True))
    for uri in ("/public/x", "/x", "/x"):
        await ask(loud, uri, tokens=tokens)
    assert [line["status"] for line in loud.lines()] == [200, 200, 200]


async def test_an_unexpected_error_is_500_and_lets_nobody_in(door, alice, monkeypatch):
    tokens = await door.login(alice)

    async def broken(_token: str, **_conditions: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(door.app.service.sessions, "verify", broken)
    answer = await ask(door, "/recent", tokens=tokens)
    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    assert not ALWAYS & set(answer.headers)


def test_what_cannot_work_does_not_start(make, policy, tmp_path):
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        make(authz_policy=policy, trusted_proxies="")
    with pytest.raises(ConfigurationError, match="authz_identity_headers"):
        make(authz_identity_headers="remotes")
    policy.write_text(POLICY.replace('level = "2"', 'level = "9"'))
    with pytest.raises(ConfigurationError, match=r"rule 3: level is none of the levels"):
        create_app(make(authz_policy=policy))
    policy.write_text(POLICY + '\n[[rules]]\nhosts = "*"\noutage_grace = 301\n')
    with pytest.raises(ConfigurationError, match="authz_most_grace"):
        create_app(make(authz_policy=policy))
    create_app(make(authz_policy=policy, authz_most_grace=301))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        create_app(make(authz_policy=tmp_path / "none.toml"))
    secret = tmp_path / "secret.json"
    KeyRing.generate("HS256").save(secret)
    with pytest.raises(ConfigurationError, match="authz_assertion"):
        create_app(make(keys_file=secret, authz_assertion=True))


@pytest.mark.alternating
def test_the_server_passes_paths_bodies_and_empty_headers(
    cluster_url, keys_file, tmp_path, policy, alice
):
    """Over a real connection: what is true of the test client must be true of the server."""
    environment = {
        "CLUSTERPASS_AUTHZ_POLICY": str(policy),
        "CLUSTERPASS_TRUSTED_PROXIES": PROXY,
    }
    with (
        serving(cluster_url, keys_file, tmp_path) as serve,
        httpx.Client(base_url=serve(**environment).url) as client,
    ):
        body = {"username": alice, "password": PASSWORD}
        tokens = client.post("/login", json=body).json()
        own = {"Host": "app.example", **bearer(tokens)}
        for method in ("GET", "POST", "DELETE", "OPTIONS", "PROPFIND", "HEAD"):
            content = b"x" * 100_000 if method == "POST" else b""
            # The body is not read, so the connection cannot be used again.
            closing = {**own, "Connection": "close"}
            answer = client.request(
                method, "/authz/envoy/x%20y?a=b", headers=closing, content=content
            )
            assert (answer.status_code, answer.content) == (200, b""), method
            assert answer.headers["x-auth-subject"] == alice
            assert answer.headers.get_list("x-auth-actor") == [""]
        refused = client.request("HEAD", "/authz/envoy/closed", headers=own)
        assert (refused.status_code, refused.content) == (403, b"")
        assert int(refused.headers["content-length"]) > 0
        plain = http.client.HTTPConnection(client.base_url.host, client.base_url.port)

        def raw(target: str) -> tuple[int, str | None]:
            plain.request("GET", target, headers=own)
            answer = plain.getresponse()
            return answer.status, json.loads(answer.read() or b"{}").get("reason")

        for evil in ("/public/%2e%2e/x", "/public/../x", "/public%2fx", "/public/..;/x", "/%252e"):
            assert raw(f"/authz/envoy{evil}") == (403, "unsafe_path"), evil
        assert raw("/authz%2fenvoy/public/x") == (400, None)
        assert raw("/authz/../authz/nginx") == (503, None)
        assert raw("//authz/nginx") == (404, None)
        plain.close()
    assert json.dumps(tokens["access_token"])[1:-1] not in serve_log(tmp_path)


@pytest.mark.alternating
def test_a_worker_is_replaced_although_the_file_is_broken(serve, policy):
    server = serve(CLUSTERPASS_AUTHZ_POLICY=str(policy), CLUSTERPASS_TRUSTED_PROXIES=PROXY)

    def status(uri: str) -> int:
        try:
            answer = httpx.get(f"{server.url}/authz/nginx", headers=asked(uri))
        except httpx.TransportError:
            return 0
        if answer.status_code == 503:
            assert answer.json()["error"] == "policy_unavailable"
            assert int(answer.headers["retry-after"]) > 0
        return answer.status_code

    assert status("/public/x") == 200
    policy.write_text("[[rules")
    (worker,) = server.children()
    os.kill(worker, signal.SIGKILL)
    await_that(lambda: status("/public/x") == 503)
    assert status("/closed") == 503
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    policy.write_text(POLICY)
    await_that(lambda: status("/public/x") == 200)
    assert status("/closed") == 403
    assert server.stop() == 0


def await_that(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def serve_log(folder: Path) -> str:
    (file,) = folder.glob("server-*.log")
    return file.read_text()
