"""Metrics of session managers for Prometheus; needs ``pip install "clusterpass[metrics]"``.

An application registers its managers in the registry that it exports already:

    from prometheus_client import REGISTRY
    from clusterpass.metrics import collector

    REGISTRY.register(collector(sessions))

The metrics are in docs/reference/metrics.md.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clusterpass.metrics.manager_collector import ManagerCollector
    from clusterpass.metrics.samples import Manager

__all__ = ["collector"]


def collector(*managers: "Manager") -> "ManagerCollector":
    """Return a collector of the metrics of ``managers``, sync or async, for a registry.

    Values are read when the registry is scraped, without a round trip; the values of several
    managers are merged into one. Where an application runs as several processes, each has its own
    values: give each an address of its own to be scraped at. Raises ImportError without
    prometheus-client.
    """
    from clusterpass.metrics.manager_collector import ManagerCollector  # noqa: PLC0415 - on demand

    return ManagerCollector(managers)
