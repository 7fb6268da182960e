"""How one call is carried out: routing, redirects, retries, deadlines. Pure, written once.

- A write is followed by WAIT on the same connection, in the same round trip: WAIT covers the last
  write of its own connection only.
- An ending insists: within its time it is repeated until a replica has confirmed it.
- A timeout leaves the outcome unknown. Every script answers the same when it is repeated, so a
  retry is harmless.
- Expected faults are values (:class:`Fault`); StoreUnavailable is raised once patience has ended.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from clusterpass.config import Durability
from clusterpass.model.errors import StoreFailed, StoreUnavailable
from clusterpass.protocol.keyspace import slot_of
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.store.exchanges.circuit_breaker import Gates
from clusterpass.store.exchanges.durability import (
    has_to_be_durable,
    is_durable,
    refuse_wait,
    wait_of,
)
from clusterpass.store.exchanges.server_errors import judge
from clusterpass.store.exchanges.steps import (
    Exchange,
    LookUp,
    Pause,
    Send,
)
from clusterpass.store.location import Address, Patience
from clusterpass.store.outcomes import (
    Command,
    Fault,
    Replies,
    ServerError,
    Wait,
)
from clusterpass.store.randomness import chance
from clusterpass.store.topology.slots import SlotMap, named_host

Reply = TypeVar("Reply")
_NOT_SERVING: Final = frozenset({"CLUSTERDOWN", "MASTERDOWN", "LOADING"})
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.4
_WAITING: Final = 0.1
_BETWEEN_LOOK_UPS: Final = 0.1
_MOST_REDIRECTS: Final = 16
_REPLICA_COUNT_SECONDS: Final = 1.0
_DOUBTFUL: Final = ServerError("MASTERDOWN", "the node may have been replaced")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a store carries out its calls."""

    current: Callable[[], SlotMap]
    """The slot map."""
    adopt: Callable[[SlotMap], None]
    """Takes a newer one."""
    patience: Patience
    clock: Callable[[], float]
    """Monotonic, in seconds."""
    gates: Gates
    durability: Durability = "primary"
    doubts: Callable[[Address], bool] | None = None
    """Whether a node may have been replaced without its knowledge, as far as is known here."""
    believes: "Callable[[Address, float], Exchange[bool]] | None" = None
    """Whether what a node answered to a read may be taken; it may have been replaced without its
    knowledge. Otherwise it is asked for again."""


def first_try(
    call: ScriptCall[Any], terms: Terms, slots: SlotMap
) -> tuple[Address, Wait | None] | None:
    """Whom to send a call to at first, and what confirms it.

    None where the exchange has to find that out. A driver that does not wish to make a generator
    for each call begins with this, and :func:`first_answer` judges what came of it.
    """
    shard = slots.shards[slot_of(call.keys[0]) if call.slot is None else call.slot]
    if shard is None or shard.primary in terms.gates.silent:
        return None
    wait = None
    if call.script.writes and call.confirm:
        wait = wait_of(call, shard, slots, terms.patience, terms.durability)
    return shard.primary, wait


def first_answer(  # noqa: PLR0917 (called with each call: names would cost time)
    call: ScriptCall[Any],
    terms: Terms,
    slots: SlotMap,
    node: Address,
    wait: Wait | None,
    outcome: Replies | Fault,
) -> Answer[Any] | None:
    """The answer that the first try brought; None: the exchange has to go on from ``outcome``."""
    if type(outcome) is not Replies or type(outcome.values[0]) is ServerError:
        return None
    durable = False
    if not call.script.writes:
        if terms.doubts is not None and terms.doubts(node):
            return None
    elif call.confirm:
        confirmed = outcome.confirmed
        if wait is None or type(confirmed) is ServerError:
            return None
        if not is_durable(wait, confirmed, slots):
            return None
        durable = True
    return Answer(call.read(outcome.values[0]), durable, node)


