"""The processes of a campaign, and one run of a scenario over them."""

import contextlib
import itertools
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from types import TracebackType
from typing import Self

from clusterpass import EmbeddedCluster, KeyRing
from clusterpass.protocol.keyspace import Keyspace, slot_of
from clusterpass.store.embedded import Node
from clusterpass.store.url import Address

from .acts import (
    WAITING,
    address_of,
    announce_buses,
    await_that,
    home,
    identity,
    owners,
)
from .messages import REVOCATION_KINDS, Opening, Outcome, Planned, Sighting, Token
from .proxies import FORWARD, Behaviour
from .proxy_process import Proxies
from .verifiers import VERIFIERS
from .workers import Worker, call_all
from .writers import Writer

WRITERS = "writers"
"""The name of the proxies before them."""
_numbers = itertools.count()


@dataclass(frozen=True)
class Sizes:
    """How much is done in one run of a scenario."""

    revoked: int = 60
    """Tokens that are revoked; two of three lie on the node that the fault is about."""
    kept: int = 9
    """Tokens that are not."""


@dataclass
class Findings:
    """What one run of a scenario came to."""

    outcomes: dict[str, Outcome]
    promised: set[str]
    """Names of tokens whose revocation was acknowledged and could not be lost."""
    kept: set[str]
    """Names of tokens that nobody revoked."""
    sightings: dict[str, list[Sighting]]
    """By verifier."""
    problems: list[str] = field(default_factory=list)
    """What made the run say little, or was not as it should be."""
    seconds: float = 0.0


class Campaign:
    """Proxies, verifiers and writers around a cluster. Use it as a context manager."""

    def __init__(
        self,
        cluster: EmbeddedCluster,
        *,
        bound: float,
        seed: int = 0,
        lease_off: bool = False,
        sizes: Sizes | None = None,
    ) -> None:
        """``bound``: the staleness bound in seconds; ``lease_off``: see :mod:`.leases_off`."""
        self.cluster = cluster
        self.bound = bound
        self.random = random.Random(seed)
        self.sizes = sizes or Sizes()
        self._keys = KeyRing.generate().private_jwks_text()
        with contextlib.ExitStack() as opened:
            targets = [address_of(node) for node in cluster.nodes]
            self.proxies = Proxies(seed)
            opened.callback(self.proxies.stop)
            self.verifiers = {
                name: Worker(name, make, lease_off) for name, make in VERIFIERS.items()
            }
            self.writers = [Worker(f"writer-{style}", Writer, style) for style in ("sync", "async")]
            for worker in (*self.verifiers.values(), *self.writers):
                opened.callback(worker.stop)
            self._reached_at = {
                name: self.proxies.open(name, targets) for name in (*self.verifiers, WRITERS)
            }
            self._bus_proxies: dict[bytes, Address] = {}
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opened.close()

    @contextlib.contextmanager
    def stage(self, *, reaches_writers: bool = False) -> Iterator["Stage"]:
        """Managers in a namespace that nobody else uses; the cluster is whole before.

        ``reaches_writers``: whether proxies stand before the writers too.
        """
        self.cluster.wait_until_healthy(WAITING)
        self.proxies.behave(FORWARD)
        namespace = f"stale-{os.getpid()}-{next(_numbers)}"
        url = f"{self.cluster.url}?namespace={namespace}"
        everyone = [*self.verifiers.values(), *self.writers]
        for name, verifier in self.verifiers.items():
            verifier.call("open", Opening(url, self._keys, self.bound, self._reached_at[name]))
        for writer in self.writers:
            reached_at = self._reached_at[WRITERS] if reaches_writers else {}
            writer.call("open", Opening(url, self._keys, self.bound, reached_at))
        try:
            yield Stage(self, Keyspace(namespace))
        finally:
            self.proxies.behave(FORWARD)
            call_all(everyone, "close")

    def bus_proxies(self, ids: Mapping[Node, bytes]) -> dict[bytes, Address]:
        """Where a proxy stands before the bus of each node."""
        if not self._bus_proxies:
            buses = {ids[node]: Address(node.host, node.bus_port) for node in ids}
            self._bus_proxies = self.proxies.open_buses(buses)
        return self._bus_proxies


class Stage:
    """One run of a scenario: who is logged in, and what a fault may reach for."""

    def __init__(self, campaign: Campaign, keyspace: Keyspace) -> None:
        self.campaign = campaign
        self.cluster = campaign.cluster
        self.proxies = campaign.proxies
        self.verifiers = campaign.verifiers
        self.random = campaign.random
        self.bound = campaign.bound
        self.keyspace = keyspace
        self.owned = owners(campaign.cluster)
        self.victim: Node = self.random.choice([node for node, _ in self.owned])
        """The primary that the fault is about, if it is about one."""
        self.revocable: list[Token] = []
        self.kept: list[Token] = []
        self.also_ended: list[Outcome] = []
        """Of tokens that the fault itself ended."""
        self.safe = [(-inf, inf)]
        """In these times nobody acknowledged who failed later: no replica need have confirmed."""
        self.begins_at = 0.0
        self.problems: list[str] = []

    # Subjects.

    def key_of(self, token: Token) -> bytes:
        """Of the subject's sessions."""
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
        """For this long the fault goes on."""
        time.sleep(seconds)

    def sleep_until(self, offset: float) -> None:
        """Until ``offset`` seconds after the beginning of the fault."""
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
    def parted(self) -> Iterator[Callable[[], None]]:
        """Within, what it gives parts the victim from all other nodes; at the end they meet."""
        ids = {node: identity(self.cluster, node).encode() for node in self.cluster.nodes}
        buses = self.campaign.bus_proxies(ids)
        announce_buses(self.cluster, {node: buses[ids[node]].port for node in ids})
        try:
            yield lambda: self.proxies.part({ids[self.victim]: 1})
        finally:
            self.proxies.part({})
            self.cluster.wait_until_healthy(WAITING)
            announce_buses(self.cluster, {})
            self.cluster.wait_until_healthy(WAITING)

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
