"""Odd subjects and bodies under /admin, and a store that is away, get the answer that fits."""

import json

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from ..conftest import PASSWORD, bearer
from .calls import ACTS, READS, Administrator

ODD_NAMES = ["a/b", "é{}", "👩‍💻", "../x", "a&subject=b", "a+b%20c"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("subject=", 422),
        ("subject=a&subject=b", 422),
        ("subject=" + "x" * 256, 422),
        ("subject=" + "%C3%A9" * 200, 400),
        ("subject=a%00b", 400),
        ("subject=a%0Ab", 400),
    ],
)
async def test_what_is_no_subject(admin, query, status):
    for method, path, body in ACTS + READS:
        if "subject=" in path:
            answer = await admin.ask(method, f"{path.partition('?')[0]}?{query}", body)
            assert answer.status_code == status, path


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_subjects_are_administered_like_others(admin, directory, new_name, name):
    name = name + new_name()
    directory.add(name, PASSWORD)
    tokens = await admin.service.login(name)
    (session,) = (await admin.get("/admin/sessions", subject=name))["sessions"]
    assert (session["subject"], session["session_id"]) == (name, tokens["session_id"])
    for method, path, body in (
        ("PUT", "/admin/claims", {"subject": name, "claims": {"plan": "gold"}}),
        ("POST", "/admin/impersonate", {"subject": name, "reason": "x"}),
        ("POST", "/admin/bans", {"subject": name, "scope": "a"}),
    ):
        assert (await admin.ask(method, path, body)).status_code == 200
        assert admin.service.lines()[-1]["target"] == name
    assert (await admin.get("/admin/claims", subject=name))["claims"] == {"plan": "gold"}
    assert len((await admin.get("/admin/bans", subject=name))["bans"]) == 1
    assert len((await admin.get("/admin/history", subject=name))["entries"]) >= 3
    lifted = await admin.ask("DELETE", "/admin/bans", subject=name, scope="a")
    assert lifted.json()["lifted"] == 1
    ended = await admin.ask("DELETE", "/admin/sessions", subject=name)
    assert ended.json()["revoked"] == 2


async def test_a_body_of_another_type_or_too_large_is_refused(admin):
    headers = {**bearer(admin.tokens), "Content-Type": "text/plain"}
    for method, path, body in ACTS:
        if body is not None:
            answer = await admin.service.client.request(
                method, path, content=json.dumps(body), headers=headers
            )
            assert answer.status_code == 415
            large = await admin.service.client.request(
                method, path, content=b" " * (64 * 1024 + 1), headers=headers
            )
            assert large.status_code == 413
            none = await admin.ask(method, path)
            assert (none.status_code, none.json()["error"]) == (422, "invalid_request")


async def test_a_store_that_is_away_is_503(start, keys_file, settings, root, admin):
    away = "redis+cluster://127.0.0.1:1?timeout=0.3&deadline=0.3"
    update = {"store_url": type(settings.store_url)(away), "administrators": (root,)}
    office = Administrator(await start(settings.model_copy(update=update)), admin.tokens)
    for method, path, body in (ACTS[0], READS[0], ("POST", "/step-up", {"password": PASSWORD})):
        answer = await office.ask(method, path, body)
        assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(
    st.sampled_from(["subject", "reason", "for_seconds", "scope", "level", "claims", "x"]),
    values,
    max_size=4,
)


@hypothesis_settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=bodies | values, act=st.sampled_from([("PUT", "claims"), ("POST", "bans")]))
async def test_no_json_is_answered_with_a_500(admin, body, act):
    method, name = act
    answer = await admin.service.client.request(
        method,
        f"/admin/{name}",
        content=json.dumps(body),
        headers={**bearer(admin.tokens), "Content-Type": "application/json"},
    )
    assert answer.status_code in {200, 400, 409, 422}
