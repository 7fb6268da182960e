"""The tries of one call, and what the reply to each means: redirects, errors, doubt. Pure.

- The circuit breaker of a node admits each try; the result of the try goes back to the breaker.
- A redirect, an unknown script and a migrating slot are handled at once, without a pause.
- A reply that may come from a replaced primary is not an answer: the call is tried again.
"""

from typing import Any, Final

from clusterpass.model.errors import StoreFailed, StoreUnavailable
from clusterpass.protocol.keyspace import slot_of
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.store.address import Address
from clusterpass.store.exchanges.commands import commands_of
from clusterpass.store.exchanges.durability import (
    has_to_be_durable,
    is_durable,
    refuse_wait,
    wait_of,
)
from clusterpass.store.exchanges.server_errors import NOT_SERVING, judge, not_a_single_server
from clusterpass.store.exchanges.steps import (
    PROBE_SECONDS,
    Agree,
    Drop,
    Exchange,
    LookUp,
    Probe,
    Send,
)
from clusterpass.store.exchanges.terms import Ahead, Terms
from clusterpass.store.exchanges.unavailable import unavailable
from clusterpass.store.outcomes import Fault, Replies, ServerError, Wait
from clusterpass.store.topology.slots import SlotMap, named_host

SECONDS_BETWEEN_LOOK_UPS: Final = 0.1
_MISMATCH: Final = b"MISMATCH"
_MOST_REDIRECTS: Final = 16
_REPLICA_COUNT_SECONDS: Final = 1.0


