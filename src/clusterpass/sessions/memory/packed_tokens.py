"""The packed entries of the near cache, by token: lookup, invalidation and eviction.

The response that was kept with an entry is served from here, without rebuilding the entry.

Every step takes constant time, whatever the number of entries:

- The entries lie in many small dictionaries, by a digest of the token, which takes a tenth of the
  token's memory. A dictionary is resized in one go, and its first item is found by passing over the
  slots of those that were deleted before it, so a large one would stall its caller. These have some
  hundred items each.
- Each key of sessions has one number, which tells how many entries belong to it and when it last
  changed. A change is noted there, and applied when an entry is taken. Changes are counted, not
  timed.
- Eviction goes from one dictionary to the next, and takes the oldest entry of each, after those
  whose tokens have expired. An entry that was used since it was last looked at becomes the newest
  instead. The evicted entry is therefore, roughly, the least recently used.

Keys and values are bytes, arrays of bytes and integers. The garbage collector tracks neither these
nor, before Python 3.14, a dictionary that holds nothing else. Python 3.14 tracks every dictionary:
there a full collection passes over all keys and values, in some milliseconds for 100,000 tokens.
"""

from array import array
from collections.abc import Callable
from hashlib import sha256
from math import inf, nextafter
from struct import Struct
from typing import Final, NamedTuple

_IN_ONE: Final = 128
"""The number of entries in each dictionary when the cache is full, on average."""
_MOST_DICTIONARIES: Final = 2**17
_HEAD: Final = Struct(">dQHIqddd")  # positive doubles have the order of their big-endian bytes
"""When the token expires, the number of changes before, the lengths of the key and of the response,
the lease, its deadline, when the entry was used, and the latest use that eviction has seen."""
_TIME: Final = Struct(">d")
_SEEN_AT: Final = _HEAD.size - _TIME.size
_USED_AT: Final = _SEEN_AT - _TIME.size
_DEADLINE: Final = _USED_AT - _TIME.size
_PASSED_OVER: Final = 16
"""The most entries that eviction passes over because they were used."""
_COUNT_BITS: Final = 32
_COUNT: Final = 2**_COUNT_BITS - 1
_OVERHEAD: Final = 290
"""The memory of an entry apart from twice its key, and its contents, as measured by
``python -m benchmarks near_memory``."""


class Packed(NamedTuple):
    """An entry, packed. Times are seconds of the steady clock."""

    contents: bytes
    response: bytes = b""
    """What a service answers with about the session; empty: nothing is kept."""
    lease: int = 0
    """The number of the lease while which the session may be served from memory."""
    deadline: float = -inf
    """When the store has to be asked even under that lease."""
    used_at: float = -inf
    """When the session was last known to be live."""


class Taken(NamedTuple):
    """An entry that was taken out."""

    key: bytes
    """The key of the subject's sessions."""
    packed: Packed
    is_changed: bool
    """Whether the key may have changed since the entry was put in."""


