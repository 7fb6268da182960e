"""Checks of the arguments of verbs. Each returns its argument or raises InvalidInput."""

import re
from collections.abc import Sequence
from typing import Final

from clusterpass.limits import LONGEST_LIFETIME, LONGEST_REASON_BYTES
from clusterpass.model.errors import InvalidInput, SessionNotFound
from clusterpass.tokens.identifiers import decode_session_id

_SHORTEST_LIFETIME: Final = 10
_LONGEST_GENERATION: Final = 2**53
_CODE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_DEVICE_TYPE: Final = re.compile(r"[A-Za-z0-9_.-]{1,16}")
_METHOD: Final = re.compile(r"[A-Za-z0-9_.-]{1,16}")
_MOST_METHODS: Final = 8


def check_seconds(name: str, value: object, at_least: int, at_most: int) -> int:
    """Return ``value`` if it is whole seconds from ``at_least`` to ``at_most``.

    Raises InvalidInput otherwise, with ``name`` in the message.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
        raise InvalidInput(f"{name} must be a whole number of seconds from {at_least} to {at_most}")
    return value


def check_lifetime(name: str, value: object, *, may_be_zero: bool = False) -> int:
    """Return ``value`` if it is a lifetime: 10 seconds to ten years, or 0 if ``may_be_zero``.

    Raises InvalidInput otherwise, with ``name`` in the message.
    """
    if may_be_zero and type(value) is int and value == 0:
        return 0
    return check_seconds(name, value, _SHORTEST_LIFETIME, LONGEST_LIFETIME)


def check_device_type(kind: object) -> str | None:
    """Return ``kind`` if it is None or a short name; raise InvalidInput if not."""
    if kind is None:
        return None
    if not isinstance(kind, str) or not _DEVICE_TYPE.fullmatch(kind):
        raise InvalidInput("device_type must be 1 to 16 letters, digits or any of _.-")
    return kind


def check_level(levels: Sequence[str], level: object) -> str:
    """Return ``level`` if it is one of ``levels``; raise InvalidInput if not."""
    if not isinstance(level, str) or level not in levels:
        raise InvalidInput(f"level must be one of {', '.join(levels)}")
    return level


def check_methods(methods: object) -> tuple[str, ...]:
    """Return ``methods`` as a tuple if they are at most 8 short names (RFC 8176).

    Raises InvalidInput otherwise.
    """
    if (
        isinstance(methods, str)
        or not isinstance(methods, Sequence)
        or len(methods) > _MOST_METHODS
        or not all(isinstance(method, str) and _METHOD.fullmatch(method) for method in methods)
    ):
        raise InvalidInput(
            f"amr must be a sequence of at most {_MOST_METHODS} short names, such as 'pwd', 'otp'"
        )
    return tuple(methods)


def check_code(name: str, value: object) -> str:
    """Return ``value`` if it is the code of an action or an error.

    Raises InvalidInput otherwise, with ``name`` in the message.
    """
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        raise InvalidInput(
            f"{name} must be 1 to 64 lowercase letters, digits or any of _.- and begin with a"
            " letter"
        )
    return value


def check_reason(reason: object, *, may_be_empty: bool = True) -> str:
    """Return ``reason`` if it is text of at most 200 bytes without control characters.

    Raises InvalidInput otherwise.
    """
    if not isinstance(reason, str):
        raise InvalidInput("reason must be a string")
    if not reason and not may_be_empty:
        raise InvalidInput("a reason must be given")
    try:
        size = len(reason.encode())
    except UnicodeEncodeError:
        raise InvalidInput("reason is not valid Unicode text") from None
    if size > LONGEST_REASON_BYTES or not (not reason or reason.isprintable()):
        raise InvalidInput(
            f"reason must take at most {LONGEST_REASON_BYTES} bytes, without control characters"
        )
    return reason


def check_session_to_replace(session_id: object) -> bytes:
    """Return the 16 bytes of a session id; raise SessionNotFound where it is malformed."""
    wanted = decode_session_id(session_id)
    if wanted is None:
        raise SessionNotFound("The session to replace does not exist: its id is malformed")
    return wanted


def check_generation(generation: object) -> int:
    """Return ``generation`` if it may be a result of ``SessionManager.generation``.

    Raises InvalidInput otherwise.
    """
    if (
        not isinstance(generation, int)
        or isinstance(generation, bool)
        or not 0 <= generation < _LONGEST_GENERATION
    ):
        raise InvalidInput("generation must be what SessionManager.generation returned")
    return generation
