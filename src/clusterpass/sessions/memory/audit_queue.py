"""Audit entries of one manager that are not yet written.

Each is written at least once: if the answer of the store is lost, the entry is written again, and
readers recognise the duplicate by the sequence number that its writer gave it. Entries that the
store refuses go to the log in full.
"""

import json
import logging
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol
from weakref import WeakMethod

from clusterpass.model.audit import AuditPolicy, AuditStats
from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.protocol.calls.audit import append_entries
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Flow, Rest

Entry = tuple[bytes, str]
"""The text of an entry, and its SHA-256 in hexadecimal digits."""

MOST_WAITING: Final = 10_000
MOST_AT_ONCE: Final = 100
WILL_NOT_HEAL: Final = (StoreDenied, StoreFailed)
"""Errors of which another try would bring no other."""
_SETTLING_SECONDS: Final = 0.005
_MOST_RESTS: Final = 1000
logger: Final = logging.getLogger("clusterpass.audit")


class Waking(Protocol):
    """A worker that can be woken from any thread."""

    def wake_soon(self) -> None:
        """Start or resume the work."""


class AuditQueue:
    """The audit entries that wait to be written or are being written."""

    def __init__(self, policy: AuditPolicy, keyspace: Keyspace) -> None:
        self._policy: Final = policy
        self._keyspace: Final = keyspace
        self._waiting: deque[Entry] = deque()
        self._under_way: dict[object, list[Entry]] = {}
        self._of_worker: object = None
        """The key of what the worker is writing."""
        self._written = self._failed = self._logged = 0
        self._is_closed = False
        self._wake: Callable[[], Callable[[], None] | None] = _nobody

    def wake_by(self, worker: "Waking") -> None:
        """Have ``worker`` write what waits; it is not kept alive by that."""
        self._wake = WeakMethod(worker.wake_soon)

    def begin_anew(self) -> None:
        """Leave everything to the parent process; called in a forked child."""
        self._waiting.clear()
        self._under_way.clear()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether something waits, or is being written."""
        return bool(self._waiting or self._under_way)

    def stats(self) -> AuditStats:
        """Return what became of the entries."""
        return AuditStats(
            written=self._written,
            waiting=len(self._waiting) + sum(map(len, self._under_way.copy().values())),
            failed=self._failed,
            logged=self._logged,
        )

    def put(self, entry: Entry) -> None:
        """Leave ``entry`` to the worker, or to the log when too many wait. Never raises."""
        if self._is_closed or len(self._waiting) >= MOST_WAITING:
            self.log(entry)
            return
        self._waiting.append(entry)
        wake = self._wake()
        if wake is not None:
            wake()

    def log(self, entry: Entry) -> None:
        """Write ``entry`` to the log, in ASCII, as the store does not take it."""
        self._logged += 1
        text = json.dumps(json.loads(entry[0]), separators=(",", ":"))
        logger.error("an entry of the audit trail was not stored: %s", text)

    def close(self) -> None:
        """Write all that is left to the log, and whatever comes from now on."""
        self._is_closed = True
        for key in list(self._under_way):
            self._put_back(key)
        for entry in self._taken():
            self.log(entry)

    def _taken(self) -> Iterator[Entry]:
        """Take what waits, one by one; others may do so at once."""
        while True:
            try:
                yield self._waiting.popleft()
            except IndexError:
                return

    def take_back(self) -> None:
        """Let wait again what the worker was writing when its event loop ended."""
        self._put_back(self._of_worker)

    def _put_back(self, key: object) -> None:
        batch = self._under_way.pop(key, None)
        if batch is None:
            return  # somebody has taken it back
        self._failed += 1
        if self._is_closed:
            for entry in batch:
                self.log(entry)
        else:
            self._waiting.extendleft(reversed(batch))

    def write(self, *, as_worker: bool = False) -> Flow[None]:
        """Write what waits, at most 100 entries. ``as_worker``: whether the worker asks.

        Raises StoreUnavailable, and the entries go on waiting; or StoreDenied or StoreFailed, when
        no other try could be better, and the log has them.
        """
        batch = list(islice(self._taken(), MOST_AT_ONCE))
        if not batch:
            return
        key = object()
        self._under_way[key] = batch
        if as_worker:
            self._of_worker = key
        try:
            yield from self.append(tuple(batch))
        except WILL_NOT_HEAL:
            if self._under_way.pop(key, None) is not None:
                for entry in batch:
                    self.log(entry)
            raise
        except BaseException:
            self._put_back(key)
            raise
        self._under_way.pop(key, None)

    def write_now(self, entry: Entry, deadline: float) -> Flow[None]:
        """Write ``entry``, or leave it to the worker when that takes longer than ``deadline``.

        ``deadline``: seconds. Raises nothing of the store's.
        """
        try:
            yield from self.append((entry,), deadline)
        except WILL_NOT_HEAL:
            self.log(entry)
        except Exception:  # noqa: BLE001 (the verb was done, whatever has failed here)
            self._failed += 1
            self.put(entry)
        except BaseException:  # the caller has gone: it may have been written, or not
            self.put(entry)
            raise

    def flush(self) -> Flow[None]:
        """Write all that waits, and wait for what others are writing.

        What they could not write waits again, and is written here. Raises what :meth:`write` does,
        and StoreUnavailable when others are still writing after five seconds.
        """
        failed = None
        while failed != self._failed:
            failed = self._failed
            while self._waiting:
                yield from self.write()
            yield from self._settle()

    def _settle(self) -> Flow[None]:
        """Wait until nothing of what others are writing now is under way."""
        theirs = set(self._under_way.copy())
        for _ in range(_MOST_RESTS):
            if theirs.isdisjoint(self._under_way.copy()):
                return
            yield Rest(_SETTLING_SECONDS)
        raise StoreUnavailable(reason="unconfirmed")

    def append(self, entries: tuple[Entry, ...], deadline: float | None = None) -> Flow[None]:
        """Write ``entries``.

        They are written when the store answers, whether a replica confirms them or not: to write
        them again would add them once more.
        """
        yield append_entries(
            self._keyspace,
            entries,
            most_entries=self._policy.most_entries,
            retention=self._policy.retention,
            deadline=deadline,
        )
        self._written += len(entries)


def _nobody() -> None:
    """Return no worker."""
