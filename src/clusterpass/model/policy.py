"""How many sessions a subject may have at once, and which one leaves for a new one.

The limits are judged inside the store, so that racing logins cannot exceed them.
"""

from dataclasses import dataclass
from typing import Literal, Self, get_args

from clusterpass.model.errors import ConfigurationError

Overflow = Literal["oldest", "least_recently_used", "refuse"]


def check_whole(name: str, value: object, at_least: int, at_most: int) -> None:
    """Raises ConfigurationError unless ``value`` is a whole number in the range."""
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
        raise ConfigurationError(
            f"{name} must be a whole number from {at_least} to {at_most}, not {value!r}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """How many sessions a subject may have, and what happens to one more.

    Raises ConfigurationError when a value is out of its range.
    """

    max_sessions: int = 50
    """Of a subject, on all devices (1 to 500)."""
    max_per_device: int = 0
    """Of a subject, on devices of one type (1 to 500; 0: no such limit)."""
    overflow: Overflow = "oldest"
    """``oldest``: the session whose login is the longest ago leaves; ``least_recently_used``: the
    one whose last use is; ``refuse``: the login is refused with TooManySessions."""

    def __post_init__(self) -> None:
        check_whole("max_sessions", self.max_sessions, 1, 500)
        check_whole("max_per_device", self.max_per_device, 0, 500)
        if self.overflow not in get_args(Overflow):
            raise ConfigurationError(
                "overflow must be 'oldest', 'least_recently_used' or 'refuse',"
                f" not {self.overflow!r}"
            )

    @classmethod
    def single_session(cls) -> Self:
        """The newest login wins: every earlier session of the subject is replaced."""
        return cls(max_sessions=1)

    @classmethod
    def one_per_device(cls, *, max_sessions: int = 50) -> Self:
        """The newest login of a device type wins: one phone, one tablet, one browser."""
        return cls(max_sessions=max_sessions, max_per_device=1)
