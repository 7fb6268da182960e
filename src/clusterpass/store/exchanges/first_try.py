"""The common case of a call, without a generator: one request to a healthy node. Pure.

- A driver asks :func:`first_try` where to send the call, and sends it.
- :func:`first_answer` reads the outcome, or hands it back where anything is out of the ordinary:
  then :func:`carry_out` continues from that outcome.
"""

from typing import Any

from clusterpass.protocol.keyspace import slot_of
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.store.exchanges.durability import is_durable, wait_of
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.outcomes import Fault, Replies, ServerError, Wait
from clusterpass.store.topology.slots import Shard, SlotMap


def first_try(
    call: ScriptCall[Any], terms: Terms, slots: SlotMap
) -> tuple[Shard, Wait | None] | None:
    """The shard whose primary to send ``call`` to, and the command that confirms its write.

    None where the slot has no known owner, the owner does not answer, or endings of the subject
    have to be carried out first: only :func:`carry_out` can handle that.
    """
    shard = slots.shards[slot_of(call.keys[0]) if call.slot is None else call.slot]
    if shard is None or shard.primary in terms.breakers.silent:
        return None
    if terms.ahead and call.keys[0] in terms.ahead:
        return None
    wait = None
    if call.script.writes and call.confirm:
        try:
            wait = terms.waits[shard.replicas]
        except KeyError:
            wait = wait_of(call, shard, slots, terms.patience, terms.durability)
            terms.waits[shard.replicas] = wait
    return shard, wait


def first_answer(  # noqa: PLR0917 (called with each call: names would cost time)
    call: ScriptCall[Any],
    terms: Terms,
    slots: SlotMap,
    shard: Shard,
    wait: Wait | None,
    outcome: Replies | Fault,
    began: float,
) -> Answer[Any] | None:
    """The answer that the first try got from the primary of ``shard``.

    None when there is a fault, an error, a doubt about the node, an ending of the subject that has
    become known, or no confirmation where one was asked for: :func:`carry_out` has to continue from
    ``outcome``. ``began``: when the request was made, in seconds of the clock of ``terms``.
    """
    if (
        type(outcome) is not Replies
        or type(outcome.values[0]) is ServerError
        or (terms.ahead and call.keys[0] in terms.ahead)
    ):
        return None
    durable = False
    if not call.script.writes:
        if terms.doubts is not None and terms.doubts(shard.primary, age=terms.clock() - began):
            return None
    elif call.confirm:
        if wait is None or type(outcome.confirmed) is ServerError:
            return None
        if not is_durable(wait, outcome, slots, shard, terms):
            return None
        durable = True
        # An ending is no answer about a session: it needs no evidence.
        if (
            not call.is_ending
            and terms.doubts is not None
            and terms.doubts(shard.primary, age=terms.clock() - began, is_durable=True)
        ):
            return None
    return Answer(call.read(outcome.values[0]), durable, shard.primary)
