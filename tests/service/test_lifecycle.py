"""A session from its login to its end over HTTP: limits, rotation, step-up, explained ends."""

import asyncio

import pytest

from clusterpass import SessionManager

from .conftest import PASSWORD, bearer

DAY = 86_400


@pytest.fixture
def manager(directory) -> SessionManager:
    """Another program on the same store, with the same keys."""
    return directory._sessions


async def _login(service, name, password=PASSWORD, **more):
    return await service.client.post(
        "/login", json={"username": name, "password": password, **more}
    )


async def _verify(service, tokens, **conditions):
    return await service.client.get("/verify", headers=bearer(tokens), params=conditions)


async def _refresh(service, refresh_token):
    return await service.client.post("/refresh", json={"refresh_token": refresh_token})


async def test_a_login_says_what_it_was_and_from_where(start, settings, alice):
    service = await start(settings, peer="192.0.2.44")
    tokens = await service.login(alice, device="My phone", device_type="phone")
    body = (await _verify(service, tokens)).json()
    assert body["device_type"] == "phone"
    assert body["active_at"] == body["auth_time"] == body["created_at"]
    assert (body["acr"], body["amr"], body["act"], body["bans"]) == ("1", ["pwd"], None, [])
    listed = (await service.client.get("/sessions", headers=bearer(tokens))).json()["sessions"]
    assert listed == [{**body, "current": True}]
    answer = await service.client.get("/history", headers=bearer(tokens))
    assert answer.json()["entries"] == [
        {
            "kind": "login",
            "at": body["created_at"],
            "count": 1,
            "session_id": tokens["session_id"],
            "address": "192.0.2.44",
            "text": "My phone",
            "by": None,
        }
    ]


async def test_a_login_that_is_remembered_lives_longer(service, alice):
    usual, remembered = await service.login(alice), await service.login(alice, remember=True)
    assert usual["session_expires_in"] == 7 * DAY
    assert remembered["session_expires_in"] == 30 * DAY
    body = (await _verify(service, remembered)).json()
    assert body["expires_at"] == body["created_at"] + 30 * DAY


async def test_a_login_may_replace_a_session(service, alice):
    first, second = await service.login(alice), await service.login(alice)
    third = await service.login(alice, replace=first["session_id"], device="Tablet")
    ended = await _verify(service, first)
    assert (ended.status_code, ended.json()["error"]) == (401, "session_revoked")
    assert (ended.json()["reason"], ended.json()["note"]) == ("replaced", "Tablet")
    assert ended.json()["ended_at"] > 1_700_000_000
    for tokens in (second, third):
        assert (await _verify(service, tokens)).status_code == 200


async def test_to_replace_what_is_no_session_id_is_404_after_the_right_password_only(
    service, alice
):
    assert (await _login(service, alice, replace="_" * 22)).status_code == 404
    assert (await _login(service, alice, "wrong", replace="_" * 22)).status_code == 401
    assert (await _login(service, alice, replace="A" * 22)).status_code == 200


async def test_too_many_sessions_are_listed_to_who_knows_the_password(start, settings, alice):
    update = {"max_sessions": 2, "overflow": "refuse"}
    service = await start(settings.model_copy(update=update))
    first, second = [await service.login(alice, device=name) for name in ("one", "two")]
    assert "sessions" not in (await _login(service, alice, "wrong")).json()
    refused = await _login(service, alice)
    assert (refused.status_code, refused.json()["error"]) == (409, "too_many_sessions")
    assert refused.headers["content-type"] == "application/problem+json"
    listed = await service.client.get("/sessions", headers=bearer(first))
    expected = listed.json()["sessions"]
    for entry in expected:
        del entry["current"]
    assert refused.json()["sessions"] == expected
    assert [entry["device"] for entry in expected] == ["two", "one"]
    chosen = await _login(service, alice, replace=second["session_id"])
    assert chosen.status_code == 200
    assert (await _verify(service, first)).status_code == 200
    assert (await _verify(service, second)).json()["reason"] == "replaced"


@pytest.mark.parametrize(
    ("policy", "leaves"),
    [
        ({"max_sessions": 2}, "a"),
        ({"max_sessions": 2, "overflow": "least_recently_used"}, "a"),
        ({"max_per_device": 1}, "b"),
    ],
)
async def test_the_policy_of_the_settings_decides_who_leaves(
    start, settings, alice, policy, leaves
):
    service = await start(settings.model_copy(update=policy))
    opened = {
        "a": await service.login(alice, device_type="phone"),
        "b": await service.login(alice, device_type="web"),
        "c": await service.login(alice, device_type="web"),
    }
    gone = [name for name, pair in opened.items() if (await _verify(service, pair)).is_error]
    assert gone == [leaves]


