"""A circuit breaker for each node, so that a fault of one shard does not spread. Pure.

A breaker is in one of three states:

- *closed*: the node answers; every caller may send.
- *half-open*: the node did not answer. One caller at a time tries again; the others wait for the
  result, as the slot may have another owner in a moment. The number of waiting callers is bounded.
- *open*: the node has not answered for longer than any caller would wait. Callers are refused at
  once. After each pause one of them has a probe made, in the background, and waits a moment for it.

The first reply closes the breaker. Retries of calls that a node did answer ("try again") draw on
the budget of the node that they go to: a share of its calls, and a few a second. Calls whose target
is not known yet share one budget of their own.
"""

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Final, Literal, cast

from clusterpass.store.outcomes import Fault, FaultKind
from clusterpass.store.randomness import chance

Verdict = Literal["go", "try", "wait", "probe", "refuse"]
_FIRST_TRY: Final = 0.02
_LONGEST_TRY: Final = 0.25
_BUDGET_SHARE: Final = 0.2
_BUDGET_SECOND: Final = 20.0
_MOST_BUDGET: Final = 200.0


@dataclass(slots=True)
class _Breaker:
    """The breaker of a node that does not answer: half-open or open."""

    since: float
    """When the request was made that the node first failed to answer, in seconds of the clock."""
    kind: str
    """The kind of the latest fault."""
    fault: Fault | None
    """The latest fault itself, where it is known."""
    next_try: float
    """The earliest time of the next try, in seconds of the clock."""
    pause: float = _FIRST_TRY
    trying_until: float = 0.0
    """The time until which a try counts as under way; 0: none is."""
    waiting: int = 0
    """Callers that wait for the result of a try."""


@dataclass(slots=True)
class _Budget:
    """The retries that may still go to one node."""

    filled_at: float
    """When the budget was last filled, in seconds of the clock."""
    retries: float = _MOST_BUDGET


class CircuitBreakers:
    """The circuit breakers of a store's nodes. Threads may race here: at worst one try too many."""

    def __init__(self, clock: Callable[[], float], *, patience: float, most_waiting: int) -> None:
        """``clock``: monotonic, in seconds; ``patience``: seconds without an answer after which a
        breaker opens; ``most_waiting``: callers that may wait for one node."""
        self._clock = clock
        self._patience = patience
        self._most_waiting = most_waiting
        self.silent: Final[dict[Hashable, _Breaker]] = {}
        """The nodes that do not answer: a node that is not listed has a closed breaker."""
        self.refused = 0
        """How many callers were refused without a try."""
        self._budgets: dict[Hashable, _Budget] = {}
        """The budgets by node; None: that of the calls whose target is not known."""

    def admit(self, node: Hashable, seconds: float) -> Verdict:
        """Whether a caller may send to ``node`` now.

        ``seconds``: how long a try may take. Returns "go" where the breaker is closed, "try" for
        the one caller that tries, "wait" for the others, and "refuse" where the breaker is open or
        too many callers wait already; "probe" for the one caller that has the node probed then.
        """
        breaker = self.silent.get(node)
        if breaker is None:
            return "go"
        now = self._clock()
        is_open = now - breaker.since >= self._patience
        if now >= breaker.next_try and now >= breaker.trying_until:
            # A probe may look up the slots first.
            breaker.trying_until = now + seconds + (self._patience if is_open else 0)
            return "probe" if is_open else "try"
        if is_open or breaker.waiting >= self._most_waiting:
            self.refused += 1
            return "refuse"
        return "wait"

    def answered(self, node: Hashable) -> None:
        """Close the breaker: ``node`` has answered."""
        if node in self.silent:
            self.silent.pop(node, None)

    def failed(
        self, node: Hashable, kind: str, age: float = 0.0, *, fault: Fault | None = None
    ) -> None:
        """Note that ``node`` did not answer.

        ``kind``: the kind of the fault; ``age``: the seconds for which an answer was waited;
        ``fault``: the fault itself, for those who are refused later.
        """
        now = self._clock()
        breaker = self.silent.get(node)
        if breaker is None:
            breaker = self.silent[node] = _Breaker(now - age, kind, fault, now)
        breaker.kind, breaker.fault = kind, fault
        breaker.trying_until = 0.0
        breaker.next_try = now + chance.uniform(breaker.pause / 2, breaker.pause)
        breaker.pause = min(breaker.pause * 2, _LONGEST_TRY)

    def failed_together(self, nodes: Collection[Hashable], kind: str, since: float) -> None:
        """Note that none of ``nodes``, which are all there are, has answered.

        ``since``: when they began to be asked, in seconds of the clock: whoever has waited for one
        of them from then on has waited for all, so their breakers open together.
        """
        now = self._clock()
        for node in nodes:
            breaker = self.silent.setdefault(node, _Breaker(since, kind, None, now))
            breaker.since = min(breaker.since, since)

    def probe_ended(self, node: Hashable) -> None:
        """Note that a probe of ``node`` has ended without telling anything: another may begin."""
        breaker = self.silent.get(node)
        if breaker is not None:
            breaker.trying_until = 0.0

    def keep_only(self, nodes: set[Hashable]) -> None:
        """Forget all nodes but ``nodes``: the others have left the cluster or own no slot."""
        for node in [each for each in list(self.silent) if each not in nodes]:
            self.silent.pop(node, None)
        for node in [each for each in list(self._budgets) if each not in {*nodes, None}]:
            self._budgets.pop(node, None)

    def begin_to_wait(self, node: Hashable) -> bool:
        """Count a caller that waits for ``node``; False where the breaker is closed."""
        breaker = self.silent.get(node)
        if breaker is None:
            return False
        breaker.waiting += 1
        return True

    def end_to_wait(self, node: Hashable) -> None:
        """Stop counting a caller that waited for ``node``."""
        breaker = self.silent.get(node)
        if breaker is not None and breaker.waiting:
            breaker.waiting -= 1

    def may_retry(self, node: Hashable) -> bool:
        """Take one retry from the budget of ``node``; False where the budget is used up.

        ``node``: the node that the retry goes to; None while it is not known.
        """
        now = self._clock()
        budget = self._budgets.get(node) or self._budgets.setdefault(node, _Budget(now))
        refilled = budget.retries + (now - budget.filled_at) * _BUDGET_SECOND
        budget.retries = min(_MOST_BUDGET, refilled)
        budget.filled_at = now
        if budget.retries < 1:
            return False
        budget.retries -= 1
        return True

    def note_call(self, node: Hashable) -> None:
        """Add the share of a new call to the budget of ``node``; None: the target is not known."""
        budget = self._budgets.get(node)
        if budget is not None:  # a node without a budget yet has a full one
            budget.retries = min(_MOST_BUDGET, budget.retries + _BUDGET_SHARE)

    def kind_of(self, node: Hashable) -> str:
        """The kind of the latest fault of ``node``; "circuit_open" where its breaker is closed."""
        breaker = self.silent.get(node)
        return "circuit_open" if breaker is None else breaker.kind

    def fault_of(self, node: Hashable) -> Fault | None:
        """The latest fault of ``node``; None where its breaker is closed."""
        breaker = self.silent.get(node)
        if breaker is None:
            return None
        return breaker.fault or Fault(cast("FaultKind", breaker.kind))

    def seconds_silent(self, node: Hashable) -> float | None:
        """Seconds for which ``node`` has not answered; None where its breaker is closed."""
        breaker = self.silent.get(node)
        return None if breaker is None else self._clock() - breaker.since
