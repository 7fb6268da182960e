"""Signing keys that the store holds: the stored form, and which key signs or verifies when.

A key is published before it signs, signs until the next one does, and verifies until its last token
has expired. Its private half is wrapped by a key from outside (``key_encryption_keys``).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args

from clusterpass.model.errors import ConfigurationError, StoreFailed
from clusterpass.model.json_form import Value
from clusterpass.model.policy import check_whole
from clusterpass.tokens.algorithms import SigningAlgorithm
from clusterpass.tokens.encoding import encode_json
from clusterpass.tokens.key_encryption import KeyEncryptionKeys
from clusterpass.tokens.keyring import KeyRing

if TYPE_CHECKING:
    from clusterpass.tokens.keys import SigningKey

KeyState = Literal["next", "active", "passive", "retired", "revoked"]
_MARGIN: Final = 300
"""Seconds for which a key verifies beyond the lifetime of its last token, as clocks differ."""
_DAY: Final = 86_400
_KEPT: Final = 30 * _DAY
"""Seconds for which a key that verifies no more stays in the store."""
_TEN_YEARS: Final = 3660 * _DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedKeys(Value):
    """Algorithm and rotation of the keys in the store. All processes of a store need the same."""

    algorithm: SigningAlgorithm = "EdDSA"
    """The algorithm of new keys; none that is symmetric."""
    rotate_after: int = 90 * _DAY
    """Seconds for which a key signs (an hour to ten years)."""
    publish_before: int = _DAY
    """Seconds for which a key is published before it signs, so that resource servers that keep the
    key set know it (at least a minute, and less than ``rotate_after``)."""

    def __post_init__(self) -> None:
        if self.algorithm not in get_args(SigningAlgorithm) or self.algorithm == "HS256":
            raise ConfigurationError(
                f"keys in the store cannot have the algorithm {self.algorithm!r}; use EdDSA,"
                " Ed25519, ES256 or RS256"
            )
        for name, least in (("rotate_after", 3600), ("publish_before", 60)):
            check_whole(name, getattr(self, name), least, _TEN_YEARS)
        if self.publish_before >= self.rotate_after:
            raise ConfigurationError("publish_before must be shorter than rotate_after")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One key as the store holds it; times are seconds since the epoch."""

    kid: str
    """The id of the key."""
    public: Mapping[str, Any]
    """The public half as a JWK."""
    wrapped: str
    """The private half as a JWK, wrapped."""
    created: int
    """When the key was made."""
    signs_from: int
    """From when on it signs."""
    revoked: int = 0
    """When the key was revoked, in seconds since the epoch; 0: it was not."""

    @property
    def has_begun_or_may(self) -> bool:
        """Whether the key ends the one before it: unless it was revoked before it signed."""
        return not self.revoked or self.revoked > self.signs_from

    def encode(self) -> bytes:
        """The key as stored."""
        members = {name: getattr(self, name) for name in self.__slots__ if name != "kid"}
        return encode_json(members)

    @classmethod
    def decode(cls, kid: str, value: bytes) -> Self:
        """Return the key that :meth:`encode` wrote; raises StoreFailed when it cannot be read."""
        try:
            members = json.loads(value)
            known = {name: members[name] for name in cls.__slots__ if name in members}
            found = cls(kid, **{name: known[name] for name in known if name != "kid"})
            is_whole = found.public["kid"] == kid and isinstance(found.signs_from, int)
        except (ValueError, TypeError, KeyError):
            is_whole = False
        if not is_whole:
            raise StoreFailed(f"the key {kid!r} in the store cannot be read")
        return found


@dataclass(frozen=True, slots=True)
class ManagedKey(Value):
    """One key in the store, as an operator sees it; times are seconds since the epoch."""

    kid: str
    """The id of the key."""
    algorithm: str
    """The algorithm of the key."""
    state: KeyState
    """``next``: published, does not sign yet; ``active``: signs; ``passive``: verifies until its
    last token has expired; ``retired``: that has happened; ``revoked``: none of its tokens is
    accepted."""
    created: int
    """When the key was made."""
    signs_from: int
    """From when on it signs."""
    signs_until: int | None
    """When the next key signs; None: that is not made yet, or the key never signs."""
    verifies_until: int | None
    """When the last token of the key will have expired; None: the key still signs, or will."""


