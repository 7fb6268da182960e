"""A cluster that outlives the program that started it, bound to its data folder.

Rules of this module
- It is always persistent: data is kept between a stop and the next start.
- It is told to stop through the pipe in its data folder, never by a process id that might belong
  to somebody else by now.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from clusterpass.model.errors import EmbeddedClusterError

from .cluster import EmbeddedCluster
from .options import TlsFiles
from .process import FolderInUse
from .state import ClusterState, is_locked, read_record, read_state, resolve


def start_detached(
    data_folder: str | Path,
    *,
    nodes: int | None = None,
    server: str | Path | None = None,
    node_timeout: float | None = None,
    settings: Mapping[str, str] | None = None,
    username: str | None = None,
    password: str | None = None,
    tls: TlsFiles | None = None,
    startup_timeout: float = 30.0,
) -> ClusterState:
    """Start (or resume) the cluster of ``data_folder`` and let it run on by itself.

    The options are those of EmbeddedCluster; ``nodes`` and ``node_timeout`` are those of the
    cluster that the folder holds, or else 6 and 2.0, unless they are given.
    Raises EmbeddedClusterError if it runs already or cannot be started, ConfigurationError if the
    options do not fit the folder.
    """
    record = read_record(resolve(data_folder)) or {"nodes": [None] * 6, "node_timeout": 2.0}
    cluster = EmbeddedCluster(
        nodes=len(record["nodes"]) if nodes is None else nodes,
        data_folder=data_folder,
        server=server,
        node_timeout=record["node_timeout"] if node_timeout is None else node_timeout,
        persistent=True,
        settings=settings,
        username=username,
        password=password,
        tls=tls,
        startup_timeout=startup_timeout,
    )
    try:
        cluster._start(daemon=True)
    except FolderInUse as error:
        raise EmbeddedClusterError(
            f"{error.message} Stop it with: clusterpass cluster stop --data {data_folder}"
        ) from None
    cluster._detach()
    state = read_state(data_folder)
    if state is None:
        raise EmbeddedClusterError(f"The cluster in {data_folder} ended at once.")
    return state


def stop_detached(data_folder: str | Path, timeout: float = 20.0) -> bool:
    """Stop the cluster of ``data_folder`` and wait until its processes have ended.

    ``timeout`` in seconds. False if none was running. Raises EmbeddedClusterError if it cannot be
    told to stop, or has not ended in time.
    """
    folder = resolve(data_folder)
    deadline = time.monotonic() + timeout
    told = False
    while is_locked(folder):
        if not told:
            told = _tell_to_stop(folder)
        if time.monotonic() >= deadline:
            raise EmbeddedClusterError(f"The cluster in {folder} did not stop in {timeout:g} s.")
        time.sleep(0.02)
    return told


def _tell_to_stop(folder: Path) -> bool:
    """Write into the supervisor's pipe; False if nobody reads there (yet, or any more)."""
    try:
        descriptor = os.open(folder / "control", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise EmbeddedClusterError(f"The cluster in {folder} is not ours: {error}.") from error
        return False
    try:
        os.write(descriptor, b"stop\n")
    finally:
        os.close(descriptor)
    return True
