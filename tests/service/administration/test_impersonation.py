"""Impersonation under /admin: administrators act for users, which is recorded."""

from ..conftest import bearer
from .calls import Administrator


async def test_an_impersonation_is_begun_and_told(admin, alice, root):
    client = admin.service.client
    own = await admin.service.login(alice)
    body = {"subject": alice, "reason": "Ticket 7", "for_seconds": 120}
    answer = await admin.ask("POST", "/admin/impersonate", body)
    assert answer.status_code == 200
    assert set(answer.json()) == set(own)
    assert answer.json()["session_expires_in"] == 120
    assert answer.json()["expires_in"] <= 120
    seen = await client.get("/verify", headers=bearer(answer.json()))
    assert (seen.json()["subject"], seen.headers["x-auth-actor"]) == (alice, root)
    assert seen.json()["act"]["reason"] == "Ticket 7"
    listed = (await client.get("/sessions", headers=bearer(own))).json()["sessions"]
    assert [each["act"] and each["act"]["subject"] for each in listed] == [root, None]
    entries = (await client.get("/history", headers=bearer(own))).json()["entries"]
    assert entries[0]["kind"] == "impersonated"
    assert root in entries[0]["text"] and "Ticket 7" in entries[0]["text"]
    inner = Administrator(admin.service, answer.json())
    assert (await inner.ask("GET", "/admin/online")).status_code == 403


async def test_impersonations_that_are_refused(start, settings, root, alice, new_name):
    other, protected = new_name(), new_name()
    update = {"administrators": (root, other), "protected_subjects": (protected,)}
    office = await start(settings.model_copy(update=update))
    admin = Administrator(office, await office.login(root))
    for subject, reason in ((root, "self"), (other, "protected"), (protected, "protected")):
        answer = await admin.ask("POST", "/admin/impersonate", {"subject": subject, "reason": "x"})
        assert (answer.status_code, answer.json()["error"]) == (403, "impersonation_refused")
        assert answer.json()["reason"] == reason
    for more in ({"reason": ""}, {}, {"reason": "x", "for_seconds": 3601}):
        answer = await admin.ask("POST", "/admin/impersonate", {"subject": alice, **more})
        assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")
