"""Records of each token's verifies by one thread or task, and their merge."""

from array import array
from collections.abc import Iterable

from .messages import Sighting

_MOST_FAILURES = 5


class Record:
    """Written by one thread or task alone.

    ``started`` is always read right before the verify is called, so a verify begins no earlier than
    is noted: what is found to be too late is too late, and no allowance is needed.
    """

    __slots__ = (
        "accepted",
        "failures",
        "first_refused",
        "from_memory",
        "longest_unavailable",
        "refusals",
        "unavailable",
        "unavailable_since",
        "verifies",
    )

    def __init__(self) -> None:
        self.verifies = 0
        self.accepted = array("d")
        """Starts of accepted verifies."""
        self.from_memory = array("d")
        """Those right before which the session was in memory."""
        self.first_refused: float | None = None
        self.refusals: set[str] = set()
        self.unavailable = 0
        self.unavailable_since: float | None = None
        self.longest_unavailable = 0.0
        self.failures: list[str] = []

    def note_accepted(self, started: float, *, from_memory: bool) -> None:
        """A verify that began at ``started`` returned a session."""
        self.verifies += 1
        self.unavailable_since = None
        self.accepted.append(started)
        if from_memory:
            self.from_memory.append(started)

    def note_refused(self, ended: float, code: str) -> None:
        """A verify raised at ``ended`` that the token is not good."""
        self.verifies += 1
        self.unavailable_since = None
        self.refusals.add(code)
        if self.first_refused is None:
            self.first_refused = ended

    def note_unavailable(self, started: float, ended: float) -> None:
        """A verify raised that the store cannot be asked: 503."""
        self.verifies += 1
        self.unavailable += 1
        if self.unavailable_since is None:
            self.unavailable_since = started
        self.longest_unavailable = max(self.longest_unavailable, ended - self.unavailable_since)

    def note_failure(self, error: BaseException) -> None:
        """A verify raised what it never should."""
        self.verifies += 1
        if len(self.failures) < _MOST_FAILURES:
            self.failures.append(repr(error)[:300])


def bring_together(
    name: str,
    records: Iterable[Record],
    *,
    begun: float | None,
    acknowledged: float | None,
    bound: float,
) -> Sighting:
    """Merge the records of all threads of a verifier, relative to the revocation if there was one.

    ``begun``: before it was sent; ``acknowledged``: after it was acknowledged.
    """
    records = list(records)
    accepted = sorted(start for record in records for start in record.accepted)
    memory = [start for record in records for start in record.from_memory]
    refused = [record.first_refused for record in records if record.first_refused is not None]
    first_refused = min(refused, default=None)
    ends = float("inf") if acknowledged is None else acknowledged
    comeback = None
    if first_refused is not None and accepted and accepted[-1] > first_refused:
        comeback = accepted[-1] - first_refused
    return Sighting(
        name=name,
        verifies=sum(record.verifies for record in records),
        from_memory=len(memory),
        memory_before_revocation=sum(begun is None or start < begun for start in memory),
        latest_accepted=accepted[-1] if accepted else None,
        accepted_after=sum(start > ends for start in accepted),
        accepted_beyond=sum(start > ends + bound for start in accepted),
        memory_beyond=sum(start > ends + bound for start in memory),
        first_refused=first_refused,
        refusals=tuple(sorted({code for record in records for code in record.refusals})),
        accepted_after_refusal=comeback,
        unavailable=sum(record.unavailable for record in records),
        longest_unavailable=max((record.longest_unavailable for record in records), default=0.0),
        failures=tuple({failure for record in records for failure in record.failures}),
    )
