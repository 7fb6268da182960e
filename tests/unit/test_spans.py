"""OpenTelemetry spans of verbs, calls of the store and requests: names, attributes, errors."""

import asyncio
from collections.abc import Callable, Generator
from contextvars import copy_context
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from clusterpass import (
    Actor,
    AsyncSessionManager,
    Config,
    KeyRing,
    Session,
    SessionManager,
    SessionRevoked,
    StoreUnavailable,
    TokenPair,
    __version__,
)
from clusterpass.protocol.calls.subject import read_generation
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.monitoring import tracing as monitoring
from clusterpass.store.address import Address
from clusterpass.tracing import instrument, note_session
from clusterpass.tracing.managers import trace_manager
from clusterpass.tracing.spans import describe, note_admitted, note_request, span_of_verb
from clusterpass.web.gate import Gate

CONFIG = Config(issuer="https://auth.example", keys=KeyRing.generate())
ID = "A" * 22
SESSION = Session("alice", ID, None, 1, 2, 3)
VERBS: dict[str, Callable[[SessionManager], Any]] = {
    "login": lambda sessions: sessions.login("alice"),
    "refresh": lambda sessions: sessions.refresh("token"),
    "verify": lambda sessions: sessions.verify("token"),
    "logout": lambda sessions: sessions.logout("token"),
    "revoke": lambda sessions: sessions.revoke("alice", ID),
    "revoke_all": lambda sessions: sessions.revoke_all("alice"),
    "revoke_before": lambda sessions: sessions.revoke_before(),
    "shorten": lambda sessions: sessions.shorten("alice", ID, lifetime=60),
    "elevate": lambda sessions: sessions.elevate(SESSION, "2", for_seconds=60),
    "impersonate": lambda sessions: sessions.impersonate(SESSION, "bob", reason="support"),
    "sessions": lambda sessions: sessions.sessions("alice"),
    "get": lambda sessions: sessions.get("alice", ID),
    "history": lambda sessions: sessions.history("alice"),
    "generation": lambda sessions: sessions.generation("alice"),
    "bans.list": lambda sessions: sessions.bans.list("alice"),
    "bans.check": lambda sessions: sessions.bans.check("alice"),
    "bans.add": lambda sessions: sessions.bans.add("alice"),
    "bans.lift": lambda sessions: sessions.bans.lift("alice"),
    "claims.get": lambda sessions: sessions.claims.get("alice"),
    "claims.set": lambda sessions: sessions.claims.set("alice", {}),
    "online.count": lambda sessions: sessions.online.count(),
    "online.page": lambda sessions: sessions.online.page(),
    "online.prune": lambda sessions: sessions.online.prune(),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_span_is_called_as_its_verb(verb: str) -> None:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def around(flow: Any, _: Any) -> None:
        with span_of_verb(provider.get_tracer("test"), flow):
            flow.close()  # nothing is asked of a store

    with SessionManager.from_url("redis+cluster://127.0.0.1:1", CONFIG) as sessions:
        sessions._running.around = around
        VERBS[verb](sessions)
    assert exporter.get_finished_spans()[-1].name == f"clusterpass.{verb}"


def test_an_impersonation_names_the_actor() -> None:
    session = Session("alice", ID, None, 1, 2, 3, acr="2", act=Actor("helen", ID, "support"))
    assert describe(session) == {
        "session.id": ID,
        "user.id": "alice",
        "clusterpass.acr": "2",
        "clusterpass.actor": "helen",
    }


def finding(result: Any) -> Generator[Any, Any, Any]:
    """The flow of a verb that asks for nothing."""
    if isinstance(result, Exception):
        raise result
    yield from ()
    return result


def spans_of(is_async: bool, result: Any) -> list[Any]:
    """The spans of a verb that returns or raises ``result``, and what it has returned."""
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    kind: Any = AsyncSessionManager if is_async else SessionManager
    manager = kind.from_url("redis+cluster://127.0.0.1:1", CONFIG)
    trace_manager(manager, provider)

    async def run() -> Any:
        answer = manager._running.run(finding(result))
        answer = await answer if is_async else answer
        await manager.close() if is_async else manager.close()
        return answer

    try:
        assert asyncio.run(run()) is result
    except type(result) as error:
        assert error is result
    return list(exporter.get_finished_spans())


@pytest.mark.parametrize("is_async", [False, True])
def test_a_verb_of_a_traced_manager_answers_as_ever(is_async: bool) -> None:
    (span,) = spans_of(is_async, SESSION)
    assert span.name == "clusterpass.finding"
    assert span.attributes == describe(SESSION)
    assert span.status.is_unset
    (plain,) = spans_of(is_async, SimpleNamespace())
    assert plain.attributes == {}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("error", "kind", "is_failure"),
    [
        (StoreUnavailable(), "store_unavailable", True),
        (SessionRevoked(reason="revoked", ended_at=0), "session_revoked", False),
        (KeyError("of a driver"), "KeyError", True),
    ],
)
def test_a_span_says_of_which_kind_an_error_was_and_no_more(
    is_async: bool, error: Exception, kind: str, is_failure: bool
) -> None:
    (span,) = spans_of(is_async, error)
    assert span.attributes == {"error.type": kind}
    assert span.status.is_unset is not is_failure
    assert (span.status.description, span.events) == (None, ())


