"""The trial write, which shows whether a primary replicates writes and sends invalidation messages.

The key lies in a slot that the primary owns, and expires after ten seconds. It is written as a
session is: by a script, followed by WAIT on the same connection, while another connection tracks
the key.
"""

import ssl
from typing import Final

from clusterpass.doctor.node_connection import CONNECTION_FAILURES, NodeConnection, describe_failure
from clusterpass.doctor.snapshot import NodeSnapshot, Trial
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.address import Address
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import ServerError

_TTL_SECONDS: Final = 10
_SCRIPT: Final = b"return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])"
_LONGEST_WAIT_SECONDS: Final = 0.25


def write_on_trial(
    location: StoreLocation, address: Address, context: ssl.SSLContext | None, seen: NodeSnapshot
) -> Trial | None:
    """Write a key on the primary at ``address``; the outcome, or None if the node owns no slot."""
    key = _key(location.keyspace, seen)
    if key is None:
        return None
    patience = location.patience
    seconds = patience.confirmation_wait("replicated")
    seconds = seconds or min(_LONGEST_WAIT_SECONDS, patience.timeout / 2)
    milliseconds = max(1, int(1000 * seconds))
    try:
        return _try(
            location, address, context, key, asked=_replicas(seen), milliseconds=milliseconds
        )
    except CONNECTION_FAILURES as error:
        return Trial(refusal=f"{describe_failure(error)}.")


def _try(
    location: StoreLocation,
    address: Address,
    context: ssl.SSLContext | None,
    key: bytes,
    *,
    asked: int,
    milliseconds: int,
) -> Trial:
    with (
        NodeConnection(location, address, context) as watching,
        NodeConnection(location, address, context, milliseconds / 1000) as writing,
    ):
        refusal = watching.track(key)
        written, replicas = writing.ask_together(
            (b"EVAL", _SCRIPT, 1, key, b"trial", _TTL_SECONDS),
            (b"WAIT", asked, milliseconds),
        )
        if isinstance(written, ServerError):
            return Trial(refusal=f"{written.code} {written.message}")
        was_pushed = None
        if refusal is None:
            was_pushed = watching.wait_for_push()
    return Trial(
        replicas=None if isinstance(replicas, ServerError) else replicas,
        asked=asked,
        was_pushed=was_pushed,
        refusal=f"{replicas.code} {replicas.message}" if isinstance(replicas, ServerError) else "",
    )


def _replicas(seen: NodeSnapshot) -> int:
    """How many replicas of the primary a write waits for: all that are not marked as failed."""
    if seen.myself is None:
        return seen.number("connected_slaves") or 0
    mine = [member for member in seen.members if member.primary_id == seen.myself.id]
    return sum(not member.has_failed for member in mine)


def _key(keyspace: Keyspace, seen: NodeSnapshot) -> bytes | None:
    myself = seen.myself
    if myself is None:
        return keyspace.probe(0)
    return keyspace.probe(myself.slots[0][0]) if myself.slots else None
