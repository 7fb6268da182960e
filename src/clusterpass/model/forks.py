"""What the child of a fork must not share with its parent: locks, threads, connections, queues.

An object that holds such things says :func:`renew_in_child` when it is made; in the child its
``begin_anew`` is called before any other code of the program runs there.
"""

import os
import weakref
from typing import Final, Protocol


class Renewed(Protocol):
    """An object that can start over."""

    def begin_anew(self) -> None:
        """Replace what is shared with the parent; nothing of the parent's is closed or waited for.

        Called in the child, where no other thread runs and any lock may be held for ever.
        """


_registered: Final[weakref.WeakKeyDictionary[Renewed, None]] = weakref.WeakKeyDictionary()


def renew_in_child(held: Renewed) -> None:
    """Call ``held.begin_anew()`` in each child of a fork, as long as ``held`` is alive.

    Objects are renewed in the order in which they were registered.
    """
    _registered[held] = None


def _renew() -> None:
    for held in list(_registered):
        held.begin_anew()


os.register_at_fork(after_in_child=_renew)
