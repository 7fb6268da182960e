"""Changed keys and rules are in the audit trail, also those that are not used, and why."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from clusterpass import KeyRing
from clusterpass.service.settings.service import Settings

RULES = "[[rules]]\nhosts = '*'\naccess = 'public'\n"


def put(file: Path, text: str) -> None:
    """Replace a file by another one of a later time."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    later = time.time_ns() + len(text) * 1_000_000
    os.utime(new, ns=(later, later))
    new.replace(file)


async def noted(service, action: str, count: int, *, ask=None) -> list:
    """The entries of an action by this worker, when there are so many."""
    manager = service.app.service.sessions
    async with asyncio.timeout(20):
        while True:
            if ask is not None:
                await ask()
            entries = (await manager.audit.page(before="", limit=1000)).entries
            found = [each for each in entries if each.action == action]
            if len(found) >= count:
                return found[-count:]
            await asyncio.sleep(0.05)


@pytest.fixture
def own(settings: Settings, cluster_url: str, subject: str) -> Settings:
    """In a namespace of its own, as others note the same."""
    url = type(settings.store_url)(f"{cluster_url}?namespace=noted-{subject}")
    return settings.model_copy(update={"store_url": url})


async def test_rules_that_change_and_rules_that_are_kept(start, own, tmp_path):
    file = tmp_path / "policy.toml"
    put(file, RULES)
    service = await start(own.model_copy(update={"authz_policy": file}))
    (begun,) = await noted(service, "worker_started", 1)

    async def ask() -> None:
        await service.client.get("/authz/nginx", headers={"X-Original-URL": "http://a.example/"})

    put(file, RULES + "[[rules]]\nhosts = '*'\npaths = '/x'\n")
    (done,) = await noted(service, "policy_changed", 1, ask=ask)
    assert (done.outcome, done.actor, done.via, done.details["rules"]) == ("done", None, None, 2)
    assert done.details["policy"] != begun.details["policy"]
    put(file, RULES + "[[rules]]\nhots = '*'\n")
    _, refused = await noted(service, "policy_changed", 2, ask=ask)
    assert (refused.outcome, refused.error) == ("refused", "configuration_invalid")
    assert "hots" in refused.reason


async def test_keys_that_change_and_keys_that_are_kept(start, own, tmp_path):
    file, ring = tmp_path / "keys.json", KeyRing.generate()
    put(file, ring.private_jwks_text())
    service = await start(own.model_copy(update={"keys_file": file}))
    put(file, "{")
    (refused,) = await noted(service, "keys_changed", 1)
    assert (refused.outcome, refused.error) == ("refused", "configuration_invalid")
    assert "JSON object" in refused.reason
    newer = KeyRing.generate()
    put(file, newer.private_jwks_text())
    _, done = await noted(service, "keys_changed", 2)
    assert (done.outcome, done.details["signing"]) == ("done", newer.signing_key.kid)
