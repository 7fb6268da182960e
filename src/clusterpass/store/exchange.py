"""How one call is carried out: routing, redirects, retries, deadlines. Pure, written once.

``exchange`` is a generator. It yields what is to be done (send, look up the slots, pause), receives
the outcome, and returns the answer. The synchronous and the asynchronous store are two small loops
that do what it asks.

- A write is followed by WAIT on the same connection, in the same round trip: WAIT covers the last
  write of its own connection only.
- A timeout leaves the outcome unknown. Every script answers the same when it is repeated, so a
  retry is harmless.
- Expected faults are values (:class:`Fault`); StoreUnavailable is raised once patience has ended.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from redis.crc import key_slot

from clusterpass.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.store.chance import chance
from clusterpass.store.routing import Shard, SlotMap, named_host
from clusterpass.store.url import Address, Patience

Command = tuple[bytes | int, ...]
FaultKind = Literal[
    "timeout", "connection", "cluster_down", "loading", "moving", "busy", "full", "closed"
]
Reply = TypeVar("Reply")

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.4
_MOST_REDIRECTS: Final = 16
_REPLICA_COUNT_SECONDS: Final = 1.0
_NOT_LOCAL: Final = "access a non local key"
_LONG_BEFORE_LOGIN: Final = "error: unauthenticated"  # too many arguments for a stranger
_DENIED: Final = frozenset({"NOAUTH", "WRONGPASS", "NOPERM", "ACL"})  # ACL: inside a script
_DENIED_IN_SCRIPT: Final = "ACL failure"
_PASSING: Final[dict[str, FaultKind]] = {
    "TRYAGAIN": "moving",
    "CLUSTERDOWN": "cluster_down",
    "MASTERDOWN": "cluster_down",
    "READONLY": "moving",
    "UNBLOCKED": "moving",  # the primary became a replica during WAIT
    "LOADING": "loading",
    "BUSY": "busy",
    "NOREPLICAS": "busy",
    "MISCONF": "full",
    "MOVED": "moving",
    "ASK": "moving",
}


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error that a server answered, as ``CODE message``."""

    code: str
    message: str


_DOUBTFUL: Final = ServerError("MASTERDOWN", "the node may have been replaced")


@dataclass(slots=True)
class Send:
    """Send ``commands`` on one connection; the outcome is :class:`Replies` or :class:`Fault`."""

    address: Address
    commands: tuple[Command, ...]
    wait: int | None = None
    """Milliseconds to wait, after them and on the same connection, for a replica's confirmation."""


@dataclass(slots=True)
class Replies:
    """One reply a command: a value, or a :class:`ServerError`."""

    values: list[Any]
    confirmed: int | ServerError = 0
    """How many replicas have confirmed, where that was asked for."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The node could not be asked, or did not answer in time."""

    kind: FaultKind
    stale: bool = False
    """The connection had been idle and turned out to be closed: nothing is known of the node."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Look up the slots, asking the ``suspect`` last; not if the map is newer than ``seen``.

    Nothing is begun after ``until``, in seconds of the monotonic clock.
    """

    seen: int
    suspect: Address | None
    until: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


Instruction = Send | LookUp | Pause
Exchange = Generator[Instruction, Replies | Fault | None, Reply]


