"""The header Idempotency-Key: a key belongs to its caller, and to one request of that caller."""

import pytest

from clusterpass import SessionManager

from .conftest import PASSWORD, bearer

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


@pytest.fixture
def manager(directory) -> SessionManager:
    """Another program on the same store, with the same keys."""
    return directory._sessions


@pytest.fixture
def roots(directory, new_name) -> tuple[str, str]:
    """The names of two administrators."""
    names = new_name(), new_name()
    for name in names:
        directory.add(name, PASSWORD)
    return names


@pytest.fixture
async def office(start, settings, roots):
    """A service with two administrators."""
    return await start(settings.model_copy(update={"administrators": roots}))


async def ask(service, tokens, method, path, body=None, key=KEY, **query):
    content = {} if body is None else {"json": body}
    headers = {**bearer(tokens), "Idempotency-Key": key}
    return await service.client.request(
        method, path, headers=headers, params=query or None, **content
    )


def assert_mismatch(answer):
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["error"] == "operation_mismatch"
    assert body["type"] == "urn:clusterpass:error:operation_mismatch"
    assert "fields" not in body


async def is_live(service, tokens) -> bool:
    return (await service.client.get("/verify", headers=bearer(tokens))).status_code == 200


async def test_another_query_with_the_same_key_is_422(office, roots, alice):
    phone = await office.login(alice, device_type="phone")
    web = await office.login(alice, device_type="web")
    root = await office.login(roots[0])
    asked = {"subject": alice, "device_type": "phone"}
    first = await ask(office, root, "DELETE", "/admin/sessions", **asked)
    assert first.json()["revoked"] == 1
    for other in (
        {"subject": alice},
        {"subject": alice, "device_type": "web"},
        {"subject": alice, "session_id": web["session_id"]},
        {**asked, "reason": "lost"},
    ):
        assert_mismatch(await ask(office, root, "DELETE", "/admin/sessions", **other))
    assert (await is_live(office, phone), await is_live(office, web)) == (False, True)
    again = await ask(office, root, "DELETE", "/admin/sessions", **asked)
    assert again.json() == first.json()


@pytest.mark.parametrize(
    "change",
    [{"scope": ""}, {"scope": "posts"}, {"level": 2}, {"for_seconds": 60}, {"reason": "spam"}],
)
async def test_another_body_with_the_same_key_is_422(office, roots, alice, manager, change):
    tokens, root = await office.login(alice), await office.login(roots[0])
    body = {"subject": alice, "scope": "chat"}
    assert (await ask(office, root, "POST", "/admin/bans", body)).status_code == 200
    assert_mismatch(await ask(office, root, "POST", "/admin/bans", {**body, **change}))
    assert [(ban.scope, ban.level) for ban in manager.bans.list(alice)] == [("chat", 1)]
    assert await is_live(office, tokens)
    spelt_out = {**body, "level": 1, "reason": "", "for_seconds": None}
    assert (await ask(office, root, "POST", "/admin/bans", spelt_out)).status_code == 200


async def test_two_administrators_may_choose_the_same_key(office, roots, alice):
    one, other = [await office.login(name) for name in roots]
    asked = {"subject": alice}
    await office.login(alice)
    first = await ask(office, one, "DELETE", "/admin/sessions", **asked)
    later, too = await office.login(alice), await office.login(alice)
    second = await ask(office, other, "DELETE", "/admin/sessions", **asked)
    assert (first.json()["revoked"], second.json()["revoked"]) == (1, 2)
    assert not await is_live(office, later) and not await is_live(office, too)
    latest = await office.login(alice)
    # Neither stands in the way of the other, whatever is asked.
    third = await ask(office, other, "POST", "/admin/bans", {"subject": alice, "scope": "chat"})
    assert third.status_code == 200
    again = await ask(office, one, "DELETE", "/admin/sessions", **asked)
    assert again.json() == first.json()
    assert await is_live(office, latest)


async def test_an_administrator_may_log_in_again_before_the_retry(office, roots, alice):
    asked = {"subject": alice}
    await office.login(alice)
    first = await ask(office, await office.login(roots[0]), "DELETE", "/admin/sessions", **asked)
    later = await office.login(alice)
    again = await ask(office, await office.login(roots[0]), "DELETE", "/admin/sessions", **asked)
    assert again.json() == first.json()
    assert await is_live(office, later)


async def test_who_impersonates_a_user_does_not_meet_the_keys_of_that_user(
    office, roots, alice, manager
):
    own, _ = await office.login(alice), await office.login(alice)
    first = await ask(office, own, "DELETE", "/sessions")
    assert first.json()["revoked"] == 1
    actors = [manager.verify((await office.login(name))["access_token"]) for name in roots]
    for actor in actors:
        other = await office.login(alice)
        pair = manager.impersonate(actor, alice, reason="Ticket 7")
        answer = await ask(office, {"access_token": pair.access_token}, "DELETE", "/sessions")
        assert answer.status_code == 200, answer.text
        assert not await is_live(office, other)
    assert not await is_live(office, own)


async def test_another_session_of_the_caller_asks_for_something_else(service, alice):
    """Each spares itself, so the second is not told that it was done."""
    here, there = await service.login(alice), await service.login(alice)
    third = await service.login(alice)
    query = {"device_type": "watch"}
    assert (await ask(service, here, "DELETE", "/sessions", **query)).status_code == 200
    assert_mismatch(await ask(service, there, "DELETE", "/sessions", **query))
    assert_mismatch(await ask(service, here, "DELETE", "/sessions"))
    assert await is_live(service, third)


async def test_two_devices_may_log_out_with_the_same_key(service, alice):
    for tokens in [await service.login(alice), await service.login(alice)]:
        for _ in range(2):
            assert (await ask(service, tokens, "POST", "/logout")).status_code == 204
        assert not await is_live(service, tokens)


async def test_a_key_names_one_path(service, alice):
    here, first, second = [await service.login(alice) for _ in range(3)]
    for tokens in (first, second):
        path = f"/sessions/{tokens['session_id']}"
        for _ in range(2):
            assert (await ask(service, here, "DELETE", path)).status_code == 204
        assert not await is_live(service, tokens)
    assert (await ask(service, here, "DELETE", "/sessions")).status_code == 200


async def test_the_caller_is_known_before_the_key_is_looked_at(office, alice):
    stranger = await office.login(alice)
    for key in ("", "x" * 129):
        answer = await office.client.delete("/sessions", headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["error"]) == (401, "token_missing")
        refused = await ask(office, stranger, "DELETE", "/admin/sessions", key=key, subject=alice)
        assert (refused.status_code, refused.json()["error"]) == (403, "administrator_required")
