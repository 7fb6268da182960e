"""Leases of five primaries, three of which hold journals, and the heartbeats that renew them."""

from clusterpass.sessions.memory.leases import Leases

BOUND = 1.0
FRESH = 0.25
"""How old evidence may be for an answer, in seconds; for a lease: BOUND."""
NODES = ("a", "b", "c", "d", "e")
JOURNALS = ("a", "b", "c")
LONG_AGO = -100.0


def beat(leases: Leases, at: float, *nodes: str, epoch: int = 5, knows_heads: bool = True) -> None:
    """A heartbeat of each of ``nodes``, sent at ``at`` and answered."""
    for node in nodes or NODES:
        number = leases.beat_sent(node, at)
        leases.beat_answered(node, number, epoch=epoch)
        if knows_heads and node in JOURNALS:
            leases.heads_heard(node, at)
        leases.met(node, at)


def five_leases() -> Leases:
    """Five primaries, three with journals; all have answered at 0 s, and long before."""
    leases = Leases(BOUND)
    leases.set_primaries(frozenset(NODES))
    leases.set_journals(frozenset(JOURNALS))
    for node in NODES:
        leases.connected(node)
    beat(leases, LONG_AGO)
    beat(leases, 0.0)
    beat(leases, 0.0)
    return leases
