"""More builds that are broken on purpose, see :mod:`.broken`: what the journals hold."""

from typing import Any

from clusterpass.sessions.memory.journal import Journal


def entries_are_not_known() -> None:
    """The journals are read, and what they hold is not enforced."""
    changed: Any = Journal
    changed._learn = lambda *_: None


def entries_are_not_carried_out_first() -> None:
    """What the journals hold is known, and the owner is asked all the same."""
    whole = Journal._learn

    def learn(self: Any, entry_id: bytes, encoded: bytes) -> None:
        whole(self, entry_id, encoded)
        self.ahead.clear()

    changed: Any = Journal
    changed._learn = learn
