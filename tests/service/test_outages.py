"""Over HTTP: an end that no replica confirms, and a store that does not answer."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass import EmbeddedCluster, SessionManager, UserDirectory
from clusterpass.protocol.keyspace import JOURNAL_SLOTS, Keyspace
from clusterpass.service.settings.loading import load_settings
from clusterpass.service.settings.service import Settings
from clusterpass.store.exchanges.steps import Probe
from tests.silence import frozen, steps_of

from .conftest import PASSWORD, bearer
from .page_browser import Browser, words

HANGING = 40.0

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def shaken() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(nodes=6, node_timeout=5.0) as running:
        yield running


@pytest.fixture
def fragile(shaken: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    shaken.wait_until_healthy(HANGING)
    yield shaken
    for node in shaken.nodes:
        shaken.resume(node)
    shaken.wait_until_healthy(HANGING)


@pytest.fixture
def settings(fragile: EmbeddedCluster, keys_file: Any) -> Settings:
    return load_settings(
        None,
        {"store_url": fragile.url, "keys_file": keys_file, "address_attempts": 1_000_000},
    )


@pytest.fixture
def alice(fragile: EmbeddedCluster, settings: Settings, new_name: Callable[[], str]) -> str:
    name = new_name()
    with SessionManager.from_url(fragile.url, settings.session_config()) as sessions:
        UserDirectory(sessions).add(name, PASSWORD)
    return name


@contextlib.contextmanager
def without_replicas(cluster: EmbeddedCluster) -> Iterator[None]:
    """Neither a shard nor the journals of others can confirm anything."""
    keys = [Keyspace().journal(slot) for slot in JOURNAL_SLOTS]
    replicas = [node for key in keys for node in cluster.replicas_of(key)]
    for node in replicas:
        cluster.pause(node)
    yield
    for node in replicas:
        cluster.resume(node)


def nodes_of(cluster: EmbeddedCluster, subject: str) -> tuple[Any, Any]:
    key = Keyspace().sessions(subject)
    (replica,) = cluster.replicas_of(key)
    return cluster.primary_of(key), replica


async def answered(service: Any, tokens: Any, status: int, query: str = "") -> Any:
    """The answer to a verify, once it has that status."""
    async with asyncio.timeout(HANGING):
        while True:
            answer = await service.client.get(f"/verify{query}", headers=bearer(tokens))
            if answer.status_code == status:
                return answer
            await asyncio.sleep(0.02)


async def test_a_logout_that_is_pending(start, settings, fragile, alice):
    service = await start(settings)
    tokens = await service.login(alice)
    with without_replicas(fragile):
        answer = await service.client.post("/logout", headers=bearer(tokens))
        problem = answer.json()
        assert (answer.status_code, problem["error"]) == (503, "revocation_pending")
        assert (problem["reason"], problem["retried"]) == ("unconfirmed", True)
        assert len(problem["operation_id"]) == 16
        assert int(answer.headers["retry-after"]) >= 1
        ended = await service.client.get("/verify", headers=bearer(tokens))
        assert (ended.status_code, ended.json()["reason"]) == (401, "logged_out")
        presented = {"refresh_token": tokens["refresh_token"]}
        refused = await service.client.post("/refresh", json=presented)
        assert (refused.status_code, refused.json()["reason"]) == (401, "logged_out")


async def test_a_logout_that_journals_confirm(start, settings, fragile, alice):
    service, elsewhere = await start(settings), await start(settings)
    tokens = await service.login(alice)
    _, replica = nodes_of(fragile, alice)
    fragile.pause(replica)
    answer = await service.client.post("/logout", headers=bearer(tokens))
    assert answer.is_success
    query = "/verify?verification=strict"
    ended = await elsewhere.client.get(query, headers=bearer(tokens))
    assert (ended.status_code, ended.json()["reason"]) == (401, "logged_out")
    fragile.resume(replica)


async def test_a_logout_in_the_page_that_is_pending(start, settings, fragile, alice):
    browser = Browser(await start(settings))
    await browser.login(alice)
    with without_replicas(fragile):
        answer = await browser.click("/page/logout")
        assert answer.status_code == 303
        assert not browser.tokens
        assert "You have been logged out." in words(await browser.get())


async def test_other_devices_that_are_pending(start, settings, fragile, alice):
    service = await start(settings)
    browser, other = Browser(service), Browser(service)
    await browser.login(alice)
    await other.login(alice)
    with without_replicas(fragile):
        answer = await browser.click("/page/sessions/revoke-others", confirmed="yes")
        assert answer.status_code == 503
        assert "The change is in effect here" in words(answer)
        assert "Log in" in words(await other.get())


async def test_grace_for_what_only_reads(start, settings, fragile, alice):
    service = await start(settings)
    tokens = await service.login(alice)
    before = await service.client.get("/verify", headers=bearer(tokens))
    assert before.status_code == 200
    assert "x-auth-grace" not in before.headers
    primary, replica = nodes_of(fragile, alice)
    fragile.pause(replica)
    fragile.pause(primary)
    try:
        outage = await answered(service, tokens, 503)
        assert outage.json()["error"] == "store_unavailable"
        assert int(outage.headers["retry-after"]) >= 1
        graced = await service.client.get("/verify?outage_grace=60", headers=bearer(tokens))
        assert graced.status_code == 200
        assert graced.headers["x-auth-grace"] == "1"
        assert graced.json() == before.json()
        for name in ("X-Forwarded-Method", "X-Original-Method"):
            for method, status in (("GET", 200), ("head", 200), ("POST", 503), ("DELETE", 503)):
                answer = await service.client.get(
                    "/verify?outage_grace=60", headers={**bearer(tokens), name: method}
                )
                assert answer.status_code == status, (name, method)
    finally:
        fragile.resume(primary)
        fragile.resume(replica)
    back = await answered(service, tokens, 200, "?outage_grace=60")
    assert back.json()["subject"] == alice


async def test_grace_by_the_settings(start, settings, fragile, alice):
    service = await start(settings.model_copy(update={"outage_grace": 60}))
    tokens = await service.login(alice)
    await service.client.get("/verify", headers=bearer(tokens))
    primary, replica = nodes_of(fragile, alice)
    fragile.pause(replica)
    fragile.pause(primary)
    try:
        async with asyncio.timeout(HANGING):
            while True:
                answer = await service.client.get("/verify", headers=bearer(tokens))
                assert answer.status_code == 200
                if "x-auth-grace" in answer.headers:
                    break
                await asyncio.sleep(0.05)
        for query in ("outage_grace=0", "verification=strict"):
            without = await service.client.get(f"/verify?{query}", headers=bearer(tokens))
            assert without.status_code == 503
        # What changes something has none, whatever the settings say.
        change = await service.client.delete("/sessions", headers=bearer(tokens))
        assert (change.status_code, change.json()["error"]) == (503, "store_unavailable")
    finally:
        fragile.resume(primary)
        fragile.resume(replica)


@pytest.mark.parametrize("grace", ["-1", "3601", "x", "1.5"])
async def test_what_is_no_grace(start, settings, alice, grace):
    service = await start(settings)
    tokens = await service.login(alice)
    answer = await service.client.get(f"/verify?outage_grace={grace}", headers=bearer(tokens))
    assert answer.status_code == 422


async def test_nobody_waits_for_a_store_that_is_known_to_be_silent(start, settings, fragile, alice):
    service = await start(settings.model_copy(update={"trusted_proxies": ["127.0.0.1"]}))
    tokens = await service.login(alice)
    client, known = service.client, bearer(tokens)
    asked = {"X-Original-Host": "app.example", "X-Original-URI": "/", "X-Original-Method": "POST"}

    async def authorized() -> Any:
        return await client.get("/authz/nginx", headers={**known, **asked})

    async def outcomes() -> list[tuple[int, str]]:
        credentials = {"username": alice, "password": PASSWORD}
        answers = [
            await client.get("/verify?verification=strict", headers=known),
            await client.post("/login", json=credentials),
            await client.post("/refresh", json={"refresh_token": tokens["refresh_token"]}),
            await client.get("/sessions", headers=known),
            await authorized(),
        ]
        return [(answer.status_code, answer.json()["error"]) for answer in answers]

    with frozen(fragile):
        await answered(service, tokens, 503, "?verification=strict")
        async with asyncio.timeout(HANGING):
            while (await authorized()).status_code != 503:  # until the lease is over
                await asyncio.sleep(0.02)
        steps = steps_of(service.app.service.sessions.store)
        for _ in range(3):
            assert set(await outcomes()) == {(503, "store_unavailable")}
        assert {type(step) for step in steps} <= {Probe}
    await answered(service, tokens, 200, "?verification=strict")
