"""Carries out one call: the loop of tries, look-ups and pauses up to a deadline. Pure.

- A write is followed by WAIT on the same connection, in the same round trip: WAIT covers the last
  write of its own connection only.
- A revocation insists: until its deadline the call is repeated until a replica confirms it.
- A timeout leaves the outcome of a call unknown. Every script gives the same answer when it is
  repeated, so a retry is harmless.
- Expected faults are values (:class:`Fault`). StoreUnavailable is raised at the deadline, or at
  once where the circuit breaker of the node is open.
"""

from collections.abc import Generator
from typing import Final, TypeVar

from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.store.address import Address
from clusterpass.store.exchanges.steps import Exchange, LookUp, Pause
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.exchanges.tries import SECONDS_BETWEEN_LOOK_UPS, Tries
from clusterpass.store.exchanges.unavailable import unavailable
from clusterpass.store.outcomes import Fault
from clusterpass.store.randomness import chance

Reply = TypeVar("Reply")
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.4
_WAITING: Final = 0.1


def carry_out(
    call: ScriptCall[Reply], terms: Terms, *, began: float | None = None
) -> Exchange[Answer[Reply]]:
    """Carry out ``call``: the exchange returns its answer.

    ``began``: the time at which a driver has sent the first try already, in seconds of the clock of
    ``terms``; the driver then returns that outcome for the first :class:`Send`.

    The exchange raises StoreUnavailable at the deadline of the call, which is at most
    ``patience.deadline`` seconds, or at once for a node that has not answered for that long. It
    raises StoreDenied and StoreFailed at once, as a retry would not help.
    """
    clock, breakers = terms.clock, terms.breakers
    tries = Tries(call, terms, began)
    pauses = _pauses()
    waits_for: Address | None = None
    breakers.note_call(tries.target(terms.current()))
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
                raise tries.unavailable(fault, address)
            if fault.stale:
                continue
            if waits_for is None and address is not None and breakers.begin_to_wait(address):
                waits_for = address
            wanted = LookUp(slots.version, suspect=address, until=tries.give_up_at)
            yield from _look_again(fault, wanted, abs(clock() - slots.taken_at))
            target = tries.target(terms.current())
            if target is None or target == address:
                rest = max(0.0, tries.give_up_at - clock())
                pause = _WAITING if fault.kind == "circuit_open" else next(pauses)
                yield Pause(min(chance.uniform(pause / 2, pause), rest))
            # A call that was sent to nobody yet, or answered by a node in doubt, burdens no node.
            is_free = address is None or fault.kind in {"circuit_open", "doubted"}
            if not is_free and not (yield from _may_retry(tries, terms)):
                if tries.unconfirmed is not None:
                    return tries.unconfirmed
                raise unavailable(fault, address)
    finally:
        if waits_for is not None:
            breakers.end_to_wait(waits_for)


def _may_retry(tries: Tries, terms: Terms) -> Exchange[bool]:
    """Wait for a retry from the budget of the next target; return False at the deadline."""
    while not terms.breakers.may_retry(tries.target(terms.current())):
        rest = tries.give_up_at - terms.clock()
        if rest <= 0:
            return False
        yield Pause(min(_WAITING, rest))
    return True


def _look_again(fault: Fault, wanted: LookUp, age: float) -> Exchange[None]:
    """Look up the slots after ``fault``, as the slot may have a new owner.

    A busy node is still the owner, so no look-up follows. ``age``: seconds since the last look-up;
    look-ups are spaced out, as the other nodes have to answer them.
    """
    if fault.kind != "busy" and (age > SECONDS_BETWEEN_LOOK_UPS or not wanted.seen):
        yield wanted


def _pauses() -> Generator[float, None, None]:
    """Pauses in seconds, each twice as long as the one before, up to a limit."""
    longest = _FIRST_PAUSE
    while True:
        yield longest
        longest = min(longest * 2, _LONGEST_PAUSE)
