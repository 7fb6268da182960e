"""The configuration: frozen, validated once, passed in. Nothing here reads the environment.

Durations are seconds. What would be unsafe is refused with a ConfigurationError that says why.
"""

from dataclasses import dataclass, field
from typing import Final, Self

from clusterpass.errors import ConfigurationError
from clusterpass.tokens.keyring import KeyRing

DAY: Final = 86_400
_LONGEST: Final = 10 * 366 * DAY


def _whole(name: str, value: object, *, at_least: int, at_most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
        raise ConfigurationError(
            f"{name} must be a whole number from {at_least} to {at_most}, not {value!r}"
        )


def _name(name: str, value: object) -> None:
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= 255
        or not (value.isascii() and value.isprintable())
    ):
        raise ConfigurationError(f"{name} must be 1 to 255 printable ASCII characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """How many sessions a subject may have at once.

    When a login would exceed ``max_sessions`` (1 to 500), the oldest session leaves and is told
    that it was replaced. The limit is judged inside the store, so racing logins cannot exceed it.
    """

    max_sessions: int = 50

    def __post_init__(self) -> None:
        _whole("max_sessions", self.max_sessions, at_least=1, at_most=500)

    @classmethod
    def single_session(cls) -> Self:
        """The newest login wins: every earlier session of the subject is replaced."""
        return cls(max_sessions=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a session manager needs to know.

    Raises ConfigurationError when a value is out of its range or the combination is not safe.
    """

    issuer: str
    """``iss``: who issues the tokens, usually the URL of the auth service."""
    audience: str = ""
    """``aud``: whom the tokens are meant for; the issuer itself unless given."""
    keys: KeyRing = field(repr=False)
    """The keys; the first private one signs, all of them verify."""
    access_lifetime: int = 15 * 60
    """Seconds that an access token lives (10 to one day)."""
    absolute_lifetime: int = 30 * DAY
    """Seconds after the login at which a session ends in any case (at most ten years)."""
    idle_lifetime: int = 7 * DAY
    """Seconds without a refresh after which a session ends; 0: no such limit."""
    clock_leeway: int = 30
    """Seconds that ``iat`` and ``nbf`` may lie in the future (0 to 300)."""
    expiry_leeway: int = 0
    """Seconds that an access token is accepted past ``exp`` (0 to 5)."""
    policy: SessionPolicy = SessionPolicy()

    def __post_init__(self) -> None:
        _name("issuer", self.issuer)
        if self.audience == "":
            object.__setattr__(self, "audience", self.issuer)
        _name("audience", self.audience)
        if not isinstance(self.keys, KeyRing):
            raise ConfigurationError("keys must be a KeyRing; make one with KeyRing.generate()")
        if not isinstance(self.policy, SessionPolicy):
            raise ConfigurationError("policy must be a SessionPolicy")
        _whole("access_lifetime", self.access_lifetime, at_least=10, at_most=DAY)
        _whole("absolute_lifetime", self.absolute_lifetime, at_least=10, at_most=_LONGEST)
        _whole("idle_lifetime", self.idle_lifetime, at_least=0, at_most=_LONGEST)
        _whole("clock_leeway", self.clock_leeway, at_least=0, at_most=300)
        _whole("expiry_leeway", self.expiry_leeway, at_least=0, at_most=5)
        if 0 < self.idle_lifetime < self.access_lifetime:
            raise ConfigurationError(
                "idle_lifetime must not be shorter than access_lifetime: a session would end"
                " while its access token is still in use"
            )
