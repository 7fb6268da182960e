"""The proxies, verifiers and writers around the cluster of a staleness campaign.

:mod:`.run` runs one scenario on them.
"""

import contextlib
import itertools
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from clusterpass import EmbeddedCluster, KeyRing
from clusterpass.embedded import Node
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.address import Address

from .cluster_operations import WAITING, address_of
from .opening import Opening
from .proxies import FORWARD
from .proxy_process import Proxies
from .stage import WRITERS, Stage
from .verifiers import VERIFIERS
from .workers import Worker, call_all
from .writers import Writer

NODE_TIMEOUT = 1.0
"""Seconds, unless another one is asked for."""
_numbers = itertools.count()


@dataclass(frozen=True)
class Sizes:
    """The numbers of tokens in one run of a scenario."""

    revoked: int = 60
    """Tokens that are revoked; two of three lie on the node that the fault is about."""
    kept: int = 9
    """Tokens that are not."""


class Campaign:
    """Proxies, verifiers and writers around a cluster. Use it as a context manager."""

    def __init__(
        self,
        cluster: EmbeddedCluster,
        *,
        bound: float,
        node_timeout: float = NODE_TIMEOUT,
        seed: int = 0,
        lease_off: bool = False,
        sizes: Sizes | None = None,
    ) -> None:
        """``bound``: the staleness bound in seconds; ``node_timeout``: the cluster's;

        ``lease_off``: see :mod:`.leases_off`.
        """
        self.cluster = cluster
        self.bound = bound
        self.node_timeout = node_timeout
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
    def stage(self, *, reaches_writers: bool = False) -> Iterator[Stage]:
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
        """Return the address of the proxy before the cluster bus of each node."""
        if not self._bus_proxies:
            buses = {ids[node]: Address(node.host, node.bus_port) for node in ids}
            self._bus_proxies = self.proxies.open_buses(buses)
        return self._bus_proxies
