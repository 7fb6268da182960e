"""The strength and age of a user's authentications, and the check of what a caller requires."""

from dataclasses import dataclass, replace
from typing import Final

from clusterpass.config import Config
from clusterpass.model.authentication_errors import StepUpRequired, TokenSuperseded
from clusterpass.model.values import Session
from clusterpass.protocol.records import BY_PASSWORD, LiveRecord
from clusterpass.protocol.replies import Elevation, Stored
from clusterpass.tokens.encoding import encode_base64url

PASSWORD: Final = ("pwd",)
"""The methods of an authentication by password alone (RFC 8176)."""


@dataclass(slots=True)
class Authentication:
    """One authentication of the user of a session: a login or a step-up."""

    time: int
    """When the user authenticated, in seconds since the epoch."""
    level: str
    """The level of the authentication (``acr``)."""
    rank: int
    """The position of ``level`` in ``Config.levels``; -1 when it is no longer among them."""
    methods: tuple[str, ...]
    """The methods of the authentication (RFC 8176)."""
    ends_at: int
    """When the authentication expires, in seconds since the epoch."""


def name_of_step_up(elevation: Elevation) -> str | None:
    """Return the claim ``step_up`` of the tokens that ``elevation`` applies to; None: to none."""
    return encode_base64url(elevation.id) if elevation.id else None


def as_token_sees(stored: Stored, step_up: str | None) -> Stored:
    """Return ``stored`` without a step-up that does not apply to a token.

    ``step_up``: the claim of that name. A step-up applies to the tokens that were issued after it,
    so a token that was stolen before never rises. Raises TokenSuperseded when the step-up ended the
    older tokens.
    """
    elevation = stored.elevation
    if elevation is None:
        return stored
    if step_up is not None and step_up == name_of_step_up(elevation):
        return stored
    if elevation.ends_older:
        raise TokenSuperseded
    return replace(stored, elevation=None)


def authentications(
    config: Config, stored: Stored, record: LiveRecord
) -> tuple[Authentication, ...]:
    """Return the authentications in force, the strongest first; of equals, the latest first.

    The authentications of the login and of a step-up are separate: a password that is entered
    again does not make a stronger login more recent.
    """
    amr = stored.details.methods or (PASSWORD if record.flags & BY_PASSWORD else ())
    level = stored.details.level or config.levels[0]
    rank = 0 if level == config.levels[0] else _rank(config, level)
    login = Authentication(record.created_milliseconds // 1000, level, rank, amr, record.ends_at)
    noted = stored.elevation
    if noted is None or not noted.id or noted.ends_at <= stored.now:
        return (login,)
    rank = _rank(config, noted.level)
    step_up = Authentication(
        noted.authenticated_at, noted.level, rank, noted.methods, noted.ends_at
    )
    return (login, step_up) if login.rank > rank else (step_up, login)


def claimed_authentication(config: Config, session: Session) -> Authentication:
    """Return the authentication that an access token claims, as ``session`` holds it."""
    rank = _rank(config, session.acr)
    return Authentication(session.auth_time, session.acr, rank, session.amr, session.expires_at)


def require_authentication(
    config: Config,
    found: tuple[Authentication, ...],
    now: float,
    level: str | None,
    max_auth_age: int | None,
) -> None:
    """Return if one of ``found`` is both strong and recent enough; raise StepUpRequired if not.

    ``now``: seconds since the epoch. ``level``: the lowest level that is sufficient; None: any.
    ``max_auth_age``: the oldest authentication allowed, in seconds; None: any. RFC 9470 section 3.
    """
    lowest = -1 if level is None else config.levels.index(level)
    for each in found:
        if each.rank >= lowest and (max_auth_age is None or now - each.time <= max_auth_age):
            return
    acr_values = () if level is None else config.levels[lowest:]
    raise StepUpRequired(acr_values=acr_values, max_age=max_auth_age)


def _rank(config: Config, level: str) -> int:
    return config.levels.index(level) if level in config.levels else -1