def test_a_pair_of_tokens_tells_its_session_and_nothing_else() -> None:
    pair = TokenPair("a", "r", 900, ID, "alice", durable=True, session_expires_in=600)
    (span,) = spans_of(False, pair)
    assert span.attributes == {"session.id": ID}


@pytest.mark.parametrize("is_async", [False, True])
def test_managers_that_are_instrumented_make_spans_and_requests_tell_whose_they_are(
    is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gate, "on_begun", None)
    monkeypatch.setattr(Gate, "on_admitted", None)
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    kind: Any = AsyncSessionManager if is_async else SessionManager
    manager = kind.from_url("redis+cluster://127.0.0.1:1", CONFIG)
    instrument(manager, tracer_provider=provider)

    async def run() -> None:
        answer = manager._running.run(finding(SESSION))
        assert (await answer if is_async else answer) is SESSION
        await manager.close() if is_async else manager.close()

    asyncio.run(run())
    assert manager.store.around is not None
    assert (Gate.on_begun, Gate.on_admitted) == (note_request, note_admitted)
    (span,) = exporter.get_finished_spans()
    assert span.instrumentation_scope.name == "clusterpass"
    assert span.instrumentation_scope.version == __version__


def calls_of(is_async: bool, result: Any, *, is_traced: bool = True) -> tuple[Any, list[Any]]:
    """Return the outcome of a traced store call, and its spans within that of a verb."""
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    kind: Any = AsyncSessionManager if is_async else SessionManager
    manager = kind.from_url("redis+cluster://127.0.0.1:1", CONFIG)
    trace_manager(manager, provider)
    call = read_generation(Keyspace("app"), "alice")

    def plain(asked: Any) -> Any:
        assert asked is call
        if isinstance(result, Exception):
            raise result
        return result

    async def awaited(asked: Any) -> Any:
        return plain(asked)

    async def run() -> Any:
        perform = manager.store.around(awaited if is_async else plain)
        try:
            answer = perform(call)
            return await answer if is_async else answer
        except type(result) as error:
            return error
        finally:
            await manager.close() if is_async else manager.close()

    if not is_traced:
        return asyncio.run(run()), list(exporter.get_finished_spans())
    with provider.get_tracer("test").start_as_current_span("a verb"):
        told = asyncio.run(run())
    return told, list(exporter.get_finished_spans())[:-1]


