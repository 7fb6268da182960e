"""Builds the name of every key that ClusterPass uses.

The hash tag is the subject: all keys of a subject lie in one slot, so one script can change them
atomically. Names are percent-encoded between the braces, so a subject with braces in its name
cannot leave its slot or reach another subject's.
"""

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from clusterpass.model.errors import ConfigurationError

DEFAULT_NAMESPACE: Final = "cp"
TEST_NAMESPACE: Final = "cp-test-"
"""The beginning of the names of the namespaces in which a caller may set the time of the store."""
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_PLAIN_IN_TAGS: Final = "@:+!*,;=()'"
_PLAIN_TAG: Final = re.compile(rf"[A-Za-z0-9_.~{re.escape(_PLAIN_IN_TAGS)}-]*")
SLOTS: Final = 16_384
"""The number of hash slots of every Redis or Valkey Cluster."""
_SLOT_ALPHABET: Final = "@ABCDEFGHIJKLMNO"
SLOTS_WITH_CUTOFF: Final = (SLOTS // 6, SLOTS // 2, 5 * SLOTS // 6)
"""The slots that hold the copies of the revocation cutoff: the middle of each third, so that they
are on three primaries where slots are divided evenly, however the division was rounded."""
JOURNAL_SLOTS: Final = SLOTS_WITH_CUTOFF
"""The slots that hold the journals of endings that their own shard cannot confirm."""


class SubjectKeys(NamedTuple):
    """The keys that every call about a subject names, and their slot."""

    sessions: bytes
    activity: bytes
    slot: int


@dataclass(frozen=True, slots=True)
class Keyspace:
    """Builds key names under one namespace, so that several applications can share a cluster.

    Raises ConfigurationError unless the namespace is 1 to 32 letters, digits or any of ``_.-``.
    """

    namespace: str = DEFAULT_NAMESPACE
    _sessions: bytes = field(init=False, repr=False, compare=False)
    _activity: bytes = field(init=False, repr=False, compare=False)
    _online: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigurationError(
                "the key namespace must be 1 to 32 letters, digits or any of _.-"
            )
        prefix = self.namespace.encode("ascii")
        object.__setattr__(self, "_sessions", prefix + b":{")
        object.__setattr__(self, "_activity", prefix + b":active:{")
        object.__setattr__(self, "_online", prefix + b":online:{")

    @property
    def is_for_tests(self) -> bool:
        """Whether a caller may set the time by which the store judges."""
        return self.namespace.startswith(TEST_NAMESPACE)

    def sessions(self, subject: str) -> bytes:
        """The key of the hash that holds the sessions of ``subject`` and all that concerns them.

        The fields of the hash:

            session id (16 bytes)   live record or tombstone
            session id + "d"        details as JSON: claims, a long device name, acr, amr, act
            session id + "e"        elevation: the latest step-up
            "c"  live claims   "b"  bans   "g"  generation   "h", "h" + byte  history
            "t"  generations of device types   "s"  summary, where there are many fields
            "o" + id (8 bytes) + byte   result and fingerprint of an operation

        A single key holds all of this because a call that names a missing second key fails while
        the slot migrates.
        """
        return self.keys_of(subject).sessions

    def activity(self, subject: str) -> bytes:
        """The key of the hash that maps a session id of ``subject`` to the second of its last use.

        Only uses later than the last refresh are in this hash. Its prefix differs from that of the
        sessions, so that noting a use does not invalidate the caches that watch sessions. A reader
        of both keys must do without this one while the slot migrates.
        """
        return self.keys_of(subject).activity

    def keys_of(self, subject: str) -> SubjectKeys:
        """The keys of ``subject`` in the order in which scripts take them, and their slot."""
        if _PLAIN_TAG.fullmatch(subject):
            tag = subject.encode("ascii")
        else:
            tag = quote(subject, safe=_PLAIN_IN_TAGS).encode("ascii")
        # The tag holds no brace, and is what the slot depends on; that of nothing is the whole key.
        sessions = self._sessions + tag + b"}"
        slot = binascii.crc_hqx(tag or sessions, 0) % SLOTS
        return SubjectKeys(sessions, self._activity + tag + b"}", slot)

    def sessions_prefix(self) -> bytes:
        """The prefix of every key of :meth:`sessions`; few others have it, and seldom change."""
        return self._sessions

    def subject_of(self, key: bytes) -> str | None:
        """The subject whose sessions ``key`` holds; None for the key of something else."""
        tag = key[len(self.sessions_prefix()) : -1]
        try:
            subject = unquote(tag.decode("ascii"), errors="strict")
        except UnicodeDecodeError:
            return None
        return subject if subject and self.sessions(subject) == key else None

    def online(self, slot: int) -> bytes:
        """The key, in ``slot``, of the sorted set of that slot's subjects who are online."""
        return self._online + slot_tags()[slot] + b"}"

    def online_before_tag(self) -> bytes:
        """The part before the tag in every key of :meth:`online`."""
        return self._online

    def online_behind_tag(self) -> bytes:
        """The part after the tag in every key of :meth:`online`."""
        return b"}"

    def not_before(self, slot: int) -> bytes:
        """The key of the copy in ``slot`` of the time before which every session has ended."""
        return self.not_before_prefix() + slot_tags()[slot] + b"}"

    def not_before_prefix(self) -> bytes:
        """The prefix of every key of :meth:`not_before`."""
        return f"{self.namespace}:not-before:{{".encode()

    def secrets(self, slot: int) -> bytes:
        """The key of the copy in ``slot`` of the secrets of the namespace."""
        return self.secrets_prefix() + slot_tags()[slot] + b"}"

    def secrets_prefix(self) -> bytes:
        """The prefix of every key of :meth:`secrets`."""
        return f"{self.namespace}:secrets:{{".encode()

    def key_lease(self, slot: int) -> bytes:
        """The key, in ``slot``, of the lease of who makes the next signing key."""
        return f"{self.namespace}:key-lease:{{".encode() + slot_tags()[slot] + b"}"

    def journal(self, slot: int) -> bytes:
        """The key of the journal in ``slot``: a hash, see ``scripts/_include/journal.lua``."""
        return f"{self.namespace}:journal:{{".encode() + slot_tags()[slot] + b"}"

    def audit(self, slot: int) -> bytes:
        """The key, in ``slot``, of the stream that is the audit trail."""
        return f"{self.namespace}:audit:{{".encode() + slot_tags()[slot] + b"}"

    def user(self, username: str) -> bytes:
        """The key of the hash of a directory user: password hash, disabled, creation time."""
        return self._tagged(username, ":user")

    def attempts_by_account(self, username: str) -> bytes:
        """The key of the counter of recent login attempts for an account."""
        return self._tagged(username, kind="attempts-account:")

    def attempts_by_address(self, address: str) -> bytes:
        """The key of the counter of recent login attempts from an address."""
        return self._tagged(address, kind="attempts-address:")

    def attempts_by_known(self, username: str, known: str) -> bytes:
        """The key of the counter of recent attempts at an account by ``known``: a digest of the id
        of a session or of a device of its user, or a word for all of them."""
        return self._tagged(username, f":{known}", kind="attempts-known:")

    def attempts_in_total(self) -> bytes:
        """The key of the counter of recent login attempts at all accounts."""
        return f"{self.namespace}:attempts-total".encode()

    def old_tokens(self) -> bytes:
        """The key of the hash that counts what became of the tokens of other issuers."""
        return f"{self.namespace}:old-tokens".encode()

    def probe(self, slot: int) -> bytes:
        """A key in ``slot`` that holds nothing; reading it tells whether the slot's owner answers.

        Only the trial write of ``clusterpass doctor`` writes this key, for some seconds.
        """
        return f"{self.namespace}:probe:{{".encode() + slot_tags()[slot] + b"}"

    def channel(self) -> bytes:
        """The pub/sub channel of connections that track changes.

        The key of :meth:`secrets` is published in it when signing keys have changed, else nothing.
        """
        return f"{self.namespace}:tracking".encode()

    def all_users_pattern(self) -> str:
        """The glob by which SCAN finds all directory users; never for requests."""
        return f"{self.namespace}:{{*}}:user"

    def _tagged(self, name: str, suffix: str = "", kind: str = "") -> bytes:
        tag = quote(name, safe=_PLAIN_IN_TAGS)
        return f"{self.namespace}:{kind}{{{tag}}}{suffix}".encode("ascii")


def slot_of(key: bytes) -> int:
    """The hash slot of ``key``: the CRC-16 of its hash tag, as Redis Cluster specifies it."""
    _, opened, rest = key.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return binascii.crc_hqx(tag if opened and closed and tag else key, 0) % SLOTS


@cache
def slot_tags() -> Sequence[bytes]:
    """A hash tag of four letters for each slot, by the number of the slot."""
    tags = [b""] * SLOTS
    for letters in product(_SLOT_ALPHABET, repeat=4):
        tag = "".join(letters).encode()
        tags[binascii.crc_hqx(tag, 0) % SLOTS] = tag
    return tags
