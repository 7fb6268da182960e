"""Credentials of the connections to a store: fixed, read from a file, or from the application.

A source is asked for each new connection. What it raises or returns may be secret, so the error
that callers see names only the type of the failure.
"""

import inspect
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from clusterpass.model.errors import ConfigurationError, StoreUnavailable

_LONGEST_FILE: Final = 65_536
_SHARE_OF_LIFETIME: Final = 0.75
_PAIR: Final = 2
_PAUSE_AFTER_FAILURE: Final = 1.0
_SHARE_OF_TIME_LEFT: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user and a password for the session store, and for how long they are good.

    ``username``: None for the default user. ``expires_in``: seconds from now after which the server
    may end connections that have used them; None: never. Live connections authenticate again, with
    what the source then returns, once three quarters of the time are over.
    """

    username: str | None = None
    password: str = field(repr=False)
    expires_in: float | None = None

    def __post_init__(self) -> None:
        """Raise ConfigurationError for values of other types, and a time that is not positive."""
        if not isinstance(self.password, str) or not isinstance(self.username, str | None):
            raise ConfigurationError("the username and the password of Credentials must be texts")
        lifetime = self.expires_in
        if lifetime is not None and not (
            isinstance(lifetime, int | float) and 0 < lifetime < math.inf
        ):
            raise ConfigurationError("expires_in of Credentials must be a positive number")

    def pair(self) -> tuple[bytes, bytes]:
        """The user and the password as AUTH takes them."""
        return (self.username or "default").encode(), self.password.encode()

    def renewal(self, now: float) -> float:
        """The time to authenticate again, in the seconds of ``now``; infinity: never."""
        return now + _SHARE_OF_LIFETIME * (math.inf if self.expires_in is None else self.expires_in)

    def end(self, now: float) -> float:
        """The time at which the credentials expire, in the seconds of ``now``; infinity: never."""
        return now + (math.inf if self.expires_in is None else self.expires_in)


Given = Credentials | tuple[str | None, str] | tuple[str]
"""What a source returns: as a tuple, ``(user, password)`` or ``(password,)``, as redis-py's
``CredentialProvider.get_credentials`` does."""
CredentialSource = Callable[[], Given | Awaitable[Given]]
"""Returns the credentials for a new connection. An asynchronous one is for an asynchronous store
alone."""


@dataclass(frozen=True, slots=True)
class PasswordFile:
    """The source that reads the password from a file for each connection."""

    path: str
    username: str | None
    """None for the default user."""

    def __call__(self) -> Credentials:
        """Return what the file holds now. Raises OSError, and ValueError for an empty file."""
        return Credentials(username=self.username, password=read_secret(self.path))


def read_secret(path: str) -> str:
    """The text of the file at ``path``, without the line end. Raises OSError, ValueError."""
    with Path(path).open("rb") as file:
        text = file.read(_LONGEST_FILE).decode().rstrip("\r\n")
    if not text:
        raise ValueError("the file is empty")
    return text


def is_asynchronous(source: CredentialSource) -> bool:
    """Whether ``source`` has to be awaited, as far as can be told without calling it."""
    called = getattr(source, "__call__", None)  # noqa: B004 (the method is what is of interest)
    return inspect.iscoroutinefunction(source) or inspect.iscoroutinefunction(called)


def ask(source: CredentialSource) -> Credentials:
    """Ask ``source``. Raises StoreUnavailable, with the cause ``authentication``."""
    failure: str
    try:
        given = source()
        if not inspect.isawaitable(given):
            return read_given(given)
        if inspect.iscoroutine(given):
            given.close()
        failure = "is asynchronous, and the manager is not"
    except Exception as error:  # noqa: BLE001 (whatever the application's function raises)
        failure = f"failed: {type(error).__name__}"
    raise source_unavailable(failure)


def pause_after_failure(now: float, end: float) -> float:
    """Seconds until authentication is tried again; ``end``: when the credentials expire."""
    return min(_PAUSE_AFTER_FAILURE, max(0.0, end - now) * _SHARE_OF_TIME_LEFT + 0.01)


def read_given(given: Any) -> Credentials:
    """Validate the value that a source returned. Raises TypeError, ConfigurationError."""
    if isinstance(given, Credentials):
        return given
    if isinstance(given, tuple) and 1 <= len(given) <= _PAIR:
        return Credentials(username=given[0] if len(given) == _PAIR else None, password=given[-1])
    raise TypeError("neither Credentials nor a tuple")


def source_unavailable(failure: str) -> StoreUnavailable:
    """The error for a source that has failed; ``failure``: how, without anything secret."""
    return StoreUnavailable(
        f"The source of the session store's credentials {failure}",
        reason="authentication",
        cause="authentication",
    )
