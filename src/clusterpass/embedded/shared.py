"""A cluster that the processes of one program share through its data folder.

The workers of a web server, and the processes of a reloader, all open the same folder. The first
one starts the cluster, the others join it, and the last one to close it stops it. When processes
are killed instead, the cluster stops a few seconds after the last one.

- Each process holds a shared lock on ``users`` in the folder. The kernel releases the lock when the
  process ends, however it ends.
- The lock of the supervisor decides who starts the cluster. Whoever comes too late joins.
- The data is kept for the next start.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from clusterpass.embedded.cluster import EmbeddedCluster
from clusterpass.embedded.detached import stop_detached
from clusterpass.embedded.state import ClusterState, is_locked, read_record, read_state, resolve
from clusterpass.embedded.supervisor_process import FolderInUse
from clusterpass.model.errors import ConfigurationError, EmbeddedClusterError

_DEFAULT_NODES: Final = 6
_WAITING_SECONDS: Final = 60.0
_PAUSE: Final = 0.02


class SharedCluster:
    """The use of a shared cluster by this process and by the children that it forks."""

    def __init__(self, data_folder: str | Path, *, nodes: int | None = None) -> None:
        """Join the cluster that runs in ``data_folder``, or start it; the data there is resumed.

        ``nodes``: as for EmbeddedCluster; None: those of the cluster in the folder, 6 in a new one.
        Raises EmbeddedClusterError if the cluster does not start in time, and ConfigurationError if
        the cluster in the folder has another number of nodes.
        """
        self._folder: Final = resolve(data_folder)
        self._owner: Final = os.getpid()
        deadline = time.monotonic() + _WAITING_SECONDS
        self._users = self._register(deadline)
        try:
            state = self._join_or_start(nodes, deadline)
        except BaseException:
            self.close()
            raise
        self.url: Final = state.url
        """The store URL."""

    def close(self) -> None:
        """End the use; stop the cluster if no other process uses it. Closing twice is harmless.

        In a forked child nothing is stopped.
        """
        users, self._users = self._users, -1
        if users < 0:
            return
        try:
            if os.getpid() == self._owner and self._is_last(users):
                state = read_state(self._folder)
                if state is not None and state.is_shared:
                    stop_detached(self._folder)
        finally:
            os.close(users)

    def _register(self, deadline: float) -> int:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            users = os.open(self._folder / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedClusterError(f"The data folder cannot be used: {error}.") from error
        while True:
            try:
                fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # the cluster is about to stop
                if time.monotonic() > deadline:
                    os.close(users)
                    raise EmbeddedClusterError(
                        f"The cluster in {self._folder} did not stop in time."
                    ) from None
                time.sleep(_PAUSE)
            else:
                return users

    def _join_or_start(self, nodes: int | None, deadline: float) -> ClusterState:
        while True:
            state = read_state(self._folder)
            if state is not None:
                if nodes is not None and len(state.nodes) != nodes:
                    raise ConfigurationError(
                        f"nodes: the cluster in {self._folder} has {len(state.nodes)} nodes,"
                        f" not {nodes}."
                    )
                return state
            if not is_locked(self._folder):
                started = self._start(nodes)
                if started is not None:
                    return started
            if time.monotonic() > deadline:
                raise EmbeddedClusterError(
                    f"Another process is starting the cluster in {self._folder}, but it did not"
                    f" become ready within {_WAITING_SECONDS:g} s."
                )
            time.sleep(_PAUSE)

    def _start(self, nodes: int | None) -> ClusterState | None:
        """Start the cluster; None if another process was quicker."""
        if nodes is None:
            record = read_record(self._folder)
            nodes = _DEFAULT_NODES if record is None else len(record["nodes"])
        cluster = EmbeddedCluster(nodes=nodes, data_folder=self._folder, persistent=True)
        try:
            cluster._start(daemon=True)
        except FolderInUse:
            return None
        cluster._detach(shared=True)
        state = read_state(self._folder)
        if state is None:
            raise EmbeddedClusterError(
                f"The cluster in {self._folder} stopped right after its start."
            )
        return state

    def _is_last(self, users: int) -> bool:
        """Whether no other process uses the cluster; then nobody can join it any more."""
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
