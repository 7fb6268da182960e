"""Bans under /admin: administrators ban subjects and lift the bans."""

import json

import pytest

from ..conftest import bearer


async def test_a_ban_comes_and_goes(admin, alice):
    client = admin.service.client
    tokens = await admin.service.login(alice)
    scoped = {"subject": alice, "scope": "comments:*", "level": 2, "reason": "spam"}
    answer = await admin.ask("POST", "/admin/bans", scoped)
    assert (answer.status_code, answer.json()) == (
        200,
        {"revoked": 0, "durable": True, "journaled": False, "subject": alice, "known": True},
    )
    assert (await client.get("/verify", headers=bearer(tokens))).status_code == 200
    body = {"subject": alice, "for_seconds": 60, "reason": "fraud"}
    answer = await admin.ask("POST", "/admin/bans", body)
    told = {"revoked": 1, "durable": True, "journaled": False, "subject": alice, "known": True}
    assert answer.json() == told
    assert (await client.get("/verify", headers=bearer(tokens))).json()["reason"] == "banned"
    bans = (await admin.get("/admin/bans", subject=alice))["bans"]
    assert {(each["scope"], each["level"], each["reason"]) for each in bans} == {
        ("", 1, "fraud"),
        ("comments:*", 2, "spam"),
    }
    assert {each["until"] is None for each in bans} == {True, False}
    history = (await admin.get("/admin/history", subject=alice))["entries"]
    assert "banned" in {entry["kind"] for entry in history}
    refused = await admin.ask("POST", "/admin/impersonate", {"subject": alice, "reason": "x"})
    assert (refused.status_code, refused.json()["error"]) == (403, "subject_banned")
    assert refused.json()["ban"]["reason"] == "fraud"
    for lifted in (1, 0):
        answer = await admin.ask("DELETE", "/admin/bans", subject=alice)
        assert answer.status_code == 200
        assert answer.json()["lifted"] == lifted
    answer = await admin.ask("DELETE", "/admin/bans", subject=alice, scope="comments:*")
    assert answer.json() == {"lifted": 1, "durable": True}
    assert (await admin.get("/admin/bans", subject=alice)) == {"bans": []}


async def test_bans_are_bounded(admin, alice):
    for number in range(33):
        answer = await admin.ask("POST", "/admin/bans", {"subject": alice, "scope": f"s{number}"})
    assert (answer.status_code, answer.json()["error"]) == (409, "too_many_bans")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"for_seconds": 0}, 422),
        ({"for_seconds": "60"}, 422),
        ({"for_seconds": 2**70}, 422),
        ({"level": 0}, 422),
        ({"level": True}, 422),
        ({"scope": "a b"}, 400),
        ({"scope": "x" * 256}, 422),
        ({"scope": None}, 422),
        ({"reason": "\x1b"}, 400),
        ({"reason": "\ud800"}, 422),
        ({"subject": "\ud800"}, 422),
        ({"forever": True}, 422),
    ],
)
async def test_what_is_no_ban(admin, alice, more, status):
    content = json.dumps({"subject": alice, **more})
    answer = await admin.service.client.post(
        "/admin/bans",
        content=content,
        headers={**bearer(admin.tokens), "Content-Type": "application/json"},
    )
    assert answer.status_code == status, answer.text
    assert (await admin.get("/admin/bans", subject=alice)) == {"bans": []}


async def test_an_administrator_cannot_lock_themselves_out(admin, root):
    answer = await admin.ask("POST", "/admin/bans", {"subject": root})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_input")
    answer = await admin.ask("POST", "/admin/bans", {"subject": root, "scope": "comments"})
    assert answer.status_code == 200
