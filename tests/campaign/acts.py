"""Operations that a campaign's process can perform: single calls, and plots of several."""

import hashlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from .history import Operation


def digest(token: str) -> str:
    """Return a digest that tells tokens apart in a record, which never holds the token."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


@dataclass(slots=True)
class Known:
    """A session that may be verified."""

    subject: str
    session: str
    access_token: str
    token: str = ""
    """The digest of the access token."""
    refresh_token: str = ""
    """The current refresh token, where this process has opened the session."""
    used_token: str = ""
    """The one before."""
    first_token: str = ""


@dataclass(slots=True)
class Act:
    """An operation to perform."""

    operation: Operation
    call: Callable[[Any], Any]
    """Calls a manager; the result is awaited where the manager is asynchronous."""
    known: Known | None = None
    plot: "Plot | None" = None
    """What goes on when this has returned."""


Step = tuple[float, Callable[[], Act]]
"""After so many seconds, this."""
Plot = Generator[Step, Any, None]
"""Yields steps; what is sent back is the result of the call, or its ClusterPassError."""