def exchange(
    call: ScriptCall[Reply], terms: Terms, *, began: float | None = None
) -> Exchange[Answer[Reply]]:
    """Carry out ``call``; returns its answer.

    ``began``: when it was sent, where the first try was sent already, whose outcome the driver has.
    Raises StoreUnavailable after ``patience.deadline`` seconds, or at once for a node that has been
    silent for that long; StoreDenied or StoreFailed at once.
    """
    clock, gates = terms.clock, terms.gates
    tries = _Tries(call, terms, began)
    pauses = _pauses()
    waits_for: Address | None = None
    gates.note_call()
    try:
        while True:
            slots = terms.current()
            address = tries.target(slots)
            fault = yield from tries.once(slots, address)
            if isinstance(fault, Answer):
                return fault
            if fault is None:
                continue
            if clock() >= tries.give_up_at and tries.unconfirmed is not None:
                return tries.unconfirmed
            if fault.kind == "closed" or clock() >= tries.give_up_at:
                raise StoreUnavailable(reason=tries.reason(fault, address))
            if fault.stale:
                continue
            if waits_for is None and address is not None and gates.begin_to_wait(address):
                waits_for = address
            wanted = LookUp(slots.version, suspect=address, until=tries.give_up_at)
            yield from _look_again(fault, wanted, abs(clock() - slots.taken_at))
            target = tries.target(terms.current())
            if target is None or target == address:
                rest = max(0.0, tries.give_up_at - clock())
                pause = _WAITING if fault.kind == "circuit_open" else next(pauses)
                yield Pause(min(chance.uniform(pause / 2, pause), rest))
            while fault.kind != "circuit_open" and not gates.may_retry():
                if clock() >= tries.give_up_at:
                    raise StoreUnavailable(reason=fault.kind)
                yield Pause(_WAITING)
    finally:
        if waits_for is not None:
            gates.end_to_wait(waits_for)


