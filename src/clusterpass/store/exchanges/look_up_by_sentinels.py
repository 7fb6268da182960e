"""The slot map of a service that Sentinels look after: its primary owns every slot. Pure.

A majority of the Sentinels has to name the primary. A named server that reports another
role itself is not used.
"""

from collections.abc import Callable

from clusterpass.model.errors import StoreFailed
from clusterpass.store.address import Address, is_literal
from clusterpass.store.exchanges.node_queries import ask
from clusterpass.store.exchanges.sentinels import Named, Sentinels
from clusterpass.store.exchanges.server_errors import not_a_single_server
from clusterpass.store.exchanges.steps import Drop, Exchange
from clusterpass.store.outcomes import Attached, Fault, read_attached
from clusterpass.store.topology.epoch import read_size
from clusterpass.store.topology.slots import SlotMap


def look_up_service(
    sentinels: Sentinels, version: int, clock: Callable[[], float], until: float
) -> Exchange[tuple[SlotMap, Named] | None]:
    """The map, of which the version is ``version``, and what the Sentinels said.

    None where no majority of the Sentinels names a primary, or who is named does not answer as one.
    ``until``: the time, in seconds of ``clock``, after which no further Sentinel is asked. Raises
    StoreFailed where the Sentinels do not know the service, or name a node of a cluster.
    """
    named = yield from sentinels.inquire(clock, until, with_replicas=True)
    if named is None:
        return None
    primary = named.primary
    outcome = yield from ask(primary, ((b"ROLE",), (b"CLUSTER", b"INFO")))
    if isinstance(outcome, Fault):
        sentinels.failed(outcome, primary)
        return None
    role, info = outcome.values
    if read_size(info) > 1:
        raise StoreFailed(not_a_single_server(primary))
    # A server that refuses ROLE answers with an error, and attached replicas are not known.
    if isinstance(role, list) and role[:1] != [b"master"]:
        yield Drop(primary)
        sentinels.failed(Fault("cluster_down", cause="read_only"), primary)
        return None
    slots = SlotMap.of_service(
        primary,
        *_who_confirms(named, read_attached(role) or ()),
        failed=named.failed,
        version=version,
        taken_at=clock(),
        asked_at=named.asked_at,
    )
    return slots, named


def _who_confirms(named: Named, attached: Attached) -> tuple[frozenset[Address], int]:
    """The replicas that may be promoted, and how many they are.

    They are those that Sentinels hold to be up, and those that the primary has got since, of which
    Sentinels hear within ten seconds.
    """
    places = {Address(host.decode(errors="replace"), int(port)) for host, port in attached}
    replicas = named.replicas | places
    if all(is_literal(each.host) for each in named.replicas | named.failed):
        return replicas, len(replicas)
    # Sentinels name hosts where the primary has addresses: which are the same cannot be told.
    return replicas, max(len(named.replicas), len(places))