async def test_many_logins_at_once_stay_within_the_limit(start, settings, alice):
    update = {"max_sessions": 2, "overflow": "refuse", "account_attempts": 100}
    service = await start(settings.model_copy(update=update))
    answers = await asyncio.gather(*(_login(service, alice) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 2 + [409] * 6


async def test_a_ban_is_told_to_who_knows_the_password(service, alice, manager):
    tokens = await service.login(alice)
    manager.bans.add(alice, reason="späm", for_seconds=3600, level=3)
    refused = await _login(service, alice)
    assert (refused.status_code, refused.json()["error"]) == (403, "subject_banned")
    assert refused.json()["reason"] == "banned"
    ban = refused.json()["ban"]
    assert (ban["scope"], ban["reason"], ban["level"]) == ("", "späm", 3)
    assert ban["until"] == ban["banned_at"] + 3600
    assert "ban" not in (await _login(service, alice, "wrong")).json()
    ended = await _verify(service, tokens)
    assert (ended.status_code, ended.json()["reason"]) == (401, "banned")
    assert ended.json()["note"] == "späm"
    manager.bans.lift(alice)
    assert (await _login(service, alice)).status_code == 200


async def test_a_refresh_token_that_is_presented_often_at_once_has_one_successor(
    start, settings, service, alice
):
    other = await start(settings)
    tokens = await service.login(alice)
    answers = await asyncio.gather(
        *(_refresh((service, other)[n % 2], tokens["refresh_token"]) for n in range(24))
    )
    assert {answer.status_code for answer in answers} == {200}
    successors = {answer.json()["refresh_token"] for answer in answers}
    assert len(successors) == 1
    assert successors != {tokens["refresh_token"]}
    for answer in answers:
        assert (await _verify(service, answer.json())).status_code == 200


async def test_a_refresh_token_that_is_reused_ends_the_session(service, alice):
    tokens = newest = await service.login(alice)
    for _ in range(5):  # more than the grace covers
        newest = (await _refresh(service, newest["refresh_token"])).json()
    reused = await _refresh(service, tokens["refresh_token"])
    assert (reused.status_code, reused.json()["error"]) == (401, "refresh_token_reused")
    assert reused.json()["reason"] == "stale"
    assert reused.headers["www-authenticate"] == "Bearer"
    ended = await _verify(service, newest)
    assert (ended.json()["error"], ended.json()["reason"]) == ("session_revoked", "reused")
    dead = await _refresh(service, newest["refresh_token"])
    assert (dead.json()["error"], dead.json()["reason"]) == ("invalid_refresh_token", "reused")
    assert dead.json()["ended_at"] == ended.json()["ended_at"]


async def test_without_a_grace_a_refresh_token_is_good_once(start, settings, alice):
    service = await start(settings.model_copy(update={"refresh_grace": 0}))
    tokens = await service.login(alice)
    assert (await _refresh(service, tokens["refresh_token"])).status_code == 200
    again = await _refresh(service, tokens["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (401, "refresh_token_reused")


async def test_the_addresses_of_a_refresh_and_a_logout_are_in_the_history(
    start, settings, service, alice
):
    keeper = await service.login(alice)
    there = await start(settings, peer="2001:db8::7")
    tokens = await there.login(alice)
    tokens = (await _refresh(there, tokens["refresh_token"])).json()
    assert (await there.client.post("/logout", headers=bearer(tokens))).status_code == 204
    answer = await service.client.get("/history", headers=bearer(keeper))
    lines = [entry for entry in answer.json()["entries"] if entry["address"] == "2001:db8::7"]
    assert [entry["kind"] for entry in lines] == ["logged_out", "refresh", "login"]
    dead = await _refresh(there, tokens["refresh_token"])
    assert (dead.json()["reason"], "note" in dead.json()) == ("logged_out", False)
    assert dead.json()["ended_at"] == lines[0]["at"]


async def test_a_revocation_gives_its_reason(service, alice, manager):
    tokens = await service.login(alice)
    manager.revoke(alice, tokens["session_id"], reason='Läptop "stolen"')
    ended = await _verify(service, tokens)
    assert (ended.json()["reason"], ended.json()["note"]) == ("revoked", 'Läptop "stolen"')
    assert 'Läptop "stolen"' in ended.json()["detail"]
    assert ended.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert "stolen" in ended.headers["www-authenticate"]
    assert ended.headers["www-authenticate"].isascii()
    dead = await _refresh(service, tokens["refresh_token"])
    assert (dead.json()["reason"], dead.json()["note"]) == ("revoked", 'Läptop "stolen"')


async def test_sessions_on_one_type_of_device_can_be_ended(service, alice):
    current, phone, web = [
        await service.login(alice, device_type=kind) for kind in ("phone", "phone", "web")
    ]
    answer = await service.client.delete("/sessions?device_type=phone", headers=bearer(current))
    assert (answer.status_code, answer.json()) == (
        200,
        {"revoked": 1, "durable": True, "journaled": False},
    )
    assert (await _verify(service, phone)).status_code == 401
    for tokens in (current, web):
        assert (await _verify(service, tokens)).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["devicetype=phone", "device_type=", "device_type=a%20b", "device_type=a&device_type=b"],
)
async def test_a_query_that_is_misspelt_ends_nothing(service, alice, query):
    current, other = await service.login(alice), await service.login(alice)
    answer = await service.client.delete(f"/sessions?{query}", headers=bearer(current))
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")
    assert [entry["field"] for entry in answer.json()["fields"]] == [query.partition("=")[0]]
    assert (await _verify(service, other)).status_code == 200


async def test_a_session_can_be_shortened_and_then_ends(service, alice):
    tokens, other = await service.login(alice), await service.login(alice)
    path = f"/sessions/{other['session_id']}"
    answer = await service.client.patch(path, json={"lifetime": 3600}, headers=bearer(tokens))
    assert answer.status_code == 200
    assert answer.json()["expires_at"] <= answer.json()["created_at"] + 3605
    assert answer.json()["current"] is False
    longer = await service.client.patch(path, json={"lifetime": 7200}, headers=bearer(tokens))
    assert longer.json()["expires_at"] == answer.json()["expires_at"]
    idle = await service.client.patch(path, json={"idle_lifetime": 60}, headers=bearer(tokens))
    assert idle.json()["expires_at"] < answer.json()["expires_at"]
    own = f"/sessions/{tokens['session_id']}"
    answer = await service.client.patch(own, json={"lifetime": 1}, headers=bearer(tokens))
    assert answer.json()["current"] is True
    async with asyncio.timeout(20):
        while (ended := await _verify(service, tokens)).status_code == 200:
            await asyncio.sleep(0.02)
    assert (ended.status_code, ended.json()["error"]) == (401, "session_expired")
    assert (ended.json()["reason"], ended.json()["ended_at"]) == (
        "session_expired",
        answer.json()["expires_at"],
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"idle_lifetime": 9}, 400),
        ({"lifetime": 0}, 422),
        ({"lifetime": "60"}, 422),
        ({"lifetime": 60.5}, 422),
        ({"lifetime": True}, 422),
        ({"lifetime": 2**70}, 422),
        ({"idle_lifetime": -1}, 422),
        ({"lifetime": 60, "subject": "other"}, 422),
    ],
)
async def test_what_is_no_shorter_lifetime(service, alice, body, status):
    tokens = await service.login(alice)
    path = f"/sessions/{tokens['session_id']}"
    answer = await service.client.patch(path, json=body, headers=bearer(tokens))
    assert answer.status_code == status


