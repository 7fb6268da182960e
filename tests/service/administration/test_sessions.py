"""Sessions under /admin: list, revoke, and end all that were opened before a time."""

import pytest

from clusterpass import SessionManager, UserDirectory

from ..conftest import PASSWORD, bearer
from .calls import Administrator


async def test_the_sessions_of_a_subject_are_ended_with_a_reason(admin, alice):
    client = admin.service.client
    one, two, three = [
        await admin.service.login(alice, device_type=kind) for kind in ("web", "phone", "web")
    ]
    listed = await admin.get("/admin/sessions", subject=alice)
    assert [each["session_id"] for each in listed["sessions"]] == [
        each["session_id"] for each in (three, two, one)
    ]
    single = await admin.ask(
        "DELETE", "/admin/sessions", subject=alice, session_id=one["session_id"], reason="Lost é"
    )
    assert (single.status_code, single.json()) == (
        200,
        {"revoked": 1, "durable": True, "journaled": False},
    )
    ended = await client.get("/verify", headers=bearer(one))
    assert (ended.json()["reason"], ended.json()["note"]) == ("revoked", "Lost é")
    again = await admin.ask(
        "DELETE", "/admin/sessions", subject=alice, session_id=one["session_id"]
    )
    assert again.json()["revoked"] == 0
    kind = await admin.ask("DELETE", "/admin/sessions", subject=alice, device_type="phone")
    assert kind.json()["revoked"] == 1
    assert (await client.get("/verify", headers=bearer(three))).status_code == 200
    rest = await admin.ask("DELETE", "/admin/sessions", subject=alice, reason="Audit")
    assert rest.json() == {"revoked": 1, "durable": True, "journaled": False}
    assert (await admin.get("/admin/sessions", subject=alice)) == {"sessions": []}
    line = admin.service.lines()[-2]
    assert (line["subject"], line["target"]) == (admin.service.lines()[0]["subject"], alice)
    assert "Audit" not in admin.service.log.getvalue()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"session_id": ""}, 404),
        ({"session_id": "A" * 22}, 404),
        ({"session_id": "A" * 22, "device_type": "web"}, 400),
        ({"sesion_id": "A" * 22}, 422),
        ({"device_type": ""}, 422),
        ({"device_type": "a b"}, 422),
        ({"reason": "x" * 201}, 422),
        ({"reason": "é" * 101}, 400),
        ({"reason": "a\nb"}, 400),
    ],
)
async def test_a_revocation_that_is_not_clear_ends_nothing(admin, alice, query, status):
    tokens = await admin.service.login(alice)
    answer = await admin.ask("DELETE", "/admin/sessions", subject=alice, **query)
    assert answer.status_code == status, answer.text
    alive = await admin.service.client.get("/verify", headers=bearer(tokens))
    assert alive.status_code == 200


async def test_every_session_before_a_time_is_ended(admin, alice, manager):
    tokens = await admin.service.login(alice)
    answer = await admin.ask("POST", "/admin/revoke-before", {"time": 1_000_000_000})
    assert answer.status_code == 200
    assert set(answer.json()) == {"time", "durable"}
    assert (
        1_000_000_000 <= answer.json()["time"] <= manager.verify(tokens["access_token"]).created_at
    )
    for body in ({"time": 0}, {"time": 2**32}, {"time": "now"}, {"before": 1}, {"time": 1.5}):
        assert (await admin.ask("POST", "/admin/revoke-before", body)).status_code == 422
    without = await admin.ask("POST", "/admin/revoke-before")
    assert without.status_code == 422
    assert (await admin.ask("GET", "/verify")).status_code == 200


async def test_every_session_there_is_can_be_ended(start, settings, new_name):
    url = settings.store_url.get_secret_value()
    url += f"{'&' if '?' in url else '?'}namespace={new_name()}"
    settings = settings.model_copy(
        update={"store_url": type(settings.store_url)(url), "administrators": ("root",)}
    )
    with SessionManager.from_url(url, settings.session_config()) as sessions:
        users = UserDirectory(sessions)
        users.add("root", PASSWORD)
        users.add("alice", PASSWORD)
    office = await start(settings)
    admin = Administrator(office, await office.login("root"))
    tokens = await office.login("alice")
    answer = await admin.ask("POST", "/admin/revoke-before", {})
    assert (answer.status_code, answer.json()["durable"]) == (200, True)
    for each in (tokens, admin.tokens):
        ended = await office.client.get("/verify", headers=bearer(each))
        assert (ended.status_code, ended.json()["reason"]) == (401, "revoked")
        assert ended.json()["ended_at"] == answer.json()["time"]
        dead = await office.client.post("/refresh", json={"refresh_token": each["refresh_token"]})
        assert (dead.status_code, dead.json()["reason"]) == (401, "revoked")
    again = await office.login("alice")
    assert (await office.client.get("/verify", headers=bearer(again))).status_code == 200
