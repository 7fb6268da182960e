"""The mix of operations of a process: the share of each, and further settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Shares of the operations in percent; the remaining ones are verifies."""

    login: float = 2.5
    short_login: float = 0.2
    """Logins to a session that is over after a few seconds."""
    capped_login: float = 0.5
    """Logins of a subject that may have two sessions."""
    refresh: float = 3.0
    end_one: float = 3.0
    """Half of them come to nothing, as are those that end all."""
    end_all: float = 0.6
    listing: float = 0.3
    impersonation: float = 0.3
    step_up: float = 0.3
    scope_ban: float = 0.2
    operation_id: float = 0.2
    """One that is repeated, or brought by another request."""
    cutoff: float = 0.02
    """The end of all sessions of the namespace that were opened before a time."""
    known: int = 300
    """No share: how many sessions a process keeps in mind, the latest ones."""
    generations: int = 0
    """No share: after so many groups of subjects the first ones come back; 0: none ever does."""
    batch: int = 2
    """No share: so many verifies follow each other without a pause."""


USUAL = Mix()
