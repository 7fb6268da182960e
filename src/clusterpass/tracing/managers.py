"""Instruments session managers, synchronous or asynchronous, with spans."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from opentelemetry.trace import Tracer, TracerProvider, get_tracer

import clusterpass
from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.protocol.script import Answer, Flow, ScriptCall
from clusterpass.store.drivers.base import StoreBase
from clusterpass.tracing.spans import span_of_call, span_of_verb

Result = TypeVar("Result")
Call = ScriptCall[Any]


def trace_manager(
    manager: SessionManager | AsyncSessionManager, provider: TracerProvider | None
) -> None:
    """Make spans of the verbs of ``manager``, and of the calls of its store if that is ours."""
    tracer = get_tracer("clusterpass", clusterpass.__version__, provider)
    is_async = isinstance(manager, AsyncSessionManager)
    if isinstance(manager, AsyncSessionManager):
        manager._running.around = _async_verbs(tracer)
    else:
        manager._running.around = _verbs(tracer)
    if isinstance(manager.store, StoreBase):
        manager.store.around = _async_calls(tracer) if is_async else _calls(tracer)


def _verbs(tracer: Tracer) -> Callable[[Flow[Any], Callable[[Flow[Any]], Any]], Any]:
    def run(flow: Flow[Result], plain: Callable[[Flow[Result]], Result]) -> Result:
        with span_of_verb(tracer, flow) as results:
            results.append(plain(flow))
        result: Result = results[0]
        return result

    return run


def _async_verbs(
    tracer: Tracer,
) -> Callable[[Flow[Any], Callable[[Flow[Any]], Awaitable[Any]]], Awaitable[Any]]:
    async def run(flow: Flow[Result], plain: Callable[[Flow[Result]], Awaitable[Result]]) -> Result:
        with span_of_verb(tracer, flow) as results:
            results.append(await plain(flow))
        result: Result = results[0]
        return result

    return run


def _calls(tracer: Tracer) -> Callable[[Any], Any]:
    def wrap(perform: Callable[[Call], Answer[Any]]) -> Callable[[Call], Answer[Any]]:
        def traced(call: Call) -> Answer[Any]:
            with span_of_call(tracer, call) as answers:
                answers.append(perform(call))
            return answers[0]

        return traced

    return wrap


def _async_calls(tracer: Tracer) -> Callable[[Any], Any]:
    def wrap(
        perform: Callable[[Call], Awaitable[Answer[Any]]],
    ) -> Callable[[Call], Awaitable[Answer[Any]]]:
        async def traced(call: Call) -> Answer[Any]:
            with span_of_call(tracer, call) as answers:
                answers.append(await perform(call))
            return answers[0]

        return traced

    return wrap
