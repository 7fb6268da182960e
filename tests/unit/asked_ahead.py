"""A call about a subject with endings in front of it, taken step by step by a test."""

from dataclasses import dataclass, replace
from typing import Any

from clusterpass.protocol.script import Answer, Script, ScriptCall
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.outcomes import Replies

from .driven_call import KEYS, PATIENCE, READ, A, call_of, owned_by

END = Script("end", b"return 3", b"5ha1-of-end", writes=True)
MORE = (*KEYS, b"cp:online:{u}")
ASKING = (b"ASKING",)


@dataclass(eq=False)
class Ending:
    """An ending that a journal holds; it has one more key than the calls about sessions."""

    operation: bytes
    refused: int = 0
    """How often the store has told that it knows the operation id otherwise."""

    def make(self) -> ScriptCall[Any]:
        return ScriptCall(END, MORE, (self.operation,), bytes, is_ending=True)

    def refuse(self) -> None:
        self.refused += 1


ONE, TWO = Ending(b"one"), Ending(b"two")


def end(operation: bytes, *keys: bytes) -> tuple[Any, ...]:
    keys = keys or MORE
    return (b"EVALSHA", END.sha1, len(keys), *keys, operation)


class Asked:
    """A call in progress, the endings that are known, and what is doubted."""

    def __init__(
        self, script: Script = READ, *ahead: Ending, replicas: int = 0, **options: Any
    ) -> None:
        self.ahead: Any = options.pop("known", {KEYS[0]: ahead} if ahead else {})
        self.slots = owned_by(A, replicas=replicas)
        self.is_doubtful = False
        self.doubted: list[bool] = []
        self.terms = Terms(
            lambda: self.slots,
            self._adopt,
            PATIENCE,
            lambda: 0.0,
            CircuitBreakers(lambda: 0.0, patience=2.5, most_waiting=256),
            "replicated",
            doubts=self._doubts,
            ahead=self.ahead,
            steady=lambda: 7.0,
        )
        began = options.pop("began", None)
        self.call = replace(call_of(script), **options)
        self.steps = carry_out(self.call, self.terms, began=began)
        self.result: Answer[Any] | None = None
        self.step = self.answer(None)

    def answer(self, outcome: Any) -> Any:
        try:
            self.step = self.steps.send(outcome)
        except StopIteration as stop:
            self.step, self.result = None, stop.value
        return self.step

    def reply(self, *values: Any, confirmed: Any = 0) -> Any:
        return self.answer(Replies(list(values), confirmed))

    def learn(self, *endings: Ending) -> None:
        self.ahead[KEYS[0]] = (*self.ahead.get(KEYS[0], ()), *endings)

    def _doubts(self, node: Any, *, age: float, is_durable: bool = False) -> bool:
        assert age >= 0
        self.doubted.append(is_durable)
        return self.is_doubtful

    def _adopt(self, slots: Any) -> None:
        self.slots = slots
