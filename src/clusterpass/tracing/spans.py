"""Spans of verbs and of calls of the store: their names and attributes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from clusterpass.model.authentication_errors import AuthenticationError
from clusterpass.model.errors import ClusterPassError
from clusterpass.model.values import Session, TokenPair
from clusterpass.protocol.script import Answer, Flow, ScriptCall

__all__ = [
    "attach_session",
    "describe",
    "note_admitted",
    "note_request",
    "span_of_call",
    "span_of_verb",
    "trace",
]
_SYSTEM: Final = "redis"
_NAMES: Final = {
    "_open": "login",
    "bans": "bans.list",
    "check_ban": "bans.check",
    "ban": "bans.add",
    "unban": "bans.lift",
    "claims": "claims.get",
    "set_claims": "claims.set",
    "count": "online.count",
    "page": "online.page",
    "prune": "online.prune",
}
"""The verbs whose flow is called otherwise."""


_REQUEST: Final[ContextVar[Span | None]] = ContextVar("clusterpass_span_of_request", default=None)
"""The span that was current when the request entered the application."""


def note_request() -> Callable[[], object]:
    """Take the current span for that of the request, which has just entered the application;
    return what to call when the request leaves it."""
    before = _REQUEST.get()
    _REQUEST.set(trace.get_current_span())
    return partial(_REQUEST.set, before)


def note_admitted(session: Session) -> None:
    """Attach ``session`` to the span of the request, where that is known and goes on, or else to
    the current span.

    FastAPI resolves dependencies in a span within that of the request.
    """
    span, request = trace.get_current_span(), _REQUEST.get()
    is_within = getattr(span, "kind", None) is not SpanKind.SERVER  # or a request to another app
    if is_within and request is not None and request.is_recording():
        span = request
    attach_session(span, session)


def attach_session(span: Span, session: Session) -> None:
    """Make ``session`` attributes of ``span``, if that is being recorded."""
    if span.is_recording():
        span.set_attributes(describe(session))


def describe(session: Session) -> dict[str, str]:
    """Return the attributes that tell which session it is."""
    found = {"session.id": session.session_id, "user.id": session.subject}
    if session.acr:
        found["clusterpass.acr"] = session.acr
    if session.act is not None:
        found["clusterpass.actor"] = session.act.subject
    return found


@contextmanager
def span_of_verb(tracer: Tracer, flow: Flow[Any]) -> Iterator[list[Any]]:
    """Make a span of a verb; the caller appends the result to the list."""
    name = str(getattr(flow, "__name__", "verb"))
    name = f"clusterpass.{_NAMES.get(name, name)}"
    results: list[Any] = []
    with (
        tracer.start_as_current_span(
            name, record_exception=False, set_status_on_exception=False
        ) as span,
        _noting_errors(span),
    ):
        yield results
        for result in results:
            if isinstance(result, Session):
                span.set_attributes(describe(result))
            elif isinstance(result, TokenPair):
                span.set_attribute("session.id", result.session_id)


@contextmanager
def span_of_call(tracer: Tracer, call: ScriptCall[Any]) -> Iterator[list[Answer[Any]]]:
    """Make a span of a call of the store; the caller appends the answer to the list.

    Work in the background, which no request waits for, makes none.
    """
    answers: list[Answer[Any]] = []
    if not trace.get_current_span().is_recording():
        yield answers
        return
    script = call.script.name
    attributes: dict[str, str] = {
        "db.system.name": _SYSTEM,
        "db.operation.name": "EVALSHA",
        "db.stored_procedure.name": script,
    }
    with (
        tracer.start_as_current_span(
            f"EVALSHA {script}",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span,
        _noting_errors(span),
    ):
        yield answers
        for answer in answers:
            if answer.node is not None:
                host, _, port = str(answer.node).rpartition(":")
                span.set_attributes({"server.address": host.strip("[]"), "server.port": int(port)})


@contextmanager
def _noting_errors(span: Span) -> Iterator[None]:
    """Note what kind of error there was; its message may tell more than who reads traces needs."""
    try:
        yield
    except ClusterPassError as error:
        span.set_attribute("error.type", error.code)
        if not isinstance(error, AuthenticationError):  # that is an answer, and no failure
            span.set_status(Status(StatusCode.ERROR))
        raise
    except Exception as error:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(Status(StatusCode.ERROR))
        raise