async def test_another_session_that_is_gone_cannot_be_shortened_and_the_own_one_lives(
    service, alice, directory, new_name
):
    name = new_name()
    directory.add(name, PASSWORD)
    tokens, ended, theirs = (
        await service.login(alice),
        await service.login(alice),
        await service.login(name),
    )
    await service.client.post("/logout", headers=bearer(ended))
    for session_id in (ended["session_id"], theirs["session_id"], "A" * 22, "x"):
        answer = await service.client.patch(
            f"/sessions/{session_id}", json={"lifetime": 60}, headers=bearer(tokens)
        )
        assert (answer.status_code, answer.json()["error"]) == (404, "session_not_found")
    assert (await _verify(service, theirs)).status_code == 200


@pytest.mark.parametrize("name", ["a/b", "é{}", "👩‍💻", "../x", "a%2Fb", "a;b=c&d", "?#"])
async def test_odd_subjects_live_like_others(service, directory, new_name, name):
    name = name + new_name()
    directory.add(name, PASSWORD)
    tokens = await service.login(name, device="👩‍💻")
    assert (await _verify(service, tokens)).json()["subject"] == name
    tokens = (await _refresh(service, tokens["refresh_token"])).json()
    entries = (await service.client.get("/history", headers=bearer(tokens))).json()["entries"]
    assert {entry["kind"] for entry in entries} == {"refresh", "login"}
    again = await service.client.post(
        "/step-up", json={"password": PASSWORD}, headers=bearer(tokens)
    )
    assert again.status_code == 200
    assert (await service.client.post("/logout", headers=bearer(tokens))).status_code == 204
    assert service.lines()[0]["subject"] == name


async def test_an_ending_that_names_itself_may_be_repeated(service, alice):
    """A client that lost the answer asks again; who logged in meanwhile stays."""
    here, _ = await service.login(alice), await service.login(alice)
    key = {"Idempotency-Key": "my-retry-1"}
    first = await service.client.delete("/sessions", headers={**bearer(here), **key})
    later = await service.login(alice)
    again = await service.client.delete("/sessions", headers={**bearer(here), **key})
    assert first.json() == again.json()
    assert first.json()["revoked"] == 1
    assert (await _verify(service, later)).status_code == 200
    other = await service.client.delete(
        "/sessions", headers={**bearer(here), "Idempotency-Key": "my-retry-2"}
    )
    assert other.json()["revoked"] == 1
    assert (await _verify(service, later)).status_code == 401


@pytest.mark.parametrize("key", ["", "x" * 129])
async def test_what_does_not_name_a_request(service, alice, key):
    tokens = await service.login(alice)
    answer = await service.client.post(
        "/logout", headers={**bearer(tokens), "Idempotency-Key": key}
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_input")
    assert (await _verify(service, tokens)).status_code == 200
