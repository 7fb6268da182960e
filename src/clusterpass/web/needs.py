"""The requirements of a route: scopes, level and age of the authentication, and bans."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clusterpass.limits import LONGEST_LIFETIME
from clusterpass.model.check_values import check_scope
from clusterpass.model.errors import ConfigurationError, InvalidInput
from clusterpass.model.policy import check_whole
from clusterpass.model.values import Session


def scope_names(scopes: str | Iterable[str]) -> tuple[str, ...]:
    """Return one scope or several as a tuple.

    Raises ConfigurationError for anything else: the function that is to be decorated, for example.
    """
    found = [scopes] if isinstance(scopes, str) else scopes
    try:
        return tuple(check_scope(each) for each in found)
    except (InvalidInput, TypeError):
        raise ConfigurationError(
            "what a route requires are scopes, which are strings such as 'orders:read'; a decorator"
            " or a guard that requires none is written with parentheses: requires(),"
            " session_required()"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The requirements of a route for a session.

    Raises ConfigurationError for a requirement that no session could be held to: it is a mistake of
    the application, and no client is told that its request is wrong.
    """

    scopes: tuple[str, ...] = ()
    """Scopes that the session must all have."""
    level: str | None = None
    """The lowest of ``Config.levels`` that is sufficient."""
    max_auth_age: int | None = None
    """The oldest authentication allowed, in seconds."""
    not_banned: str | None = None
    """A scope from which the subject must not be banned."""
    strict: bool = False
    """Whether the store is asked each time, whatever the mode of the manager."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scopes", scope_names(self.scopes))
        if self.level is not None and not (isinstance(self.level, str) and self.level):
            raise ConfigurationError("level must be one of Config.levels, or None")
        if self.max_auth_age is not None:
            check_whole("max_auth_age", self.max_auth_age, 0, LONGEST_LIFETIME)
        if self.not_banned is not None:
            scope_names((self.not_banned,))
        if not isinstance(self.strict, bool):
            raise ConfigurationError("strict must be True or False")

    def require_known(self, levels: Sequence[str]) -> None:
        """Raise ConfigurationError for a level that is none of ``levels``, those of the Config."""
        if self.level is not None and self.level not in levels:
            raise ConfigurationError(
                f"a route requires the level {self.level!r}, which is none of {', '.join(levels)}"
            )

    @property
    def can_be_recalled(self) -> bool:
        """Whether what ``SessionManager.recall`` returns is as good as what ``verify`` does."""
        return self.level is None and self.max_auth_age is None and not self.strict

    @property
    def options(self) -> dict[str, Any]:
        """The options of ``SessionManager.verify``."""
        options: dict[str, Any] = {}
        if self.level is not None:
            options["level"] = self.level
        if self.max_auth_age is not None:
            options["max_auth_age"] = self.max_auth_age
        if self.strict:
            options["verification"] = "strict"
        return options

    def check(self, session: Session) -> None:
        """Return if ``session`` has the scopes and no ban; no round trip.

        Raises ScopeMissing or SubjectBanned.
        """
        for scope in self.scopes:
            session.require_scope(scope)
        if self.not_banned is not None:
            session.require_not_banned(self.not_banned)


NO_NEEDS: Final = Needs()