class KeySchedule:
    """The use of each stored key over time: published, signing, verifying or stale."""

    def __init__(self, keys: Iterable[StoredKey], now: float, token_seconds: int) -> None:
        """``now``: seconds since the epoch. ``token_seconds``: for which a token is accepted."""
        self._now, self._token_seconds = now, token_seconds
        in_order = sorted(keys, key=lambda each: (each.signs_from, each.created, each.kid))
        ends: list[int | None] = []
        end: int | None = None
        for each in reversed(in_order):
            ends.insert(0, end)
            if each.has_begun_or_may:
                end = each.signs_from
        self._all: Final = [
            (each, end, None if end is None else end + token_seconds + _MARGIN)
            for each, end in zip(in_order, ends, strict=True)
        ]

    @property
    def active(self) -> StoredKey | None:
        """The key that signs; None: there is none."""
        left = [
            each
            for each, _, until in self._all
            if not each.revoked and (until is None or until > self._now)
        ]
        begun = [each for each in left if each.signs_from <= self._now]
        # Where none has begun, all that were there are revoked: the first one begins at once.
        return begun[-1] if begun else next(iter(left), None)

    def usable(self) -> list[StoredKey]:
        """The keys that verify, the one that signs first."""
        active = self.active
        others = [
            each
            for each, _, until in self._all
            if not each.revoked and each is not active and (until is None or until > self._now)
        ]
        return [] if active is None else [active, *reversed(others)]

    def stale(self) -> dict[str, int]:
        """The ids of the keys that can no longer matter, and since when: a month after the last
        token of each has expired, even if it had not been revoked.

        Whoever knows one of them still, and puts it back, changes nothing: a later key has long
        ended it.
        """
        found: dict[str, int] = {}
        due: int | None = None
        for each, _, _ in reversed(self._all):
            if due is not None and due <= self._now:
                found[each.kid] = due
            if each.has_begun_or_may and each.signs_from <= self._now:
                due = each.signs_from + self._token_seconds + _MARGIN + _KEPT
        return found

    def described(self) -> list[ManagedKey]:
        """All keys, the oldest first."""
        active = self.active
        shown = []
        for each, end, until in self._all:
            state: KeyState = "active" if each is active else "passive"
            if each.revoked:
                shown.append(_described(each, "revoked", None, each.revoked))
                continue
            if each is not active and each.signs_from > self._now:
                state = "next"
            elif until is not None and until <= self._now:
                state = "retired"
            shown.append(_described(each, state, end, until))
        return sorted(shown, key=lambda each: (each.created, each.signs_from, each.kid))

    def next_begins(self, how: ManagedKeys) -> int | None:
        """The time at which a key made now is to sign; None: no key has to be made now."""
        active = self.active
        if active is None:
            return self.begins_at_once
        due = active.signs_from + how.rotate_after
        if self.has_next(how) or self._now < due - how.publish_before:
            return None
        return int(max(due, self._now + how.publish_before))

    def has_next(self, how: ManagedKeys) -> bool:
        """Whether a key follows the active one.

        One that a process made whose clock was years ahead is not waited for.
        """
        active = self.active
        if active is None:
            return False
        usual = max(active.signs_from + how.rotate_after, self._now + how.publish_before)
        return any(
            self._now < each.signs_from <= usual + how.rotate_after
            for each, _, _ in self._all
            if not each.revoked and each is not active
        )

    @property
    def begins_at_once(self) -> int:
        """The time at which a key is to sign that takes the place of a revoked one.

        Also where the clock is behind that of whoever made the other: a key that began before it
        would be retired with it.
        """
        before = [
            each.signs_from + 1
            for each, _, _ in self._all
            if each is self.active or (each.revoked and each.has_begun_or_may)
            if each.signs_from < self._now + _DAY
        ]
        return max(int(self._now), *before, 0)


def _described(key: StoredKey, state: KeyState, ends: int | None, until: int | None) -> ManagedKey:
    algorithm = str(key.public.get("alg", ""))
    return ManagedKey(key.kid, algorithm, state, key.created, key.signs_from, ends, until)


def make_key(
    how: ManagedKeys, wrapping: KeyEncryptionKeys, purpose: bytes, *, now: int, signs_from: int
) -> StoredKey:
    """Return a new key that signs from ``signs_from`` on."""
    from clusterpass.tokens.keys import SigningKey  # noqa: PLC0415 - takes long to load

    key = SigningKey.generate(how.algorithm)
    wrapped = wrapping.wrap(encode_json(key.jwk(private=True)), purpose + key.kid.encode())
    return StoredKey(key.kid, key.jwk(private=False), wrapped, now, signs_from)


class OpenedKeys:
    """Makes rings of stored keys. What was opened once need not be opened again."""

    def __init__(self, wrapping: KeyEncryptionKeys, purpose: bytes, how: ManagedKeys) -> None:
        self._wrapping, self._purpose, self._how = wrapping, purpose, how
        self._keys: dict[str, SigningKey] = {}

    def ring(self, keys: Iterable[StoredKey]) -> tuple[KeyRing, ConfigurationError | None]:
        """Return the ring of ``keys``, and why the first one does not sign; None: it does.

        All of them verify, whether their private halves open or not: a ring of before might hold a
        key that was revoked. Where the first one does not open, another one signs, if possible one
        that has signed already; where none opens, to sign raises StoreUnavailable.
        """
        from clusterpass.tokens.keys import SigningKey  # noqa: PLC0415 - takes long to load

        first, *others = keys
        others.sort(key=lambda each: each.signs_from > first.signs_from)
        failure: ConfigurationError | None = None
        signing: SigningKey | None = None
        for each in (first, *others):
            try:
                signing = self._open(each)
                break
            except ConfigurationError as error:
                failure = failure or error
        if signing is None:
            signing = SigningKey.locked(first.public)
        whole = [
            signing if each.kid == signing.kid else SigningKey.from_jwk(each.public)
            for each in (first, *others)
        ]
        return KeyRing(whole, managed=self._how), failure

    def none(self) -> KeyRing:
        """Return a ring that neither accepts nor signs nor publishes anything: no key is left."""
        return KeyRing.in_store(self._how)

    def _open(self, key: StoredKey) -> "SigningKey":
        from clusterpass.tokens.keys import SigningKey  # noqa: PLC0415 - takes long to load

        if key.kid not in self._keys:
            opened = self._wrapping.unwrap(key.wrapped, self._purpose + key.kid.encode())
            self._keys = {key.kid: SigningKey.from_jwk(json.loads(opened))}
        return self._keys[key.kid]


def rewrapped(key: StoredKey, wrapping: KeyEncryptionKeys, purpose: bytes) -> StoredKey | None:
    """Return ``key`` wrapped by the first of the keys from outside; None: it is already."""
    if key.wrapped.partition(".")[0] == wrapping.first:
        return None
    place = purpose + key.kid.encode()
    return replace(key, wrapped=wrapping.wrap(wrapping.unwrap(key.wrapped, place), place))
