"""Who may ask a node that does not answer, so that one shard's fault stays its own. Pure.

For each node a circuit breaker:

- *closed*: it answers, everybody may ask.
- *waiting*: it did not answer. One caller at a time tries again; the others wait for that, as the
  slot may have another owner in a moment. No more than a bounded number wait.
- *open*: it has been silent for longer than any caller would wait. Who comes is refused at once,
  and one try is made now and then.

The first answer closes it. Retries of what a node did answer ("try again") have a budget: a share
of the calls, and a few a second.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Literal

from clusterpass.store.randomness import chance

Verdict = Literal["go", "try", "wait", "refuse"]
_FIRST_TRY: Final = 0.02
_LONGEST_TRY: Final = 0.25
_BUDGET_SHARE: Final = 0.2
_BUDGET_SECOND: Final = 20.0
_MOST_BUDGET: Final = 200.0


@dataclass(slots=True)
class _Breaker:
    """A node that is silent."""

    since: float
    """When it was noticed."""
    kind: str
    """In which way it does not answer."""
    next_try: float
    pause: float = _FIRST_TRY
    trying_until: float = 0.0
    """Until when somebody's try is under way."""
    waiting: int = 0


class CircuitBreakers:
    """For all nodes of a store. Threads may meet here: the worst is one try too many."""

    def __init__(self, clock: Callable[[], float], *, patience: float, most_waiting: int) -> None:
        """``clock``: seconds, monotonic; ``patience``: seconds after which it opens."""
        self._clock = clock
        self._patience = patience
        self._most_waiting = most_waiting
        self.silent: Final[dict[Hashable, _Breaker]] = {}
        """The nodes that do not answer: looked at by those who have no time to ask."""
        self.refused = 0
        """Callers that were refused without a try."""
        self._budget = _MOST_BUDGET
        self._filled_at = clock()

    def admit(self, node: Hashable, seconds: float) -> Verdict:
        """Whether a caller may ask ``node`` now; ``seconds``: how long its try may take."""
        breaker = self.silent.get(node)
        if breaker is None:
            return "go"
        now = self._clock()
        if now >= breaker.next_try and now >= breaker.trying_until:
            breaker.trying_until = now + seconds
            return "try"
        if now - breaker.since >= self._patience or breaker.waiting >= self._most_waiting:
            self.refused += 1
            return "refuse"
        return "wait"

    def answered(self, node: Hashable) -> None:
        """It answers."""
        if node in self.silent:
            self.silent.pop(node, None)

    def failed(self, node: Hashable, kind: str) -> None:
        """It did not answer; ``kind``: in which way."""
        now = self._clock()
        breaker = self.silent.get(node)
        if breaker is None:
            breaker = self.silent[node] = _Breaker(now, kind, now)
        breaker.kind = kind
        breaker.trying_until = 0.0
        breaker.next_try = now + chance.uniform(breaker.pause / 2, breaker.pause)
        breaker.pause = min(breaker.pause * 2, _LONGEST_TRY)

    def keep_only(self, nodes: set[Hashable]) -> None:
        """The others are none of ours any more."""
        for node in [each for each in self.silent if each not in nodes]:
            self.silent.pop(node, None)

    def begin_to_wait(self, node: Hashable) -> bool:
        """A caller waits for ``node``; False when it is not silent."""
        breaker = self.silent.get(node)
        if breaker is None:
            return False
        breaker.waiting += 1
        return True

    def end_to_wait(self, node: Hashable) -> None:
        """It does no more."""
        breaker = self.silent.get(node)
        if breaker is not None and breaker.waiting:
            breaker.waiting -= 1

    def may_retry(self) -> bool:
        """Whether the budget of retries has one left; it is used up by that."""
        now = self._clock()
        self._budget = min(_MOST_BUDGET, self._budget + (now - self._filled_at) * _BUDGET_SECOND)
        self._filled_at = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True

    def note_call(self) -> None:
        """A call was made, which allows a share of a retry."""
        self._budget = min(_MOST_BUDGET, self._budget + _BUDGET_SHARE)

    def kind_of(self, node: Hashable) -> str:
        """In which way ``node`` does not answer."""
        breaker = self.silent.get(node)
        return "circuit_open" if breaker is None else breaker.kind

    def seconds_silent(self, node: Hashable) -> float | None:
        """For how long ``node`` has not answered; None while it does."""
        breaker = self.silent.get(node)
        return None if breaker is None else self._clock() - breaker.since
