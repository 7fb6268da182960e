"""Records of the reference model: sessions, bans, lines of the history, and errors.

Times are seconds.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

LEVELS = ("1", "2", "3")
REMEMBERED_STEPS = 4
"""How many exchanges back a token may lie to be taken for a repetition."""
LONGEST_NOTE = 54
LONGEST_TEXT = 40
MOST_BANS = 32
IMPERSONATION_OVER = "the impersonation has ended"
TIMES_OUT = {"expired": "session_expired", "idle": "session_idle"}


class Refused(Exception):
    """An error, as far as it is compared: its type, its reason and what it tells."""

    def __init__(self, error: str, reason: str | None = None, *, tells: Any = "", at: int = 0):
        super().__init__(error, reason, tells, at)


class Made(NamedTuple):
    """What the real manager made up: the model takes it over where it says so too."""

    session_id: str
    refresh_token: str


@dataclass
class Rules:
    """The configuration."""

    absolute: int
    idle: int
    remembered: int
    remembered_idle: int
    grace: int
    note_use_after: int
    history_entries: int
    ends_older: bool = False
    """Whether a step-up ends the tokens from before it."""
    protected: frozenset[str] = frozenset()


@dataclass
class Policy:
    most: int = 50
    most_alike: int = 0
    overflow: str = "oldest"


@dataclass
class Ending:
    reason: str
    at: int
    note: str = ""


@dataclass
class StepUp:
    at: int
    ends: int
    level: str
    methods: tuple[str, ...]


@dataclass
class Ban:
    scope: str
    level: int
    until: int | None
    reason: str
    at: int

    def forbids(self, scope: str, level: int) -> bool:
        if not self.scope:
            return True
        covered = scope == self.scope or (
            self.scope.endswith(":*") and scope.startswith(self.scope[:-1])
        )
        return covered and self.level >= level


@dataclass
class Line:
    """A line of the history."""

    kind: str
    at: int
    count: int
    session_id: str | None
    address: str | None
    text: str


@dataclass
class Branch:
    """Refresh tokens that follow each other: from the login, or from a step-up."""

    number: int
    """How many step-ups there had been."""
    opened: int
    tokens: list[str | None]
    """Every refresh token, in order; None: one that was never handed out."""
    exchanged: list[int] = field(default_factory=list)
    """When each but the last was exchanged."""

    @property
    def refreshed(self) -> int:
        return self.exchanged[-1] if self.exchanged else self.opened


@dataclass
class Life:
    """A session, living or not."""

    subject: str
    session_id: str
    opened: int
    absolute_end: int
    idle: int
    device: str | None
    device_type: str | None
    claims: dict[str, Any]
    level: str
    methods: tuple[str, ...]
    actor: tuple[str, str, str] | None
    branches: list[Branch]
    """Branches by number; the last is that of the latest step-up."""
    current: Branch
    """The one that is exchanged."""
    older: Branch | None = None
    """The one from before the latest step-up, while it can be exchanged as well."""
    issued: list[int] = field(default_factory=list)
    """For each access token, in order, the number of the branch that it came with."""
    seen: int = 0
    stepped: StepUp | None = None
    ends_older: bool = False
    ending: Ending | None = None

    @property
    def refreshed(self) -> int:
        return self.current.refreshed

    @property
    def tokens(self) -> list[str | None]:
        return [token for branch in self.branches for token in branch.tokens]

    @property
    def latest(self) -> int:
        """The number of the latest step-up."""
        return self.branches[-1].number

    @property
    def used(self) -> int:
        return max(self.refreshed, self.seen)

    @property
    def ends(self) -> int:
        return min(self.absolute_end, self.used + self.idle) if self.idle else self.absolute_end

    def how_it_ended(self, now: int) -> Ending | None:
        if self.ending is None and self.ends <= now:
            return Ending("expired" if self.ends == self.absolute_end else "idle", self.ends)
        return self.ending

    def authentications(self, now: int, number: int | None = None) -> list[StepUp]:
        """Those in force: the strongest first, of equals the latest, of those the step-up.

        ``number``: for the tokens of that branch; None: for any.
        """
        found = [StepUp(self.opened, self.ends, self.level, self.methods)]
        if self.stepped and self.stepped.ends > now and number in {None, self.latest}:
            found.insert(0, self.stepped)
        return sorted(found, key=lambda each: (LEVELS.index(each.level), each.at), reverse=True)

    def kind(self) -> str:
        return self.device_type or ""


@dataclass
class Account:
    """All that is known of a subject."""

    lives: list[Life] = field(default_factory=list)
    bans: dict[str, Ban] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    wiped: int = 0
    """How often everything was revoked."""
    has_operations: bool = False
    """Whether a call with an operation id was made; the id is kept for longer than a run lasts."""

    def living(self, now: int) -> list[Life]:
        return [life for life in self.lives if not life.how_it_ended(now)]

    def is_forgotten(self) -> bool:
        """There is nothing left for whose sake it would be kept."""
        return not (self.lives or self.bans or self.wiped or self.has_operations)
