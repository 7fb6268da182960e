"""Clusters of three primaries, with as many replicas each as is wanted, and with clocks to set."""

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from clusterpass import EmbeddedCluster
from clusterpass.embedded.options import Options
from tests.cluster.clocks.servers import installed_library, make_server

PRIMARIES = 3


class _ThreePrimaries(Options):
    @property
    def primaries(self) -> int:
        return PRIMARIES


def why_without_clocks(server: str | None) -> str:
    """Why the clocks of servers cannot be set; empty where they can.

    ``server``: a program to run instead of the embedded one.
    """
    if server is not None:
        return f"the clock of {server} cannot be set"
    return "" if installed_library() else "libfaketime is not installed: run `make test-setup`"


@contextlib.contextmanager
def cluster_of(
    replicas: int, folder: Path, server: str | None = None, **options: Any
) -> Iterator[EmbeddedCluster]:
    """A running cluster; ``options`` as :class:`EmbeddedCluster` takes them.

    ``folder``: for the program that lets the clocks of its nodes be set, where that is possible.
    """
    program = make_server(folder) if not why_without_clocks(server) else server
    cluster = EmbeddedCluster(nodes=PRIMARIES * (1 + replicas), server=program, **options)
    given = cluster._options
    cluster._options = _ThreePrimaries(**{f.name: getattr(given, f.name) for f in fields(given)})
    with cluster:
        yield cluster
