"""Managed signing keys in the store: creation, publication, rotation, revocation."""

import dataclasses
import pickle
import threading
import time

import pytest

from clusterpass import (
    ConfigurationError,
    InvalidInput,
    KeyRing,
    ManagedKeys,
    StoreUnavailable,
    TokenKeyUnknown,
    TokenVerifier,
)
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.managed_keys import StoredKey

from .stored import home_of, new_namespace, opened_apart

HOW = ManagedKeys(rotate_after=86_400, publish_before=3600)


@pytest.fixture
def namespace() -> str:
    return new_namespace()


@pytest.fixture
def in_store(config):
    return dataclasses.replace(
        config, keys=KeyRing.in_store(HOW), key_encryption_keys=(new_encryption_key(),)
    )


def states(keys) -> list[str]:
    return [key.state for key in keys]


def copies(engine, namespace: str) -> list[dict[bytes, bytes]]:
    found = []
    for slot in SLOTS_WITH_CUTOFF:
        key = Keyspace(namespace).secrets(slot)
        with home_of(engine, key) as client:
            held = client.hgetall(key)
            found.append({name: held[name] for name in held if name.startswith(b"k:")})
    return found


def shift(engine, namespace: str, seconds: int) -> None:
    """Let every key in the store be that much older."""
    for slot in SLOTS_WITH_CUTOFF:
        name = Keyspace(namespace).secrets(slot)
        with home_of(engine, name) as client:
            for kid, value in client.hgetall(name).items():
                if kid.startswith(b"k:"):
                    key = StoredKey.decode(kid[2:].decode(), value)
                    older = dataclasses.replace(
                        key,
                        created=key.created - seconds,
                        signs_from=key.signs_from - seconds,
                        revoked=key.revoked and key.revoked - seconds,
                    )
                    client.hset(name, kid, older.encode())


def test_the_first_process_makes_a_key_and_all_use_it(engine, in_store, namespace):
    with (
        opened_apart(engine, in_store, namespace) as one,
        opened_apart(engine, in_store, namespace) as two,
    ):
        assert in_store.keys.public_jwks() == {"keys": []}, "nobody accepts the key of before"
        pair = one.login("alice")
        assert two.verify(pair.access_token).subject == "alice"
        assert two.refresh(pair.refresh_token).session_id == pair.session_id
        (key,) = one.keys.list()
        assert (key.state, key.algorithm) == ("active", "EdDSA")
        assert [each["kid"] for each in one.config.keys.public_jwks()["keys"]] == [key.kid]
    first, *others = copies(engine, namespace)
    assert others == [first, first]
    (value,) = first.values()
    assert b'"d"' not in value


def test_a_key_is_published_before_it_signs_and_verifies_after(engine, in_store, namespace):
    with opened_apart(engine, in_store, namespace) as manager:
        old = manager.login("alice")
    shift(engine, namespace, HOW.rotate_after - HOW.publish_before)
    with opened_apart(engine, in_store, namespace) as manager:
        manager.login("bob")
        keys = manager.keys.list()
        assert states(keys) == ["active", "next"]
        assert abs(keys[1].signs_from - time.time() - HOW.publish_before) < 60
        outside = TokenVerifier(
            KeyRing.from_jwks(manager.config.keys.public_jwks()),
            issuer=in_store.issuer,
            audience=in_store.audience,
        )
    shift(engine, namespace, HOW.publish_before)
    with opened_apart(engine, in_store, namespace) as manager:
        pair = manager.login("carol")
        assert states(manager.keys.list()) == ["passive", "active"]
        assert outside.verify(pair.access_token).subject == "carol", "who kept the set knows it"
        assert manager.verify(old.access_token).subject == "alice"
        assert manager.keys.list()[0].verifies_until is not None
    shift(engine, namespace, in_store.access_lifetime + 600)
    with opened_apart(engine, in_store, namespace) as manager:
        assert states(manager.keys.list()) == ["retired", "active"]
        assert len(manager.config.keys) == 1
        assert manager.refresh(old.refresh_token).subject == "alice"


def test_processes_make_one_next_key(engine, in_store, namespace):
    with opened_apart(engine, in_store, namespace) as manager:
        manager.login("alice")
    shift(engine, namespace, HOW.rotate_after)
    with (
        opened_apart(engine, in_store, namespace) as one,
        opened_apart(engine, in_store, namespace) as two,
        opened_apart(engine, in_store, namespace) as three,
    ):
        for manager in (one, two, three):
            manager.login("bob")
        for manager in (one, two, three):
            assert states(manager.keys.list()) == ["active", "next"]


