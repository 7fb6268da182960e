"""Announcements, in the store, of the refresh secrets that processes have in their configurations.

Thanks to them, a process that lacks a secret can tell a token made with it from a forgery, and does
not mistake a token for a stolen one if the token's successor was derived with that secret. An
announcement stands beside the secrets of the store:

    "c:" + id + "." + binding    {"since": milliseconds, "seen": milliseconds}

The id reveals nothing about the secret. The binding is 4 bytes of the SHA-256 of issuer and
audience, as a service with another audience has secrets of its own. ``seen`` is renewed while a
process has the secret; if it is old, the secret was given up.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from clusterpass.tokens.encoding import encode_base64url

KIND: Final = "c:"
_AGAIN_AFTER: Final = 240_000
"""Milliseconds after which a secret is announced again."""
_GIVEN_UP_AFTER: Final = 900_000
"""Milliseconds after the last announcement of a secret at which nobody has it any more."""
_BINDING_BYTES: Final = 4


class AnnouncedSecrets:
    """The announced secrets, and those that this process has to announce; the caller locks."""

    def __init__(self, own: Iterable[bytes], binding: str, milliseconds: Callable[[], int]) -> None:
        """``own``: the ids of the secrets of this configuration. ``binding``: issuer and audience
        as one text. ``milliseconds``: returns those since the epoch."""
        digest = hashlib.sha256(binding.encode()).digest()[:_BINDING_BYTES]
        self._suffix: Final = "." + encode_base64url(digest)
        self._own: Final = frozenset(self._name_of(each) for each in own)
        self._milliseconds: Final = milliseconds
        self._times: dict[str, tuple[int, int]] = {}

    def learn(self, values: Mapping[str, bytes]) -> None:
        """Take note of a copy. What cannot be read is of a later release, and left alone."""
        for name, value in values.items():
            if not name.startswith(KIND) or not name.endswith(self._suffix):
                continue
            try:
                members = json.loads(value)
                since, seen = int(members["since"]), int(members["seen"])
            except (ValueError, TypeError, KeyError):
                continue
            if seen - self._milliseconds() < _GIVEN_UP_AFTER:  # no clock differs by so much
                earliest, latest = self._times.get(name, (since, seen))
                self._times[name] = min(earliest, since), max(latest, seen)

    def overdue(self) -> dict[str, bytes]:
        """Return the announcements for every copy, by name; none if they were made a moment ago.

        Whoever has told one copy has this object learn the same.
        """
        now = self._milliseconds()
        found = {}
        for name in self._own:
            since, seen = self._times.get(name, (now, 0))
            if abs(now - seen) >= _AGAIN_AFTER:
                found[name] = json.dumps({"since": min(since, now), "seen": now}).encode()
        return found

    def since(self, secret_id: bytes) -> int:
        """The first announcement of the secret, in milliseconds since the epoch; now if none."""
        now = self._milliseconds()
        return self._times.get(self._name_of(secret_id), (now, now))[0]

    @property
    def has_others(self) -> bool:
        """Whether another process has a secret that this one lacks."""
        others = self._times.keys() - self._own
        return bool(others) and any(map(self._is_elsewhere, others))

    def is_elsewhere(self, secret_id: bytes) -> bool:
        """Whether another process has the secret of this id, and this one lacks it."""
        return self._is_elsewhere(self._name_of(secret_id))

    def _is_elsewhere(self, name: str) -> bool:
        if name in self._own or name not in self._times:
            return False
        return self._milliseconds() - self._times[name][1] < _GIVEN_UP_AFTER

    def _name_of(self, secret_id: bytes) -> str:
        return KIND + encode_base64url(secret_id) + self._suffix


def last_seen(name: str, value: bytes) -> float | None:
    """The latest announcement of a secret, in seconds since the epoch; None: this is none."""
    try:
        return float(json.loads(value)["seen"]) / 1000 if name.startswith(KIND) else None
    except (ValueError, TypeError, KeyError):
        return None
