"""Rare cases: a full store, records of a later release, many impersonations."""

import asyncio
import dataclasses

import pytest

from clusterpass import (
    AsyncSessionManager,
    EmbeddedCluster,
    InvalidInput,
    PasswordHasher,
    SessionManager,
    SessionRevoked,
    StoreUnavailable,
    SubjectBanned,
    UserDirectory,
)
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LIVE_SCHEMA
from clusterpass.tokens.identifiers import decode_session_id
from tests.cluster.stored import make_known


def test_a_full_store_still_revokes(config):
    with EmbeddedCluster(nodes=1) as full, SessionManager.from_url(full.url, config) as manager:
        pairs = [manager.login("alice") for _ in range(4)]
        with full.client(full.nodes[0]) as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1mb")
        with pytest.raises(StoreUnavailable) as refusal:
            manager.login("bob")
        assert refusal.value.reason == "full"
        assert manager.verify(pairs[0].access_token)
        assert manager.logout(pairs[0].access_token).count == 1
        assert manager.revoke("alice", pairs[1].session_id).count == 1
        assert manager.bans.add("alice", reason="fraud").count == 2
        manager.revoke_before()
        for pair in pairs:
            with pytest.raises(SessionRevoked):
                manager.verify(pair.access_token)


def test_users_can_be_shut_out_of_a_full_store(config):
    old, new = "correct horse battery", "battery staple horse"
    with EmbeddedCluster(nodes=1) as full, SessionManager.from_url(full.url, config) as manager:
        users = UserDirectory(manager, hasher=PasswordHasher(memory_kib=8))
        for name in ("alice", "bob", "carol", "dave"):
            users.add(name, old)
            manager.login(name)
        link = users.make_link("dave")
        with full.client(full.nodes[0]) as client:
            client.config_set("maxmemory", "1mb")
        with pytest.raises(StoreUnavailable):
            users.add("erin", old)
        assert users.disable("alice").count == 1
        assert users.set_password("bob", new).count == 1
        assert users.delete("carol").count == 1
        assert users.use_link(link.token, new).count == 1
        assert [(each.name, each.disabled) for each in users.list()] == [
            *(("alice", True), ("bob", False), ("dave", False)),
        ]


def as_of_a_later_release(running, pair, schema):
    """Change the schema number of a stored record, as an upgrade in progress would."""
    key = Keyspace().sessions(pair.subject)
    with running.client(running.primary_of(key)) as client:
        field = decode_session_id(pair.session_id)
        value = client.hget(key, field)
        client.hset(key, field, bytes([schema]) + value[1:])
    make_known(key)


@pytest.mark.parametrize("end", ["revoke_all", "ban"])
def test_a_session_that_a_later_release_wrote_ends_with_all(engine, manager, subject, end):
    ours, theirs = manager.login(subject), manager.login(subject)
    as_of_a_later_release(engine[0], theirs, LIVE_SCHEMA + 1)
    assert [each.session_id for each in manager.sessions(subject)] == [ours.session_id]
    assert manager.history(subject)
    if end == "revoke_all":
        assert manager.revoke_all(subject).count == 2
    else:
        assert manager.bans.add(subject).count == 2
        with pytest.raises(SubjectBanned):
            manager.login(subject)
    for pair in (ours, theirs):
        with pytest.raises(SessionRevoked):
            manager.verify(pair.access_token)


def test_a_subject_is_impersonated_ten_times_at_most(manager, subject):
    actor = manager.verify(manager.login(f"{subject}-support").access_token)
    own = manager.login(subject)
    pairs = [manager.impersonate(actor, subject, reason=str(number)) for number in range(13)]
    listed = manager.sessions(subject)
    assert [each.act.reason for each in listed if each.act] == [
        str(number) for number in range(12, 2, -1)
    ]
    assert manager.verify(own.access_token)
    with pytest.raises(SessionRevoked) as end:
        manager.verify(pairs[0].access_token)
    assert end.value.reason == "replaced"


def test_claims_are_not_nested_without_end(manager, subject):
    nested = "x"
    for _ in range(31):
        nested = [nested]
    pair = manager.login(subject, claims={"fits": nested})
    assert manager.verify(pair.access_token).claims == {"fits": nested}
    with pytest.raises(InvalidInput, match="nested"):
        manager.login(subject, claims={"deep": [nested]})
    endless = []
    endless.append(endless)
    with pytest.raises(InvalidInput, match="nested"):
        manager.claims.set(subject, {"endless": endless})


class Ending(BaseException):
    """An exception that no handler of ordinary errors catches."""


def test_no_listener_ends_the_listening(cluster_url, config, subject):
    told = []
    with SessionManager.from_url(cluster_url, config) as manager:

        @manager.on("login")
        def ends(event):
            raise Ending

        @manager.on("login")
        async def gives_up(event):
            raise asyncio.CancelledError

        manager.on("login")(told.append)
        manager.login(subject)
        manager.login(subject)
    assert len(told) == 2


async def test_no_listener_ends_the_loop(cluster_url, config, subject):
    told = []
    async with AsyncSessionManager.from_url(cluster_url, config) as manager:

        @manager.on("login")
        def ends(event):
            raise Ending

        @manager.on("login")
        async def gives_up(event):
            raise asyncio.CancelledError

        manager.on("login")(told.append)
        await manager.login(subject)
        await manager.login(subject)
    assert len(told) == 2


@pytest.mark.parametrize("kind", ["expired", "idle"])
def test_what_happens_by_itself_has_no_listener(manager, kind):
    with pytest.raises(InvalidInput, match="no event"):
        manager.on(kind)


def test_history_outlives_the_session_by_its_lifetime(engine, open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, history_lifetime=500_000))
    manager.login(subject)
    key = Keyspace().sessions(subject)
    with engine[0].client(engine[0].primary_of(key)) as client:
        assert client.ttl(key) > 7 * 86_400 + 500_000 - 10
