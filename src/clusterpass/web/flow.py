"""Flows of a request to a session manager: written once, for sync and async managers.

A flow is a generator that yields an :class:`Ask`, receives the manager's answer, and returns or
raises. :func:`run` and :func:`run_async` carry it out.
"""

from collections.abc import Generator
from typing import Any, Final, TypeVar

from clusterpass.model.errors import ClusterPassError

Result = TypeVar("Result")


class Ask:
    """A call of one method of a session manager."""

    __slots__ = ("arguments", "options", "verb")

    def __init__(self, verb: str, *arguments: Any, **options: Any) -> None:
        self.verb: Final = verb
        self.arguments: Final = arguments
        self.options: Final = options


WebFlow = Generator[Ask, Any, Result]


def run(manager: Any, flow: WebFlow[Result]) -> Result:
    """Run ``flow`` with a SessionManager; return its result, raise its error."""
    try:
        ask = next(flow)
        while True:
            try:
                answer = getattr(manager, ask.verb)(*ask.arguments, **ask.options)
            except ClusterPassError as error:
                ask = flow.throw(error)
            else:
                ask = flow.send(answer)
    except StopIteration as stop:
        result: Result = stop.value
        return result


async def run_async(manager: Any, flow: WebFlow[Result]) -> Result:
    """Run ``flow`` with an AsyncSessionManager; return its result, raise its error."""
    try:
        ask = next(flow)
        while True:
            try:
                answer = await getattr(manager, ask.verb)(*ask.arguments, **ask.options)
            except ClusterPassError as error:
                ask = flow.throw(error)
            else:
                ask = flow.send(answer)
    except StopIteration as stop:
        result: Result = stop.value
        return result
