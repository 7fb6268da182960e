"""Online subjects under /admin: count and pages."""

import pytest

from .calls import Administrator


async def test_who_is_online(admin, alice):
    opened = [await admin.service.login(alice, device=name) for name in ("one", "two")]
    count = await admin.get("/admin/online/count")
    assert count["subjects"] >= 2 and count["sessions"] >= 3
    first = await admin.get("/admin/online", limit=1)
    found, cursor = first["sessions"], first["next_cursor"]
    assert cursor is not None, "there are more"
    while True:
        batch = await admin.get("/admin/online", limit=200, cursor=cursor)
        found += batch["sessions"]
        cursor = batch["next_cursor"]
        if cursor is None:
            break
    mine = [session for session in found if session["subject"] == alice]
    assert [session["device"] for session in mine] == ["two", "one"]
    assert {session["session_id"] for session in mine} == {each["session_id"] for each in opened}
    assert "current" not in mine[0]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 422),
        ("limit=201", 422),
        ("limit=many", 422),
        ("limits=5", 422),
        ("limit=1&limit=2", 422),
        ("cursor=", 400),
        ("cursor=16384.0", 400),
        ("cursor=1.99999999999999999999", 400),
        ("cursor=%F0%9F%98%80", 400),
    ],
)
async def test_a_wrong_place_in_the_list(admin, query, status):
    assert (await admin.ask("GET", f"/admin/online?{query}")).status_code == status


async def test_who_is_online_may_not_be_tracked(start, settings, root):
    update = {"administrators": (root,), "index_online": False}
    office = await start(settings.model_copy(update=update))
    admin = Administrator(office, await office.login(root))
    for path in ("/admin/online", "/admin/online/count"):
        answer = await admin.ask("GET", path)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_input")
