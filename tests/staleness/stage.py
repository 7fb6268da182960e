"""The state of one scenario run that its fault works with: cluster, proxies, victim, tokens."""

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING

from clusterpass.embedded import Node
from clusterpass.protocol.keyspace import Keyspace, slot_of

from .cluster_operations import (
    WAITING,
    address_of,
    announce_buses,
    await_that,
    home,
    identity,
    owners,
)
from .messages import REVOCATION_KINDS, Outcome, Planned, Token
from .proxies import Behaviour
from .workers import call_all

if TYPE_CHECKING:
    from .campaign import Campaign

WRITERS = "writers"
"""The name of the proxies before them."""
_numbers = itertools.count()


class Stage:
    """The state of one run that a fault reads and changes: cluster, proxies, victim, tokens."""

    def __init__(self, campaign: "Campaign", keyspace: Keyspace) -> None:
        self.campaign = campaign
        self.cluster = campaign.cluster
        self.proxies = campaign.proxies
        self.verifiers = campaign.verifiers
        self.random = campaign.random
        self.bound = campaign.bound
        self.node_timeout = campaign.node_timeout
        self.keyspace = keyspace
        self.owned = owners(campaign.cluster)
        self.victim: Node = self.random.choice([node for node, _ in self.owned])
        """The primary that the fault is about, if it is about one."""
        self.revocable: list[Token] = []
        self.kept: list[Token] = []
        self.also_ended: list[Outcome] = []
        """Outcomes for the tokens that the fault itself ended."""
        self.safe = [(-inf, inf)]
        """Time spans in which no primary that failed later acknowledged a write.

        An acknowledgement within them counts even without a replica's confirmation.
        """
        self.begins_at = 0.0
        self.problems: list[str] = []
        self._ids: dict[Node, bytes] = {}

    # Subjects.

    def key_of(self, token: Token) -> bytes:
        """Return the key of the sessions of the subject of ``token``."""
        return self.keyspace.sessions(token.name)

    @property
    def victims(self) -> list[Token]:
        """Tokens of the victim."""
        group = self._group(self.victim)
        return [token for token in (*self.revocable, *self.kept) if token.group == group]

    @property
    def victims_slots(self) -> list[int]:
        """The slots of their subjects."""
        return sorted({slot_of(self.key_of(token)) for token in self.victims})

    @property
    def a_key(self) -> bytes:
        """A key that belongs to the victim."""
        return self.key_of(self.victims[0])

    @property
    def others(self) -> list[Node]:
        """The other primaries."""
        return [node for node, _ in self.owned if node != self.victim]

    def _group(self, node: Node) -> int:
        return next(index for index, (owner, _) in enumerate(self.owned) if owner == node)

    def log_in(self, count: int) -> list[Token]:
        """New subjects, two of three on the victim; verified by all from now on."""
        wanted = [
            self.victim if number % 3 else self.others[number // 3 % len(self.others)]
            for number in range(count)
        ]
        subjects: list[tuple[str, int]] = []
        for node in wanted:
            name = next(
                name
                for name in (f"user-{next(_numbers)}" for _ in itertools.count())
                if home(self.owned, self.keyspace.sessions(name)) == node
            )
            subjects.append((name, self._group(node)))
        tokens: list[Token] = self.campaign.writers[0].call("log_in", subjects)
        call_all(list(self.verifiers.values()), "watch", tokens)
        return tokens

    def await_warm(self, tokens: Sequence[Token], what: str) -> bool:
        """Wait until every verifier has verified each of ``tokens`` from memory."""
        return self._await_all("cold", [token.name for token in tokens], what)

    def await_refused(self, names: Sequence[str], what: str) -> bool:
        """Wait until every verifier has refused each of ``names``."""
        return self._await_all("not_refused", names, what)

    def _await_all(self, verb: str, names: Sequence[str], what: str) -> bool:
        missing: dict[str, list[str]] = {}

        def is_done() -> bool:
            missing.clear()
            for name, verifier in self.verifiers.items():
                if found := verifier.call(verb, list(names)):
                    missing[name] = found
            return not missing

        try:
            await_that(is_done, what, WAITING / 2)
        except TimeoutError:
            counts = ", ".join(f"{name} {len(found)}" for name, found in missing.items())
            self.problems.append(f"{what}: not for {counts} of {len(names)} tokens")
            return False
        return True

    # Time.

    def sleep(self, seconds: float) -> None:
        """Let the fault go on for this long."""
        time.sleep(seconds)

    def sleep_until(self, offset: float) -> None:
        """Sleep until ``offset`` seconds after the beginning of the fault."""
        time.sleep(max(0.0, self.begins_at + offset - time.monotonic()))

    # Faults.

    def behave(
        self,
        behaviour: Behaviour,
        *,
        nodes: Sequence[Node] | None = None,
        verifiers: Sequence[str] | None = None,
    ) -> None:
        """Let the proxies behave so: before all nodes, for all verifiers, unless some are named."""
        targets = None if nodes is None else [address_of(node) for node in nodes]
        self.proxies.behave(behaviour, clients=verifiers or list(self.verifiers), targets=targets)

    @contextlib.contextmanager
    def buses_within_reach(self) -> Iterator[None]:
        """Within, :meth:`part` works."""
        ids = {node: identity(self.cluster, node).encode() for node in self.cluster.nodes}
        buses = self.campaign.bus_proxies(ids)
        announce_buses(self.cluster, {node: buses[ids[node]].port for node in ids})
        self._ids = ids
        try:
            yield
        finally:
            self.part()
            self.cluster.wait_until_healthy(WAITING)
            announce_buses(self.cluster, {})

    def part(self, *nodes: Node) -> None:
        """Part these from all other nodes: nothing passes on the cluster bus. None: all meet."""
        self.proxies.part({self._ids[node]: 1 for node in nodes})

    # Revocations.

    def plan(self, span: float) -> list[Planned]:
        """Half of the revocations around the beginning of the fault, the others later."""
        planned = []
        for number, token in enumerate(self.revocable):
            if number % 2:
                offset = self.random.uniform(-0.1, 2 * self.bound)
            else:
                offset = self.random.uniform(2 * self.bound, max(span, 2 * self.bound) + 0.5)
            kind = REVOCATION_KINDS[number % len(REVOCATION_KINDS)]
            planned.append(Planned(token, kind, self.begins_at + offset))
        self.random.shuffle(planned)
        return planned
