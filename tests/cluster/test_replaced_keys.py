"""Replacement of the keys of a manager that is in use."""

import dataclasses
import threading
from collections import Counter

import pytest

from clusterpass import (
    ConfigurationError,
    KeyRing,
    TokenKeyUnknown,
    TokenSignatureInvalid,
    subject_of_token,
)
from clusterpass.tokens.keys import SigningKey


def ring_of(*rings: KeyRing) -> KeyRing:
    return KeyRing([key for ring in rings for key in ring.all()])


@pytest.fixture
def old() -> KeyRing:
    return KeyRing.generate()


@pytest.fixture
def new() -> KeyRing:
    return KeyRing.generate("ES256")


@pytest.fixture(params=["cached", "strict", "stateless"])
def manager(request, open_manager, config, old):
    return open_manager(dataclasses.replace(config, keys=old, verification=request.param))


def test_the_new_key_signs_and_the_old_one_verifies(manager, subject, old, new):
    first, spare = manager.login(subject), manager.login(subject)
    assert manager.verify(first.access_token).subject == subject
    manager.replace_keys(ring_of(new, old))
    second = manager.login(subject)
    assert manager.verify(first.access_token).subject == subject
    assert manager.verify(second.access_token).subject == subject
    third = manager.refresh(spare.refresh_token)
    with pytest.raises(TokenKeyUnknown):
        manager.replace_keys(old)
        manager.verify(third.access_token)
    manager.replace_keys(new)
    for pair in (second, third):
        assert manager.verify(pair.access_token).subject == subject
        assert subject_of_token(manager.config, pair.access_token) == subject
    assert manager.refresh(second.refresh_token)


def test_tokens_of_a_removed_key_are_refused_at_once(manager, subject, old, new):
    pair, other, third = (manager.login(subject) for _ in range(3))
    for _ in range(3):
        assert manager.verify(pair.access_token)
    manager.replace_keys(new)
    assert manager.recall(pair.access_token) is None
    for token in (pair.access_token, other.access_token):
        with pytest.raises(TokenKeyUnknown):
            manager.verify(token)
        with pytest.raises(TokenKeyUnknown):
            manager.logout(token)
    assert manager.verify(manager.refresh(third.refresh_token).access_token).subject == subject
    manager.replace_keys(ring_of(new, old))
    assert manager.verify(pair.access_token).subject == subject
    assert manager.logout(other.access_token).count == 1


def test_another_key_of_the_same_name_is_another_key(manager, subject, old):
    pair = manager.login(subject)
    assert manager.verify(pair.access_token)
    manager.replace_keys(KeyRing([SigningKey.generate(kid=old.signing_key.kid)]))
    with pytest.raises(TokenSignatureInvalid):
        manager.verify(pair.access_token)


def test_what_is_in_memory_stays_where_no_key_is_removed(open_manager, config, subject, old, new):
    manager = open_manager(dataclasses.replace(config, keys=old))
    pair = manager.login(subject)
    session = manager.verify(pair.access_token)
    near = manager._flows.memory.near
    for ring in (ring_of(old, new), ring_of(new, old)):
        manager.replace_keys(ring)
        assert manager.config.keys is ring
        assert near.entry(pair.access_token).session is session
    manager.replace_keys(old)
    assert near.entry(pair.access_token) is None, "the other one was removed"
    assert manager.verify(pair.access_token) == session


def test_a_manager_that_signs_goes_on_signing(manager, config, open_manager, old, new):
    with pytest.raises(ConfigurationError, match="can sign"):
        manager.replace_keys(KeyRing.from_jwks(new.public_jwks()))
    assert manager.config.keys is old
    verifying = open_manager(dataclasses.replace(config, keys=KeyRing.from_jwks(old.public_jwks())))
    with pytest.raises(ConfigurationError, match="can sign"):
        verifying.replace_keys(new)
    verifying.replace_keys(KeyRing.from_jwks(ring_of(new, old).public_jwks()))


def test_no_call_fails_while_keys_are_replaced(manager, subject, old, new):
    pair = manager.login(subject)
    outcomes: Counter[str] = Counter()
    ends = threading.Event()

    def ask() -> None:
        while not ends.is_set():
            try:
                manager.verify(pair.access_token)
                manager.verify(manager.login(subject).access_token)
                outcomes["fine"] += 1
            except Exception as error:
                outcomes[repr(error)] += 1

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    both = (ring_of(new, old), ring_of(old, new))
    for turn in range(200):
        manager.replace_keys(both[turn % 2])
    ends.set()
    for thread in threads:
        thread.join()
    assert set(outcomes) == {"fine"}