class PackedTokens:
    """Packed entries. Callers must serialise the calls, except ``in``."""

    def __init__(self, most: int) -> None:
        """``most``: how many entries there are when the cache is full, roughly."""
        needed = max(1, min(most // _IN_ONE, _MOST_DICTIONARIES))
        count = 1 << (needed - 1).bit_length()
        self._mask: Final = count - 1
        self._entries: Final[list[dict[bytes, bytearray]]] = [{} for _ in range(count)]
        self._keys: Final[list[dict[bytes, int]]] = [{} for _ in range(count)]
        self._soonest: Final = array("d", [inf]) * count
        """A time before which no token in the dictionary of the same place expires."""
        self._next = 0
        self._changes = 0
        self.count = 0
        """The number of entries."""
        self.size = 0
        """The estimated memory of the entries, in bytes."""

    def __len__(self) -> int:
        return self.count

    def __contains__(self, token: object) -> bool:
        if not self.count or not isinstance(token, str):
            return False
        name = _digest(token)
        return name in self._entries[hash(name) & self._mask]

    def put(self, token: str, key: bytes, expires_at: float, entry: Packed, now: float) -> None:
        """Put an entry in, and drop expired ones from the dictionary where it lies.

        ``key``: the key of the subject's sessions. ``expires_at``, ``now``: seconds since the
        epoch.
        """
        name = _digest(token)
        place = hash(name) & self._mask
        self._drop_expired(place, now)
        contents, response, lease, deadline, used_at = entry
        head = _HEAD.pack(
            expires_at, self._changes, len(key), len(response), lease, deadline, used_at, used_at
        )
        packed = bytearray(b"".join((head, key, response, contents)))
        self._entries[place][name] = packed
        self._soonest[place] = min(self._soonest[place], expires_at)
        keys = self._keys[hash(key) & self._mask]
        keys[key] = keys.get(key, 0) + 1
        self.count += 1
        self.size += _size(packed, key)

    def take(self, token: str) -> Taken | None:
        """Take the entry of ``token`` out; None: there is none."""
        if not self.count:
            return None
        name = _digest(token)
        place = hash(name) & self._mask
        packed = self._entries[place].get(name)
        if packed is None:
            return None
        _, changes, length, size, lease, deadline, used_at, _ = _HEAD.unpack_from(packed)
        start = _HEAD.size + length
        end = start + size
        key = bytes(packed[_HEAD.size : start])
        changed = self._keys[hash(key) & self._mask][key] >> _COUNT_BITS
        self._drop(place, name)
        response = bytes(packed[start:end])
        entry = Packed(bytes(packed[end:]), response, lease, deadline, used_at)
        return Taken(key, entry, changed > changes)

    def response(self, token: str, now: float, until: Callable[[int], float]) -> bytes | None:
        """Return the response kept with ``token`` if it may be served now; note that it was used.

        ``now``: seconds of the steady clock. ``until``: returns when the lease of a number ends.
        """
        found = self._leased(token, now, until)
        if found is None:
            return None
        packed, start, end, deadline = found
        if now >= deadline:
            return None
        _TIME.pack_into(packed, _USED_AT, now)
        return bytes(packed[start:end])

    def overdue(
        self, token: str, now: float, until: Callable[[int], float]
    ) -> tuple[bytes, bytes] | None:
        """Return the contents and the response of ``token`` where only the deadline of its entry
        keeps that from being served. Takes what :meth:`response` does."""
        found = self._leased(token, now, until)
        if found is None:
            return None
        packed, start, end, deadline = found
        return None if now < deadline else (bytes(packed[end:]), bytes(packed[start:end]))

    def _leased(
        self, token: str, now: float, until: Callable[[int], float]
    ) -> tuple[bytearray, int, int, float] | None:
        """Return the entry of ``token`` if its session has a lease and has not changed; where its
        response begins and ends, if it has one; and its deadline."""
        if not self.count or not isinstance(token, str):
            return None
        name = _digest(token)
        packed = self._entries[hash(name) & self._mask].get(name)
        if packed is None:
            return None
        _, changes, length, size, lease, deadline, _, _ = _HEAD.unpack_from(packed)
        if not size or now >= until(lease):
            return None
        start = _HEAD.size + length
        key = bytes(packed[_HEAD.size : start])
        if self._keys[hash(key) & self._mask][key] >> _COUNT_BITS > changes:
            return None
        return packed, start, start + size, deadline

    def put_off(self, token: str, deadline: float, now: float) -> None:
        """Give the entry of ``token`` another deadline, and note that it was used at ``now``."""
        name = _digest(token)
        packed = self._entries[hash(name) & self._mask].get(name)
        if packed is not None:
            _TIME.pack_into(packed, _DEADLINE, deadline)
            _TIME.pack_into(packed, _USED_AT, now)

    def changed(self, key: bytes) -> None:
        """Take note that ``key`` has or may have changed."""
        keys = self._keys[hash(key) & self._mask]
        known = keys.get(key)
        if known is not None:
            self._changes += 1
            keys[key] = self._changes << _COUNT_BITS | known & _COUNT

    def make_room(self, now: float) -> int:
        """Drop expired entries of one dictionary, or else its oldest one that was not used.

        ``now``: seconds since the epoch. Returns how many were evicted before they expired.
        """
        while self.count:
            place = self._next
            self._next = (place + 1) & self._mask
            entries = self._entries[place]
            if self._drop_expired(place, now):
                return 0
            if entries:
                self._drop(place, _oldest_unused(entries))
                return 1
        return 0

    def clear(self) -> None:
        """Drop all entries."""
        for place in range(len(self._entries)):
            self._entries[place].clear()
            self._keys[place].clear()
            self._soonest[place] = inf
        self.count = self.size = 0

    def _drop_expired(self, place: int, now: float) -> int:
        if self._soonest[place] > now:
            return 0
        entries = self._entries[place]
        after = _TIME.pack(nextafter(now, inf))
        expired = [name for name, packed in entries.items() if packed < after]
        for name in expired:
            self._drop(place, name)
        first = min(entries.values(), default=None)
        self._soonest[place] = inf if first is None else _TIME.unpack_from(first)[0]
        return len(expired)

    def _drop(self, place: int, name: bytes) -> None:
        packed = self._entries[place].pop(name)
        length = _HEAD.unpack_from(packed)[2]
        key = bytes(packed[_HEAD.size : _HEAD.size + length])
        keys = self._keys[hash(key) & self._mask]
        left = keys[key] - 1
        if left & _COUNT:
            keys[key] = left
        else:
            del keys[key]
        self.count -= 1
        self.size -= _size(packed, key)


def _digest(token: str) -> bytes:
    """Return what stands for ``token``: nobody can make another text with the same 128 bits."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()[:16]


def _oldest_unused(entries: dict[bytes, bytearray]) -> bytes:
    """Return the oldest entry that was not used since it was last looked at, or else the oldest.

    Those that were used become the newest.
    """
    first = next(iter(entries))
    for _ in range(min(_PASSED_OVER, len(entries))):
        name = next(iter(entries))
        packed = entries[name]
        used_at, seen_at = _TIME.unpack_from(packed, _USED_AT), _TIME.unpack_from(packed, _SEEN_AT)
        if used_at <= seen_at:
            return name
        _TIME.pack_into(packed, _SEEN_AT, *used_at)
        entries[name] = entries.pop(name)
    return first


def _size(packed: bytearray, key: bytes) -> int:
    return _OVERHEAD + len(packed) + len(key)
