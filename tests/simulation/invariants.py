"""Invariants of every simulation run, and the record by which they are judged."""

from collections import Counter, deque
from dataclasses import dataclass, field
from math import inf

from .clock import START, Clock

MOST_AMPLIFIED = 2.0
"""After any event, the store may be asked for so many times its steady load, or for SMALL,"""
MOST_SECONDS = 5.0
"""... and has to be back within so many seconds."""
NEARLY = 1.25
"""Back: no more than so many times the steady load any more."""
SMALL = 0.05
"""What takes no more than this share of a core of each primary is no amplification."""
_RECENT = 40


@dataclass
class Violation:
    """A broken promise."""

    kind: str
    text: str


@dataclass
class Judge:
    """Knows which revocations were acknowledged when, and judges each verify by that."""

    clock: Clock
    bound: float
    counts: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    longest_stale: float = 0.0
    """Seconds after an acknowledgement at which a verify began that was accepted from memory."""
    slowest_ending: float = 0.0
    first_refusal: float = inf
    latest: deque[str] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _acknowledged: dict[str, float] = field(default_factory=dict)

    def accepted(self, process: int, user: str, began: float, *, from_memory: bool) -> None:
        """A verify that began at ``began`` accepts the session of ``user``."""
        self.counts["from memory" if from_memory else "from the store"] += 1
        acknowledged = self._acknowledged.get(user)
        if acknowledged is None or began <= acknowledged:
            return
        late = began - acknowledged
        where = "memory" if from_memory else "the store"
        self.clock.note(f"process {process}: accepts {user} from {where}, {late:.3f} s late")
        if from_memory:
            self.longest_stale = max(self.longest_stale, late)
        if late > (self.bound if from_memory else 0.0) + 1e-9:
            self._violated("stale", f"process {process} accepts {user} from {where} {late:.3f} s"
                           " after its revocation was acknowledged")  # fmt: skip

    def ended(self, _user: str) -> None:
        """A verify is told that the session has ended."""
        self.counts["ended"] += 1

    def refused(self, process: int, user: str, reason: str) -> None:
        """A call about a session gets no answer: StoreUnavailable."""
        self.counts["refused"] += 1
        self.refusals[reason] += 1
        self.first_refusal = min(self.first_refusal, self.clock.now - START)
        self.clock.note(f"process {process}: no answer about {user}: {reason}")

    def ending(self, _user: str) -> None:
        """A revocation is asked for."""
        self.counts["endings"] += 1

    def acknowledged(self, user: str, seconds: float, *, by_journals: bool = False) -> None:
        """A revocation was acknowledged now, ``seconds`` after it was asked for."""
        self._acknowledged.setdefault(user, self.clock.now)
        self.counts["acknowledged"] += 1
        self.counts["by journals"] += by_journals
        self.slowest_ending = max(self.slowest_ending, seconds)
        self.clock.note(f"the end of {user} is acknowledged")

    def _violated(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        if not self.violations:
            self.latest.extend(self.clock.trace)
        self.violations.append(Violation(kind, text))


def amplification(
    load: list[float], steady: float, slice_seconds: float, small: float = 0.0
) -> tuple[float, float]:
    """The highest ``load``, and for how many seconds it exceeds ``steady``.

    ``load``: cores, slice by slice, from the event on. The seconds last until the load does not
    exceed ``small``, or :data:`NEARLY` times the steady one, any more; infinite where it does at
    the end.
    """
    most = max(small, NEARLY * steady)
    above = [number for number, each in enumerate(load) if each > most]
    highest = max(load, default=0.0)
    if not above:
        return highest, 0.0
    return highest, inf if above[-1] == len(load) - 1 else (above[-1] + 1) * slice_seconds
