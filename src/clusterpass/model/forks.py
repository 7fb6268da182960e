"""Fork safety: a child process shares no lock, thread, connection or queue with its parent.

An object that holds such things calls :func:`renew_in_child` when it is created. In each child its
``begin_anew`` then runs before any other code of the program.
"""

import os
import weakref
from typing import Final, Protocol


class Renewed(Protocol):
    """An object that can replace what it shares with a parent process."""

    def begin_anew(self) -> None:
        """Replace what is shared with the parent, without closing or waiting for any of it.

        This method runs in the child, where there is no other thread and where any lock may be
        held forever.
        """


_registered: Final[weakref.WeakKeyDictionary[Renewed, None]] = weakref.WeakKeyDictionary()


def renew_in_child(held: Renewed) -> None:
    """Call ``held.begin_anew()`` in each forked child, as long as ``held`` is alive.

    Objects are renewed in the order of their registration.
    """
    _registered[held] = None


def _renew() -> None:
    for held in list(_registered):
        held.begin_anew()


os.register_at_fork(after_in_child=_renew)
