"""A call that a test carries out step by step, without sockets, pauses or a real clock."""

import math
from typing import Any

import pytest
from redis.crc import key_slot

from clusterpass.protocol.script import Answer, Script, ScriptCall
from clusterpass.store.address import Address
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.steps import Drop, LookUp, Pause, Probe, Send
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.patience import Patience
from clusterpass.store.topology.slots import Shard, SlotMap

A, B, C = Address("a", 1), Address("b", 2), Address("c", 3)
PATIENCE = Patience(timeout=0.5, deadline=2.5, replica_wait=0.25)
KEYS = (b"cp:{u}", b"cp:{u}:details")
SLOT = key_slot(KEYS[0])
READ = Script("read", b"return 1", b"5ha1-of-read", writes=False)
WRITE = Script("write", b"return 2", b"5ha1-of-write", writes=True)
WAIT = (b"WAIT", 1, 250)
NOSCRIPT = ServerError("NOSCRIPT", "No matching script.")


def call_of(script: Script) -> ScriptCall[Any]:
    return ScriptCall(script, KEYS, (b"argument", 7), lambda raw: ("read", raw))


def by_name(script: Script) -> tuple[Any, ...]:
    return (b"EVALSHA", script.sha1, 2, *KEYS, b"argument", 7)


def by_source(script: Script) -> tuple[Any, ...]:
    return (b"EVAL", script.source, 2, *KEYS, b"argument", 7)


def owned_by(address: Address, *, replicas: int = 0, version: int = 1, taken_at=math.inf):
    shards = [Shard(address, replicas)] * 16384
    return SlotMap(shards, version, taken_at, is_replicated=replicas > 0)


class Drive:
    """A call in progress: what it asks for is ``step``; ``answer`` goes on."""

    def __init__(self, script: Script, slots: SlotMap, patience: Patience = PATIENCE) -> None:
        self.now = 100.0
        self.slots = slots
        self.result: Answer[Any] | None = None
        self.step: Any = None
        self.breakers = CircuitBreakers(
            lambda: self.now, patience=patience.deadline, most_waiting=256
        )
        self.terms = Terms(
            lambda: self.slots,
            self._adopt,
            patience,
            lambda: self.now,
            self.breakers,
            "replicated",
        )
        self._steps = carry_out(call_of(script), self.terms)
        self.answer(None)

    def _adopt(self, slots: SlotMap) -> None:
        self.slots = slots

    def answer(self, outcome: Any) -> Any:
        try:
            self.step = self._steps.send(outcome)
        except StopIteration as stop:
            self.step, self.result = None, stop.value
        return self.step

    def reply(self, *values: Any, confirmed: Any = 0) -> Any:
        assert isinstance(self.step, Send)
        return self.answer(Replies(list(values), confirmed))

    def fail(self, outcome: Any) -> Any:
        """A fault or a server's error, until something is sent again; the pauses pass."""
        self.answer(outcome if isinstance(outcome, Fault) else Replies([outcome]))
        return self.pass_on()

    def pass_on(self) -> Any:
        while isinstance(self.step, LookUp | Pause | Drop | Probe):
            if isinstance(self.step, Pause):
                self.now += self.step.seconds
            self.answer(None)
        return self.step


def ending_of(steps: Any, outcome: Any) -> Any:
    with pytest.raises(StopIteration) as stop:
        steps.send(outcome)
    return stop.value.value
