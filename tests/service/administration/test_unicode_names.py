"""Names that differ in Unicode normalization alone mean the same user to administrators."""

import unicodedata

import pytest

from clusterpass import SubjectBanned

from ..conftest import PASSWORD, bearer
from .calls import Administrator


@pytest.fixture
def zoe(directory, new_name):
    name = f"{new_name()}-zo\u00eb"
    directory.add(name, PASSWORD)
    return name


@pytest.fixture
def otherwise(zoe):
    return unicodedata.normalize("NFD", zoe)


async def test_a_ban_concerns_whoever_logs_in_by_that_name(admin, office, manager, zoe, otherwise):
    tokens = await office.login(otherwise)
    answer = await admin.ask("POST", "/admin/bans", {"subject": otherwise})
    told = answer.json()
    assert (told["revoked"], told["subject"], told["known"]) == (1, zoe, True)
    assert office.lines()[-1]["target"] == zoe
    assert (await office.client.get("/verify", headers=bearer(tokens))).status_code == 401
    with pytest.raises(SubjectBanned):
        manager.bans.check(zoe)
    assert len((await admin.get("/admin/bans", subject=otherwise))["bans"]) == 1
    lifted = await admin.ask("DELETE", "/admin/bans", subject=otherwise)
    assert lifted.json()["lifted"] == 1
    manager.bans.check(zoe)


async def test_all_other_calls_mean_the_same_user(admin, office, manager, zoe, otherwise):
    await office.login(zoe)
    assert len((await admin.get("/admin/sessions", subject=otherwise))["sessions"]) == 1
    assert (await admin.get("/admin/history", subject=otherwise))["entries"]
    body = {"subject": otherwise, "claims": {"plan": "gold"}}
    assert (await admin.ask("PUT", "/admin/claims", body)).json()["sessions"] == 1
    assert (await admin.get("/admin/claims", subject=otherwise))["claims"] == {"plan": "gold"}
    exported = await admin.get("/admin/export", subject=otherwise)
    assert (exported["subject"], exported["user"]["name"]) == (zoe, zoe)
    body = {"subject": otherwise, "reason": "Ticket 7"}
    assert (await admin.ask("POST", "/admin/impersonate", body)).status_code == 200
    ended = await admin.ask("DELETE", "/admin/sessions", subject=otherwise)
    assert ended.json()["revoked"] == 2
    await office.login(zoe)
    erased = await admin.ask("POST", "/admin/erase", {"subject": otherwise})
    assert erased.json()["revoked"] == 1
    assert manager.sessions(zoe) == []


async def test_a_ban_of_a_name_that_nobody_has_says_so(admin, alice, new_name):
    for name in (f"{alice} ", alice.upper(), new_name()):
        told = (await admin.ask("POST", "/admin/bans", {"subject": name})).json()
        assert (told["subject"], told["known"]) == (name, False)


async def test_subjects_of_other_programs_are_named_as_they_are(admin, manager, otherwise):
    manager.login(otherwise)
    told = (await admin.ask("POST", "/admin/bans", {"subject": otherwise})).json()
    assert (told["revoked"], told["subject"], told["known"]) == (1, otherwise, False)
    lifted = await admin.ask("DELETE", "/admin/bans", subject=otherwise)
    assert lifted.json()["lifted"] == 1  # its sessions are over, but somebody had them


async def test_a_ban_of_before_can_be_lifted(admin, manager, otherwise):
    manager.bans.add(otherwise)
    lifted = await admin.ask("DELETE", "/admin/bans", subject=otherwise)
    assert lifted.json()["lifted"] == 1
    assert not manager.bans.list(otherwise)


async def test_settings_name_administrators_in_any_spelling(start, settings, root, zoe, otherwise):
    from clusterpass.service.settings.loading import load_settings

    told = load_settings(None, {"administrators": otherwise, "protected_subjects": otherwise})
    assert set(told.administrators) == set(told.protected_subjects) == {zoe, otherwise}
    update = {"administrators": (root, *told.administrators)}
    office = await start(settings.model_copy(update=update))
    admin = Administrator(office, await office.login(zoe))
    await admin.get("/admin/online/count")
    refused = await admin.ask("POST", "/admin/impersonate", {"subject": otherwise, "reason": "x"})
    assert refused.status_code in {400, 403}
