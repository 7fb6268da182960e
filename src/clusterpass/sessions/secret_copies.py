"""Reads the three copies of a namespace's secrets and signing keys, and repairs incomplete ones.

A process that finds a secret missing in a copy adds it there, and encrypts again what is still
encrypted under an older key encryption key. A copy that cannot be reached is repaired when it is
read next.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.calls.secrets import (
    COPIES,
    When,
    add_secrets,
    prune_secrets,
    read_secrets,
)
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.audit_recorder import AuditTrail

logger: Final = logging.getLogger("clusterpass.keys")
_MOST_SHOWN: Final = 20
_SHARE_OF_A_COPY: Final = 0.3
"""Of the deadline, for each copy but the last one that is tried."""


MARKER: Final = "p:"
"""Begins the names under which a copy keeps when it was pruned."""


class Known(Protocol):
    """The keys or secrets that a process knows, for comparison with the copies in the store."""

    def learn(self, values: Mapping[str, bytes]) -> None:
        """Take note of a copy."""

    def is_in(self, values: Mapping[str, bytes]) -> bool:
        """Whether a copy has what is looked for, so that no other one has to be read."""

    def lacking(self, values: Mapping[str, bytes]) -> dict[str, bytes]:
        """The values known here that have to be put into a copy."""

    def rewrapped(self, copy: int, values: Mapping[str, bytes]) -> dict[str, bytes]:
        """The values in copy number ``copy`` that the first key wraps anew in place of another."""

    def has_rewrapped(self, copy: int, names: Iterable[str]) -> None:
        """Take note that the copy has these, so that they are not wrapped by us again."""

    def stale(self, values: Mapping[str, bytes]) -> dict[str, tuple[bytes, int]]:
        """The entries of a copy that can no longer matter: the value of each, and the second from
        which on it may go."""


class SecretCopies:
    """The copies, read in turn by one process."""

    def __init__(
        self,
        known: Known,
        keyspace: Keyspace,
        deadline: float,
        *,
        fills: When,
        tells: bool,
        marker: str,
        on_pruned: Callable[[list[str]], None],
    ) -> None:
        """``deadline``: seconds after which the store gives up on a call. ``fills``: when what a
        copy lacks is put there. ``tells``: whether all processes hear of that. ``marker``: the name
        under which a copy keeps when it was pruned. ``on_pruned``: takes the names that were."""
        self._marker = marker
        self._on_pruned = on_pruned
        self._pruned: set[tuple[int, str]] = set()
        self._known = known
        self._keyspace = keyspace
        self._deadline = deadline
        self._fills: Final[When] = fills
        self._tells = tells
        self._next = 0
        """The number of the copy that is read next."""

    def read(self, *, all_copies: bool) -> Flow[list[int]]:
        """Learn copies until one has what is looked for, or all; return which have nothing.

        Raises StoreUnavailable when none answers, and what ``Known.learn`` does.
        """
        first = self._next
        failure: StoreUnavailable | None = None
        empty: list[int] = []
        answered = 0
        for number in range(first, first + COPIES):
            copy = number % COPIES
            is_last = number == first + COPIES - 1 and not answered
            try:
                values = yield from self._read_one(copy, is_last=is_last)
                if not self._known.is_in(values):
                    empty.append(copy)
                else:
                    yield from self._mend(copy, values)
            except StoreUnavailable as error:
                failure = error
                continue
            answered += 1
            self._next = (copy + 1) % COPIES
            if copy not in empty and not all_copies:
                break
        if not answered:
            assert failure is not None
            raise failure
        return empty

    def fill(self, copies: Iterable[int]) -> Flow[None]:
        """Put what is known into copies that have nothing; who reads one later tries again."""
        for copy in copies:
            values = self._known.lacking({})
            if values:
                yield from self._try_to_add(copy, values, self._fills, tells=self._tells)

    def tell_all(self, values: Mapping[str, bytes]) -> Flow[bool]:
        """Put ``values`` into every copy that can be reached; return whether one could be."""
        is_told = False
        for copy in range(COPIES):
            is_told = (yield from self._try_to_add(copy, values, "always")) or is_told
        return is_told

    def _mend(self, copy: int, values: dict[str, bytes]) -> Flow[None]:
        lacking = self._known.lacking(values)
        if lacking:
            answer: Answer[dict[str, bytes]] = yield add_secrets(
                self._keyspace, copy, lacking, when=self._fills, tells=self._tells
            )
            self._known.learn(answer.reply)
        yield from self._prune(copy, values)
        if not (yield from self._rewrap(copy, values)):
            return
        for other in range(COPIES):
            if other != copy:
                try:
                    # Read first: what was given up since must not be brought back.
                    held = yield from self._read_one(other)
                    yield from self._rewrap(other, held)
                except StoreUnavailable:
                    continue

    def _rewrap(self, copy: int, values: dict[str, bytes]) -> Flow[bool]:
        """Wrap anew what needs it in a copy; return whether anything did. Nobody is told: the
        secrets are the same."""
        newer = self._known.rewrapped(copy, values)
        if newer:
            answer: Answer[dict[str, bytes]] = yield add_secrets(
                self._keyspace, copy, newer, when="always"
            )
            self._known.has_rewrapped(copy, newer)
            self._known.learn(answer.reply)
        return bool(newer)

    def _prune(self, copy: int, values: dict[str, bytes]) -> Flow[None]:
        """Remove from every copy what can no longer matter, which this process does once: another
        of the release before puts it back."""
        stale = self._known.stale(values)
        if not {(copy, name) for name in stale} - self._pruned:
            return
        removed: set[str] = set()
        for number in range(COPIES):
            self._pruned.update((number, name) for name in stale)
            try:
                answer: Answer[list[str]] = yield prune_secrets(
                    self._keyspace,
                    number,
                    stale,
                    marker=self._marker,
                    deadline=self._deadline * _SHARE_OF_A_COPY,
                )
            except StoreUnavailable:
                continue
            removed.update(answer.reply)
        if removed:
            self._on_pruned(sorted(removed))

    def _read_one(self, copy: int, *, is_last: bool = False) -> Flow[dict[str, bytes]]:
        deadline = None if is_last else self._deadline * _SHARE_OF_A_COPY
        answer: Answer[dict[str, bytes]] = yield read_secrets(
            self._keyspace, copy, deadline=deadline
        )
        self._known.learn(answer.reply)
        return answer.reply

    def _try_to_add(
        self, copy: int, values: Mapping[str, bytes], when: When, *, tells: bool = False
    ) -> Flow[bool]:
        deadline = self._deadline * _SHARE_OF_A_COPY
        try:
            answer: Answer[dict[str, bytes]] = yield add_secrets(
                self._keyspace, copy, values, when=when, tells=tells, deadline=deadline
            )
        except StoreUnavailable:
            return False
        self._known.learn(answer.reply)
        return True


def note_pruned(trail: AuditTrail | None, action: str) -> Callable[[list[str]], None]:
    """Return what tells ``trail`` the names that were removed."""

    def note(names: list[str]) -> None:
        logger.info("removed from the store, as it can no longer matter: %s", ", ".join(names))
        if trail is not None:
            shown = [name.partition(":")[2] for name in names[:_MOST_SHOWN]]
            trail.note_of_itself(action, {"count": len(names), "ids": shown})

    return note
