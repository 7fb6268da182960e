"""Sets up the metrics and traces of a worker, as settings and environment ask for them."""

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from clusterpass import (
    AsyncSessionManager,
    ConfigurationError,
)
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.settings.service import Settings

if TYPE_CHECKING:
    from clusterpass.service.monitoring.tracing import Tracing

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def _wants_traces() -> bool:
    """Whether the variables of OpenTelemetry ask for traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "")
    return exporter != "none" if exporter else any(map(os.environ.get, _ENDPOINTS))


class Monitoring:
    """The metrics and traces of one worker, where the settings ask for them."""

    def __init__(self, settings: Settings, parent: int | None) -> None:
        """``parent``: the process whose workers belong together; None: this one is alone.

        Raises ConfigurationError without the packages that are needed.
        """
        self._host, self._port = settings.metrics_host_and_port()
        self._parent = parent
        if self._port is not None:
            try:
                import clusterpass.service.monitoring.address  # noqa: F401, PLC0415
            except ImportError as error:
                raise ConfigurationError(
                    f"metrics_address needs packages that are missing ({error.name}); install them"
                    ' with: pip install "clusterpass[metrics]"'
                ) from None
        self._traces = _wants_traces()
        if self._traces:
            try:
                from clusterpass.service.monitoring.tracing import check_exporter  # noqa: PLC0415
            except ImportError as error:
                raise ConfigurationError(
                    f"traces need packages that are missing ({error.name}); install them with:"
                    ' pip install "clusterpass[otel]", or set OTEL_TRACES_EXPORTER=none'
                ) from None
            check_exporter()

    def tracing(self, sessions: AsyncSessionManager, requests: RequestCounts) -> "Tracing | None":
        """Return what traces the requests of a worker; None where nothing does."""
        if not self._traces:
            return None
        from clusterpass.service.monitoring.tracing import Tracing  # noqa: PLC0415

        return Tracing(sessions, requests)

    def tasks(self, service: Service, logger: Any) -> list[asyncio.Task[None]]:
        """Return what has to run while the worker does; cancelling it ends it."""
        if self._port is None:
            return []
        from clusterpass.service.monitoring.address import WorkerMetrics  # noqa: PLC0415
        from clusterpass.service.monitoring.worker_values import worker_values  # noqa: PLC0415

        values = partial(worker_values, service.sessions, service.requests)
        parent = self._parent or os.getpid()
        metrics = WorkerMetrics(self._host, self._port, parent, values, logger)
        return [asyncio.create_task(metrics.run())]
