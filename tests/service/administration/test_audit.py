"""The audit trail of the service: its users, its administrators and its workers."""

import time

import pytest

from ..conftest import PASSWORD, bearer
from .calls import Administrator


async def about(admin, subject, count):
    """The entries about ``subject``, when there are so many: some are written in the background."""
    deadline = time.monotonic() + 20
    found = []
    while len(found) < count and time.monotonic() < deadline:
        latest = await admin.get("/admin/audit", limit=1000)
        found = [
            each
            for each in latest["entries"]
            if (each["subject"], each["via"]) == (subject, "http")
        ]
    return found


async def test_acts_of_administrators(office, admin, root, alice):
    await office.login(alice)
    await admin.ask("DELETE", f"/admin/sessions?subject={alice}&reason=lost")
    await admin.ask("POST", "/admin/bans", {"subject": alice, "reason": "fraud", "level": 2})
    await admin.ask("DELETE", f"/admin/bans?subject={alice}")
    await admin.ask("PUT", "/admin/claims", {"subject": alice, "claims": {"plan": "pro"}})
    await admin.ask("POST", "/admin/reset-link", {"subject": alice})
    await admin.ask("POST", "/admin/erase", {"subject": alice})
    answer = await admin.ask("DELETE", f"/admin/users?subject={alice}")
    assert answer.status_code == 200
    found = await about(admin, alice, 9)
    acts = [each for each in found if each["actor"] == root]
    assert [each["action"] for each in acts] == [
        *("revoke_all", "ban", "lift_ban", "set_claims", "make_link", "erase"),
        *("disable_user", "revoke_all", "delete_user"),
    ]
    assert {(each["outcome"], each["via"], each["address"]) for each in acts} == {
        ("done", "http", "127.0.0.1")
    }
    assert acts[0]["reason"] == "lost"
    assert acts[0]["details"] == {"count": 1}
    assert acts[1]["details"] == {"scope": "", "level": 2, "for_seconds": None, "count": 0}
    logged = {
        line["request_id"] for line in office.lines() if line.get("path", "").startswith("/admin")
    }
    assert {each["request_id"] for each in acts} <= logged


async def test_who_is_invited_is_named_as_the_user_is_kept(office, admin, new_name):
    name = new_name()
    await admin.ask("POST", "/admin/invite", {"subject": f"Zo\u0308e {name}"})
    found = await about(admin, f"Z\u00f6e {name}", 1)
    assert [each["action"] for each in found] == ["invite_user"]


async def test_who_logs_in_and_who_cannot(office, admin, alice):
    answer = await office.client.post("/login", json={"username": alice, "password": "wrong wrong"})
    assert answer.status_code == 401
    tokens = await office.login(alice)
    changed = await office.client.post(
        "/password",
        headers=bearer(tokens),
        json={"current_password": PASSWORD, "new_password": "a new one, long enough"},
    )
    assert changed.status_code == 200, changed.text
    found = await about(admin, alice, 5)
    told = sorted((each["action"], each["outcome"], each["actor"], each["error"]) for each in found)
    assert told == [
        ("change_password", "done", alice, None),
        ("login", "done", alice, None),
        ("login", "refused", None, "invalid_credentials"),
        ("revoke_all", "done", alice, None),
        ("step_up", "done", alice, None),
    ]
    assert {each["address"] for each in found} == {"127.0.0.1"}
    history = await admin.get("/admin/history", subject=alice)
    assert "refused" not in [each["kind"] for each in history["entries"]], "nobody was there yet"


async def test_a_failed_login_is_in_the_history_of_who_is_known(office, admin, alice):
    await office.login(alice)
    await office.client.post("/login", json={"username": alice, "password": "wrong wrong"})
    history = await admin.get("/admin/history", subject=alice)
    refused = history["entries"][0]
    assert (refused["kind"], refused["address"], refused["count"]) == ("refused", "127.0.0.1", 1)


async def test_who_is_no_administrator_is_noted(office, admin, alice):
    stranger = Administrator(office, await office.login(alice))
    assert (await stranger.ask("GET", "/admin/online")).status_code == 403
    latest = await admin.get("/admin/audit", limit=1000)
    (refused,) = (
        each
        for each in latest["entries"]
        if each["action"] == "administration" and each["actor"] == alice
    )
    assert (refused["outcome"], refused["error"]) == ("refused", "administrator_required")
    assert refused["details"] == {"path": "/admin/online"}


async def test_who_ended_a_session_is_in_the_history(office, admin, root, alice):
    own, other, third = [await office.login(alice) for _ in range(3)]
    headers = bearer(own)
    mine = await office.client.get("/sessions", headers=headers)
    ids = {each["session_id"] for each in mine.json()["sessions"] if not each["current"]}
    ended = await office.client.delete(f"/sessions/{ids.pop()}", headers=headers)
    assert ended.status_code == 204, ended.text
    await admin.ask("DELETE", f"/admin/sessions?subject={alice}")
    history = await office.client.get("/history", headers=bearer(await office.login(alice)))
    by = [each["by"] for each in history.json()["entries"] if each["kind"] == "revoked"]
    assert by == [root, alice]
    assert other != third


async def test_a_worker_says_with_what_it_works(office, admin):
    latest = await admin.get("/admin/audit", limit=1000)
    started = [each for each in latest["entries"] if each["action"] == "worker_started"]
    assert started
    assert {*started[-1]["details"]} == {"version", "settings", "signing", "kids"}


@pytest.mark.parametrize("query", ["after=x", "before=1", "limit=0", "limit=1001", "other=1"])
async def test_what_is_no_page(admin, query):
    answer = await admin.ask("GET", f"/admin/audit?{query}")
    assert answer.status_code == 422, answer.text


async def test_no_trail_where_it_is_switched_off(start, settings, root, alice):
    office = await start(settings.model_copy(update={"administrators": (root,), "audit": False}))
    admin = Administrator(office, await office.login(root))
    await admin.ask("POST", "/admin/bans", {"subject": alice, "scope": "nothing"})
    stranger = Administrator(office, await office.login(alice))
    assert (await stranger.ask("GET", "/admin/online")).status_code == 403
    latest = await admin.get("/admin/audit", limit=1000)
    noted = {(each["subject"], each["via"]) for each in latest["entries"]}
    assert not noted & {(alice, "http"), (root, "http")}