def test_a_revoked_key_is_refused_everywhere_and_nobody_is_logged_out(engine, in_store, namespace):
    strict = dataclasses.replace(in_store, verification="strict")
    with (
        opened_apart(engine, in_store, namespace) as one,
        opened_apart(engine, in_store, namespace) as two,
        opened_apart(engine, strict, namespace) as third,
    ):
        pair = one.login("alice")
        one.keys.rotate()
        for manager in (two, third):
            for _ in range(3):
                assert manager.verify(pair.access_token).subject == "alice"
        leaked = one.config.keys.signing_key.kid
        revoked = one.keys.revoke(leaked)
        assert sorted(states(revoked)) == ["active", "next", "revoked"]
        assert next(key.kid for key in revoked if key.state == "revoked") == leaked
        for manager in (one, two, third):
            deadline = time.monotonic() + 20
            while True:
                try:
                    manager.verify(pair.access_token)
                except TokenKeyUnknown:
                    break
                assert time.monotonic() < deadline
        newer = two.refresh(pair.refresh_token)
        assert one.verify(newer.access_token).session_id == pair.session_id
        assert one.keys.revoke(leaked) == revoked, "again"
        with pytest.raises(InvalidInput, match="there is no key"):
            one.keys.revoke("unknown")


def test_copies_are_filled_and_wrapped_anew(engine, in_store, namespace):
    with opened_apart(engine, in_store, namespace) as manager:
        manager.login("alice")
        before = copies(engine, namespace)[0]
        for number in (0, 2):
            key = Keyspace(namespace).secrets(SLOTS_WITH_CUTOFF[number])
            with home_of(engine, key) as client:
                client.delete(key)
        manager.keys.list()
        assert copies(engine, namespace) == [before] * 3
    newer = new_encryption_key()
    both = dataclasses.replace(in_store, key_encryption_keys=(newer, *in_store.key_encryption_keys))
    with opened_apart(engine, both, namespace) as manager:
        manager.keys.list()
        for _ in range(3):  # a second later each
            manager._flows.context.secrets._known._due_at = 0.0
            manager.login("alice")
    assert copies(engine, namespace)[0] != before
    alone = dataclasses.replace(in_store, key_encryption_keys=(newer,))
    with opened_apart(engine, alone, namespace) as manager:
        assert manager.login("bob").subject == "bob"
    with (
        opened_apart(engine, in_store, namespace) as manager,
        pytest.raises(ConfigurationError, match="key encryption key"),
    ):
        manager.login("carol")


def test_what_is_missing_is_said(engine, config, in_store, open_manager):
    with pytest.raises(ConfigurationError, match="key_encryption_keys"):
        dataclasses.replace(config, keys=KeyRing.in_store())
    with pytest.raises(ConfigurationError, match=r"KeyRing.in_store"):
        open_manager(config).keys.list()
    for wrong in (
        {"algorithm": "HS256"},
        {"algorithm": "none"},
        {"rotate_after": 60},
        {"publish_before": 1},
        {"rotate_after": 3600, "publish_before": 3600},
    ):
        with pytest.raises(ConfigurationError):
            ManagedKeys(**wrong)


def test_without_a_store_nothing_is_signed(in_store):
    from clusterpass import SessionManager

    with SessionManager.from_url(
        "redis://127.0.0.1:1?deadline=0.3&timeout=0.2&replica_wait=0.1", in_store
    ) as lone:
        for act in (lambda: lone.login("alice"), lambda: lone.verify("a.b.c"), lone.keys.list):
            with pytest.raises(StoreUnavailable):
                act()


def test_servers_may_get_another_encryption_key_one_after_the_other(engine, in_store, namespace):
    """A server that runs without the new key goes on, with keys and refresh secrets."""
    newer = new_encryption_key()
    behind = dataclasses.replace(
        in_store, key_encryption_keys=(*in_store.key_encryption_keys, newer)
    )
    before = dataclasses.replace(behind, key_encryption_keys=behind.key_encryption_keys[::-1])
    with opened_apart(engine, in_store, namespace) as old:
        pair = old.login("alice")
        for config in (behind, before):
            with opened_apart(engine, config, namespace) as newest:
                for _ in range(3):
                    newest._flows.context.secrets._known._due_at = 0.0
                    newest.login("bob")
                newest.keys.list()
        old._flows.context.secrets._known._due_at = 0.0
        old._flows.known_keys.changed()
        assert old.verify(pair.access_token).subject == "alice"
        pair = old.refresh(pair.refresh_token)
        assert old.verify(pair.access_token, verification="strict").subject == "alice"
        before_all = copies(engine, namespace)
        with (
            opened_apart(engine, behind, namespace) as one,
            opened_apart(engine, before, namespace) as two,
        ):
            for _ in range(20):
                for manager in (one, two):
                    manager._flows.known_keys.changed()
                    manager.verify(pair.access_token, verification="strict")
            after = copies(engine, namespace)
            for manager in (one, two):
                manager._flows.known_keys.changed()
                manager.verify(pair.access_token, verification="strict")
            assert copies(engine, namespace) == after, "nobody wraps it back and forth"
        assert before_all[0].keys() == after[0].keys()


