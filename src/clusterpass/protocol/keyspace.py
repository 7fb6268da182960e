"""Every key name there is.

One hash tag per subject: all that belongs to a subject lies in one slot, and one script can change
it atomically. Names are percent-encoded between the braces, so a subject that itself holds braces
can neither leave its slot nor reach another subject's.
"""

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final
from urllib.parse import quote

from clusterpass.model.errors import ConfigurationError

DEFAULT_NAMESPACE: Final = "cp"
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_PLAIN_IN_TAGS: Final = "@:+!*,;=()'"
SLOTS: Final = 16_384
_SLOT_ALPHABET: Final = "@ABCDEFGHIJKLMNO"
SLOTS_WITH_CUTOFF: Final = (0, SLOTS // 3, 2 * SLOTS // 3)
"""Three slots that on most clusters lie on three primaries."""


@dataclass(frozen=True, slots=True)
class Keyspace:
    """Builds key names under one namespace, so several applications can share a cluster."""

    namespace: str = DEFAULT_NAMESPACE

    def __post_init__(self) -> None:
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigurationError(
                "the key namespace must be 1 to 32 letters, digits or any of _.-"
            )

    def sessions(self, subject: str) -> bytes:
        """Hash, the whole of a subject:

            session id (16 bytes)   live record or tombstone
            session id + "d"        details as JSON: claims, a long device name
            session id + "e"        elevation: a step-up that is in force
            "c"  live claims   "b"  bans   "g"  generation   "h", "h" + byte  history

        All is one key, as a call with a second key that may be missing fails while its slot
        migrates.
        """
        return self._tagged(subject, "")

    def activity(self, subject: str) -> bytes:
        """Hash: session id -> second of its last use, where that is later than its refresh.

        Beside the sessions and under another prefix, so that a note of a session's use is no change
        of what a cache watches. Whoever reads both can do without it while the slot migrates.
        """
        return self.sessions_and_activity(subject)[1]

    def sessions_and_activity(self, subject: str) -> tuple[bytes, bytes]:
        """Both keys, in the order in which scripts take them."""
        key = self.sessions(subject)
        return key, self.activity_beside(key)

    def activity_beside(self, key: bytes) -> bytes:
        """The key of the activity beside the ``key`` of a subject's sessions."""
        tag = len(self.namespace) + 1
        return key[:tag] + b"active:" + key[tag:]

    def sessions_prefix(self) -> bytes:
        """With what all keys of :meth:`sessions` begin, and few others that change seldom."""
        return f"{self.namespace}:{{".encode()

    def online(self, slot: int) -> bytes:
        """Sorted set: who is online among the subjects of ``slot``; it lies in that slot."""
        return self.online_before_tag() + slot_tags()[slot] + self.online_behind_tag()

    def online_before_tag(self) -> bytes:
        """What stands before the tag in the name of such a set."""
        return f"{self.namespace}:online:{{".encode()

    def online_behind_tag(self) -> bytes:
        """What stands behind it."""
        return b"}"

    def not_before(self, slot: int) -> bytes:
        """One copy of the time before which every session has ended, in ``slot``."""
        return self.not_before_prefix() + slot_tags()[slot] + b"}"

    def not_before_prefix(self) -> bytes:
        """With what the keys of all copies begin."""
        return f"{self.namespace}:not-before:{{".encode()

    def user(self, username: str) -> bytes:
        """Hash: the directory's entry of a user: password hash, state."""
        return self._tagged(username, ":user")

    def attempts_by_account(self, username: str) -> bytes:
        """Counter: recent login attempts for an account."""
        return self._tagged(username, kind="attempts-account:")

    def attempts_by_address(self, address: str) -> bytes:
        """Counter: recent login attempts from an address."""
        return self._tagged(address, kind="attempts-address:")

    def probe(self, slot: int) -> bytes:
        """A key in ``slot`` that holds nothing: asked to learn whether its owner answers.

        Only the doctor's trial writes it, for some seconds.
        """
        return f"{self.namespace}:probe:{{".encode() + slot_tags()[slot] + b"}"

    def all_users_pattern(self) -> str:
        """The glob that finds the directory's entries; for administration, never for requests."""
        return f"{self.namespace}:{{*}}:user"

    def _tagged(self, name: str, suffix: str = "", kind: str = "") -> bytes:
        tag = quote(name, safe=_PLAIN_IN_TAGS)
        return f"{self.namespace}:{kind}{{{tag}}}{suffix}".encode("ascii")


def slot_of(key: bytes) -> int:
    """The slot of a key: CRC-16 of its hash tag (Redis Cluster specification, "hash tags")."""
    _, opened, rest = key.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return binascii.crc_hqx(tag if opened and closed and tag else key, 0) % SLOTS


@cache
def slot_tags() -> Sequence[bytes]:
    """For each slot a tag of four letters that lies in it."""
    tags = [b""] * SLOTS
    for letters in product(_SLOT_ALPHABET, repeat=4):
        tag = "".join(letters).encode()
        tags[binascii.crc_hqx(tag, 0) % SLOTS] = tag
    return tags
