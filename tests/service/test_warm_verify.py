"""GET /verify from memory, before any router: the same answers, for as long as nothing changes."""

import asyncio

import pytest

from clusterpass import SessionManager

from .conftest import PASSWORD, bearer


@pytest.fixture
def manager(directory) -> SessionManager:
    """Another program on the same store, with the same keys."""
    return directory._sessions


async def verify(service, tokens, query="", **headers):
    return await service.client.get(f"/verify{query}", headers={**bearer(tokens), **headers})


async def warm(service, tokens, query=""):
    """The first answer, once a further one writes no line to the log: it came from memory."""
    first = await verify(service, tokens, query)
    async with asyncio.timeout(20):
        while True:
            lines = len(service.lines())
            answer = await verify(service, tokens, query)
            if len(service.lines()) == lines:
                return first, answer
            await asyncio.sleep(0.02)


async def test_the_answer_from_memory_is_the_same(service, alice):
    tokens = await service.login(alice)
    first, again = await warm(service, tokens)
    assert (again.status_code, again.json()) == (200, first.json())
    own = {"x-request-id", "date"}
    assert {k: v for k, v in again.headers.items() if k not in own} == {
        k: v for k, v in first.headers.items() if k not in own
    }
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


async def test_a_request_keeps_its_id(service, alice):
    tokens = await service.login(alice)
    await warm(service, tokens)
    named = await verify(service, tokens, **{"X-Request-ID": "a-b.c_1"})
    assert named.headers.get_list("x-request-id") == ["a-b.c_1"]
    odd = await verify(service, tokens, **{"X-Request-ID": "a b"})
    assert odd.headers["x-request-id"] not in {"a b", "a-b.c_1"}


@pytest.mark.parametrize("end", ["revoke", "logout", "ban", "revoke_all"])
async def test_an_end_is_seen(service, alice, manager, end):
    tokens = await service.login(alice)
    await warm(service, tokens)
    match end:
        case "revoke":
            manager.revoke(alice, tokens["session_id"])
        case "ban":
            manager.bans.add(alice)
        case "revoke_all":
            manager.revoke_all(alice)
        case _:
            # By the service itself: its own worker knows at once.
            await service.client.post("/logout", headers=bearer(tokens))
            assert (await verify(service, tokens)).status_code == 401
    async with asyncio.timeout(10):
        while (await verify(service, tokens)).status_code == 200:
            await asyncio.sleep(0.005)
    assert (await verify(service, tokens)).json()["error"] == "session_revoked"


async def test_a_change_is_seen(service, alice, manager):
    tokens = await service.login(alice)
    await warm(service, tokens)
    manager.claims.set(alice, {"role": "admin"})
    async with asyncio.timeout(10):
        while (await verify(service, tokens)).json()["claims"] != {"role": "admin"}:
            await asyncio.sleep(0.005)


async def test_each_query_has_its_own_answer(service, alice, manager):
    tokens = await service.login(alice)
    manager.claims.set(alice, {"scope": "orders:*"})
    _, allowed = await warm(service, tokens, "?scope=orders:write")
    assert allowed.status_code == 200
    assert (await verify(service, tokens, "?scope=admin")).status_code == 403
    assert (await verify(service, tokens, "?level=3")).status_code == 401
    assert (await verify(service, tokens, "?nonsense=1")).status_code == 422
    assert (await verify(service, tokens)).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "?max_auth_age=300",
        "?verification=strict",
        "?verification=%73trict",
        "?level=1&verification=strict",
        "?%76erification=strict",
    ],
)
async def test_what_the_session_alone_does_not_decide_is_asked_each_time(service, alice, query):
    tokens = await service.login(alice)
    await warm(service, tokens)
    lines = len(service.lines())
    for _ in range(5):
        assert (await verify(service, tokens, query)).status_code == 200
    assert len(service.lines()) == lines + 5


async def test_a_strict_verify_asks_the_store_each_time(service, alice, manager):
    tokens = await service.login(alice)
    await warm(service, tokens)
    for _ in range(3):
        assert (await verify(service, tokens, "?verification=strict")).status_code == 200
    manager.revoke_all(alice)
    answer = await verify(service, tokens, "?verification=strict")
    assert (answer.status_code, answer.json()["error"]) == (401, "session_revoked")


async def test_strict_asks_the_store(service, alice, manager):
    tokens = await service.login(alice)
    await warm(service, tokens)
    manager.revoke_all(alice)
    answer = await verify(service, tokens, "?verification=strict")
    assert (answer.status_code, answer.json()["error"]) == (401, "session_revoked")


async def test_odd_requests_go_the_long_way(service, alice):
    tokens = await service.login(alice)
    await warm(service, tokens)
    token = tokens["access_token"]
    two = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert (await service.client.get("/verify", headers=two)).status_code == 400
    lower = await service.client.get("/verify", headers={"Authorization": f"bearer {token}"})
    assert lower.status_code == 200
    padded = await service.client.get("/verify", headers={"Authorization": f"Bearer  {token} "})
    assert padded.status_code == 200
    assert (await service.client.get("/verify")).status_code == 401
    for method in ("POST", "PUT", "DELETE"):
        answer = await service.client.request(method, "/verify", headers=bearer(tokens))
        assert answer.status_code == 405
    head = await service.client.head("/verify", headers=bearer(tokens))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["x-auth-subject"]


async def test_tokens_do_not_share_answers(service, alice, directory, new_name):
    bob = new_name()
    directory.add(bob, PASSWORD)
    first, second = await service.login(alice), await service.login(bob)
    await warm(service, first)
    await warm(service, second)
    for _ in range(10):
        one, other = await asyncio.gather(verify(service, first), verify(service, second))
        assert (one.headers["x-auth-subject"], other.headers["x-auth-subject"]) == (alice, bob)


async def test_answers_from_memory_are_logged_where_that_is_set(start, settings, alice):
    service = await start(settings.model_copy(update={"log_warm_verifies": True}))
    tokens = await service.login(alice)
    for number in range(1, 21):
        before = len(service.lines())
        answer = await verify(service, tokens)
        assert answer.status_code == 200 and answer.headers["x-request-id"]
        assert len(service.lines()) == before + 1, number


async def test_a_strict_service_never_answers_from_memory(start, settings, alice, manager):
    service = await start(settings.model_copy(update={"verification": "strict"}))
    tokens = await service.login(alice)
    for _ in range(5):
        before = len(service.lines())
        assert (await verify(service, tokens)).status_code == 200
        assert len(service.lines()) == before + 1
    manager.revoke_all(alice)
    assert (await verify(service, tokens)).status_code == 401
