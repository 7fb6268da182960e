"""Reports on the tokens of other issuers: counts, and the time when the last one expires."""

from dataclasses import dataclass

from clusterpass.protocol.calls.old_token_counts import OldTokensCounted


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """The tokens of one other issuer that all processes of the namespace have seen."""

    issuer: str
    """The name of the other issuer."""
    accepted: int
    """How many requests were admitted by an old access token."""
    exchanged: int
    """How many old tokens were exchanged for sessions; a token that is presented twice counts
    twice."""
    refused: int
    """How many tokens were genuine, but refused: expired, revoked or exchanged before."""
    last_seen_at: int
    """When a token was last accepted or exchanged, in seconds since the epoch; 0: never."""
    last_issued_at: int
    """The latest issue of a token that was seen, in seconds since the epoch; 0: none was seen."""
    lifetime: int
    """Seconds for which the longest-lived token is valid: the most that a process was told."""
    ends_at: int
    """From when on no old token can be valid that was issued before the first one was counted, or
    before the latest issue that was seen; in seconds since the epoch. The old issuer's code can go
    then, and a lifetime after the old issuer has stopped."""

    @classmethod
    def of(cls, counted: OldTokensCounted) -> "MigrationReport":
        """Return the report of what the store holds."""
        return cls(
            issuer=counted.issuer,
            accepted=counted.accepted,
            exchanged=counted.exchanged,
            refused=counted.refused,
            last_seen_at=counted.last_seen_at,
            last_issued_at=counted.last_issued_at,
            lifetime=counted.lifetime,
            ends_at=max(counted.began_at, counted.last_issued_at) + counted.lifetime,
        )


@dataclass(slots=True)
class Tally:
    """The counts of one process for one issuer since it last reported them to the store."""

    accepted: int = 0
    exchanged: int = 0
    refused: int = 0
    last_seen_at: int = 0
    """When a token was last accepted or exchanged; 0: never."""
    last_issued_at: int = 0
    """The latest time at which a token that was seen was issued; 0: none was seen."""

    def take(self) -> "Tally":
        """Return what was counted, and begin anew."""
        taken = Tally(
            self.accepted, self.exchanged, self.refused, self.last_seen_at, self.last_issued_at
        )
        self.accepted = self.exchanged = self.refused = 0
        return taken

    def put_back(self, taken: "Tally") -> None:
        """Count ``taken`` again: the store was not told."""
        self.accepted += taken.accepted
        self.exchanged += taken.exchanged
        self.refused += taken.refused

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.accepted or self.exchanged or self.refused)
