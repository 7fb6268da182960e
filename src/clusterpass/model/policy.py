"""The limits on the sessions of a subject, and what happens when a login exceeds them.

The store enforces the limits atomically, so concurrent logins cannot exceed them.
"""

from dataclasses import dataclass
from typing import Literal, Self, get_args

from clusterpass.model.errors import ConfigurationError
from clusterpass.model.json_form import Value

Overflow = Literal["oldest", "least_recently_used", "refuse"]


def check_whole(name: str, value: object, at_least: int, at_most: int) -> None:
    """Raise ConfigurationError unless ``value`` is a whole number within the range."""
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
        raise ConfigurationError(
            f"{name} must be a whole number from {at_least} to {at_most}, not {value!r}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy(Value):
    """The limits on the sessions of one subject, and what happens when a login exceeds them.

    The constructor raises ConfigurationError when a value is out of range.
    """

    max_sessions: int = 50
    """The maximum number of sessions of a subject on all devices, 1 to 500."""
    max_per_device: int = 0
    """The maximum number of sessions of a subject on one device type, 1 to 500; 0: no limit."""
    overflow: Overflow = "oldest"
    """What a login over the limit does: ``oldest`` ends the session with the earliest login,
    ``least_recently_used`` the session with the earliest last use, and ``refuse`` raises
    TooManySessions."""

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
        """Return the policy under which a login replaces every earlier session of the subject."""
        return cls(max_sessions=1)

    @classmethod
    def one_per_device(cls, *, max_sessions: int = 50) -> Self:
        """Return the policy under which a login replaces the session on the same device type."""
        return cls(max_sessions=max_sessions, max_per_device=1)
