"""Refresh tokens outlive signing keys: their secrets lie in the store or in the configuration."""

import asyncio
import dataclasses
import json
import threading
from contextlib import AsyncExitStack

import pytest

from clusterpass import (
    AsyncSessionManager,
    ConfigurationError,
    InvalidRefreshToken,
    KeyRing,
    SessionManager,
    StoreUnavailable,
)
from clusterpass.protocol.calls.secrets import add_secrets
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.refresh_secrets import new_refresh_secret

from .stored import home_of, let_secrets_age, new_namespace, opened_apart


@pytest.fixture
def namespace() -> str:
    return new_namespace()


def copies(engine, namespace: str) -> list[dict[bytes, bytes]]:
    found = []
    for slot in SLOTS_WITH_CUTOFF:
        key = Keyspace(namespace).secrets(slot)
        with home_of(engine, key) as client:
            found.append(client.hgetall(key))
    return found


def lose(engine, namespace: str, *numbers: int) -> None:
    for number in numbers:
        key = Keyspace(namespace).secrets(SLOTS_WITH_CUTOFF[number])
        with home_of(engine, key) as client:
            client.delete(key)


def with_new_key(config):
    return dataclasses.replace(config, keys=KeyRing.generate())


def test_nobody_is_logged_out_when_the_signing_key_is_dropped(engine, config, namespace):
    with opened_apart(engine, config, namespace) as manager:
        pair = manager.login("alice")
    with opened_apart(engine, with_new_key(config), namespace) as manager:
        newer = manager.refresh(pair.refresh_token)
        assert newer.session_id == pair.session_id
        assert manager.refresh(pair.refresh_token).refresh_token == newer.refresh_token
        assert manager.verify(newer.access_token).subject == "alice"
        manager.logout(newer.refresh_token)


def test_the_store_has_three_copies_and_one_is_enough(engine, config, namespace):
    with opened_apart(engine, config, namespace) as manager:
        pair = manager.login("alice")
    assert len(copies(engine, namespace)[0]) == 1
    assert copies(engine, namespace) == copies(engine, namespace)[:1] * 3
    for lost in ((0, 1), (1, 2), (0, 2)):
        lose(engine, namespace, *lost)
        with opened_apart(engine, config, namespace) as manager:
            for _ in range(3):
                pair = manager.refresh(pair.refresh_token)
                manager._flows.context.secrets._known._due_at = 0.0  # a second, or a minute, later


def test_whoever_notices_fills_the_copies(engine, config, namespace):
    with opened_apart(engine, config, namespace) as manager:
        pair = manager.login("alice")
        before = copies(engine, namespace)
        lose(engine, namespace, 0)
        with opened_apart(engine, config, namespace) as other:
            other.refresh(pair.refresh_token)
        assert copies(engine, namespace) == before
        lose(engine, namespace, 0, 1, 2)
        manager._flows.context.secrets._known._due_at = 0.0  # a second, or a minute, later
        manager.login("alice")
        assert copies(engine, namespace) == before, "of what it knew"


