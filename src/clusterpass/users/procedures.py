"""The steps of the user directory's procedures: flows for the store, and work for the hasher."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from clusterpass.model.values import Ended
from clusterpass.protocol.script import Answer, Flow, ScriptCall

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PasswordWork(Generic[Result]):
    """CPU-bound work: hashing or checking a password."""

    run: Callable[[], Result] = field(repr=False)
    """Does the work and returns its result."""


Step = PasswordWork[Any] | Flow[Any]
Procedure = Generator[Step, Any, Result]


@dataclass(slots=True)
class Change:
    """The progress of a change of a user's entry; the procedure that makes it updates it."""

    is_sent: bool = False
    """Whether the store was asked to make it. If the answer is lost, it may have been made."""
    is_durable: bool = False
    """Whether every replica has it."""


def as_durable_as(change: Change, ended: Ended) -> Ended:
    """Return ``ended``, which is not durable if ``change``, which was made with it, is not."""
    return ended if change.is_durable else replace(ended, durable=False)


def ask(call: ScriptCall[Result]) -> Procedure[Result]:
    """Ask the store; return what it replies."""
    reply: Result = yield _one_call(call)
    return reply


def _one_call(call: ScriptCall[Result]) -> Flow[Result]:
    answer: Answer[Result] = yield call
    return answer.reply


def write(call: ScriptCall[Result], change: Change) -> Procedure[Result]:
    """Have the store make ``change``, and note how far it has come; return what it replies."""
    reply: Result = yield _one_write(call, change)
    return reply


def _one_write(call: ScriptCall[Result], change: Change) -> Flow[Result]:
    change.is_sent = True
    answer: Answer[Result] = yield call
    change.is_durable = answer.durable
    return answer.reply
