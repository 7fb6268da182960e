"""Access to the calls under /admin: administrators only, after a recent authentication."""

import asyncio

import pytest

from ..conftest import PASSWORD
from .calls import ACTS, READS, Administrator


@pytest.mark.sampled(9)
@pytest.mark.parametrize(("method", "path", "body"), ACTS + READS)
async def test_who_is_no_administrator_is_refused(office, alice, method, path, body):
    stranger = Administrator(office, await office.login(alice))
    refused = await stranger.ask(method, path, body)
    assert (refused.status_code, refused.json()["error"]) == (403, "administrator_required")
    assert "reason" not in refused.json()
    # Also before it is said what is wrong with the rest.
    refused = await stranger.ask(method, path.partition("?")[0], None if body is None else {})
    assert refused.status_code == 403
    missing = await office.client.request(method, path)
    assert (missing.status_code, missing.json()["error"]) == (401, "token_missing")
    assert missing.headers["www-authenticate"] == "Bearer"


async def test_where_nobody_is_named_nobody_is_an_administrator(service, alice):
    stranger = Administrator(service, await service.login(alice))
    for method, path, body in ACTS + READS:
        assert (await stranger.ask(method, path, body)).status_code == 403


@pytest.mark.parametrize(("method", "path", "body"), ACTS + READS)
async def test_who_acts_as_an_administrator_is_none(
    office, alice, root, manager, method, path, body
):
    actor = manager.verify((await office.login(alice))["access_token"])
    pair = manager.impersonate(actor, root, reason="mischief")
    answer = await Administrator(office, {"access_token": pair.access_token}).ask(
        method, path, body
    )
    assert (answer.status_code, answer.json()["error"]) == (403, "administrator_required")
    assert answer.json()["reason"] == "impersonated"


async def test_acts_need_a_recent_authentication_and_reads_do_not(start, settings, root, alice):
    update = {"administrators": (root,), "administration_max_age": 2}
    office = await start(settings.model_copy(update=update))
    admin = Administrator(office, await office.login(root))
    async with asyncio.timeout(20):
        while (await admin.ask("GET", "/verify?max_auth_age=2")).status_code == 200:
            await asyncio.sleep(0.02)
    for method, path, body in ACTS:
        refused = await admin.ask(method, path, body)
        assert (refused.status_code, refused.json()["error"]) == (401, "step_up_required")
        assert refused.headers["www-authenticate"].endswith("max_age=2")
        assert "insufficient_user_authentication" in refused.headers["www-authenticate"]
    for method, path, body in READS:
        assert (await admin.ask(method, path, body)).status_code == 200
    stepped = await admin.ask("POST", "/step-up", {"password": PASSWORD})
    assert stepped.status_code == 200
    body = {"subject": alice, "scope": "a"}
    assert (await admin.ask("POST", "/admin/bans", body)).status_code == 401, "an older token"
    admin.tokens = stepped.json()
    answer = await admin.ask("POST", "/admin/bans", {"subject": alice, "scope": "a"})
    assert answer.status_code == 200