def exchange(
    call: ScriptCall[Reply],
    current: Callable[[], SlotMap],
    adopt: Callable[[SlotMap], None],
    patience: Patience,
    clock: Callable[[], float],
    *,
    believes: Callable[[Address, float], "Exchange[bool]"] | None = None,
    began: float | None = None,
) -> Exchange[Answer[Reply]]:
    """Carry out ``call``; returns its answer.

    ``current`` gives the slot map, ``adopt`` takes a newer one; ``clock`` is monotonic, in seconds.
    ``believes``: whether what a node answered to a read may be taken; it may have been replaced
    without its knowledge. Otherwise it is asked for again. ``began``: when, unless now.
    Raises StoreUnavailable after ``patience.deadline`` seconds, StoreDenied or StoreFailed at once.
    """
    slot = key_slot(call.keys[0]) if call.slot is None else call.slot
    give_up_at = (clock() if began is None else began) + min(
        patience.deadline, call.deadline or patience.deadline
    )
    keys = call.keys
    by_name, asking, redirects = True, None, 0
    pauses = _pauses()
    while True:
        slots = current()
        shard = slots.shard(slot)
        address = asking or (shard.primary if shard else None)
        fault = Fault("cluster_down" if slots.version else "connection")
        if address is not None:
            commands = _commands(call, keys, by_name=by_name, asking=bool(asking))
            outcome = yield Send(address, commands, wait_of(call, shard, patience))
            if isinstance(outcome, Replies):
                error = yield from _first_error(call, outcome, address, believes, give_up_at)
                if error is None:
                    answer = _answer(call, outcome, None if asking else address)
                    if call.script.writes and call.confirm and not answer.durable:
                        yield from _count_replicas_again(slots, clock, give_up_at)
                    return answer
                if (error.code == "NOSCRIPT" and by_name) or (
                    error.code == "TRYAGAIN" and len(keys) > 1
                ):
                    # When the keys lie on both sides of a migration, the first one is enough.
                    by_name = by_name and error.code != "NOSCRIPT"
                    keys = keys[:1] if error.code == "TRYAGAIN" else keys
                    continue
                if error.code in {"MOVED", "ASK"} and redirects < _MOST_REDIRECTS:
                    redirects += 1
                    target = _redirected(error, address)
                    asking = target if error.code == "ASK" else None
                    if error.code == "MOVED":
                        adopt(current().moved(slot, target))
                        yield LookUp(current().version, suspect=address, until=give_up_at)
                    continue
                fault = _judge(error)
            elif isinstance(outcome, Fault):
                fault = outcome
        asking = None
        if fault.kind == "closed" or clock() >= give_up_at:
            raise StoreUnavailable(reason=fault.kind)
        if fault.stale:
            continue
        yield from _look_again(fault, LookUp(slots.version, suspect=address, until=give_up_at))
        moved = current().shard(slot)
        if moved is None or moved.primary == address:
            yield Pause(min(next(pauses), max(0.0, give_up_at - clock())))


def _commands(
    call: ScriptCall[Any], keys: tuple[bytes, ...], *, by_name: bool, asking: bool
) -> tuple[Command, ...]:
    command = command_of(call, keys, by_name=by_name)
    return ((b"ASKING",), command) if asking else (command,)


def command_of(call: ScriptCall[Any], keys: tuple[bytes, ...], *, by_name: bool = True) -> Command:
    """The command that runs the script of ``call``, by its name or in full."""
    script = call.script
    verb, text = (b"EVALSHA", script.sha1) if by_name else (b"EVAL", script.source)
    return (verb, text, len(keys), *keys, *call.arguments)


def wait_of(call: ScriptCall[Any], shard: Shard | None, patience: Patience) -> int | None:
    """Milliseconds to wait for a replica's confirmation, if one is to be asked for."""
    wants_wait = call.script.writes and call.confirm and patience.replica_wait
    if wants_wait and shard is not None and shard.replicas:
        return int(patience.replica_wait * 1000)
    return None


def _first_error(
    call: ScriptCall[Any],
    outcome: Replies,
    node: Address,
    believes: "Callable[[Address, float], Exchange[bool]] | None",
    until: float,
) -> Exchange[ServerError | None]:
    """What is wrong with the replies, or with who gave them."""
    for value in outcome.values:
        if isinstance(value, ServerError):
            return value
    if isinstance(outcome.confirmed, ServerError):
        return outcome.confirmed
    if believes is None or call.script.writes or (yield from believes(node, until)):
        return None
    return _DOUBTFUL


def _answer(call: ScriptCall[Reply], outcome: Replies, node: Address | None) -> Answer[Reply]:
    # ASKING, where it was sent, stands before the script.
    confirmed = outcome.confirmed
    durable = isinstance(confirmed, int) and confirmed > 0
    return Answer(call.read(outcome.values[-1]), durable, node)


