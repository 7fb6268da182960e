"""The calls under /admin: who may make them, and what they do."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from clusterpass import SessionManager, UserDirectory

from .conftest import PASSWORD, bearer

ACTS = [
    ("DELETE", "/admin/sessions?subject=bob", None),
    ("POST", "/admin/bans", {"subject": "bob"}),
    ("DELETE", "/admin/bans?subject=bob", None),
    ("PUT", "/admin/claims", {"subject": "bob", "claims": {}}),
    ("POST", "/admin/impersonate", {"subject": "bob", "reason": "Ticket 7"}),
    ("POST", "/admin/revoke-before", {"time": 1}),
]
READS = [
    ("GET", "/admin/online", None),
    ("GET", "/admin/online/count", None),
    ("GET", "/admin/sessions?subject=bob", None),
    ("GET", "/admin/history?subject=bob", None),
    ("GET", "/admin/bans?subject=bob", None),
    ("GET", "/admin/claims?subject=bob", None),
]
ODD_NAMES = ["a/b", "é{}", "👩‍💻", "../x", "a&subject=b", "a+b%20c"]


@pytest.fixture
def manager(directory) -> SessionManager:
    """Another program on the same store, with the same keys."""
    return directory._sessions


@pytest.fixture
def root(directory, new_name) -> str:
    """The name of an administrator."""
    name = new_name()
    directory.add(name, PASSWORD)
    return name


@pytest.fixture
async def office(start, settings, root):
    """A service with an administrator."""
    return await start(settings.model_copy(update={"administrators": (root,)}))


class Administrator:
    """Calls with an administrator's token."""

    def __init__(self, service, tokens):
        self.service, self.tokens = service, tokens

    async def ask(self, method, path, body=None, **query):
        content = {} if body is None else {"json": body}
        return await self.service.client.request(
            method, path, headers=bearer(self.tokens), params=query or None, **content
        )

    async def get(self, path, **query):
        answer = await self.ask("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def admin(office, root):
    return Administrator(office, await office.login(root))


@pytest.mark.parametrize(("method", "path", "body"), ACTS + READS)
async def test_who_is_no_administrator_is_refused(office, alice, method, path, body):
    stranger = Administrator(office, await office.login(alice))
    refused = await stranger.ask(method, path, body)
    assert (refused.status_code, refused.json()["error"]) == (403, "administrator_required")
    assert "reason" not in refused.json()
    # Also before it is said what is wrong with the rest.
    refused = await stranger.ask(method, path.partition("?")[0], None if body is None else {})
    assert refused.status_code == 403
    missing = await office.client.request(method, path)
    assert (missing.status_code, missing.json()["error"]) == (401, "token_missing")
    assert missing.headers["www-authenticate"] == "Bearer"


async def test_where_nobody_is_named_nobody_is_an_administrator(service, alice):
    stranger = Administrator(service, await service.login(alice))
    for method, path, body in ACTS + READS:
        assert (await stranger.ask(method, path, body)).status_code == 403


@pytest.mark.parametrize(("method", "path", "body"), ACTS + READS)
async def test_who_acts_as_an_administrator_is_none(
    office, alice, root, manager, method, path, body
):
    actor = manager.verify((await office.login(alice))["access_token"])
    pair = manager.impersonate(actor, root, reason="mischief")
    answer = await Administrator(office, {"access_token": pair.access_token}).ask(
        method, path, body
    )
    assert (answer.status_code, answer.json()["error"]) == (403, "administrator_required")
    assert answer.json()["reason"] == "impersonated"


async def test_acts_need_a_recent_authentication_and_reads_do_not(start, settings, root, alice):
    update = {"administrators": (root,), "administration_max_age": 2}
    office = await start(settings.model_copy(update=update))
    admin = Administrator(office, await office.login(root))
    async with asyncio.timeout(20):
        while (await admin.ask("GET", "/verify?max_auth_age=2")).status_code == 200:
            await asyncio.sleep(0.02)
    for method, path, body in ACTS:
        refused = await admin.ask(method, path, body)
        assert (refused.status_code, refused.json()["error"]) == (401, "step_up_required")
        assert refused.headers["www-authenticate"].endswith("max_age=2")
        assert "insufficient_user_authentication" in refused.headers["www-authenticate"]
    for method, path, body in READS:
        assert (await admin.ask(method, path, body)).status_code == 200
    stepped = await admin.ask("POST", "/step-up", {"password": PASSWORD})
    assert stepped.status_code == 200
    body = {"subject": alice, "scope": "a"}
    assert (await admin.ask("POST", "/admin/bans", body)).status_code == 401, "an older token"
    admin.tokens = stepped.json()
    answer = await admin.ask("POST", "/admin/bans", {"subject": alice, "scope": "a"})
    assert answer.status_code == 200


async def test_who_is_online(admin, alice):
    opened = [await admin.service.login(alice, device=name) for name in ("one", "two")]
    count = await admin.get("/admin/online/count")
    assert count["subjects"] >= 2 and count["sessions"] >= 3
    found, cursor = [], None
    while True:
        query = {"limit": 3} if cursor is None else {"limit": 3, "cursor": cursor}
        batch = await admin.get("/admin/online", **query)
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
    assert (single.status_code, single.json()) == (200, {"revoked": 1, "durable": True})
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
    assert rest.json() == {"revoked": 1, "durable": True}
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
        if "?" in path:
            answer = await admin.ask(method, f"{path.partition('?')[0]}?{query}", body)
            assert answer.status_code == status, path


async def test_a_ban_comes_and_goes(admin, alice):
    client = admin.service.client
    tokens = await admin.service.login(alice)
    scoped = {"subject": alice, "scope": "comments:*", "level": 2, "reason": "spam"}
    answer = await admin.ask("POST", "/admin/bans", scoped)
    assert (answer.status_code, answer.json()) == (200, {"revoked": 0, "durable": True})
    assert (await client.get("/verify", headers=bearer(tokens))).status_code == 200
    body = {"subject": alice, "for_seconds": 60, "reason": "fraud"}
    answer = await admin.ask("POST", "/admin/bans", body)
    assert answer.json() == {"revoked": 1, "durable": True}
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
