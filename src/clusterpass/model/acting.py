"""The current actor: set for each request, and read by the audit trail and the histories.

The actor is in a ContextVar, so it applies to the calls of one thread or task, and to the tasks
that these start.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from clusterpass.model.errors import InvalidInput

LONGEST_NAME: Final = 255
"""Characters of the longest actor, channel, address or request id."""


@dataclass(frozen=True, slots=True)
class Acting:
    """The caller of a manager's verbs, and the channel through which they come."""

    actor: str | None = None
    """The subject who acts; None: the application itself, or nobody is known yet."""
    via: str | None = None
    """What the actor uses: ``http``, ``page``, ``command``, or a name of the application's."""
    address: str | None = None
    """The client's IP address."""
    request_id: str | None = None
    """The id of the request, as the log has it."""


_NOBODY: Final = Acting()
_current: Final[ContextVar[Acting]] = ContextVar("clusterpass-acting", default=_NOBODY)


def who_acts() -> Acting:
    """Return who acts in the current thread or task."""
    return _current.get()


@contextmanager
def nobody_acts() -> Iterator[None]:
    """Have the library itself act in the block, whoever has called it."""
    token = _current.set(_NOBODY)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def acting(
    actor: str | None = None,
    *,
    via: str | None = None,
    address: str | None = None,
    request_id: str | None = None,
) -> Iterator[None]:
    """Say who acts in the block, for the audit trail and the history of the subjects.

    ``actor``: the subject of the person or the name of the program; ``via``: what it uses, such as
    ``console``; ``address``: the client's IP address; ``request_id``: that of the log. What is None
    stays as an outer block has set it. The block holds for the current thread, or the current task
    and those that it starts. Raises InvalidInput for what is not 1 to 255 characters of text.
    """
    given = {"actor": actor, "via": via, "address": address, "request_id": request_id}
    for name, value in given.items():
        if value is not None and (
            not isinstance(value, str) or not 1 <= len(value) <= LONGEST_NAME
        ):
            raise InvalidInput(f"{name} must be 1 to {LONGEST_NAME} characters of text")
    outer = _current.get()
    token = _current.set(
        Acting(
            outer.actor if actor is None else actor,
            outer.via if via is None else via,
            outer.address if address is None else address,
            outer.request_id if request_id is None else request_id,
        )
    )
    try:
        yield
    finally:
        _current.reset(token)
