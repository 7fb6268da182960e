"""Answers of the service from memory: equal to those from the store, or left to it."""

from dataclasses import replace
from typing import Any

import pytest

from clusterpass.service.asgi.request_counts import ANY_METHOD

from .service_scene import ADDRESS, ALICE, Served
from .test_front_door import RULES, asked


@pytest.mark.parametrize("places", [{}, {"log_warm_verifies": True}, {"verification": "strict"}])
async def test_a_verify_from_memory(places: Any) -> None:
    service = Served({}, **places)
    first = await service("GET", "/verify", token="alice")
    assert len(service.sessions.asked) == 1
    service.sessions.remembered["alice"] = ALICE
    again = await service("GET", "/verify", token="alice", headers={"x-request-id": "mine"})
    is_warm = places.get("verification") != "strict"
    assert len(service.sessions.asked) == (1 if is_warm else 2)
    assert len(service.lines()) == (1 if not places else 2), "unless they are to be logged"
    assert service.requests.warm["/verify", "GET"].count == (0 if places else 1)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["x-request-id"] == "mine"
    ours = {*first.headers.items()} - {("x-request-id", first.headers["x-request-id"])}
    assert {*again.headers.items()} == ours | {("x-request-id", "mine")}


async def test_what_memory_does_not_tell_is_asked_of_the_store() -> None:
    service = Served({})
    await service("GET", "/verify", token="alice")
    service.sessions.remembered["alice"] = ALICE
    for query, count in (
        ("", 0),
        ("scope=orders:read", 0),
        ("outage_grace=5", 0),
        ("level=1", 1),
        ("max_auth_age=5", 1),
        ("verification=strict", 1),
        ("scope=billing", 1),
    ):
        service.sessions.asked.clear()
        answer = await service("GET", f"/verify?{query}", token="alice")
        assert (len(service.sessions.asked), query) == (count, query)
        assert answer.status_code == (403 if "billing" in query else 200)
    service.sessions.asked.clear()
    head = await service("HEAD", "/verify", token="alice")
    assert (head.status_code, head.content, service.sessions.asked) == (200, b"", [])
    for headers in ({"authorization": "bearer alice"}, {"authorization": "Basic alice"}):
        answer = await service("GET", "/verify", headers=headers)
        assert answer.status_code == (200 if "bearer" in headers["authorization"] else 401)


async def test_two_headers_with_a_token_are_an_error() -> None:
    service = Served({})
    await service("GET", "/verify", token="alice")
    service.sessions.remembered["alice"] = ALICE
    twice = [("authorization", "Bearer alice")] * 2
    assert (await service("GET", "/verify", headers=twice)).status_code == 400


@pytest.mark.parametrize("rules", [RULES, None])
async def test_the_front_door_passes_on_from_memory(rules: Any) -> None:
    service = Served({}, rules=rules, trusted_proxies=[ADDRESS])
    first = await asked(service, "app.example")
    assert (len(service.sessions.asked), len(service.lines())) == (1, 1)
    service.sessions.remembered["alice"] = ALICE
    for _ in range(2):
        again = await asked(service, "app.example", "/x?other=query")
        assert (again.status_code, service.sessions.asked) == (200, [])
    assert len(service.lines()) == 1, "what is answered from memory is not logged"
    assert service.requests.warm["/authz/*", ANY_METHOD].count == 2
    own = {"x-request-id"}
    assert {name: value for name, value in again.headers.items() if name not in own} == {
        name: value for name, value in first.headers.items() if name not in own
    }
    changed = replace(ALICE, claims={"scope": "orders:* billing"})
    service.sessions.remembered["alice"] = changed
    told = await asked(service, "app.example")
    assert told.headers["x-auth-scope"] == "orders:* billing"


async def test_what_the_front_door_does_not_answer_from_memory() -> None:
    service = Served({}, rules=RULES, trusted_proxies=[ADDRESS])
    service.sessions.remembered["alice"] = ALICE
    public = await asked(service, "open.example", token=None)
    assert (public.status_code, service.lines()) == (200, [])
    for host, uri, status, count in (
        ("app.example", "/admin/x", 200, 1),
        ("billing.example", "/", 403, 1),
        ("shut.example", "/", 403, 0),
    ):
        answer = await asked(service, host, uri)
        assert (answer.status_code, len(service.sessions.asked)) == (status, count), host
    assert len(service.lines()) == 3
    stranger = Served({}, rules=RULES, trusted_proxies=["10.9.9.9"])
    stranger.sessions.remembered["alice"] = ALICE
    assert (await asked(stranger, "app.example")).status_code == 403
    assert (await asked(stranger, "open.example")).status_code == 403
    all_logged = Served({}, rules=RULES, trusted_proxies=[ADDRESS], log_warm_verifies=True)
    all_logged.sessions.remembered["alice"] = ALICE
    assert (await asked(all_logged, "app.example")).status_code == 200
    assert (all_logged.sessions.asked, len(all_logged.lines())) == ([], 1)


async def test_rules_that_have_changed_count_at_once() -> None:
    service = Served({}, rules=RULES, trusted_proxies=[ADDRESS])
    service.sessions.remembered["alice"] = ALICE
    assert (await asked(service, "app.example")).status_code == 200
    service.policies = Served({}, rules=[{"hosts": "*", "access": "denied"}]).policies
    assert (await asked(service, "app.example")).status_code == 403
    service.policies = None
    assert (await asked(service, "app.example")).status_code == 503


async def test_what_is_remembered_of_a_path_does_not_grow_with_its_queries() -> None:
    service = Served({}, rules=RULES, trusted_proxies=[ADDRESS])
    service.sessions.remembered["alice"] = ALICE
    for number in range(5):
        assert (await asked(service, "app.example", f"/x?{number}")).status_code == 200
    assert service.door.warm is not None
    assert len(service.door.warm._rules) == 1
    for number in range(5):
        await asked(service, "app.example", f"/{number}")
    assert len(service.door.warm._rules) == 6


async def test_a_path_with_a_blank_is_judged_from_the_beginning() -> None:
    service = Served({}, rules=RULES, trusted_proxies=[ADDRESS])
    service.sessions.remembered["alice"] = ALICE
    for uri in ("/x ?y", "/x\t?y"):
        answer = await asked(service, "app.example", uri)
        assert (answer.status_code, answer.json()["error"]) == (403, "access_denied")
