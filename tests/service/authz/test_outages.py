"""The front door while the store is away: 503, and a grace for what only reads."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusterpass import EmbeddedCluster, SessionManager, UserDirectory
from clusterpass.service.settings.loading import load_settings
from clusterpass.service.settings.service import Settings

from ..conftest import Service, bearer

HANGING = 40.0
POLICY = """
[[rules]]
hosts = "app.example"
paths = "/public/**"
access = "public"

[[rules]]
hosts = "app.example"
paths = "/graced/**"
outage_grace = 60

[[rules]]
hosts = "app.example"
paths = "/strict"
strict = true

[[rules]]
hosts = "app.example"
"""
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def shaken() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(nodes=6, node_timeout=5.0) as running:
        yield running


@pytest.fixture
def settings(shaken: EmbeddedCluster, keys_file: Path, tmp_path: Path) -> Settings:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    return load_settings(
        None,
        {
            "store_url": f"{shaken.url}?timeout=0.3&deadline=0.5",
            "keys_file": keys_file,
            "address_attempts": 1_000_000,
            "authz_policy": policy,
            "trusted_proxies": "127.0.0.1",
        },
    )


@pytest.fixture
def alice(shaken: EmbeddedCluster, settings: Settings, new_name: Any) -> str:
    name = new_name()
    with SessionManager.from_url(shaken.url, settings.session_config()) as sessions:
        UserDirectory(sessions).add(name, "correct horse battery")
    return name


@contextlib.contextmanager
def stopped(cluster: EmbeddedCluster) -> Iterator[None]:
    for node in cluster.nodes:
        cluster.pause(node)
    try:
        yield
    finally:
        for node in cluster.nodes:
            cluster.resume(node)
        cluster.wait_until_healthy(HANGING)


async def ask(
    service: Service, uri: str, headers: dict[str, str], method: str | None = "GET", query: str = ""
) -> httpx.Response:
    described = {"X-Original-Host": "app.example", "X-Original-URI": uri}
    if method is not None:
        described["X-Original-Method"] = method
    return await service.client.get(f"/authz/nginx{query}", headers={**headers, **described})


async def unavailable(service: Service, headers: dict[str, str]) -> httpx.Response:
    """The first answer about a session that says that the store cannot be asked."""
    async with asyncio.timeout(HANGING):
        while True:
            answer = await ask(service, "/x", headers)
            if answer.status_code != 200:
                return answer
            await asyncio.sleep(0.02)


async def test_a_store_that_is_away_denies_nobody(start, settings, shaken, alice):
    service = await start(settings)
    tokens = await service.login(alice)
    known = bearer(tokens)
    by_cookie = {"Cookie": f"__Host-clusterpass-access={tokens['access_token']}"}
    assert (await ask(service, "/graced/x", known)).status_code == 200
    with stopped(shaken):
        outage = await unavailable(service, known)
        for answer in (
            outage,
            await ask(service, "/x", by_cookie),
            await ask(service, "/x", known, "POST"),
            await ask(service, "/strict", known),
            await ask(service, "/x", known, query="?outage_grace=3600"),
            await ask(service, "/graced/x", known, "POST"),
            await ask(service, "/graced/x", known, None),
        ):
            assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            assert "set-cookie" not in answer.headers
            assert "www-authenticate" not in answer.headers
        line = service.lines()[-1]
        assert (line["original_host"], line["original_uri"]) == ("app.example", "/graced/x")
        assert (line["rule"], line["error"]) == ("rule 2", "store_unavailable")
        for method in ("GET", "HEAD", "OPTIONS"):
            graced = await ask(service, "/graced/x", known, method)
            assert (graced.status_code, graced.headers["x-auth-grace"]) == (200, "1")
            assert graced.headers["x-auth-subject"] == alice
        # What needs no store is answered as ever.
        assert (await ask(service, "/public/x", known)).status_code == 200
        assert (await ask(service, "/x", {})).status_code == 401
        assert (await ask(service, "/../x", known)).status_code == 403
        refused = await ask(service, "/x", {"Authorization": "Bearer nonsense"})
        assert (refused.status_code, refused.json()["error"]) == (401, "token_malformed")
    async with asyncio.timeout(HANGING):
        while (back := await ask(service, "/x", known)).status_code != 200:
            await asyncio.sleep(0.05)
    assert back.headers["x-auth-grace"] == ""


async def test_the_operator_bounds_the_grace_of_the_settings(start, settings, shaken, alice):
    changed = {"authz_policy": None, "outage_grace": 60.0}
    free = await start(settings.model_copy(update=changed))
    bound = await start(settings.model_copy(update={**changed, "authz_most_grace": 0}))
    known = bearer(await free.login(alice))
    for service in (free, bound):
        assert (await ask(service, "/x", known)).status_code == 200
    with stopped(shaken):
        assert (await unavailable(bound, known)).status_code == 503
        async with asyncio.timeout(HANGING):
            while not (graced := await ask(free, "/x", known)).headers["x-auth-grace"]:
                await asyncio.sleep(0.02)
        assert graced.status_code == 200
        assert (await ask(free, "/x", known, "POST")).status_code == 503
        assert (await ask(free, "/x", known, None)).status_code == 503
