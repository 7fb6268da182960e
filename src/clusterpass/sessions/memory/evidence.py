"""Evidence: the facts that make a node's answer credible, with or without a lease.

Nothing here reads a clock or sends anything: events come in with their times on a monotonic clock.
``bound`` (T) is the bound of the leases. The events of the leases also renew the evidence of a
majority and of the journals.

- Evidence must be younger than L (``evidence_bound``, at most T): the reports of a majority, or an
  agreement about the node that was asked for on purpose; and the journals of two primaries.
- An ending in the journals is acknowledged L after they have confirmed it: by then, every process
  that has not heard of it has to ask again.
- A single server is believed for T after it has said that it is a primary.
- A single server under Sentinels needs more than its own word: a majority of them must have named
  it less than L ago. An ending is acknowledged L after a majority has first named the primary that
  confirmed it: by then nobody believes the former primary any more.
"""

from collections.abc import Hashable, Set
from math import inf
from typing import Final

from clusterpass.sessions.memory.node_state import NodeState
from clusterpass.sessions.memory.unvoted_epochs import Epochs

EVIDENCE_SECONDS: Final = 0.25
"""L: how old evidence may be, in seconds, where the journals of a namespace do not say."""


class Evidence:
    """The evidence about all nodes. Callers must serialise the events, as there is no lock."""

    def __init__(self, bound: float, *, has_epochs: bool = True) -> None:
        """``bound``: T, in seconds; ``has_epochs``: False for a single server without a cluster."""
        self.bound: Final = bound
        self._has_epochs = has_epochs
        self.epochs: Final = Epochs()
        self.epoch = 0
        """The highest of the epochs that the nodes reported last, as they count."""
        self.outdated: Set[Hashable] = frozenset()
        """Nodes that reported an older epoch than other nodes."""
        self.evidence_bound = EVIDENCE_SECONDS
        """L, in seconds: how old the evidence may be by which an answer of a node is believed;
        :meth:`set_evidence_bound` sets it."""
        self._evidence = min(bound, EVIDENCE_SECONDS) if has_epochs else bound
        self.majority_until = inf if not has_epochs else -inf
        """Until when it is certain that no node was replaced more than T ago."""
        self.heads_at = inf
        """When a journal was asked by which, with another one, all entries are known."""
        self._agreed_at: dict[Hashable, float] = {}
        """When others were last asked about a node, and agreed that it was not replaced."""
        self._relies_on_agreements = False
        """Whether a single server is believed by agreements alone."""
        self._reign: tuple[Hashable, int] | None = None
        """The primary that Sentinels named last, and the epoch under which they did."""
        self._reign_since = -inf
        """When they had first done so, as far as this process knows."""
        self._unjudged: set[Hashable] = set()
        """Nodes that refuse to tell what a judgement needs."""
        self._nodes: dict[Hashable, NodeState] = {}
        self._primaries: Set[Hashable] = frozenset()

    # Events.

    def set_evidence_bound(self, seconds: float) -> None:
        """Set how old evidence may be in this namespace; the staleness bound is the most here."""
        self.evidence_bound = seconds
        self._evidence = min(self.bound, seconds) if self._has_epochs else self.bound

    def rely_on_agreements(self) -> None:
        """Take note that Sentinels look after a single server: it is believed while they agree."""
        self._relies_on_agreements = True
        self._evidence = min(self.bound, EVIDENCE_SECONDS)

    def unjudged(self, node: Hashable) -> None:
        """Take note that ``node`` refuses to tell its epoch or role: nothing speaks against it."""
        self._unjudged.add(node)

    def agreed(
        self, node: Hashable, sent_at: float, *, epoch: int = 0, now: float | None = None
    ) -> None:
        """Take note that a majority, asked from ``sent_at`` on, told the epoch of ``node``.

        ``epoch``: that of the service, where the majority is one of Sentinels; ``now``: when the
        last of them had answered, by default when they were asked.
        """
        self._agreed_at[node] = max(sent_at, self._agreed_at.get(node, -inf))
        if self._reign != (node, epoch):
            self._reign, self._reign_since = (node, epoch), sent_at if now is None else now

    def met(self, node: Hashable, now: float) -> None:
        """Take note that ``node`` answers as a primary under the present epoch, since ``now``."""
        state = self._nodes.get(node)
        if state is None or state.met_at is not None or state.epoch is None:
            return
        if self.epochs.effective(state.epoch) == self.epoch:
            state.met_at = now

    # Questions.

    def doubts(self, node: Hashable, now: float, *, is_durable: bool = False) -> bool:
        """Return whether ``node`` may have been replaced, or lack an ending, by more than L.

        ``now``: when the request was made that it has answered. ``is_durable``: whether every
        replica has confirmed what ``node`` wrote, so that none of them can have replaced it.
        """
        if node in self._unjudged:
            return False
        if now >= self.heads_at + self._evidence:
            return True
        if is_durable or now < self._agreed_at.get(node, -inf) + self._evidence:
            return False
        state = self._nodes.get(node)
        if not self._has_epochs:
            told_at = None if state is None or self._relies_on_agreements else state.previous
            return told_at is None or now >= told_at + self.bound
        if node in self.outdated or node not in self._primaries:
            return True
        told_at = self.majority_until - self.bound
        if state is not None and state.epoch is not None:
            told_at = min(told_at, state.majority_at)
        return now >= told_at + self._evidence

    def seconds_unsettled(self, node: Hashable, now: float) -> float:
        """Return for how long somebody may still believe the primary that ``node`` has replaced.

        0 once this process has met the node L ago. Until then a confirmation of the node and its
        replicas does not suffice for an acknowledgement.
        """
        if self._relies_on_agreements:
            if self._reign is None or self._reign[0] != node:
                return self.evidence_bound
            return max(0.0, self._reign_since + self.evidence_bound - now)
        if not self._has_epochs:
            return 0.0
        state = self._nodes.get(node)
        if state is None or state.met_at is None or state.met_epoch is not None:
            return self.evidence_bound
        return max(0.0, state.met_at + self.evidence_bound - now)

    def state(self, node: Hashable) -> NodeState | None:
        """Return the state of ``node``; None when it is unknown."""
        return self._nodes.get(node)

    @property
    def primaries(self) -> Set[Hashable]:
        """The nodes that own slots."""
        return self._primaries
