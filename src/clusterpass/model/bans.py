"""What a subject is banned from."""

from dataclasses import dataclass

from clusterpass.model.scopes import covers


@dataclass(frozen=True, slots=True)
class Ban:
    """What a subject is banned from."""

    scope: str
    """What is forbidden; empty: everything."""
    level: int
    """How severe, by the application's own count."""
    until: int | None
    """When it ends by itself; None: never."""
    reason: str
    banned_at: int

    def forbids(self, scope: str, level: int = 1) -> bool:
        """Whether it is from everything, or from ``scope`` with ``level`` or more."""
        if not self.scope:
            return True
        return bool(scope) and self.level >= level and covers((self.scope,), scope)
