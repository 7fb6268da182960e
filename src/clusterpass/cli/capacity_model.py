"""Estimates memory, CPU and nodes of a deployment from the figures in docs/benchmarks.md.

The figures are those of the machine that is named there. Memory is the same elsewhere; times scale
with the processor.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

KEY_BYTES: Final = 144.0
"""The memory of a user with live sessions, in bytes: the key, its expiry, and a place in the index
of who is online."""
SESSION_BYTES: Final = 128.0
"""The memory of each session of a user, in bytes, with its entry in the history."""
LONG_NAME_BYTES: Final = 16
LONG_NAME: Final = 10
"""A name of so many characters costs ``LONG_NAME_BYTES`` more."""
CACHE_ENTRY_BYTES: Final = 788
STORE_MICROSECONDS: Final = {"login": 73, "refresh": 75, "first verify": 33}
"""Processor time of all primaries together for a call."""
SERVER_MICROSECONDS: Final = {"login": 111, "refresh": 128, "first verify": 247, "verify": 32}
"""Processor time of the server for a call: of the library, for a verify of the service."""
SERVER_BYTES: Final = 56 * 2**20
"""The memory of the service with one worker, in bytes, before its near cache grows."""
BUSY: Final = 0.5
"""Up to which share a core, or the memory of a node, is planned to be used."""
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The expected load at the busiest time, and the size of the deployment."""

    users: int
    """Users with a live session."""
    sessions: float
    """Live sessions of each, on average."""
    active: float
    """Share of the sessions that are in use, from 0 to 1."""
    logins: float
    """Logins in a second."""
    requests: float
    """Verified requests in a second."""
    access_lifetime: int
    """Seconds between two refreshes of a session in use."""
    name_length: int
    """Characters of a user's name."""
    claims: int
    """Bytes of the claims of a session, as JSON."""
    servers: int
    """Processes that verify: workers of the service, or of applications with the library."""
    primaries: int
    replicas: int
    """Replicas of each primary."""


def reckon(load: Load) -> dict[str, Any]:
    """The requirements of ``load``, as JSON values. Bytes are whole; cores are fractions of one."""
    sessions = load.users * load.sessions
    in_use = sessions * load.active
    long_name = LONG_NAME_BYTES if load.name_length >= LONG_NAME else 0
    data = load.users * (KEY_BYTES + long_name) + sessions * (SESSION_BYTES + load.claims)
    refreshes = in_use / load.access_lifetime
    # Each process sees each token once, and then again after its refresh: at most so often.
    first = min(load.requests, refreshes * load.servers)
    calls = {"login": load.logins, "refresh": refreshes, "first verify": first}
    store = sum(STORE_MICROSECONDS[name] * rate for name, rate in calls.items()) / 1e6
    calls["verify"] = max(0.0, load.requests - first)
    server = sum(SERVER_MICROSECONDS[name] * rate for name, rate in calls.items()) / 1e6
    node = data / load.primaries
    return {
        "sessions": round(sessions),
        "calls_per_second": {name: round(rate, 1) for name, rate in calls.items()},
        "store": {
            "nodes": load.primaries * (1 + load.replicas),
            "data_bytes": round(data),
            "data_bytes_per_node": round(node),
            "maxmemory_per_node": max(64, math.ceil(node / BUSY / _MIB)) * _MIB,
            "cores_of_primaries": round(store, 3),
            "share_of_a_core_per_primary": round(store / load.primaries, 3),
        },
        "servers": {
            "processes": load.servers,
            "cache_bytes_per_process": round(in_use * (CACHE_ENTRY_BYTES + load.claims)),
            "bytes_per_process": round(in_use * (CACHE_ENTRY_BYTES + load.claims)) + SERVER_BYTES,
            "cores": round(server, 3),
            "share_of_a_core_per_process": round(server / load.servers, 3),
        },
        "warnings": _warnings(store / load.primaries, server / load.servers, load),
    }


def _warnings(per_primary: float, per_process: float, load: Load) -> list[str]:
    found = []
    if per_primary > BUSY:
        wanted = math.ceil(per_primary * load.primaries / BUSY)
        found.append(f"each primary needs more than half a core; use {wanted} primaries")
    if per_process > BUSY:
        wanted = math.ceil(per_process * load.servers / BUSY)
        found.append(f"each process needs more than half a core; use {wanted} processes")
    if load.primaries < 3:
        found.append("with fewer than 3 primaries no majority can replace one that failed")
    if load.replicas < 1:
        found.append("without a replica, the loss of a node loses its sessions")
    return found
