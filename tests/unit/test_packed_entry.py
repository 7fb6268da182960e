"""Packing of cache entries: an entry is unpacked as it was."""

from math import inf

import pytest

from clusterpass.model.bans import Ban
from clusterpass.model.frozen import FrozenDict, FrozenList, frozen
from clusterpass.model.values import NO_CLAIMS, Actor, Session
from clusterpass.protocol.keyspace import SubjectKeys
from clusterpass.sessions.memory.entries import CachedSession, CachedToken
from clusterpass.sessions.memory.node_state import ALWAYS, NEVER, Lease
from clusterpass.sessions.memory.packed_entry import pack_entry, unpack_entry

from .near_cache_scene import WALL, Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()


RICH = Session(
    "alice",
    "s",
    "Ännas phone",
    1,
    2,
    3,
    frozen({"roles": ["a", {"b": [1.5, None, True, 2**80]}], "scope": "read"}),
    "phone",
    4,
    5,
    "mfa",
    ("pwd", "otp"),
    Actor("bob", "t", "help"),
    (Ban("chat", 3, None, "spam", 9), Ban("", 1, 99, "", 8)),
    False,
    True,
)


@pytest.mark.parametrize("session", [RICH, Session("alice", "s", None, 0, 0, 0), None])
@pytest.mark.parametrize(
    "lease",
    [NEVER, ALWAYS, Lease("a", 1), Lease("a", 7)],
    ids=["never", "always", "the first", "7"],
)
def test_what_is_packed_comes_back_as_it_was(scene, session, lease):
    entry = CachedToken(
        "secret",
        "alice",
        SubjectKeys(b"cp:{alice}", b"cp:active:{alice}", 77),
        b"i" * 16,
        WALL + 900,
        session_text="text",
        step_up="after this one",
    )
    entry.session, entry.lease = session, lease
    if session is not None:
        raw = [b"raw", None, 5, [b"a", [1]]]
        entry.loaded = CachedSession(session, raw, 1.25, 2, 3, inf)
    entry.deadline, entry.asked_at, entry.used_at, entry.is_doubtful = 12.5, 11.25, 10.5, True
    entry.response, entry.rotation = b"rendered", 7
    packed = pack_entry(entry)
    assert b"secret" not in packed.contents
    back = unpack_entry("secret", entry.key, packed, {lease.began: lease}.get)
    same = set(CachedToken.__slots__) - {"looked_at", "place", "size", "call", "era"}
    fresh = CachedToken("", "", SubjectKeys(b"", b"", 0), b"", 0)
    left_out = {name for name in same if getattr(entry, name) == getattr(fresh, name)}
    assert left_out <= {"session", "loaded", "lease"}, "what has its first value proves nothing"
    assert {name: getattr(back, name) for name in same} == {
        name: getattr(entry, name) for name in same
    }
    assert back.lease is lease
    if back.session is not None:
        assert back.loaded is not None
        assert back.session is back.loaded.session
        assert type(back.session.claims) is FrozenDict


def test_claims_that_come_back_cannot_be_changed(scene):
    entry = scene.entry()
    entry.session = RICH
    back = unpack_entry("token", entry.key, pack_entry(entry), {}.get).session
    assert back is not None
    assert isinstance(back.claims["roles"], FrozenList)
    assert isinstance(back.claims["roles"][1], FrozenDict)
    entry.session = Session("alice", "s", None, 0, 0, 0)
    again = unpack_entry("token", entry.key, pack_entry(entry), {}.get).session
    assert again is not None
    assert again.claims is NO_CLAIMS
