"""Keeps deadlines going while freezegun stops the time."""

import importlib.util
from typing import Any, Final

import pytest

_REAL: Final = ("clusterpass.store", "clusterpass.managers", "clusterpass.embedded", "redis")
"""The modules that see the real time: none of them calls the code of an application."""


def keep_deadlines(patch: pytest.MonkeyPatch) -> None:
    """Have freezegun, if it is installed, leave deadlines and event loops alone, until ``patch`` is
    undone.

    A decorator that was made before, when the tests were collected, counts too.
    """
    if importlib.util.find_spec("freezegun") is None:
        return
    import freezegun.api  # noqa: PLC0415 (only the tests of the application install it)

    kind: Any = freezegun.api._freeze_time
    begin = kind.start

    def start(self: Any) -> Any:
        self.ignore = (*self.ignore, *_REAL)
        self.real_asyncio = True
        return begin(self)

    patch.setattr(kind, "start", start)
