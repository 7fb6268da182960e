"""Endings and their retries, step by step: the shard of the subject, and three journals."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.keyspace import JOURNAL_SLOTS, slot_of
from clusterpass.protocol.script import Answer, Rest, ScriptCall
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import KEYSPACE, NOW, SESSION_ID, Life, life

OPERATION = bytes.fromhex("0123456789abcdef")
OWNER = "owner"
J1, J2, J3 = JOURNAL_SLOTS
NODES = {J1: "one", J2: "two", J3: "three"}
TIME = NOW * 1000 + 7
REPLIES: dict[str, list[Any]] = {
    "end_session": [TIME, b"ENDED"],
    "end_all": [b"OK", TIME, [SESSION_ID]],
    "ban": [b"OK", TIME, [SESSION_ID], b""],
}
AWAY = StoreUnavailable(reason="timeout")
REST = 0.25


@dataclass
class Store:
    """Scripted replies of the subject's shard and of the journals, and the requests to them."""

    is_away: bool = False
    """Whether the shard of the subject does not answer."""
    is_confirmed: bool = False
    """Whether the replicas of the shard confirm."""
    status: bytes | None = None
    """The status of the shard's reply, in place of success."""
    is_refused: bool = False
    """Whether the shard knows another request under :data:`OPERATION`."""
    never_promoted: Any = 0
    """What a node answers that is asked whether it was never promoted; an error is raised."""
    told_by: str = OWNER
    """The node that answers that question."""
    copies: dict[int, Any] = field(default_factory=dict)
    """What becomes of each copy of the cutoff, by its slot: "unconfirmed", or an error to raise."""
    journals: dict[int, Any] = field(default_factory=dict)
    """What each journal answers, by its slot: a status, "unconfirmed", or an error to raise."""
    nodes: dict[int, str] = field(default_factory=lambda: dict(NODES))
    taken: set[bytes] = field(default_factory=set)
    """The ids of entries under which every journal holds another request."""
    asked: list[ScriptCall[Any] | Rest] = field(default_factory=list)

    def run(self, flow: Generator[Any, Any, Any], outcome: Any = None) -> Any:
        """The result of ``flow``, which goes on with ``outcome``."""
        while True:
            try:
                if isinstance(outcome, ClusterPassError):
                    step = flow.throw(outcome)
                else:
                    step = flow.send(outcome)
            except StopIteration as stop:
                return stop.value
            self.asked.append(step)
            outcome = None if isinstance(step, Rest) else self.answer(step)

    def names(self) -> list[Any]:
        """Return the requests in short: scripts, journals by their slots, seconds of rest."""
        found: list[Any] = []
        for step in self.asked:
            if isinstance(step, Rest):
                found.append(step.seconds)
            elif step.script.name == "not_before":
                found.append(("raise", slot_of(step.keys[0])))
            elif step.script.name.startswith("journal_"):
                found.append((step.script.name.removeprefix("journal_"), step.slot))
            else:
                found.append(step.script.name)
        self.asked.clear()
        return found

    def entries(self) -> list[JournalEntry]:
        """The entries that journals were asked to append, in their order."""
        return [
            JournalEntry.decode(call.arguments[0], call.arguments[1])
            for call in self.asked
            if isinstance(call, ScriptCall) and call.script.name == "journal_append"
        ]

    def answer(self, call: ScriptCall[Any]) -> Any:
        name = call.script.name
        if name == "not_before":
            return self._raise_copy(call)
        if name == "never_promoted":
            if isinstance(self.never_promoted, ClusterPassError):
                return self.never_promoted
            return Answer(call.read(self.never_promoted), False, self.told_by)
        if not name.startswith("journal_"):
            return AWAY if self.is_away else self._end(call)
        return self._ask_journal(call)

    def _end(self, call: ScriptCall[Any]) -> Any:
        name = call.script.name
        reply = list(REPLIES[name])
        status = self.status
        if self.is_refused and call.arguments[0][15:23] == OPERATION:
            status = b"MISMATCH"
        if status is not None:
            reply[1 if name == "end_session" else 0] = status
        return Answer(call.read(reply), self.is_confirmed, OWNER, self.is_confirmed)

    def _raise_copy(self, call: ScriptCall[Any]) -> Any:
        told = self.copies.get(slot_of(call.keys[0]), "OK")
        if isinstance(told, ClusterPassError):
            return told
        is_durable = told == "OK"
        return Answer(call.read(call.arguments[0] or TIME), is_durable, OWNER, is_durable)

    def _ask_journal(self, call: ScriptCall[Any]) -> Any:
        name = call.script.name
        assert call.slot is not None
        assert call.keys == (KEYSPACE.journal(call.slot),)
        told = self.journals.get(call.slot, "OK")
        if name == "journal_append" and call.arguments[0] in self.taken:
            told = "MISMATCH"
        if isinstance(told, ClusterPassError):
            return told
        node = self.nodes[call.slot]
        if name == "journal_trim":
            return Answer(call.read(1), False, node)
        is_durable = call.confirm and told == "OK"
        return Answer("OK" if told == "unconfirmed" else told, is_durable, node, is_durable)


def with_journals(**values: Any) -> Life:
    """The flows of a manager that has met the owner, and knows where the journals are."""
    own = life(**values)
    leases = own.flows.memory.near.leases
    leases.set_primaries(frozenset({OWNER, *NODES.values()}))
    leases.set_journals(frozenset(NODES.values()))
    meet(own, 0.0)
    return own


def meet(own: Life, at: float) -> None:
    """The owner answers a first heartbeat, sent at ``at``."""
    leases = own.flows.memory.near.leases
    leases.connected(OWNER)
    leases.beat_answered(OWNER, leases.beat_sent(OWNER, at), epoch=leases.epoch)
    leases.met(OWNER, at)


def end(own: Life, verb: str = "end_session") -> Generator[Any, Any, Any]:
    """The flow that ends sessions of alice by the script ``verb``, under :data:`OPERATION`."""
    end, operation_id = own.flows.end, OPERATION.hex()
    if verb == "end_session":
        session_id = encode_session_id(SESSION_ID)
        return end.revoke("alice", session_id, reason="stolen", operation_id=operation_id)
    if verb == "end_all":
        return end.revoke_all(
            "alice", keep=None, device_type=None, reason="stolen", operation_id=operation_id
        )
    return own.flows.subject.ban(
        "alice", scope="", reason="stolen", for_seconds=None, level=1, operation_id=operation_id
    )


def retry(own: Life, store: Store, number: int = 0) -> bool:
    """One more attempt of what is queued; whether that settled it."""
    queue = own.flows.memory.pending
    pending = queue.all()[number]
    is_settled = bool(store.run(pending.attempt()))
    if is_settled:
        queue.settle(pending)
    return is_settled


def appends(*slots: int) -> list[Any]:
    """How :meth:`Store.names` tells that the journals in ``slots`` were written."""
    return [("append", slot) for slot in slots]


def trims(*slots: int) -> list[Any]:
    """How :meth:`Store.names` tells that the journals in ``slots`` were trimmed."""
    return [("trim", slot) for slot in slots]
