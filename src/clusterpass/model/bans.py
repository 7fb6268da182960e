"""Bans: what a subject may not do, how severe the ban is, and for how long."""

from dataclasses import dataclass

from clusterpass.model.json_form import Value
from clusterpass.model.scopes import covers


@dataclass(frozen=True, slots=True)
class Ban(Value):
    """A ban of one subject, from everything or from one scope."""

    scope: str
    """The scope that the subject is banned from; empty: everything."""
    level: int
    """The severity of the ban, 1 to 1000, on a scale that the application defines."""
    until: int | None
    """When the ban expires, in seconds since the epoch; None: never."""
    reason: str
    """What the banned user is told."""
    banned_at: int
    """When the ban was set, in seconds since the epoch."""

    def forbids(self, scope: str, level: int = 1) -> bool:
        """Return whether the ban forbids everything, or ``scope`` with at least ``level``."""
        if not self.scope:
            return True
        return bool(scope) and self.level >= level and covers((self.scope,), scope)
