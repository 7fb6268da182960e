"""The entries of the near cache by token and by key, and which of them leaves when it is full.

The entries that were used last are kept as objects (:class:`CachedToken`), of which a lookup
returns the session as it stands. Their number is bounded by a constant. All others are packed
(:mod:`clusterpass.sessions.memory.packed_tokens`) and are rebuilt when their token is used again,
in some microseconds. So neither the time of an insertion nor (before Python 3.14) that of a garbage
collection grows with the size of the cache, and a packed entry takes half of the memory.

- Among the objects, eviction follows the second-chance algorithm: a hand goes round, and packs the
  first that was not used since the hand last passed over it; the newest takes its place. Among the
  packed ones the oldest leaves. So the entry that leaves is, roughly, the one that was not used
  for longest.
- Expired tokens leave first. An entry that is being loaded stays where it is.
- Each insertion looks at a bounded number of entries. When many are being loaded, the limits are
  exceeded until the next insertions.
"""

from collections.abc import Callable, Container
from contextlib import suppress
from typing import Final

from clusterpass.model.values import Session
from clusterpass.sessions.memory.entries import CachedToken
from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.node_state import NEVER
from clusterpass.sessions.memory.packed_entry import lease_of, pack_entry, unpack_entry
from clusterpass.sessions.memory.packed_tokens import PackedTokens

MOST_OBJECTS: Final = 4096
"""The most entries that are kept as objects."""
_OBJECT_BYTES: Final = 1600
"""The memory of an entry that is an object, apart from its token, its key and twice the store's
answer, as measured by ``python -m benchmarks near_memory``."""
_CALL_BYTES: Final = 800
_BYTES_OBJECT: Final = 33
_PACKED_BYTES: Final = 512
"""The least memory of a packed entry."""
_OBJECTS_PART: Final = 8192
"""One entry is kept as an object for so many bytes of the cache."""
_FEWEST_OBJECTS: Final = 64
_CHECKED_FOR_EXPIRY: Final = 4
"""How many objects each insertion checks for expired tokens, in turn."""
_LOOKED_AT: Final = 16
"""How many objects are looked at to find the one that leaves."""
_PACKED_AT_ONCE: Final = 8
_REBUILT_EACH: Final = 64
"""One in so many uses of packed responses makes an object of the entry."""
_EVICTED_AT_ONCE: Final = 64


