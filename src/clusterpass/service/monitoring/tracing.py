"""Spans of the requests to the service, and how their exporter is configured.

The variables are those of OpenTelemetry. ``OTEL_TRACES_EXPORTER`` (``otlp``, ``console``), or the
endpoint of OTLP, turns traces on; without them nothing of OpenTelemetry is imported.
"""

import asyncio
import os
import threading
from typing import Any, Final

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

import clusterpass
from clusterpass import (
    AsyncSessionManager,
    ConfigurationError,
)
from clusterpass.service.asgi.messages import App, Message, Receive, Scope, Send
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.asgi.trace_ids import TRACE_IDS
from clusterpass.tracing import instrument

_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_CLOSING_SECONDS: Final = 3.0
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class _Headers(Getter[Scope]):
    """Reads the headers of a request."""

    def get(self, carrier: Scope, key: str) -> list[str] | None:
        """Return the values of a header; None when there is none."""
        wanted = key.lower().encode("latin-1")
        found = [value.decode("latin-1") for name, value in carrier["headers"] if name == wanted]
        return found or None

    def keys(self, carrier: Scope) -> list[str]:
        """Return the names of all headers."""
        return [name.decode("latin-1") for name, _ in carrier["headers"]]


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
        """Pass a request on within a span, which belongs to the trace that its headers name."""
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        began = propagate.extract(scope, getter=_headers)
        with self._tracer.start_as_current_span(
            method,
            context=began,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "url.scheme": scope.get("scheme", "http")},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            context = span.get_span_context()
            trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
            header = f"00-{trace_id}-{span_id}-{int(context.trace_flags):02x}".encode("ascii")

            async def traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status: int = message["status"]
                    span.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                    headers = [*message["headers"], (b"traceresponse", header)]
                    message = {**message, "headers": headers}
                await send(message)

            token = TRACE_IDS.set({"trace_id": trace_id, "span_id": span_id})
            try:
                await app(scope, receive, traced)
            finally:
                TRACE_IDS.reset(token)

    async def close(self) -> None:
        """Export what is left, for three seconds at most."""
        # A thread that nobody waits for at the end: an endpoint may be silent.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _CLOSING_SECONDS)


def _name_span(route: str, method: str) -> None:
    """Name the span of the request by its route, of which there are few."""
    span: Any = trace.get_current_span()
    if span.is_recording():
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
