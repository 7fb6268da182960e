"""Clusters of three primaries, with as many replicas each as is wanted."""

from dataclasses import fields
from typing import Any

from clusterpass import EmbeddedCluster
from clusterpass.embedded.options import Options

PRIMARIES = 3


class _ThreePrimaries(Options):
    @property
    def primaries(self) -> int:
        return PRIMARIES


def cluster_of(replicas: int, **options: Any) -> EmbeddedCluster:
    """A cluster that is not started yet; ``options`` as :class:`EmbeddedCluster` takes them."""
    cluster = EmbeddedCluster(nodes=PRIMARIES * (1 + replicas), **options)
    given = cluster._options
    cluster._options = _ThreePrimaries(**{f.name: getattr(given, f.name) for f in fields(given)})
    return cluster
