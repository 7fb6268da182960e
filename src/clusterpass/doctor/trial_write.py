"""The trial write: what a promise rests on, tried for once. It leaves nothing for long.

It is our own key, in a slot that the node owns, with ten seconds to live; and it is written as a
session is: by a script, with the WAIT on the same connection, watched by a connection that is told
of changes.
"""

import ssl
from typing import Final

from clusterpass.doctor.node_connection import REFUSALS, Line, why
from clusterpass.doctor.snapshot import NodeSeen, Trial
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.location import Address, StoreLocation
from clusterpass.store.outcomes import ServerError
from clusterpass.store.wire.handshake import tracking

_LIVES_FOR: Final = 10
_SCRIPT: Final = b"return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])"
_LONGEST_WAIT: Final = 0.25


def try_a_write(
    location: StoreLocation, address: Address, context: ssl.SSLContext | None, seen: NodeSeen
) -> Trial | None:
    """What came of it; None for a node that owns no slot."""
    key = _key(location.keyspace, seen)
    if key is None:
        return None
    patience = location.patience
    seconds = patience.replica_wait or min(_LONGEST_WAIT, patience.timeout / 2)
    milliseconds = max(1, int(1000 * seconds))
    try:
        return _try(location, address, context, key, milliseconds)
    except REFUSALS as error:
        return Trial(refusal=f"{why(error)}.")


def _try(
    location: StoreLocation,
    address: Address,
    context: ssl.SSLContext | None,
    key: bytes,
    milliseconds: int,
) -> Trial:
    with (
        Line(location, address, context) as watching,
        Line(location, address, context, milliseconds / 1000) as line,
    ):
        watched = watching.ask(*tracking([key]))
        written, replicas = line.ask_together(
            (b"EVAL", _SCRIPT, 1, key, b"trial", _LIVES_FOR),
            (b"WAIT", 1, milliseconds),
        )
        if isinstance(written, ServerError):
            return Trial(refusal=f"{written.code} {written.message}")
        was_pushed = None
        if not isinstance(watched, ServerError):
            was_pushed = watching.wait_for_push()
    return Trial(
        replicas=None if isinstance(replicas, ServerError) else replicas,
        was_pushed=was_pushed,
        refusal=f"{replicas.code} {replicas.message}" if isinstance(replicas, ServerError) else "",
    )


def _key(keyspace: Keyspace, seen: NodeSeen) -> bytes | None:
    myself = seen.myself
    if myself is None:
        return keyspace.probe(0)
    return keyspace.probe(myself.slots[0][0]) if myself.slots else None
