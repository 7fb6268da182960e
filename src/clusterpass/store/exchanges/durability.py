"""The confirmation that a write waits for, WAIT or WAITAOF, and whether it suffices. No I/O.

WAIT and WAITAOF confirm the last write of their own connection only, so they follow the script on
the same connection. They wait for every replica, as any of them may be promoted. A primary without
replicas has nothing to wait for: its writes are as durable as they can be.
"""

from typing import Any, Final

from clusterpass.config import Durability
from clusterpass.model.errors import StoreDenied, StoreFailed
from clusterpass.protocol.script import ScriptCall
from clusterpass.store.exchanges.server_errors import came_to_a_replica
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.missing_commands import refused_command
from clusterpass.store.outcomes import Replies, ServerError, Wait
from clusterpass.store.patience import Patience
from clusterpass.store.topology.slots import Shard, SlotMap

_WAIT: Final = b"WAIT"
_WAIT_FOR_DISK: Final = b"WAITAOF"
_NEEDS: Final = (
    "durability='fsync' needs servers that have WAITAOF (Redis 7.2 or Valkey) and append to a file"
    " (appendonly yes); they answered: "
)
_NEEDS_WAIT: Final = (
    "durability='replicated' needs the command WAIT, which the session store lacks or its user may"
    " not run: the write was carried out, and nothing confirms it; grant +wait, or set"
    " durability='primary'"
)
_REFUSED: Final = frozenset({"ERR", "NOPERM", "WAITAOF"})
"""The codes of errors that no retry cures; "WAITAOF cannot be used" may have lost its ERR."""
_SHOWN: Final = 200


def wait_of(
    call: ScriptCall[Any],
    shard: Shard | None,
    slots: SlotMap,
    patience: Patience,
    durability: Durability,
) -> Wait | None:
    """The command that confirms the write of ``call``: WAIT or WAITAOF.

    None for reads, for calls that ask for no confirmation, for a ``replica_wait`` of 0, for
    ``durability="primary"``, where the owner of the slot is not known, and, with
    ``durability="replicated"``, where ``shard`` has no replica.
    """
    seconds = patience.confirmation_wait(durability)
    if not (call.script.writes and call.confirm and seconds) or shard is None:
        return None
    milliseconds = max(1, int(seconds * 1000))  # 0 would be for ever
    if durability == "replicated":
        return (_WAIT, shard.replicas, milliseconds) if shard.replicas else None
    if durability == "fsync":
        return _WAIT_FOR_DISK, 1, shard.replicas, milliseconds
    return None


def is_durable(
    wait: Wait | None, outcome: Replies, slots: SlotMap, shard: Shard | None, terms: Terms
) -> bool:
    """Whether a write survives whichever replica of ``shard`` is promoted.

    ``outcome``: the replies to the write and to ``wait``. Every replica must have confirmed, also
    one that the primary has got since the slots were looked up, and none may have failed: the one
    that did not may be on the winning side of a partition. A write on the primary's disk alone
    counts where the store is known to have no replicas. ``terms`` takes note of the replicas.
    """
    confirmed, attached = outcome.confirmed, outcome.attached
    if wait is None or shard is None or attached is None:
        return False
    demanded = terms.attached.demanded(shard, attached, slots, terms.clock())
    if wait[0] == _WAIT:
        on_disk, replicas = 1, confirmed
    else:
        on_disk, replicas = confirmed
        if slots.is_replicated is False and not demanded:
            return bool(on_disk)
    if not on_disk or not isinstance(replicas, int):
        return False
    return shard.is_whole and replicas >= demanded > 0


def has_to_be_durable(
    call: ScriptCall[Any], slots: SlotMap, patience: Patience, durability: Durability
) -> bool:
    """Whether the write of ``call`` has to be confirmed.

    False for reads, for calls that ask for no confirmation, for a ``replica_wait`` of 0, for
    ``durability="primary"``, and, with ``durability="replicated"``, where the store is known to
    have no replicas.
    """
    if not (call.script.writes and call.confirm and patience.confirmation_wait(durability)):
        return False
    if durability == "replicated":
        return slots.is_replicated is not False
    return durability == "fsync"


def refuse_wait(wait: Wait | None, error: ServerError) -> None:
    """Raise where ``error``, the answer to ``wait``, says that nothing will ever be confirmed.

    StoreDenied where the user lacks the right, StoreFailed where the server lacks the command, or
    appends to no file. The write itself was carried out.
    """
    if wait is None or came_to_a_replica(error):
        return
    if wait[0] == _WAIT and refused_command(error) == "WAIT":
        message = _NEEDS_WAIT
    elif wait[0] == _WAIT_FOR_DISK and error.code in _REFUSED:
        message = f"{_NEEDS}{error.code} {error.message[:_SHOWN]}"
    else:
        return
    if error.code == "NOPERM":
        raise StoreDenied(message, reason="noperm", cause="rights")
    raise StoreFailed(message)


def effective(durability: Durability, slots: SlotMap, patience: Patience) -> str:
    """The durability that writes get in fact, as text for an operator."""
    if durability == "primary" or not patience.confirmation_wait(durability):
        return "primary"
    if durability == "replicated" and slots.is_replicated is False:
        return "primary (there is no replica to ask)"
    return durability
