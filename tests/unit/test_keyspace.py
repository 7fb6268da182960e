"""Key names: one slot for a subject, and no two names for two things."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, example, given, settings, strategies as st
from redis.crc import key_slot

from clusterpass.model.errors import ConfigurationError
from clusterpass.protocol.keyspace import (
    JOURNAL_SLOTS,
    SLOTS,
    SLOTS_WITH_CUTOFF,
    Keyspace,
    slot_of,
    slot_tags,
)

subjects = st.text(
    st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=60
) | st.text("{}%:ab/ é", min_size=1, max_size=12)
KEYSPACE = Keyspace()
BUILDERS: dict[str, Callable[[str], bytes]] = {
    "sessions": KEYSPACE.sessions,
    "user": KEYSPACE.user,
    "attempts_by_account": KEYSPACE.attempts_by_account,
    "attempts_by_address": KEYSPACE.attempts_by_address,
}


def keys_of(subject: str) -> list[bytes]:
    return [build(subject) for build in BUILDERS.values()]


@settings(max_examples=200)
@given(subjects)
@example("{")
@example("}")
@example("{}")
@example("}{")
@example("{bob}")
@example("}bob{")
@example("a}:user")
@example("}:user")
@example("%7B")
@example("%")
@example("\u2028")
@example("é" * 127)
def test_all_keys_of_a_subject_are_in_one_slot(subject: str) -> None:
    keys = keys_of(subject)
    assert len({key_slot(key) for key in keys}) == 1
    # The tag is the first pair of braces with something inside; there is but one pair.
    for key in keys:
        assert key.count(b"{") == key.count(b"}") == 1
        tag = key[key.index(b"{") + 1 : key.index(b"}")]
        assert tag
        assert key_slot(key) == key_slot(tag)


@given(st.text("abcdefgh", min_size=1, max_size=20))
def test_slot_is_the_one_of_the_plain_name(subject: str) -> None:
    assert key_slot(KEYSPACE.sessions(subject)) == key_slot(subject.encode())


@settings(max_examples=300)
@given(subjects, subjects)
@example("{", "%7B")
@example("%", "%25")
@example("a}", "a")
@example("a:user", "a")
@example("a}:user", "a")
@example("bob", "{bob}")
@example("a/b", "a%2Fb")
@example("é", "%C3%A9")
@example("é", "e\u0301")
@example("Alice", "alice")
@example("a", "a ")
@example("a+b", "a b")
@example("~", "%7E")
def test_two_subjects_share_no_key(one: str, other: str) -> None:
    assume(one != other)
    assert not set(keys_of(one)) & set(keys_of(other))


@given(subjects)
def test_keys_of_a_subject_differ(subject: str) -> None:
    keys = keys_of(subject)
    assert len(set(keys)) == len(keys)
    assert KEYSPACE.probe(key_slot(keys[0])) not in keys


@given(subjects)
def test_keys_are_printable_ascii_without_spaces(subject: str) -> None:
    for key in keys_of(subject):
        assert key.isascii()
        assert all(0x21 <= byte <= 0x7E for byte in key)
        assert key.startswith(b"cp:")


@given(subjects, st.sampled_from(["a", "b", "cp", "cp.x", "A-b_c.9"]))
def test_namespaces_share_no_key(subject: str, namespace: str) -> None:
    one, other = Keyspace(namespace), Keyspace(namespace + "2")
    for build in BUILDERS:
        assert getattr(one, build)(subject) != getattr(other, build)(subject)
        assert key_slot(getattr(one, build)(subject)) == key_slot(getattr(other, build)(subject))


@pytest.mark.parametrize(
    "namespace", ["", "a" * 33, "a:b", "{a}", "{", "a b", "a\n", "*", "?", "[a]", "é", "a/b", "\0"]
)
def test_namespace_that_is_refused(namespace: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^the key namespace must be 1 to 32"):
        Keyspace(namespace)


def test_the_shortest_and_the_longest_namespace() -> None:
    for namespace in ("a", "_.-" + "Z9" * 14 + "x"):
        assert Keyspace(namespace).sessions("bob") == f"{namespace}:{{bob}}".encode()


@pytest.mark.parametrize(
    ("build", "name"),
    [
        ("sessions", b"cp:{alice@example.com}"),
        ("user", b"cp:{alice@example.com}:user"),
        ("attempts_by_account", b"cp:attempts-account:{alice@example.com}"),
        ("attempts_by_address", b"cp:attempts-address:{alice@example.com}"),
    ],
)
def test_names_as_they_are_in_the_store(build: Any, name: bytes) -> None:
    # These names are data of running systems: a release that changes them loses every session.
    assert BUILDERS[build]("alice@example.com") == name
    assert BUILDERS[build]("{a b}/é%") == name.replace(
        b"alice@example.com", b"%7Ba%20b%7D%2F%C3%A9%25"
    )


@pytest.mark.parametrize("subject", ["alice@example.com", "{a b}/é%", "a:user", "}", "%41", "😀"])
def test_a_key_tells_its_subject(subject: str) -> None:
    assert KEYSPACE.subject_of(KEYSPACE.sessions(subject)) == subject
    for build in BUILDERS.keys() - {"sessions"}:
        assert KEYSPACE.subject_of(BUILDERS[build](subject)) is None


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"cp:{",
        b"cp:{}",
        b"cp:{a",
        b"cp:{a}b",
        b"xx:{a}",
        b"cp:{%FF}",
        b"cp:{\xff}",
        b"cp:{a}}",
    ],
)
def test_a_key_of_nobody(key: bytes) -> None:
    assert KEYSPACE.subject_of(key) is None


def test_names_of_what_belongs_to_a_slot_as_they_are_in_the_store() -> None:
    # Other processes look for the same names, also those that run another release meanwhile.
    assert SLOTS_WITH_CUTOFF == (2730, 8192, 13_653)
    assert [KEYSPACE.not_before(slot) for slot in SLOTS_WITH_CUTOFF] == [
        b"cp:not-before:{LMON}",
        b"cp:not-before:{OKNI}",
        b"cp:not-before:{MJDO}",
    ]
    assert [KEYSPACE.journal(slot) for slot in JOURNAL_SLOTS] == [
        b"cp:journal:{LMON}",
        b"cp:journal:{OKNI}",
        b"cp:journal:{MJDO}",
    ]
    assert KEYSPACE.online(7) == b"cp:online:{MI@I}"
    assert KEYSPACE.probe(7) == b"cp:probe:{MI@I}"
    assert KEYSPACE.channel() == b"cp:tracking"


def test_every_slot_has_a_tag_in_it() -> None:
    tags = slot_tags()
    assert len(tags) == SLOTS == 16_384
    assert [key_slot(tag) for tag in tags] == list(range(SLOTS))


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        (b"{a}b", b"a"),
        (b"b{a}{c}", b"a"),
        (b"b{{a}}", b"{a"),
        (b"b{}c", b"b{}c"),
        (b"b{c", b"b{c"),
        (b"b}c", b"b}c"),
        (b"b}{c}", b"c"),
        (b"", b""),
    ],
)
def test_the_slot_of_a_key_is_that_of_its_tag(key: bytes, tag: bytes) -> None:
    assert slot_of(key) == key_slot(key) == key_slot(tag)


def test_pattern_of_users_finds_users_alone() -> None:
    from fnmatch import fnmatchcase

    pattern = KEYSPACE.all_users_pattern()
    for subject in ("alice", "{}:user", "a}:user", "*"):
        matching = [key for key in keys_of(subject) if fnmatchcase(key.decode(), pattern)]
        assert matching == [KEYSPACE.user(subject)]
    assert not fnmatchcase(KEYSPACE.probe(0).decode(), pattern)


@given(subjects)
def test_what_a_cache_watches_is_the_sessions_and_little_else(subject: str) -> None:
    watched = KEYSPACE.sessions_prefix()
    assert KEYSPACE.sessions(subject).startswith(watched)
    keys = KEYSPACE.keys_of(subject)
    assert keys.sessions == KEYSPACE.sessions(subject)
    assert keys.activity == KEYSPACE.activity(subject)
    assert keys.slot == key_slot(keys.sessions) == key_slot(keys.activity)
    for noisy in (
        KEYSPACE.activity(subject),
        KEYSPACE.attempts_by_account(subject),
        KEYSPACE.attempts_by_address(subject),
        KEYSPACE.online(7),
        KEYSPACE.probe(7),
    ):
        assert not noisy.startswith((watched, KEYSPACE.not_before_prefix()))
    assert KEYSPACE.not_before(7).startswith(KEYSPACE.not_before_prefix())


def test_the_name_of_a_counter_of_known_attempts() -> None:
    assert KEYSPACE.attempts_by_known("ann", "word") == b"cp:attempts-known:{ann}:word"


def test_a_keyspace_is_its_namespace() -> None:
    assert repr(Keyspace("shop")) == "Keyspace(namespace='shop')"
    assert Keyspace("shop") == Keyspace("shop") != Keyspace("blog")
