"""Spans of the requests to the service, and how their exporter is configured.

The variables are those of OpenTelemetry. ``OTEL_TRACES_EXPORTER`` (``otlp``, ``console``), or the
endpoint of OTLP, turns traces on; without them nothing of OpenTelemetry is imported.
"""

import asyncio
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode

import clusterpass
from clusterpass import (
    AsyncSessionManager,
    ConfigurationError,
)
from clusterpass.service.asgi.messages import App, Message, Receive, Scope, Send
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.asgi.trace_context import TRACE_IDS
from clusterpass.tracing import instrument

_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_CLOSING_SECONDS: Final = 3.0
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


Carrier = Iterable[tuple[bytes, bytes]]


class _Headers(Getter[Carrier]):
    """Reads the headers of a request."""

    def get(self, carrier: Carrier, key: str) -> list[str] | None:
        """Return the values of a header; None when there is none."""
        wanted = key.lower().encode("latin-1")
        found = [value.decode("latin-1") for name, value in carrier if name == wanted]
        return found or None

    def keys(self, carrier: Carrier) -> list[str]:
        """Return the names of all headers."""
        return [name.decode("latin-1") for name, _ in carrier]


_headers: Final = _Headers()


def check_exporter() -> None:
    """Raise ConfigurationError where the environment asks for an exporter that there is not."""
    name = os.environ.get(_EXPORTER) or "otlp"
    if name not in {"otlp", "console"}:
        raise ConfigurationError(
            f"{_EXPORTER}: the service has the exporters otlp, console and none"
        )
    for variable in _PROTOCOLS:
        if os.environ.get(variable, "http/protobuf") != "http/protobuf":
            raise ConfigurationError(f"{variable}: the service speaks http/protobuf only")


class Tracing:
    """The traces of one worker."""

    def __init__(self, sessions: AsyncSessionManager, requests: RequestCounts) -> None:
        """``sessions``: its verbs become spans. ``requests``: tell the routes of requests."""
        is_console = os.environ.get(_EXPORTER) == "console"
        exporter = ConsoleSpanExporter() if is_console else OTLPSpanExporter()
        told = Resource.create()
        if str(told.attributes[SERVICE_NAME]).startswith("unknown_service"):
            told = told.merge(Resource({SERVICE_NAME: "clusterpass"}))
        self._provider: Final = TracerProvider(resource=told, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        # For what a password_check traces on its own.
        trace.set_tracer_provider(self._provider)
        self._tracer: Final = self._provider.get_tracer("clusterpass", clusterpass.__version__)
        requests.on_note = _name_span
        instrument(sessions, tracer_provider=self._provider)

    async def serve(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on within a span."""
        with self.span(scope["method"], scope["headers"], _warm_route(scope["path"])) as span:
            header = _trace_parent(span.get_span_context()).encode("ascii")

            async def traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _note_status(span, message["status"])
                    headers = [*message["headers"], (b"traceresponse", header)]
                    message = {**message, "headers": headers}
                await send(message)

            await app(scope, receive, traced)

    @contextmanager
    def span(self, method: str, headers: Carrier, route: str | None = None) -> Iterator[Span]:
        """Serve a request within a span, as :class:`Traces` describes."""
        known = method if method in _METHODS else "_OTHER"
        attributes = {"http.request.method": known}
        if route is not None:
            attributes["http.route"] = route
        with self._tracer.start_as_current_span(
            known if route is None else f"{known} {route}",
            context=propagate.extract(headers, getter=_headers),
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            context = span.get_span_context()
            ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
            token = TRACE_IDS.set(ids)
            try:
                yield span
            finally:
                TRACE_IDS.reset(token)

    async def close(self) -> None:
        """Export what is left, for three seconds at most."""
        # A thread that nobody waits for at the end: an endpoint may be silent.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _CLOSING_SECONDS)


def _warm_route(path: str) -> str | None:
    """Return the route of what may be answered from memory, where nobody tells the route."""
    if path == "/verify":
        return path
    return "/authz/*" if path.startswith("/authz/") else None


def _trace_parent(context: SpanContext) -> str:
    """Return the span as a W3C header names it."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _note_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


def _name_span(route: str, _: str) -> None:
    """Name the span of the request by its route, of which there are few."""
    span = trace.get_current_span()
    if isinstance(span, ReadableSpan) and span.is_recording():
        method = span.name.partition(" ")[0]  # that of a count may stand for any
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