def test_processes_that_begin_at_once_agree(engine, config, namespace):
    if engine[1] != "sync":
        pytest.skip("threads of the synchronous face are enough")
    url = f"{engine[0].url}?namespace={namespace}"
    managers = [SessionManager.from_url(url, config) for _ in range(4)]
    pairs: dict[int, str] = {}
    start = threading.Barrier(4)

    def log_in(number: int) -> None:
        start.wait()
        pairs[number] = managers[number].login(f"user-{number}").refresh_token

    threads = [threading.Thread(target=log_in, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for made in pairs.values():
        token = made
        for manager in managers:
            token = manager.refresh(token).refresh_token
    for manager in managers:
        manager.close()


def test_secrets_of_the_configuration_stay_out_of_the_store(engine, config, namespace):
    old, new = new_refresh_secret(), new_refresh_secret()
    with opened_apart(
        engine, dataclasses.replace(config, refresh_secrets=(old,)), namespace
    ) as manager:
        pair = manager.login("alice")
    for held in copies(engine, namespace):
        assert [name[:2] for name in held] == [b"c:"], "announced, and not there"
        assert old.encode() not in str(held).encode()
    both = dataclasses.replace(with_new_key(config), refresh_secrets=(new, old))
    with opened_apart(engine, both, namespace) as manager:
        pair = manager.refresh(pair.refresh_token)
    let_secrets_age(engine, namespace, 100, "since")
    with opened_apart(engine, both, namespace) as manager:
        pair = manager.refresh(pair.refresh_token)
    only_new = dataclasses.replace(both, refresh_secrets=(new,))
    with opened_apart(engine, only_new, namespace) as manager:
        pair = manager.refresh(pair.refresh_token)
    let_secrets_age(engine, namespace, 1000, "seen")
    only_old = dataclasses.replace(both, refresh_secrets=(old,))
    with (
        opened_apart(engine, only_old, namespace) as manager,
        pytest.raises(InvalidRefreshToken) as refusal,
    ):
        manager.refresh(pair.refresh_token)
    assert refusal.value.reason == "mismatch"


def test_another_audience_is_refused_and_ends_nothing(engine, config, namespace):
    with opened_apart(engine, config, namespace) as manager:
        pair = manager.login("alice")
        for change in ({"audience": "blog"}, {"issuer": "https://other.example"}):
            other = dataclasses.replace(config, **change)
            with (
                opened_apart(engine, other, namespace) as elsewhere,
                pytest.raises(InvalidRefreshToken) as refusal,
            ):
                elsewhere.refresh(pair.refresh_token)
            assert refusal.value.reason == "mismatch"
        assert manager.refresh(pair.refresh_token).session_id == pair.session_id


def test_secrets_are_wrapped_once_there_is_a_key(engine, config, namespace):
    with opened_apart(engine, config, namespace) as manager:
        pair = manager.login("alice")
    (value,) = copies(engine, namespace)[0].values()
    assert "secret" in json.loads(value)
    key, newer = new_encryption_key(), new_encryption_key()
    for keys in ((key,), (newer, key), (newer,)):
        sealed = dataclasses.replace(config, key_encryption_keys=keys)
        for copy in range(3):
            with opened_apart(engine, sealed, namespace) as manager:
                manager._flows.context.secrets._copies._next = copy
                pair = manager.refresh(pair.refresh_token)
        for stored in copies(engine, namespace):
            (value,) = stored.values()
            assert json.loads(value).keys() == {"wrapped", "created"}
    with (
        opened_apart(engine, config, namespace) as manager,
        pytest.raises(ConfigurationError, match="key encryption key"),
    ):
        manager.refresh(pair.refresh_token)


def test_one_process_wraps_every_copy(engine, config, namespace):
    with opened_apart(engine, config, namespace) as manager:
        manager.login("alice")
    sealed = dataclasses.replace(config, key_encryption_keys=(new_encryption_key(),))
    with opened_apart(engine, sealed, namespace) as manager:
        manager.login("alice")
    for stored in copies(engine, namespace):
        (value,) = stored.values()
        assert json.loads(value).keys() == {"wrapped", "created"}


def test_a_token_of_a_new_secret_is_looked_up(engine, config, namespace):
    with (
        opened_apart(engine, config, namespace) as manager,
        opened_apart(engine, config, namespace) as other,
    ):
        manager.login("alice")
        known = other._flows.context.secrets._known
        other.login("bob")
        fresh = known.proposal()
        for slot in SLOTS_WITH_CUTOFF:
            key = Keyspace(namespace).secrets(slot)
            with home_of(engine, key) as client:
                client.hset(key, mapping=fresh)
        known.learn(fresh)
        known._read = {name: known._read[name] for name in fresh}
        known.learn({})
        token = other.login("carol").refresh_token
        assert manager.refresh(token).subject == "carol"


def test_a_secret_is_rotated_and_others_are_retired(engine, config, namespace):
    with (
        opened_apart(engine, config, namespace) as manager,
        opened_apart(engine, config, namespace) as other,
    ):
        pair, kept = manager.login("alice"), manager.login("bob")
        other.refresh(kept.refresh_token)
        made = manager.keys.rotate_refresh_secret()
        assert b"r:" + made.encode() in copies(engine, namespace)[1]
        pair = other.refresh(pair.refresh_token)
        manager.keys.rotate_refresh_secret(retire_others=True)
        other._flows.context.secrets._known._due_at = 0.0  # a minute later
        for one in (manager, other):
            with pytest.raises(InvalidRefreshToken) as refusal:
                one.refresh(pair.refresh_token)
            assert refusal.value.reason == "mismatch"
        assert manager.refresh(other.login("carol").refresh_token).subject == "carol"
        assert copies(engine, namespace)[0] == copies(engine, namespace)[2]
    own = dataclasses.replace(config, refresh_secrets=(new_refresh_secret(),))
    with (
        opened_apart(engine, own, namespace) as manager,
        pytest.raises(ConfigurationError, match="those of the configuration"),
    ):
        manager.keys.rotate_refresh_secret()


def test_secrets_may_move_from_the_store_to_the_configuration(engine, config, namespace):
    with opened_apart(engine, config, namespace) as manager:
        pair = manager.login("alice")
    own = dataclasses.replace(config, refresh_secrets=(new_refresh_secret(),))
    with opened_apart(engine, own, namespace) as manager:
        newer = manager.refresh(pair.refresh_token)
        assert newer.session_id == pair.session_id
        assert manager.refresh(newer.refresh_token).session_id == pair.session_id


def test_secrets_that_do_not_open_are_retired_with_the_others(engine, config, namespace):
    """Where the key that wraps is lost, or has leaked and is gone from the configuration."""
    sealed = dataclasses.replace(config, key_encryption_keys=(new_encryption_key(),))
    anew = dataclasses.replace(config, key_encryption_keys=(new_encryption_key(),))
    with (
        opened_apart(engine, sealed, namespace) as former,
        opened_apart(engine, anew, namespace) as manager,
    ):
        pair = former.login("alice")
        for act in (lambda: manager.login("bob"), manager.keys.rotate_refresh_secret):
            with pytest.raises(ConfigurationError, match="key encryption key"):
                act()
        manager.keys.rotate_refresh_secret(retire_others=True)
        for held in copies(engine, namespace):
            assert sorted(b"retired" in value for value in held.values()) == [False, True]
        assert manager.refresh(manager.login("bob").refresh_token).subject == "bob"
        former._flows.context.secrets._known._due_at = 0.0  # a minute later
        with pytest.raises((ConfigurationError, InvalidRefreshToken)):
            former.refresh(pair.refresh_token)
        with pytest.raises(InvalidRefreshToken) as refusal:
            manager.refresh(pair.refresh_token)
        assert refusal.value.reason == "mismatch", "it was retired, so nobody waits for it"


def test_what_was_retired_stays_retired(engine, config, namespace):
    with opened_apart(engine, config, namespace) as manager:
        manager.login("alice")
        (before,) = copies(engine, namespace)[0].items()
        manager.keys.rotate_refresh_secret(retire_others=True)
        after = copies(engine, namespace)
        key = Keyspace(namespace).secrets(SLOTS_WITH_CUTOFF[1])
        with home_of(engine, key) as client:
            client.hset(key, *before)  # a failover has lost the write
        manager._flows.context.secrets._copies._next = 1
        manager._flows.context.secrets._known._due_at = 0.0
        manager.login("bob")
        assert copies(engine, namespace) == after

        # Another process wraps anew what it read a moment before.
        call = add_secrets(Keyspace(namespace), 1, {before[0].decode(): before[1]}, when="always")
        with home_of(engine, key) as client:
            client.eval(call.script.source, 1, key, *call.arguments)
        assert copies(engine, namespace) == after


def test_a_secret_that_does_not_open_here_ends_no_session(engine, config, namespace):
    """Where servers got the key that wraps in the wrong order."""
    old = new_encryption_key()
    sealed = dataclasses.replace(config, key_encryption_keys=(old,))
    newer = dataclasses.replace(config, key_encryption_keys=(new_encryption_key(), old))
    with opened_apart(engine, sealed, namespace) as lacking:
        pair = lacking.login("alice")
        with opened_apart(engine, newer, namespace) as manager:
            manager.keys.rotate_refresh_secret()
        let_secrets_age(engine, namespace, 100, "created")
        with opened_apart(engine, newer, namespace) as manager:
            latest = manager.refresh(pair.refresh_token)
            lacking._flows.context.secrets._known._due_at = 0.0  # a minute later
            for token in (latest.refresh_token, pair.refresh_token):
                with pytest.raises(StoreUnavailable) as failure:
                    lacking.refresh(token)
                assert failure.value.reason == "secrets"
            again = manager.refresh(pair.refresh_token)
            assert again.refresh_token == latest.refresh_token, "nobody stole it"


def test_where_all_secrets_were_retired_another_one_is_made(engine, config, namespace):
    """As by two administrators who retire each other's at the same moment."""
    with opened_apart(engine, config, namespace) as before:
        pair = before.login("alice")
        for number, held in enumerate(copies(engine, namespace)):
            key = Keyspace(namespace).secrets(SLOTS_WITH_CUTOFF[number])
            with home_of(engine, key) as client:
                client.hset(key, mapping=dict.fromkeys(held, b'{"retired": 1800000000000}'))
        with opened_apart(engine, config, namespace) as fresh:
            newer = fresh.login("bob")
            before._flows.context.secrets._known._due_at = 0.0  # a minute later
            assert before.refresh(newer.refresh_token).session_id == newer.session_id
            for manager in (before, fresh):
                with pytest.raises(InvalidRefreshToken):
                    manager.refresh(pair.refresh_token)


@pytest.mark.parametrize("managers", [1, 3])
async def test_who_needs_the_first_secret_at_the_same_time_makes_one(
    cluster, config, namespace, managers
):
    """More of them would be no harm, but be derived from at each refresh."""
    url = f"{cluster.url}?namespace={namespace}"
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(AsyncSessionManager.from_url(url, config))
            for _ in range(managers)
        ]
        logins = [opened[number % managers].login(f"user-{number}") for number in range(60)]
        pairs = await asyncio.gather(*logins)
        for manager in opened:
            await asyncio.gather(*(manager.refresh(pair.refresh_token) for pair in pairs[:3]))
    names = {name for copy in copies((cluster, "async"), namespace) for name in copy}
    assert len([name for name in names if name.startswith(b"r:")]) == 1, names
