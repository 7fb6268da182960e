"""Every key name there is.

One hash tag per subject: all that belongs to a subject lies in one slot, and one script can change
it atomically. Names are percent-encoded between the braces, so a subject that itself holds braces
can neither leave its slot nor reach another subject's.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from clusterpass.errors import ConfigurationError

DEFAULT_NAMESPACE: Final = "cp"
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_PLAIN_IN_TAGS: Final = "@:+!*,;=()'"


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
        """Hash: session id (16 bytes) -> live record or tombstone; session id + "d" -> details.

        The details are JSON of what does not fit a record: claims, a long device name. All is one
        key, as a call with a second key that may be missing fails while its slot migrates.
        """
        return self._tagged(subject, "")

    def user(self, username: str) -> bytes:
        """Hash: the directory's entry of a user: password hash, state."""
        return self._tagged(username, ":user")

    def attempts_by_account(self, username: str) -> bytes:
        """Counter: recent login attempts for an account."""
        return self._tagged(username, ":attempts-account")

    def attempts_by_address(self, address: str) -> bytes:
        """Counter: recent login attempts from an address."""
        return self._tagged(address, ":attempts-address")

    def probe(self) -> bytes:
        """A key that is never written: asked to learn whether a node answers."""
        return f"{self.namespace}:probe".encode()

    def all_users_pattern(self) -> str:
        """The glob that finds the directory's entries; for administration, never for requests."""
        return f"{self.namespace}:{{*}}:user"

    def _tagged(self, name: str, suffix: str) -> bytes:
        return f"{self.namespace}:{{{quote(name, safe=_PLAIN_IN_TAGS)}}}{suffix}".encode("ascii")