def test_a_revoked_key_is_refused_where_the_new_one_does_not_open(engine, in_store, namespace):
    other = new_encryption_key()
    both = dataclasses.replace(in_store, key_encryption_keys=(other, *in_store.key_encryption_keys))
    with (
        opened_apart(engine, in_store, namespace) as lacking,
        opened_apart(engine, both, namespace) as owner,
    ):
        pair = lacking.login("alice")
        assert lacking.verify(pair.access_token).subject == "alice"
        leaked = lacking.config.keys.signing_key.kid
        owner.keys.revoke(leaked)
        lacking._flows.known_keys.changed()
        with pytest.raises(TokenKeyUnknown):
            lacking.verify(pair.access_token)
        assert leaked not in str(lacking.config.keys.public_jwks())
        before = [each.session_id for each in owner.sessions("alice")]
        for act in (lambda: lacking.login("alice"), lambda: lacking.refresh(pair.refresh_token)):
            with pytest.raises(StoreUnavailable) as failure:
                act()
            assert failure.value.reason == "secrets"
        assert [each.session_id for each in owner.sessions("alice")] == before, (
            "nothing was opened that nobody has the token of"
        )
        newer = owner.refresh(pair.refresh_token)
        assert lacking.verify(newer.access_token).subject == "alice", "the public half is enough"
        again = pickle.loads(pickle.dumps(lacking.config.keys))
        assert again.public_jwks() == lacking.config.keys.public_jwks()

        # Once somebody wraps the key by what the process has, it signs.
        back = dataclasses.replace(both, key_encryption_keys=both.key_encryption_keys[::-1])
        with opened_apart(engine, back, namespace) as third:
            third.keys.list()
        lacking._flows.known_keys.changed()
        last = lacking.login("bob")
        assert owner.verify(last.access_token).subject == "bob"


def test_where_a_new_key_does_not_open_the_one_before_signs(engine, in_store, namespace):
    other = new_encryption_key()
    both = dataclasses.replace(in_store, key_encryption_keys=(other, *in_store.key_encryption_keys))
    with opened_apart(engine, in_store, namespace) as lacking:
        lacking.login("alice")
        first = lacking.config.keys.signing_key.kid
        with opened_apart(engine, both, namespace) as owner:
            owner.keys.rotate()
        shift(engine, namespace, HOW.publish_before)
        with opened_apart(engine, both, namespace) as owner:
            pair = owner.login("carol")
            assert owner.config.keys.signing_key.kid != first
            lacking._flows.known_keys.changed()
            assert lacking.verify(pair.access_token).subject == "carol"
            assert lacking.config.keys.signing_key.kid == first
            assert owner.verify(lacking.login("dora").access_token).subject == "dora"


def test_the_next_key_may_be_revoked(engine, in_store, namespace):
    with opened_apart(engine, in_store, namespace) as manager:
        manager.login("alice")
        manager.keys.rotate()
        following = manager.keys.list()[1]
        assert following.state == "next"
        assert states(manager.keys.revoke(following.kid)) == ["active", "revoked"]
    shift(engine, namespace, HOW.publish_before + in_store.access_lifetime + 600)
    with (
        opened_apart(engine, in_store, namespace) as one,
        opened_apart(engine, in_store, namespace) as two,
    ):
        assert two.verify(one.login("bob").access_token).subject == "bob"
        assert states(one.keys.list()) == ["active", "revoked"]


def test_a_key_is_made_where_all_are_revoked(engine, in_store, namespace):
    with opened_apart(engine, in_store, namespace) as manager:
        pair = manager.login("alice")
        for slot in SLOTS_WITH_CUTOFF:
            name = Keyspace(namespace).secrets(slot)
            with home_of(engine, name) as client:
                for kid, value in client.hgetall(name).items():
                    if kid.startswith(b"k:"):
                        key = StoredKey.decode(kid[2:].decode(), value)
                        gone = dataclasses.replace(key, revoked=int(time.time()))
                        client.hset(name, kid, gone.encode())
        manager._flows.known_keys.changed()
        with pytest.raises(TokenKeyUnknown):
            manager.verify(pair.access_token)
        with opened_apart(engine, in_store, namespace) as newer:
            token = newer.login("bob").access_token
            assert manager.verify(token).subject == "bob"
            assert sorted(states(newer.keys.list())) == ["active", "revoked"]


def test_an_unreadable_key_in_one_copy_stops_nothing(engine, in_store, namespace):
    with opened_apart(engine, in_store, namespace) as manager:
        pair = manager.login("alice")
        for slot in SLOTS_WITH_CUTOFF[:2]:
            name = Keyspace(namespace).secrets(slot)
            with home_of(engine, name) as client:
                client.hset(name, b"k:broken", b"what is that")
        for _ in range(6):
            manager._flows.known_keys.changed()
            assert manager.verify(pair.access_token, verification="strict").subject == "alice"


def test_of_two_who_rotate_at_once_one_makes_the_next_key(engine, in_store, namespace):
    if engine[1] != "sync":
        pytest.skip("threads of the synchronous face are enough")
    with (
        opened_apart(engine, in_store, namespace) as one,
        opened_apart(engine, in_store, namespace) as two,
    ):
        for manager in (one, two):
            manager.login("alice")
        start = threading.Barrier(2)
        made: list[list[str]] = []

        def rotate(manager) -> None:
            start.wait()
            made.append(states(manager.keys.rotate()))

        threads = [threading.Thread(target=rotate, args=(each,)) for each in (one, two)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert made == [["active", "next"]] * 2
        assert states(one.keys.list()) == ["active", "next"]