def _look_again(fault: Fault, wanted: LookUp) -> Exchange[None]:
    """After a fault: the slot may have another owner by now, unless the owner is only busy."""
    if fault.kind != "busy":
        yield wanted


def _count_replicas_again(
    slots: SlotMap, clock: Callable[[], float], until: float
) -> Exchange[None]:
    """After a write without a confirmation: a replica may have failed, or come back."""
    if clock() - slots.taken_at > _REPLICA_COUNT_SECONDS:
        yield LookUp(slots.version, suspect=None, until=until)


def _redirected(error: ServerError, asked: Address) -> Address:
    # "MOVED 3999 127.0.0.1:6381", maybe followed by more.
    host, _, port = error.message.split(" ")[1].rpartition(":")
    return Address(named_host(host.strip("[]"), asked), int(port))


def _judge(error: ServerError) -> Fault:
    """The passing fault that ``error`` stands for; raises where waiting would not help."""
    if error.code in _DENIED or error.message.startswith(_DENIED_IN_SCRIPT):
        raise StoreDenied(reason=error.code.lower())
    if _LONG_BEFORE_LOGIN in error.message:
        raise StoreDenied(reason="noauth")
    if error.code == "OOM":
        raise StoreUnavailable("The session store is out of memory", reason="full")
    if _NOT_LOCAL in error.message:  # a key that the script had before has left in mid-migration
        return Fault("moving")
    if error.code not in _PASSING:
        raise StoreFailed(
            f"The session store answered an error: {error.code} {error.message[:200]}"
        )
    return Fault(_PASSING[error.code])


def _pauses() -> Generator[float, None, None]:
    """Growing pauses in seconds, with jitter so that callers do not return all at once."""
    longest = _FIRST_PAUSE
    while True:
        yield chance.uniform(longest / 2, longest)
        longest = min(longest * 2, _LONGEST_PAUSE)


def look_up(
    candidates: list[Address],
    suspect: Address | None,
    version: int,
    clock: Callable[[], float],
    until: float,
) -> Exchange[SlotMap | None]:
    """Ask for the slots; the ``suspect`` is asked last. None when nobody knows in time."""
    for address in sorted(candidates, key=lambda candidate: candidate == suspect):
        if clock() >= until:
            return None
        outcome = yield from _ask(address, ((b"CLUSTER", b"SLOTS"), (b"CLUSTER", b"NODES")))
        if isinstance(outcome, Fault):
            continue
        slots, nodes = outcome.values
        reply = next((v for v in outcome.values if isinstance(v, ServerError)), None)
        if reply is not None:
            if "cluster support disabled" in reply.message:
                raise StoreFailed(f"{address} is a single server: use redis:// or rediss://")
            _judge(reply)
        elif slots:
            return SlotMap.parse(slots, nodes, address, version, clock())
    return None


def ask_any(
    addresses: list[Address], command: Command, clock: Callable[[], float], until: float
) -> Exchange[None]:
    """Return as soon as one address answers ``command``; raise StoreUnavailable when none does."""
    failure = StoreUnavailable(reason="connection")
    for address in addresses:
        try:
            yield from ask_one(address, command)
        except StoreDenied:
            raise
        except StoreUnavailable as error:
            failure = error
        else:
            return
        if clock() >= until:
            break
    raise failure


def ask_one(address: Address, command: Command) -> Exchange[Any]:
    """The reply of one node to ``command``; raises StoreUnavailable when there is none."""
    outcome = yield from _ask(address, (command,))
    if isinstance(outcome, Replies):
        reply = outcome.values[0]
        if not isinstance(reply, ServerError):
            return reply
        outcome = _judge(reply)
    raise StoreUnavailable(reason=outcome.kind)


def _ask(address: Address, commands: tuple[Command, ...]) -> Exchange[Replies | Fault]:
    """Send, and send again when the connection had been closed while it was idle."""
    while True:
        outcome = yield Send(address, commands)
        if isinstance(outcome, Replies) or (isinstance(outcome, Fault) and not outcome.stale):
            return outcome
