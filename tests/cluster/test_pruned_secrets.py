"""Pruning of keys and secrets that were retired long ago: no process writes them back."""

import dataclasses
import json
import time

import pytest

from clusterpass import (
    AuditPolicy,
    InvalidRefreshToken,
    KeyRing,
    ManagedKeys,
    SessionManager,
    acting,
)
from clusterpass.protocol.calls.secrets import prune_secrets
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.managed_keys import StoredKey

from .stored import home_of, new_namespace, opened_apart

YEAR = 366 * 86_400


@pytest.fixture
def namespace() -> str:
    return new_namespace()


@pytest.fixture
def in_store(config):
    return dataclasses.replace(
        config,
        keys=KeyRing.in_store(ManagedKeys(rotate_after=86_400, publish_before=3600)),
        key_encryption_keys=(new_encryption_key(),),
        audit=AuditPolicy(),
    )


def copies(engine, namespace: str, kind: bytes) -> list[set[str]]:
    found = []
    for slot in SLOTS_WITH_CUTOFF:
        key = Keyspace(namespace).secrets(slot)
        with home_of(engine, key) as client:
            names = client.hkeys(key)
            found.append({name[2:].decode() for name in names if name.startswith(kind)})
    return found


def change(engine, namespace: str, kind: bytes, older) -> None:
    """Replace each value of a kind by what ``older`` returns for it, in every copy."""
    for slot in SLOTS_WITH_CUTOFF:
        name = Keyspace(namespace).secrets(slot)
        with home_of(engine, name) as client:
            for held, value in client.hgetall(name).items():
                if held.startswith(kind):
                    client.hset(name, held, older(held[2:].decode(), value))


def acts(manager, action: str) -> list:
    manager.audit.flush()
    return [each for each in manager.audit.page().entries if each.action == action]


def older_key(seconds: int, *, revoked: bool = False):
    def older(kid: str, value: bytes) -> bytes:
        key = StoredKey.decode(kid, value)
        began = key.signs_from - seconds
        return dataclasses.replace(
            key, created=began, signs_from=began, revoked=began + 60 if revoked else 0
        ).encode()

    return older


@pytest.mark.parametrize("is_revoked", [False, True])
def test_a_key_that_verifies_no_more_is_removed_once(engine, in_store, namespace, is_revoked):
    with (
        opened_apart(engine, in_store, namespace) as one,
        opened_apart(engine, in_store, namespace) as two,
    ):
        one.login("alice")
        (first,) = one.keys.list()
        change(engine, namespace, b"k:", older_key(YEAR, revoked=is_revoked))
        with opened_apart(engine, in_store, namespace) as fresh:
            fresh.login("bob")  # makes the next key, as that of a year ago is overdue
            (second,) = {key.kid for key in fresh.keys.list()} - {first.kid}
            assert first.kid in copies(engine, namespace, b"k:")[0], "it ended a moment ago"
        two.keys.list()
        for slot in SLOTS_WITH_CUTOFF:
            name = Keyspace(namespace).secrets(slot)
            with home_of(engine, name) as client:
                held = client.hget(name, f"k:{second}")
                client.hset(name, f"k:{second}", older_key(YEAR // 2)(second, held))
        with opened_apart(engine, in_store, namespace) as fresh:
            fresh.login("carol")
            fresh.keys.list()
            assert all(first.kid not in each for each in copies(engine, namespace, b"k:"))
            (entry,) = acts(fresh, "prune_keys")
            assert (entry.actor, entry.details["ids"]) == (None, [first.kid])
            two.keys.list()  # knows the key still
            assert all(first.kid not in each for each in copies(engine, namespace, b"k:"))
            assert len(acts(fresh, "prune_keys")) == 1
            assert fresh.verify(two.login("dora").access_token).subject == "dora"


def test_a_retired_secret_is_removed_and_stays_away(engine, in_store, namespace):
    in_store = dataclasses.replace(
        in_store,
        absolute_lifetime=3600,
        idle_lifetime=3600,
        remember_lifetime=7200,
        remember_idle_lifetime=7200,
    )
    with opened_apart(engine, in_store, namespace) as one:
        before = one.login("alice")
        (leaked,) = copies(engine, namespace, b"r:")[0]
        one.keys.rotate_refresh_secret(retire_others=True)
        old = json.dumps({"retired": (time.time() - 31 * 86_400) * 1000}).encode()
        change(engine, namespace, b"r:", lambda name, value: old if name == leaked else value)
        with opened_apart(engine, in_store, namespace) as fresh:
            fresh.login("bob")
            assert all(leaked not in each for each in copies(engine, namespace, b"r:"))
            (entry,) = acts(fresh, "prune_refresh_secrets")
            assert entry.details["ids"] == [leaked]
            with pytest.raises(InvalidRefreshToken):
                fresh.refresh(before.refresh_token)


def test_a_copy_is_pruned_once_a_day_by_its_own_clock_and_only_as_it_was_read(
    engine, in_store, namespace
):
    url = f"{engine[0].url}?namespace={namespace}"
    with SessionManager.from_url(url, in_store) as manager:
        keyspace = manager.store.keyspace
        key = keyspace.secrets(SLOTS_WITH_CUTOFF[0])

        def prune(**stale):
            def flow():
                return (yield prune_secrets(keyspace, 0, stale, marker="p:")).reply

            return manager.store.run(flow())

        with home_of(engine, key) as client:
            client.hset(key, mapping={"a": "1", "b": "1"})
            assert prune(a=(b"1", int(time.time()) + 60)) == [], "a clock that is ahead"
            assert prune(a=(b"2", 0)) == [], "it has changed"
            assert prune(a=(b"1", 0)) == ["a"]
            assert prune(b=(b"1", 0)) == [], "not twice a day"
            client.hdel(key, "p:", "b")


def test_keys_that_are_made_by_schedule_are_in_the_audit_trail(engine, in_store, namespace):
    with opened_apart(engine, in_store, namespace) as manager:
        with acting("alice", via="http"):
            manager.login("alice")
        (key,) = manager.keys.list()
        (entry,) = acts(manager, "rotate_key")
        assert (entry.actor, entry.via, entry.details["next"]) == (None, None, key.kid)
        assert entry.details["scheduled"] is True
        with acting("root", via="command"):
            _, following = manager.keys.rotate()
            made = manager.keys.rotate_refresh_secret()
        _, entry = acts(manager, "rotate_key")
        told = {"active": key.kid, "next": following.kid}
        assert (entry.actor, dict(entry.details)) == ("root", told)
        (entry,) = acts(manager, "rotate_refresh_secret")
        assert entry.details["id"] == made
