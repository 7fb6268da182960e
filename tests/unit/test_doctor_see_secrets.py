"""The doctor's reading of the keys and secrets in the store, copy by copy."""

import dataclasses
import time
from typing import Any

import pytest

from clusterpass import StoreUnavailable
from clusterpass.doctor import judge
from clusterpass.doctor.see_secrets import see_secrets
from clusterpass.doctor.snapshot import NodeSnapshot, Snapshot
from clusterpass.doctor.stored_secrets import SecretSettings, StoredSecret, describe_secrets
from clusterpass.protocol.calls.secrets import COPIES
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.script import Answer
from clusterpass.sessions.memory import known_keys, stored_secret
from clusterpass.sessions.memory.known_keys import KIND
from clusterpass.sessions.memory.stored_secret import StoredForm
from clusterpass.store.address import Address
from clusterpass.tokens.key_encryption import KeyEncryptionKeys, new_encryption_key
from clusterpass.tokens.managed_keys import ManagedKeys, make_key

KEYSPACE, SETTINGS = Keyspace("app"), SecretSettings(token_seconds=900)
HELD = {f"{KIND}kid": b"not readable"}


class Store:
    """A store of which some copies cannot be read."""

    keyspace = KEYSPACE

    def __init__(self, *missing: int) -> None:
        self.missing = missing
        self.asked: list[Any] = []

    def run(self, flow: Any) -> Any:
        try:
            call = next(flow)
            while True:
                self.asked.append((call.script.name, call.keys))
                if len(self.asked) - 1 in self.missing:
                    call = flow.throw(StoreUnavailable())
                else:
                    call = flow.send(Answer(HELD, durable=True))
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize("missing", [(), (0,), (0, 2)])
def test_each_copy_is_read_and_one_is_enough(missing: tuple[int, ...]) -> None:
    store: Any = Store(*missing)
    seen = see_secrets(store, SETTINGS)
    slots = [SLOTS_WITH_CUTOFF[copy % COPIES] for copy in range(COPIES)]
    assert store.asked == [("read_secrets", (KEYSPACE.secrets(slot),)) for slot in slots]
    (node,) = seen.nodes
    of_one = tuple(describe_secrets(HELD, "app", SETTINGS))
    assert of_one != ()
    assert node.secrets == of_one * (COPIES - len(missing))
    assert seen.secret_settings is SETTINGS
    assert 0 <= time.time() - seen.taken_at < 60


def test_where_no_copy_can_be_read() -> None:
    store: Any = Store(*range(COPIES))
    with pytest.raises(StoreUnavailable):
        see_secrets(store, SETTINGS)
    assert len(store.asked) == COPIES


def test_what_cannot_be_judged_without_the_settings_of_the_service_is_said() -> None:
    closed = StoredSecret(name="x", is_key=False, why_closed="no key")
    node = NodeSnapshot(address=Address("10.0.0.1", 7000), secrets=(closed,))

    def told(**settings: Any) -> list[str]:
        given = SecretSettings(token_seconds=900, **settings)
        seen = Snapshot(nodes=(node,), secret_settings=given, taken_at=0.0)
        return [finding.severity for finding in judge(seen, only=["secrets"]).findings]

    assert told(is_of_service=False) == ["unseen"]
    assert told(is_of_service=True) == ["problem"]
    assert told(is_of_service=True, has_refresh_secrets=True) == ["warning"]
    assert told(is_of_service=False, key_encryption_keys=(new_encryption_key(),)) == ["problem"]


def test_why_a_key_or_a_secret_in_the_store_does_not_open() -> None:
    mine, other = new_encryption_key(), new_encryption_key()
    wrapping = KeyEncryptionKeys((mine,))
    key = make_key(ManagedKeys(), wrapping, known_keys.purpose("app"), now=5, signs_from=6)
    revoked = dataclasses.replace(key, revoked=7)
    secret = StoredForm(wrapping, stored_secret.purpose("app")).write(b"s" * 32, 5000)
    plain = StoredForm(KeyEncryptionKeys(()), stored_secret.purpose("app")).write(b"s" * 32, 5000)

    def described(name: str, value: bytes, by: str, namespace: str = "app") -> StoredSecret:
        settings = SecretSettings(key_encryption_keys=(by,))
        (found,) = describe_secrets({name: value}, namespace, settings)
        return found

    name, seen = f"{KIND}{key.kid}", dataclasses.replace(key, wrapped="")
    opened = described(name, key.encode(), mine)
    assert opened == StoredSecret(name=key.kid, is_key=True, key=seen)
    for by, namespace in ((other, "app"), (mine, "another")):
        closed = described(name, key.encode(), by, namespace)
        assert closed.key == seen
        assert "key" in closed.why_closed
        assert not closed.is_given_up
        assert described("r:x", secret, by, namespace).why_closed != ""
    given_up = described(name, revoked.encode(), other)
    assert (given_up.is_given_up, given_up.why_closed) == (True, "")
    assert described("r:x", secret, mine) == StoredSecret(name="x", is_key=False)
    assert described("r:x", plain, other).why_closed == ""
    retired = described("r:x", b'{"retired": 1}', other)
    assert (retired.is_given_up, retired.why_closed) == (True, "")
    for each in (name, "r:x"):
        for odd in (b"not readable", b"{}", b"[]"):
            assert "cannot be read" in described(each, odd, mine).why_closed
    assert describe_secrets({"z:x": b"of a later release"}, "app", SETTINGS) == ()


def test_the_settings_of_secrets_show_none_of_them() -> None:
    key = new_encryption_key()
    shown = repr(SecretSettings(key_encryption_keys=(key,), token_seconds=900))
    assert key not in shown
    assert "900" in shown
