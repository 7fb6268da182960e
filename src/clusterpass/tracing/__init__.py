"""Traces of session managers by OpenTelemetry; needs ``pip install "clusterpass[otel]"``.

An application that has configured a tracer provider says once, for each manager:

    from clusterpass.tracing import instrument

    instrument(sessions)

Without that call ClusterPass imports nothing of OpenTelemetry. docs/howto/monitor.md describes the
spans.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from clusterpass.managers.aio.manager import AsyncSessionManager
    from clusterpass.managers.sync.manager import SessionManager
    from clusterpass.model.values import Session

__all__ = ["instrument", "note_session"]


def instrument(
    *managers: "SessionManager | AsyncSessionManager",
    tracer_provider: "TracerProvider | None" = None,
) -> None:
    """Make a span of each verb of ``managers`` and of each call of their stores from now on.

    ``tracer_provider``: makes the spans; None: the global one. A verify from memory is no span: it
    takes less time than one. Sessions that the web integrations admit become attributes of the span
    of the request: those that :func:`note_session` attaches. Raises ImportError without
    opentelemetry-api.
    """
    from clusterpass.tracing.managers import trace_manager  # noqa: PLC0415 - on demand
    from clusterpass.tracing.spans import note_admitted, note_request  # noqa: PLC0415
    from clusterpass.web.gate import Gate  # noqa: PLC0415

    for manager in managers:
        trace_manager(manager, tracer_provider)
    Gate.on_begun, Gate.on_admitted = staticmethod(note_request), staticmethod(note_admitted)


def note_session(session: "Session") -> None:
    """Attach ``session`` to the current span: ``session.id``, ``user.id``, and never a token.

    Also ``clusterpass.acr``, and ``clusterpass.actor`` for an impersonation. Does nothing where no
    span is being recorded. Raises ImportError without opentelemetry-api.
    """
    from clusterpass.tracing.spans import attach_session, trace  # noqa: PLC0415 - on demand

    attach_session(trace.get_current_span(), session)
