"""What the settings ask for of metrics, loaded before the workers are forked, which share it."""

import asyncio
import os
from functools import partial
from typing import Any

from clusterpass import (
    ConfigurationError,
)
from clusterpass.service.calls.service import Service
from clusterpass.service.settings.service import Settings


class Monitoring:
    """The metrics of one worker, where the settings ask for them."""

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
