"""The schedule of managed keys: publication, signing, retirement, revocation and rotation."""

from dataclasses import replace
from typing import Any

import pytest

from clusterpass.model.errors import ConfigurationError, StoreFailed, StoreUnavailable
from clusterpass.tokens.key_encryption import KeyEncryptionKeys, new_encryption_key
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.managed_keys import (
    KeySchedule,
    ManagedKeys,
    OpenedKeys,
    StoredKey,
    make_key,
)

NOW, LIFE = 1_800_000_000, 900
LONGEST = 3660 * 86_400
HOW = ManagedKeys(rotate_after=100_000, publish_before=10_000)


def key(kid: str, signs_from: int, **more: Any) -> StoredKey:
    return StoredKey(
        kid, {"kid": kid, "alg": "EdDSA"}, "wrapped", signs_from - 5, signs_from, **more
    )


def schedule(*keys: StoredKey, now: float = NOW) -> KeySchedule:
    return KeySchedule(keys, now, LIFE)


@pytest.mark.parametrize(
    ("rotate_after", "publish_before", "words"),
    [
        (3599, 60, "rotate_after must be a whole number from 3600 to 316224000, not 3599"),
        (LONGEST + 1, 60, "rotate_after must be a whole number from 3600 to 316224000"),
        (3600, 59, "publish_before must be a whole number from 60 to 316224000, not 59"),
        (3600, True, "publish_before must be a whole number from 60 to 316224000, not True"),
        (3600, 3600, "publish_before must be shorter"),
    ],
)
def test_a_key_is_published_before_it_signs(
    rotate_after: int, publish_before: int, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ManagedKeys(rotate_after=rotate_after, publish_before=publish_before)
    assert ManagedKeys(rotate_after=3600, publish_before=3599)
    assert ManagedKeys(rotate_after=3600, publish_before=60)
    assert ManagedKeys(rotate_after=LONGEST)


def test_states_follow_each_other():
    keys = (key("a", NOW), key("b", NOW + 100))
    shown = {
        after: [each.state for each in schedule(*keys, now=NOW + after).described()]
        for after in (-1, 0, 99, 100, 100 + LIFE + 299, 100 + LIFE + 300)
    }
    assert shown == {
        -1: ["active", "next"],  # the first key begins at once
        0: ["active", "next"],
        99: ["active", "next"],
        100: ["passive", "active"],
        100 + LIFE + 299: ["passive", "active"],
        100 + LIFE + 300: ["retired", "active"],
    }


def test_the_key_that_signs_comes_first_and_retired_ones_not_at_all():
    keys = (key("a", NOW - 9000), key("b", NOW - 500), key("c", NOW - 10), key("d", NOW + 50))
    assert [each.kid for each in schedule(*keys).usable()] == ["c", "d", "b", "a"]
    assert [each.kid for each in schedule(*keys, now=NOW + LIFE).usable()] == ["d", "c", "b"]
    assert [each.kid for each in schedule(*keys, now=NOW + LIFE + 289).usable()] == ["d", "c", "b"]
    assert [each.kid for each in schedule(*keys, now=NOW + LIFE + 290).usable()] == ["d", "c"]
    assert schedule().usable() == []
    assert schedule().active is None
    assert schedule().described() == []


def test_a_revoked_key_is_not_used_and_the_next_one_begins():
    revoked, following = key("a", NOW - 50, revoked=NOW - 1), key("b", NOW + 500)
    found = schedule(revoked, following)
    assert [each.kid for each in found.usable()] == ["b"]
    assert [each.state for each in found.described()] == ["revoked", "active"]


def test_a_retired_key_does_not_sign_again_where_the_next_one_was_revoked():
    keys = (key("a", NOW), key("b", NOW + 100, revoked=NOW + 200))
    end = NOW + 100 + LIFE + 300
    assert [each.kid for each in schedule(*keys, now=end - 1).usable()] == ["a"]
    assert schedule(*keys, now=end).active is None
    assert schedule(*keys, now=end).usable() == []


@pytest.mark.parametrize(
    ("keys", "begins"),
    [
        ((), NOW),
        ((key("a", NOW - 100),), None),
        ((key("a", NOW - 90_000 + 1),), None),
        ((key("a", NOW - 90_000),), NOW + 10_000),
        ((key("a", NOW - 200_000),), NOW + 10_000),
        ((key("a", NOW - 200_000), key("b", NOW + 1)), None),
        ((key("a", NOW - 100, revoked=NOW),), NOW),
        ((key("a", NOW + 50, revoked=NOW),), NOW),
        ((key("a", NOW + 50, revoked=NOW + 60),), NOW + 51),
        ((key("a", NOW - 90_000), key("b", NOW + 10_000_000)), NOW + 10_000),
        ((key("a", NOW - 100, revoked=NOW), key("b", NOW + 10_000_000, revoked=NOW)), NOW),
    ],
)
def test_when_the_next_key_is_made(keys, begins):
    assert schedule(*keys).next_begins(HOW) == begins


@pytest.mark.parametrize("revoked", [NOW, NOW + 500])
def test_a_key_that_was_revoked_before_it_signed_ends_no_other(revoked):
    keys = (key("a", NOW - 100), key("b", NOW + 500, revoked=revoked))
    for after in (0, 500, 500 + LIFE + 300, 80_000):
        found = schedule(*keys, now=NOW + after)
        assert [each.kid for each in found.usable()] == ["a"]
        assert found.described()[0].signs_until is None
        assert found.next_begins(HOW) is None


def test_a_key_can_no_longer_matter_a_month_after_its_last_token():
    keys = (key("a", NOW), key("b", NOW + 100), key("c", NOW + 10_000_000, revoked=NOW + 500))
    due = NOW + 100 + LIFE + 300 + 30 * 86_400
    assert schedule(*keys, now=due - 1).stale() == {}
    assert schedule(*keys, now=due).stale() == {"a": due}
    assert schedule(keys[0], now=due).stale() == {}, "it signs"


def test_a_key_in_place_of_a_revoked_one_lasts_although_a_clock_is_behind():
    """Its maker's clock is 100 s behind that of the process which made the one before."""
    former = key("a", NOW + 100)
    begins = schedule(former).begins_at_once
    newer = key("b", begins)
    for after in (0, 100, 100 + LIFE + 300, 90_000):
        found = schedule(replace(former, revoked=NOW + 1), newer, now=NOW + after)
        assert [each.kid for each in found.usable()] == ["b"]


def test_a_key_of_a_clock_years_ahead_stops_no_rotation():
    keys = (key("a", NOW - 90_000), key("b", NOW + 10_000_000))
    assert not schedule(*keys).has_next(HOW)
    assert schedule(*keys, key("c", NOW + 10_000)).has_next(HOW)


def test_a_key_comes_back_as_it_was_stored():
    one = key("a", NOW, revoked=NOW + 3)
    assert StoredKey.decode("a", one.encode()) == one
    for value in (b"", b"{}", b"[]", b'{"public": {}}', one.encode().replace(b'"a"', b'"b"')):
        with pytest.raises(StoreFailed, match="'a' in the store cannot be read"):
            StoredKey.decode("a", value)


def test_before_the_store_was_read_nothing_is_signed():
    """A token by a key that nobody accepts would look like a login."""
    ring = KeyRing.in_store(HOW)
    assert ring.can_sign
    assert ring.public_jwks() == {"keys": []}
    with pytest.raises(StoreUnavailable) as failure:
        ring.signing_key.sign(b"message")
    assert failure.value.reason == "secrets"


def test_where_the_key_that_signs_does_not_open_one_that_has_signed_does():
    """One that never signed may not be known to all verifiers yet."""
    ours, lost = (KeyEncryptionKeys([new_encryption_key()]) for _ in range(2))
    older, active, following = (
        make_key(HOW, wrapping, b"", now=signs_from, signs_from=signs_from)
        for wrapping, signs_from in ((ours, NOW - 500), (lost, NOW - 10), (ours, NOW + 50))
    )
    for keys, signs in (((older, active, following), older), ((active, following), following)):
        ring, failure = OpenedKeys(ours, b"", HOW).ring(schedule(*keys).usable())
        assert ring.signing_key.kid == signs.kid
        assert {each["kid"] for each in ring.public_jwks()["keys"]} == {each.kid for each in keys}
        assert "not among the key_encryption_keys" in str(failure)


def test_where_no_key_opens_nothing_is_signed_for_a_while():
    ours, lost = (KeyEncryptionKeys([new_encryption_key()]) for _ in range(2))
    ring, failure = OpenedKeys(ours, b"", HOW).ring(
        [make_key(HOW, lost, b"", now=NOW, signs_from=NOW)]
    )
    assert "not among the key_encryption_keys" in str(failure)
    with pytest.raises(StoreUnavailable) as refused:
        ring.signing_key.sign(b"message")
    assert (refused.value.reason, refused.value.retry_after) == ("secrets", 5)