class TokenIndex:
    """The entries of one near cache. Callers must serialise the calls, except :meth:`is_packed`."""

    def __init__(
        self,
        most_entries: int,
        most_bytes: int,
        *,
        leases: Leases,
        loading: Container[str],
        steady: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        """``loading``: has the tokens whose sessions are being loaded. ``steady``, ``clock``:
        return seconds of the steady clock, and since the epoch."""
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._most_objects = min(
            MOST_OBJECTS, most_entries, max(_FEWEST_OBJECTS, most_bytes // _OBJECTS_PART)
        )
        self._leases = leases
        self._loading = loading
        self._steady = steady
        self._clock = clock
        self.objects: Final[dict[str, CachedToken]] = {}
        """The entries that are objects."""
        self._ring: list[CachedToken] = []
        self._hand = 0
        self._expiry_hand = 0
        self._by_key: dict[bytes, CachedToken | set[CachedToken]] = {}
        self._packed = PackedTokens(min(most_entries, most_bytes // _PACKED_BYTES))
        self.is_packed: Final = self._packed.__contains__
        """Returns whether the entry of a token is packed; any thread may ask at any time."""
        self._object_bytes = 0
        self._responses = 0
        """How many responses packed entries have given."""
        self.era = 0
        """How often the entries of removed keys were dropped."""
        self.evictions = 0
        """The number of entries that left before their tokens expired."""

    def __len__(self) -> int:
        return len(self.objects) + len(self._packed)

    @property
    def size(self) -> int:
        """The estimated memory of all entries, in bytes."""
        return self._object_bytes + self._packed.size

    def rebuilt(self, token: str) -> CachedToken | None:
        """Return the entry of ``token`` as an object; None: there is no entry."""
        known = self.objects.get(token)
        if known is not None:
            return known
        taken = self._packed.take(token)
        if taken is None:
            return None
        entry = unpack_entry(token, taken.key, taken.packed, self._leases.current)
        if taken.is_changed:
            entry.lease = NEVER
            entry.is_doubtful = True
        entry.era = self.era
        self._add(entry)
        self._trim()
        return entry

    def packed_response(self, token: str) -> bytes | None:
        """Return the response kept with a packed entry if it may be served now.

        Few of those who are used become objects: the more often one is used, the sooner.
        """
        response = self._packed.response(token, self._steady(), self._until)
        if response is not None:
            self._responses += 1
            if not self._responses % _REBUILT_EACH:
                self.rebuilt(token)
        return response

    def overdue(self, token: str) -> tuple[bytes, bytes] | None:
        """Return the contents and the response of the packed entry of ``token``, if only its
        deadline keeps that from being served."""
        return self._packed.overdue(token, self._steady(), self._until)

    def put_off(self, token: str, deadline: float) -> None:
        """Give the packed entry of ``token`` another deadline, and note that it was used."""
        self._packed.put_off(token, deadline, self._steady())

    def _until(self, lease: int) -> float:
        return lease_of(lease, self._leases.current).until

    def keep_response(self, token: str, session: Session, response: bytes) -> None:
        """Keep ``response`` with the entry of ``token`` if its session is ``session``."""
        entry = self.objects.get(token)
        if entry is not None and entry.session is session:
            entry.response = response
            self._count_bytes(entry)
            self._trim()

    def put(self, entry: CachedToken) -> None:
        """Put ``entry`` in, in place of any other of its token; evict others if need be.

        An entry of an earlier era is left out: the key that signed its token may be gone.
        """
        if entry.era != self.era:
            return
        known = self.objects.get(entry.token)
        if known is not entry:
            if known is not None:
                self._remove(known)
            else:
                self._packed.take(entry.token)
            self._add(entry)
            entry.used_at = entry.looked_at
        else:
            entry.used_at = self._steady()
            self._count_bytes(entry)
        self._drop_expired()
        self._trim()

    def doubt(self, key: bytes) -> None:
        """Invalidate the sessions of ``key``."""
        found = self._by_key.get(key, ())
        for entry in (found,) if isinstance(found, CachedToken) else found:
            entry.lease = NEVER
            entry.is_doubtful = True
        self._packed.changed(key)

    def begin_era(self) -> None:
        """Drop all entries, also those that are being loaded: a key was removed."""
        self.era += 1
        self.clear()

    def is_leased(self, key: bytes, now: float) -> bool:
        """Return whether a session of ``key`` that is held as an object has a running lease."""
        found = self._by_key.get(key, ())
        held = (found,) if isinstance(found, CachedToken) else found
        return any(now < entry.lease.until for entry in held)

    def clear(self) -> None:
        """Drop all entries."""
        self.objects.clear()
        self._ring.clear()
        self._by_key.clear()
        self._packed.clear()
        self._object_bytes = 0

    # Objects.

    def _add(self, entry: CachedToken) -> None:
        entry.looked_at = self._steady()
        entry.place = len(self._ring)
        self._ring.append(entry)
        self.objects[entry.token] = entry
        beside = self._by_key.get(entry.key)
        if beside is None:
            self._by_key[entry.key] = entry
        elif isinstance(beside, set):
            beside.add(entry)
        else:
            self._by_key[entry.key] = {beside, entry}
        self._count_bytes(entry)

    def _count_bytes(self, entry: CachedToken) -> None:
        size = _OBJECT_BYTES + len(entry.token) + len(entry.key)
        if entry.call is not None:
            size += _CALL_BYTES
        if entry.response is not None:
            size += _BYTES_OBJECT + len(entry.response)
        if entry.loaded is not None:
            for part in entry.loaded.raw:
                if isinstance(part, bytes):
                    size += 2 * len(part)
        self._object_bytes += size - entry.size
        entry.size = size

    def _remove(self, entry: CachedToken) -> None:
        # Who still holds the object is not told of changes any more.
        entry.lease = NEVER
        entry.is_doubtful = True
        del self.objects[entry.token]
        last = self._ring.pop()
        if last is not entry:
            self._ring[entry.place] = last
            last.place = entry.place
        self._object_bytes -= entry.size
        entry.size = 0
        beside = self._by_key[entry.key]
        if isinstance(beside, set):
            beside.discard(entry)
            if len(beside) == 1:
                self._by_key[entry.key] = beside.pop()
        else:
            del self._by_key[entry.key]

    # Leaving.

    def _drop_expired(self) -> None:
        now = self._clock()
        for _ in range(min(_CHECKED_FOR_EXPIRY, len(self._ring))):
            self._expiry_hand %= len(self._ring)
            entry = self._ring[self._expiry_hand]
            if entry.expires_at <= now and entry.token not in self._loading:
                self._remove(entry)  # the last one takes its place
            else:
                self._expiry_hand += 1

    def _trim(self) -> None:
        objects = len(self.objects)
        if (
            objects <= self._most_objects
            and objects + self._packed.count <= self._most_entries
            and self._object_bytes + self._packed.size <= self._most_bytes
        ):
            return
        for _ in range(_PACKED_AT_ONCE):
            if len(self.objects) <= self._most_objects:
                break
            entry = self._next_to_leave()
            if entry is None:
                break
            self._pack(entry)
        for _ in range(_EVICTED_AT_ONCE):
            if len(self) <= self._most_entries and self.size <= self._most_bytes:
                break
            if self._packed:
                self.evictions += self._packed.make_room(self._clock())
                continue
            entry = self._next_to_leave()
            if entry is None:
                break
            self.evictions += 1
            self._remove(entry)

    def _next_to_leave(self) -> CachedToken | None:
        """Return the object that leaves next; None when those looked at are being loaded."""
        if not self._ring:
            return None
        passed_over = None
        others = max(1, len(self._ring) - 1)  # the newest is the last
        for _ in range(min(_LOOKED_AT, others)):
            self._hand %= others
            entry = self._ring[self._hand]
            self._hand += 1
            if entry.token not in self._loading:
                if entry.used_at <= entry.looked_at:
                    return entry
                entry.looked_at = entry.used_at
                passed_over = passed_over or entry
        return passed_over

    def _pack(self, entry: CachedToken) -> None:
        token, key, expires_at = entry.token, entry.key, entry.expires_at
        now = self._clock()
        packed = None
        with suppress(ValueError):
            packed = pack_entry(entry)
        self._remove(entry)
        if packed is not None and expires_at > now:
            self._packed.put(token, key, expires_at, packed, now)
        elif expires_at > now:
            self.evictions += 1