class Tries:
    """The tries of one call: what each try sends depends on the results of the earlier ones."""

    def __init__(self, call: ScriptCall[Any], terms: Terms, began: float | None) -> None:
        """``began``: the time at which the first try was sent already, in seconds of the clock of
        ``terms``; None: nothing was sent yet."""
        self._call = call
        self._terms = terms
        self._slot = slot_of(call.keys[0]) if call.slot is None else call.slot
        self._is_cut = False
        """Whether the next try names the first key of each script alone."""
        self._by_name = True
        self._asking: Address | None = None
        self._redirects = 0
        self.unconfirmed: Answer[Any] | None = None
        """The answer to a write that no replica has confirmed yet."""
        self._was_sent = began is not None
        """Whether the circuit breaker has admitted the next try already."""
        self._made_at = terms.clock() if began is None else began
        """When the present try was made, in seconds of the clock of ``terms``."""
        self._was_bare = began is not None
        """Whether the next try was sent already, without the endings of the subject in front."""
        self._has_waited = False
        self.give_up_at = (terms.clock() if began is None else began) + terms.seconds(call)
        """The deadline of the call, in seconds of the clock of ``terms``."""

    def target(self, slots: SlotMap) -> Address | None:
        """The node that the next try goes to; None while the owner of the slot is not known."""
        shard = slots.shard(self._slot)
        return self._asking or (shard.primary if shard else None)

    def once(self, slots: SlotMap, address: Address | None) -> Exchange[Answer[Any] | Fault | None]:
        """Send the call to ``address`` once.

        The exchange returns an answer, a fault, or None when the next try should follow at once.
        It raises StoreUnavailable when the circuit breaker refuses the try, if need be after a
        probe of the node that begins now has had a moment to succeed. It raises StoreDenied and
        StoreFailed for errors that a retry does not cure.
        """
        asking, self._asking = self._asking, None
        # What was sent without a generator had nothing ahead of it.
        ahead = () if self._was_bare else self._terms.ahead.get(self._call.keys[0], ())
        self._was_bare = False
        if address is None:
            return self._terms.blame("cluster_down" if slots.version else "connection")
        terms, call = self._terms, self._call
        was_sent, self._was_sent = self._was_sent, False
        if not was_sent:
            verdict = yield from self._admitted(address)
            if verdict == "overtaken":
                return None
            if verdict == "refuse" and self.unconfirmed is not None:
                return self.unconfirmed
            if verdict == "refuse":
                # A caller that has waited is told what it waited for.
                fault = Fault("circuit_open")
                raise self.unavailable(fault, address, is_told=self._has_waited)
            if verdict == "wait":
                self._has_waited = True
                return Fault("circuit_open")
        slots = yield from self._counted(slots)
        wait = wait_of(call, slots.shard(self._slot), slots, terms.patience, terms.durability)
        calls = (*(each.make() for each in ahead), call)
        commands = commands_of(
            calls, by_name=self._by_name, asking=asking is not None, is_cut=self._is_cut
        )
        if not was_sent:
            self._made_at = terms.clock()
        outcome = yield Send(address, commands, wait, until=self.give_up_at)
        if isinstance(outcome, Replies):
            return (yield from self._read(slots, address, outcome, wait, asking, ahead))
        assert isinstance(outcome, Fault)
        self._was_sent = outcome.stale  # nothing was sent: the next try keeps the admission
        if outcome.kind in {"timeout", "connection"} and not outcome.stale:
            self._has_waited = True
            # Where this process was suspended meanwhile, that is no time of silence.
            age = min(terms.clock() - self._made_at, terms.patience.timeout)
            terms.breakers.failed(address, outcome.kind, age, fault=outcome)
        return outcome

    def _admitted(self, address: Address) -> Exchange[str]:
        """What the circuit breaker says of a try: "go", "wait" or "refuse".

        A probe has a moment to succeed; "overtaken": meanwhile another node owns the slot.
        """
        terms = self._terms
        verdict: str = terms.breakers.admit(address, terms.patience.timeout)
        if verdict != "probe":
            return verdict
        rest = max(0.0, self.give_up_at - terms.clock())
        yield Probe(address, self._slot, min(PROBE_SECONDS, rest))
        if self.target(terms.current()) != address:
            return "overtaken"
        return "go" if terms.breakers.seconds_silent(address) is None else "refuse"

    def unavailable(
        self, fault: Fault, address: Address | None, *, is_told: bool = True
    ) -> StoreUnavailable:
        """The error for ``fault``: for an open circuit breaker, with the cause of its opening.

        ``is_told``: whether the ``reason``, too, is the kind of fault that opened it.
        """
        if fault.kind != "circuit_open" or address is None:
            return unavailable(fault, address)
        breakers = self._terms.breakers
        reason = breakers.kind_of(address) if is_told else fault.kind
        return unavailable(fault, address, reason=reason, behind=breakers.fault_of(address))

    def _counted(self, slots: SlotMap) -> Exchange[SlotMap]:
        """The slot map with replicas counted: a single server has to be asked before the first
        write."""
        terms, call = self._terms, self._call
        if slots.is_replicated is None and has_to_be_durable(
            call, slots, terms.patience, terms.durability
        ):
            yield LookUp(slots.version, None, self.give_up_at, counts_replicas=True)
            return terms.current()
        return slots

    def _read(  # noqa: PLR0917 (all of one try)
        self,
        slots: SlotMap,
        address: Address,
        outcome: Replies,
        wait: Wait | None,
        asking: Address | None,
        ahead: tuple[Ahead, ...],
    ) -> Exchange[Answer[Any] | Fault | None]:
        """What the replies of ``address`` come to, as :meth:`once` returns it."""
        terms, call = self._terms, self._call
        # Even when this process was suspended past the deadline, there is time for one question.
        until = max(self.give_up_at, terms.clock() + terms.patience.timeout)
        error = _first_error(outcome)
        if error is None or error.code not in NOT_SERVING:
            terms.breakers.answered(address)
        if error is not None:
            return (yield from self._recover(error, address, outcome, wait, asking))
        durable = is_durable(wait, outcome, slots, slots.shard(self._slot), terms)
        # What every replica has confirmed cannot come from a node that one of them has replaced.
        if not (durable and call.is_ending) and terms.doubts is not None:
            age = terms.clock() - self._made_at
            if terms.doubts(address, age=age, is_durable=durable):
                now = terms.steady()
                agreed = yield Agree(address, now, until, now - age, durable)
                if not agreed:
                    return terms.blame("doubted")
            for each, reply in zip(ahead, _replies_ahead(outcome, asking), strict=True):
                if isinstance(reply, list) and _MISMATCH in reply:
                    each.refuse()
            carried_out = set(map(id, ahead))
            if any(id(each) not in carried_out for each in terms.ahead.get(call.keys[0], ())):
                return None  # an ending has become known that the node may not have carried out
        answer = Answer(
            # The last reply is that to the script; a reply to ASKING may come before it.
            call.read(outcome.values[-1]),
            durable,
            None if asking else address,
            durable or not has_to_be_durable(call, slots, terms.patience, terms.durability),
        )
        return (yield from self._unless_retried(answer, slots))

    def _unless_retried(self, answer: Answer[Any], slots: SlotMap) -> Exchange[Answer[Any] | Fault]:
        """``answer``; a Fault where it is not confirmed, and a further try may confirm it."""
        terms, call = self._terms, self._call
        if not answer.durable and has_to_be_durable(
            call, SlotMap.unknown(), terms.patience, terms.durability
        ):
            # A call that insists has to learn soon that a replica is back.
            age = SECONDS_BETWEEN_LOOK_UPS if call.insists else _REPLICA_COUNT_SECONDS
            if terms.clock() - slots.taken_at > age:
                until = self.give_up_at
                yield LookUp(slots.version, suspect=None, until=until, counts_replicas=True)
        # Where a replica has failed, or none is left, no confirmation will come soon.
        shard = terms.current().shard(self._slot)
        is_there = shard is not None and shard.is_whole and shard.replicas > 0
        may_come = is_there or not slots.has_failed
        if call.insists and may_come and not answer.is_confirmed:
            self.unconfirmed = answer
            return Fault("unconfirmed")
        return answer

    def _recover(
        self,
        error: ServerError,
        address: Address,
        outcome: Replies,
        wait: Wait | None,
        asking: Address | None,
    ) -> Exchange[Fault | None]:
        """Prepare the next try after ``error``: None where it should follow at once, else a fault.

        Raises StoreUnavailable, StoreDenied and StoreFailed as :func:`judge` does.
        """
        terms = self._terms
        if error.code == "NOSCRIPT" and self._by_name:
            self._by_name, self._asking = False, asking
            return None
        if error.code == "TRYAGAIN":
            # While the keys lie on both sides of a migration, a script runs on its first key alone.
            # Where that is not enough, the other keys may be there after a pause.
            self._is_cut = not self._is_cut
            if self._is_cut:
                self._asking = asking
                return None
        if error.code in {"MOVED", "ASK"} and not terms.is_cluster:
            raise StoreFailed(not_a_single_server(address))
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
        if error.code == "READONLY":
            # A replica now: the connections to it lead nowhere, and a name may lead elsewhere.
            yield Drop(address)
        try:
            if outcome.confirmed is error:
                refuse_wait(wait, error)
            fault = judge(error)
        except StoreUnavailable as unavailable_now:
            unavailable_now.node = str(address)
            raise
        if error.code in NOT_SERVING:
            self._has_waited = True
            terms.breakers.failed(address, fault.kind, fault=fault)
        return fault


def _replies_ahead(outcome: Replies, asking: Address | None) -> list[Any]:
    """The replies to the calls in front of the last one, without those to ASKING."""
    return outcome.values[:-2][1::2] if asking is not None else outcome.values[:-1]


def _first_error(outcome: Replies) -> ServerError | None:
    """The first error among the replies; None: there is none."""
    for value in outcome.values:
        if isinstance(value, ServerError):
            return value
    return outcome.confirmed if isinstance(outcome.confirmed, ServerError) else None


def _redirected(error: ServerError, asked: Address) -> Address:
    """The address that a MOVED or ASK error names; ``asked`` gives the host where none is named."""
    # "MOVED 3999 127.0.0.1:6381", maybe followed by more.
    host, _, port = error.message.split(" ")[1].rpartition(":")
    return Address(named_host(host.strip("[]"), asked), int(port))
