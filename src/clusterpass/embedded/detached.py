"""A cluster that outlives the program that started it, bound to its data folder.

Rules of this module
- A detached cluster is always persistent: its data is kept between a stop and the next start.
- The command to stop goes through the named pipe in the data folder, never to a process id, which
  may belong to another process by now.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from clusterpass.embedded.cluster import EmbeddedCluster
from clusterpass.embedded.options import TlsFiles
from clusterpass.embedded.state import ClusterState, is_locked, read_record, read_state, resolve
from clusterpass.embedded.supervisor_process import FolderInUse
from clusterpass.model.errors import EmbeddedClusterError


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
    """Start or resume the cluster in ``data_folder`` and leave it running in the background.

    The options are those of EmbeddedCluster, except that ``nodes`` and ``node_timeout`` default to
    those of the cluster that the folder holds, and to 6 and 2.0 in a new folder. Raises
    EmbeddedClusterError if the cluster is already running or cannot be started, and
    ConfigurationError if the options contradict the folder.
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
        raise EmbeddedClusterError(f"The cluster in {data_folder} stopped right after its start.")
    return state


def stop_detached(data_folder: str | Path, timeout: float = 20.0) -> bool:
    """Stop the cluster in ``data_folder`` and wait until its processes have exited.

    ``timeout``: in seconds. Returns False if no cluster was running. Raises EmbeddedClusterError if
    the cluster belongs to another user, or has not stopped in time.
    """
    folder = resolve(data_folder)
    deadline = time.monotonic() + timeout
    told = False
    while is_locked(folder):
        if not told:
            told = _tell_to_stop(folder)
        if time.monotonic() >= deadline:
            raise EmbeddedClusterError(
                f"The cluster in {folder} did not stop within {timeout:g} s."
            )
        time.sleep(0.02)
    return told


def _tell_to_stop(folder: Path) -> bool:
    """Send the command to stop to the supervisor; False if no supervisor reads the pipe."""
    try:
        descriptor = os.open(folder / "control", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise EmbeddedClusterError(
                f"The cluster in {folder} belongs to another user: {error}."
            ) from error
        return False
    try:
        os.write(descriptor, b"stop\n")
    finally:
        os.close(descriptor)
    return True