ABOUT_A_CALL = {
    "db.system.name": "redis",
    "db.operation.name": "EVALSHA",
    "db.stored_procedure.name": "read_fields",
}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("node", "where"),
    [
        (Address("10.0.0.1", 7001), {"server.address": "10.0.0.1", "server.port": 7001}),
        (Address("fd00::1", 7001), {"server.address": "fd00::1", "server.port": 7001}),
        (None, {}),
    ],
)
def test_a_call_of_a_traced_store_is_answered_as_ever(
    is_async: bool, node: Address | None, where: dict[str, Any]
) -> None:
    answer = Answer(7, durable=False, node=node)
    told, (span,) = calls_of(is_async, answer)
    assert told is answer
    assert (span.name, span.kind) == ("EVALSHA read_fields", SpanKind.CLIENT)
    assert span.attributes == ABOUT_A_CALL | where
    assert span.status.is_unset
    told, spans = calls_of(is_async, answer, is_traced=False)
    assert (told, spans) == (answer, []), "work in the background makes none"


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("error", "kind"), [(StoreUnavailable(), "store_unavailable"), (KeyError("secret"), "KeyError")]
)
def test_the_span_of_a_call_that_fails_says_no_more_than_the_kind(
    is_async: bool, error: Exception, kind: str
) -> None:
    told, (span,) = calls_of(is_async, error)
    assert told is error
    assert span.attributes == ABOUT_A_CALL | {"error.type": kind}
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert span.events == ()


def test_a_session_is_attached_to_the_request_and_not_to_a_span_within() -> None:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")

    def request(name: str, within: Callable[[], None] = lambda: None) -> None:
        with tracer.start_as_current_span(name, kind=SpanKind.SERVER):
            end = note_request()
            with tracer.start_as_current_span("dependencies"):
                within()
                note_admitted(SESSION)
            end()

    def to_an_app_of_another_kind() -> None:
        with tracer.start_as_current_span("another", kind=SpanKind.SERVER):
            note_admitted(replace(SESSION, subject="service account"))

    def all_of_them() -> None:
        request("first")
        request("second", within=lambda: request("third"))
        request("fourth", within=to_an_app_of_another_kind)
        with tracer.start_as_current_span("a job"):
            note_admitted(SESSION)  # the requests are over
        note_admitted(SESSION)  # of nothing

    copy_context().run(all_of_them)
    told = {s.name: (s.attributes or {}).get("user.id") for s in exporter.get_finished_spans()}
    of_alice = dict.fromkeys(("first", "second", "third", "fourth", "a job"), "alice")
    assert told == {**of_alice, "another": "service account", "dependencies": None}


def test_the_span_of_a_request_is_told_whose_session_it_is() -> None:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    note_session(SESSION)  # of no request
    with provider.get_tracer("test").start_as_current_span("GET /orders"):
        note_session(SESSION)
    (span,) = exporter.get_finished_spans()
    assert span.attributes == describe(SESSION)


async def test_a_request_to_the_service_is_a_span_that_its_answer_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setattr(Gate, "on_admitted", None)
    monkeypatch.setattr(monitoring, "ConsoleSpanExporter", lambda: exporter)
    monkeypatch.setattr(monitoring.trace, "set_tracer_provider", lambda _: None)
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": [(b"x", b"1")]})
        await send({"type": "http.response.body", "body": b"away"})

    async def receive() -> Any:
        raise AssertionError("the body is not read")

    async def send(message: Any) -> None:
        sent.append(message)

    trace_id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = [(b"traceparent", f"00-{trace_id}-{parent}-01".encode())]
    scope = {"type": "http", "method": "GET", "path": "/verify", "headers": headers}
    manager = AsyncSessionManager.from_url("redis+cluster://127.0.0.1:1", CONFIG)
    tracing = monitoring.Tracing(manager, RequestCounts())
    await tracing.serve(app, scope, receive, send)
    await tracing.close()
    await manager.close()
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("GET /verify", SpanKind.SERVER)
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/verify",
        "http.response.status_code": 503,
    }
    assert span.status.status_code == StatusCode.ERROR
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (trace_id, parent)
    assert span.resource.attributes["service.name"] == "clusterpass"
    assert span.context is not None
    named = f"00-{trace_id}-{span.context.span_id:016x}-01".encode()
    assert sent[0]["headers"] == [(b"x", b"1"), (b"traceresponse", named)]
    assert sent[1]["body"] == b"away"
