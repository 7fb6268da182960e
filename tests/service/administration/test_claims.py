"""Live claims under /admin: administrators set those of a subject."""

import pytest

from ..conftest import bearer


async def test_claims_change_at_once(admin, alice):
    tokens = await admin.service.login(alice)
    body = {"subject": alice, "claims": {"plan": "gold", "scope": "orders:*", "é": [1, None]}}
    answer = await admin.ask("PUT", "/admin/claims", body)
    assert (answer.status_code, answer.json()) == (200, {"sessions": 1, "durable": True})
    assert (await admin.get("/admin/claims", subject=alice)) == {"claims": body["claims"]}
    verified = await admin.service.client.get("/verify?scope=orders:write", headers=bearer(tokens))
    assert verified.json()["claims"] == body["claims"]
    answer = await admin.ask("PUT", "/admin/claims", {"subject": alice, "claims": {}})
    assert answer.json()["sessions"] == 1
    assert (await admin.get("/admin/claims", subject=alice)) == {"claims": {}}


async def test_claims_of_nobody_are_not_kept(admin, new_name):
    body = {"subject": new_name(), "claims": {"plan": "gold"}}
    assert (await admin.ask("PUT", "/admin/claims", body)).json()["sessions"] == 0
    assert (await admin.get("/admin/claims", subject=body["subject"])) == {"claims": {}}


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ('{"sub": "other"}', 400),
        ('{"acr": "3"}', 400),
        ('{"a": NaN}', 400),
        ('{"a": 1e999}', 400),
        ('{"a": "\\ud800"}', 400),
        ('{"a": 100000000000000000000}', 400),
        ('{"a": "' + "x" * 2048 + '"}', 400),
        ("[]", 422),
        ("null", 422),
        ('"a"', 422),
    ],
)
async def test_what_are_no_claims(admin, alice, claims, status):
    await admin.service.login(alice)
    answer = await admin.service.client.put(
        "/admin/claims",
        content=f'{{"subject": "{alice}", "claims": {claims}}}',
        headers={**bearer(admin.tokens), "Content-Type": "application/json"},
    )
    assert answer.status_code == status, answer.text
    assert (await admin.get("/admin/claims", subject=alice)) == {"claims": {}}
