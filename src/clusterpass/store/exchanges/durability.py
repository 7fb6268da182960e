"""What a write waits for, beside its script and on the same connection. Pure.

WAIT confirms the last write of its own connection only, and WAITAOF too. Where nothing but the
primary has the data, there is nobody to wait for: then a write is as durable as it can be.
"""

from typing import Any, Final

from clusterpass.config import Durability
from clusterpass.model.errors import StoreFailed
from clusterpass.protocol.script import ScriptCall
from clusterpass.store.location import Patience
from clusterpass.store.outcomes import Wait
from clusterpass.store.topology.slots import Shard, SlotMap

_WAIT: Final = b"WAIT"
_WAIT_FOR_DISK: Final = b"WAITAOF"
_NEEDS: Final = (
    "durability='fsync' needs servers that have WAITAOF (Redis 7.2 or Valkey) and append to a file"
    " (appendonly yes); they answered: "
)


def wait_of(
    call: ScriptCall[Any],
    shard: Shard | None,
    slots: SlotMap,
    patience: Patience,
    durability: Durability,
) -> Wait | None:
    """The command that confirms a write, where there is something to wait for."""
    if not (call.script.writes and call.confirm and patience.replica_wait) or shard is None:
        return None
    milliseconds = int(patience.replica_wait * 1000)
    if durability == "replicated":
        return (_WAIT, 1, milliseconds) if shard.replicas else None
    if durability == "fsync":
        return _WAIT_FOR_DISK, 1, int(bool(shard.replicas)), milliseconds
    return None


def is_durable(wait: Wait | None, confirmed: Any, slots: SlotMap) -> bool:
    """Whether more than the memory of one node has what was written."""
    if wait is None:
        return False
    if wait[0] == _WAIT:
        return isinstance(confirmed, int) and confirmed > 0
    on_disk, replicas = confirmed
    return bool(on_disk) and bool(replicas or slots.is_replicated is False)


def has_to_be_durable(
    call: ScriptCall[Any], slots: SlotMap, patience: Patience, durability: Durability
) -> bool:
    """Whether a write is to be confirmed; not where there is nobody who could."""
    if not (call.script.writes and call.confirm and patience.replica_wait):
        return False
    if durability == "replicated":
        return slots.is_replicated is not False
    return durability == "fsync"


def refuse_wait(wait: Wait | None, message: str) -> None:
    """Raises StoreFailed when an error says that the servers cannot wait for their disks."""
    if wait is not None and wait[0] == _WAIT_FOR_DISK:
        raise StoreFailed(_NEEDS + message[:200])


def effective(durability: Durability, slots: SlotMap, patience: Patience) -> str:
    """What writes really wait for, in words for people."""
    if durability == "primary" or not patience.replica_wait:
        return "primary"
    if durability == "replicated" and slots.is_replicated is False:
        return "primary (there is no replica to ask)"
    return durability
