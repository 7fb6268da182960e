"""The address at which Prometheus gets the metrics of all workers.

One worker listens at it, on a thread of its own; the others try again each second, so that one of
them takes over when it ends. Sharing the port (SO_REUSEPORT) would answer each scrape with the
values of another worker.
"""

import asyncio
import errno
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from clusterpass.metrics.families import FAMILIES, Sample
from clusterpass.service.monitoring.value_files import WorkerFiles, folder_of, settle_the_dead

_SECONDS: Final = 1.0
_HELP: Final = {family.name.removesuffix("_total"): family.help for family in FAMILIES}


class WorkerMetrics:
    """Exports the metrics of one worker, and of all workers where it has the port."""

    def __init__(
        self, host: str, port: int, parent: int, values: Callable[[], Iterable[Sample]], logger: Any
    ) -> None:
        """``host``, ``port``: where to listen. ``parent``: the process whose workers belong
        together. ``values``: returns those of this worker. ``logger``: gets failures."""
        self._host: Final = host
        self._port: Final = port
        self._values: Final = values
        self._logger: Final = logger
        self._folder: Final = folder_of(parent)
        self._files: Final = WorkerFiles(self._folder)
        self._server: Any = None
        self._is_told = False

    async def run(self) -> None:
        """Write the values each second, and listen as soon as the address is free."""
        try:
            while True:
                try:
                    self._files.write(self._values())
                    if self._server is None:
                        self._listen()
                except OSError as error:
                    self._tell(error)
                await asyncio.sleep(_SECONDS)
        finally:
            with suppress(OSError):
                self._files.write(self._values())
            if self._server is not None:
                await asyncio.shield(asyncio.to_thread(self._stop))
            self._files.close()

    def _listen(self) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(AllWorkers(self._folder))
        try:
            self._server, _ = start_http_server(self._port, self._host, registry)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:  # then another worker has it
                raise

    def _tell(self, error: OSError) -> None:
        """Log once why there are no metrics; it is tried again."""
        if not self._is_told:
            self._is_told = True
            self._logger.error("metrics_unavailable", detail=str(error.strerror))

    def _stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class AllWorkers(Collector):
    """Collects what the workers of one service have written."""

    def __init__(self, folder: Path) -> None:
        """``folder``: where their files are."""
        self._folder: Final = folder
        self._lock: Final = threading.Lock()
        # It looks for the folder once.
        self._files: Final[Any] = MultiProcessCollector(None, str(folder))

    def collect(self) -> Iterator[Metric]:
        """Return the metrics, those of workers that have ended included."""
        with self._lock:
            settle_the_dead(self._folder)
            found: list[Metric] = list(self._files.collect())
        for metric in found:
            metric.documentation = _HELP[metric.name]
        return iter(found)
