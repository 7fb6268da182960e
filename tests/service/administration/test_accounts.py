"""Accounts under /admin: export, erasure and deletion."""

import pytest

from clusterpass import InvalidCredentials

from ..conftest import PASSWORD, bearer


async def test_an_export_has_the_user_and_no_secret(office, admin, alice):
    tokens = await office.login(alice, device="Sofa")
    answer = await admin.ask("GET", "/admin/export", subject=alice)
    held = answer.json()
    assert (held["subject"], held["user"]["name"]) == (alice, alice)
    assert [session["device"] for session in held["sessions"]] == ["Sofa"]
    assert answer.headers["cache-control"] == "no-store"
    for secret in ("argon2", tokens["access_token"], tokens["refresh_token"]):
        assert secret not in answer.text
    assert (await admin.get("/admin/export", subject="nobody-here"))["user"] is None


async def test_erasing_ends_all_sessions_and_leaves_no_history(office, admin, alice, directory):
    tokens = await office.login(alice, device="Sofa")
    erased = await admin.ask("POST", "/admin/erase", {"subject": alice})
    assert erased.json() == {"revoked": 1, "durable": True, "journaled": False}
    assert office.lines()[-1]["target"] == alice
    held = await admin.get("/admin/export", subject=alice)
    assert (held["sessions"], held["history"]) == ([], [])
    assert (await office.client.get("/verify", headers=bearer(tokens))).status_code == 401
    directory.authenticate(alice, PASSWORD)


@pytest.mark.parametrize("erase", [False, True])
async def test_a_user_is_deleted(office, admin, alice, directory, erase):
    tokens = await office.login(alice, device="Sofa")
    path = f"/admin/users?subject={alice}&erase={str(erase).lower()}"
    deleted = await admin.ask("DELETE", path)
    assert deleted.json() == {"revoked": 1, "durable": True, "journaled": False}
    assert (await office.client.get("/verify", headers=bearer(tokens))).status_code == 401
    with pytest.raises(InvalidCredentials):
        directory.authenticate(alice, PASSWORD)
    held = await admin.get("/admin/export", subject=alice)
    assert (held["user"], bool(held["history"])) == (None, not erase)
    again = await admin.ask("DELETE", path)
    assert (again.status_code, again.json()["error"]) == (404, "user_not_found")


async def test_nobody_deletes_themselves(admin, root, directory):
    refused = await admin.ask("DELETE", f"/admin/users?subject={root}")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_input")
    directory.authenticate(root, PASSWORD)
