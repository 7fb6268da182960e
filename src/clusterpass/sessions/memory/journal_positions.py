"""The read positions in the journals of all nodes, and the heads that the nodes reported.

A journal is read on from the last position. It is read whole after a new connection, and after its
server was restarted or promoted, because earlier positions are then meaningless.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from clusterpass.protocol.calls.journal import JournalRead, ReadFrom, Told


@dataclass(slots=True)
class JournalCopy:
    """The position up to which the journal of one node was read."""

    own_mark: bytes
    """The run of the server and its config epoch; under others, positions mean other events."""
    position: int | None = None
    """The latest event that is known; None: not all entries are known."""
    told: Told | None = None
    """What the journal told of itself when it was read last; None: it is not filled."""

    def advance(self, asked: ReadFrom, read: JournalRead) -> ReadFrom | None:
        """Take note that the entries in ``read``, which was read from ``asked``, are known.

        Returns from where to go on; None: all entries of the journal are known.
        """
        if asked.position is None:
            began_at = read.head if asked.cursor == b"0" else asked.began_at
            if read.cursor:
                return ReadFrom(None, read.cursor, began_at)
            if read.head > began_at:
                return ReadFrom(began_at)
        elif read.cursor:
            return ReadFrom(None)
        self.position = read.head
        self.told = read.told if read.is_filled else None
        return None


class JournalPositions:
    """The positions in the journals of all nodes.

    Callers must serialise what changes them, except :meth:`forget`.
    """

    def __init__(self) -> None:
        self._copies: dict[Hashable, JournalCopy] = {}

    def __len__(self) -> int:
        return len(self._copies)

    def forget(self, node: Hashable) -> None:
        """Have the whole journal of ``node`` read next time."""
        self._copies.pop(node, None)

    def read_from(self, node: Hashable) -> ReadFrom:
        """Return from where the journal of ``node`` has to be read."""
        copy = self._copies.get(node)
        return ReadFrom(None if copy is None else copy.position)

    def knows(self, node: Hashable, told: Told) -> bool:
        """Return whether all entries of the journal of ``node`` are known, given what it told."""
        copy = self._copies.get(node)
        return copy is not None and copy.told == told

    def has_gaps(self) -> bool:
        """Return whether a journal was read that may have lost entries, and is not filled yet."""
        return any(
            copy.told is None and copy.position is not None for copy in list(self._copies.values())
        )

    def copy_of(self, node: Hashable, asked: ReadFrom, read: JournalRead) -> JournalCopy | None:
        """Return the copy that ``read``, which ``node`` answered to ``asked``, belongs to.

        None: the position was one of another run of the server, so the journal has to be read
        whole. When the node is forgotten meanwhile, what becomes of the copy is of no interest.
        """
        copy = self._copies.get(node)
        if copy is None or copy.own_mark != read.own_mark:
            copy = self._copies[node] = JournalCopy(read.own_mark)
            if asked != ReadFrom(None):
                return None
        return copy
