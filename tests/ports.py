"""Ports of 127.0.0.1, apart for each process of a parallel run.

A test stops servers and expects their ports to stay free until the servers come back, so no two
workers of pytest-xdist draw from the same ports.
"""

import os
import random
from collections import deque

from clusterpass.embedded import conf

_SERVICES = range(8500, 12000)
"""Below the ports of embedded clusters, which lie below those of outgoing connections."""
_FEWEST = 2000
"""``conf.free_ports`` draws this many."""
_drawn: deque[int] = deque(maxlen=200)
"""Whoever draws several does so before the first of them is listened on."""


def _own(ports: range) -> range:
    """The share of this worker; all of ``ports`` in a run without workers."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = max(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), worker + 1)
    share = len(ports) // workers
    return ports[worker * share : (worker + 1) * share]


def keep_to_own_ports() -> None:
    """Let the embedded clusters of this process draw from the worker's own ports."""
    own = _own(conf._PORTS)
    if len(own) >= _FEWEST:
        conf._PORTS = own


def free_port() -> int:
    """A port that nobody listens on; it is drawn by no other worker, and not soon again."""
    own = _own(_SERVICES)
    for port in random.sample(own, len(own)):
        if port not in _drawn and conf.port_is_free(port):
            _drawn.append(port)
            return port
    raise AssertionError(f"no free port in {own}")
