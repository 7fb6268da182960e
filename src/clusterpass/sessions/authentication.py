"""How strongly and how recently the user of a session was authenticated, and what is demanded."""

from dataclasses import dataclass
from typing import Final

from clusterpass.config import Config
from clusterpass.model.authentication_errors import StepUpRequired
from clusterpass.model.values import Session
from clusterpass.protocol.records import BY_PASSWORD, LiveRecord
from clusterpass.protocol.replies import Stored

PASSWORD: Final = ("pwd",)


@dataclass(frozen=True, slots=True)
class Authentication:
    """One time that the user of a session was authenticated."""

    time: int
    level: str
    rank: int
    """The place of ``level`` among ``Config.levels``; -1 when it is none of them any more."""
    methods: tuple[str, ...]
    ends_at: int
    """The second from which on it is of no use."""


def authentications(
    config: Config, stored: Stored, record: LiveRecord
) -> tuple[Authentication, ...]:
    """The authentications in force, the strongest first and of equals the latest.

    Those of the login and of a step-up are kept apart: a password that is asked for again does not
    make a stronger login recent.
    """
    amr = stored.details.methods or (PASSWORD if record.flags & BY_PASSWORD else ())
    level = stored.details.level or config.levels[0]
    rank = 0 if level == config.levels[0] else _rank(config, level)
    login = Authentication(record.created_milliseconds // 1000, level, rank, amr, record.ends_at)
    noted = stored.elevation
    if noted is None or noted.ends_at <= stored.now:
        return (login,)
    rank = _rank(config, noted.level)
    step_up = Authentication(
        noted.authenticated_at, noted.level, rank, noted.methods, noted.ends_at
    )
    return (login, step_up) if login.rank > rank else (step_up, login)


def claimed_authentication(config: Config, session: Session) -> Authentication:
    """The authentication that a token tells of."""
    rank = _rank(config, session.acr)
    return Authentication(session.auth_time, session.acr, rank, session.amr, session.expires_at)


def require_authentication(
    config: Config,
    found: tuple[Authentication, ...],
    now: float,
    level: str | None,
    max_auth_age: int | None,
) -> None:
    """Return when one of ``found`` is both strong enough and recent enough.

    ``now``: seconds since the epoch. Raises StepUpRequired (RFC 9470 section 3).
    """
    lowest = -1 if level is None else config.levels.index(level)
    for each in found:
        if each.rank >= lowest and (max_auth_age is None or now - each.time <= max_auth_age):
            return
    acr_values = () if level is None else config.levels[lowest:]
    raise StepUpRequired(acr_values=acr_values, max_age=max_auth_age)


def _rank(config: Config, level: str) -> int:
    return config.levels.index(level) if level in config.levels else -1