class _Tries:
    """The tries of one call: what each sends depends on what came of those before."""

    def __init__(self, call: ScriptCall[Any], terms: Terms, began: float | None) -> None:
        patience = terms.patience
        self._call = call
        self._terms = terms
        self._slot = slot_of(call.keys[0]) if call.slot is None else call.slot
        self._keys = call.keys
        self._by_name = True
        self._asking: Address | None = None
        self._redirects = 0
        self.unconfirmed: Answer[Any] | None = None
        """What a write came to that no replica has confirmed yet."""
        self._was_sent = began is not None
        """Whether the next try needs no admission."""
        self._has_waited = False
        self.give_up_at = (terms.clock() if began is None else began) + min(
            patience.deadline, call.deadline or patience.deadline
        )

    def target(self, slots: SlotMap) -> Address | None:
        """Whom to ask; None while that is not known."""
        shard = slots.shard(self._slot)
        return self._asking or (shard.primary if shard else None)

    def once(self, slots: SlotMap, address: Address | None) -> Exchange[Answer[Any] | Fault | None]:
        """One try: an answer, a fault, or None when it should be repeated at once.

        Raises StoreUnavailable when the node has been silent for too long.
        """
        asking, self._asking = self._asking, None
        if address is None:
            return Fault("cluster_down" if slots.version else "connection")
        terms, call = self._terms, self._call
        verdict = "go" if self._was_sent else terms.gates.admit(address, terms.patience.timeout)
        self._was_sent = False
        if verdict == "refuse" and self.unconfirmed is not None:
            return self.unconfirmed
        if verdict == "refuse":
            # Who has waited long enough is told what for.
            fault = Fault("circuit_open")
            raise StoreUnavailable(
                reason=self.reason(fault, address) if self._has_waited else fault.kind
            )
        if verdict == "wait":
            self._has_waited = True
            return Fault("circuit_open")
        slots = yield from self._counted(slots)
        wait = wait_of(call, slots.shard(self._slot), slots, terms.patience, terms.durability)
        commands = _commands(call, self._keys, by_name=self._by_name, asking=asking is not None)
        outcome = yield Send(address, commands, wait)
        if isinstance(outcome, Replies):
            return (yield from self._read(slots, address, outcome, wait, asking))
        assert isinstance(outcome, Fault)
        self._was_sent = outcome.stale  # nothing was, so the next one takes its place
        if outcome.kind in {"timeout", "connection"} and not outcome.stale:
            self._has_waited = True
            terms.gates.failed(address, outcome.kind)
        return outcome

    def _counted(self, slots: SlotMap) -> Exchange[SlotMap]:
        """Before the first write to one server: it may have replicas."""
        terms, call = self._terms, self._call
        if slots.is_replicated is None and has_to_be_durable(
            call, slots, terms.patience, terms.durability
        ):
            yield LookUp(slots.version, None, self.give_up_at, counts_replicas=True)
            return terms.current()
        return slots

    def _read(
        self,
        slots: SlotMap,
        address: Address,
        outcome: Replies,
        wait: Wait | None,
        asking: Address | None,
    ) -> Exchange[Answer[Any] | Fault | None]:
        terms, call = self._terms, self._call
        # After a pause of this whole process there is time for a question all the same.
        until = max(self.give_up_at, terms.clock() + terms.patience.timeout)
        error = yield from _first_error(call, outcome, address, terms.believes, until)
        if error is None or error.code not in _NOT_SERVING:
            terms.gates.answered(address)
        if error is None:
            durable = is_durable(wait, outcome.confirmed, slots)
            answer = Answer(
                # ASKING, where it was sent, stands before the script.
                call.read(outcome.values[-1]),
                durable,
                None if asking else address,
                durable or not has_to_be_durable(call, slots, terms.patience, terms.durability),
            )
            if not answer.durable and has_to_be_durable(
                call, SlotMap.unknown(), terms.patience, terms.durability
            ):
                # Who insists must know that a replica is back.
                age = _BETWEEN_LOOK_UPS if call.insists else _REPLICA_COUNT_SECONDS
                if terms.clock() - slots.taken_at > age:
                    until = self.give_up_at
                    yield LookUp(slots.version, suspect=None, until=until, counts_replicas=True)
            # Where a node has failed, nobody will confirm it soon.
            shard = terms.current().shard(self._slot)
            is_there = shard is not None and shard.replicas > 0
            may_come = wait is not None or is_there or not slots.has_failed
            if call.insists and may_come and not answer.is_confirmed:
                self.unconfirmed = answer
                return Fault("unconfirmed")
            return answer
        if (error.code == "NOSCRIPT" and self._by_name) or (
            error.code == "TRYAGAIN" and len(self._keys) > 1
        ):
            # When the keys lie on both sides of a migration, the first one is enough.
            self._by_name = self._by_name and error.code != "NOSCRIPT"
            self._keys = self._keys[:1] if error.code == "TRYAGAIN" else self._keys
            self._asking = asking
            return None
        if error.code in {"MOVED", "ASK"} and self._redirects < _MOST_REDIRECTS:
            self._redirects += 1
            target = _redirected(error, address)
            if error.code == "ASK":
                self._asking = target
            else:
                terms.adopt(terms.current().moved(self._slot, target))
                version = terms.current().version
                yield LookUp(version, suspect=address, until=self.give_up_at)
            return None
        try:
            fault = judge(error)
        except StoreFailed:
            if outcome.confirmed is error:
                refuse_wait(wait, f"{error.code} {error.message}")
            raise
        if error.code in _NOT_SERVING:
            self._has_waited = True
            terms.gates.failed(address, fault.kind)
        return fault

    def reason(self, fault: Fault, address: Address | None) -> str:
        """What a fault is called to callers."""
        if fault.kind == "circuit_open" and address is not None:
            return self._terms.gates.kind_of(address)
        return fault.kind


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


def _look_again(fault: Fault, wanted: LookUp, age: float) -> Exchange[None]:
    """After a fault: the slot may have another owner by now, unless the owner is only busy.

    ``age``: seconds since the slots were looked up; not too often, as the others answer that.
    """
    if fault.kind != "busy" and (age > _BETWEEN_LOOK_UPS or not wanted.seen):
        yield wanted


def _redirected(error: ServerError, asked: Address) -> Address:
    # "MOVED 3999 127.0.0.1:6381", maybe followed by more.
    host, _, port = error.message.split(" ")[1].rpartition(":")
    return Address(named_host(host.strip("[]"), asked), int(port))


def _pauses() -> Generator[float, None, None]:
    """Growing pauses in seconds."""
    longest = _FIRST_PAUSE
    while True:
        yield longest
        longest = min(longest * 2, _LONGEST_PAUSE)
