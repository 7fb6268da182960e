"""A cluster that lives as long as the program that started it.

Rules of this module
- Thread-safe: one thread may start the cluster and another stop it.
- A forked child may read and connect, but cannot stop or change the cluster of its parent.
- Slot owners are looked up on the running nodes, except those that are paused.
"""

import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from types import TracebackType
from typing import Self

import redis

from clusterpass.embedded.binary import find_server
from clusterpass.embedded.formation import await_condition, await_healthy
from clusterpass.embedded.options import Node, Options, TlsFiles
from clusterpass.embedded.process_state import process_state
from clusterpass.embedded.startup import Run, launch
from clusterpass.embedded.topology import ask, connect, shard_of
from clusterpass.model.errors import EmbeddedClusterError
from clusterpass.protocol.keyspace import slot_of

SIGNAL_SECONDS = 10.0


class EmbeddedCluster:
    """A cluster of real servers on 127.0.0.1, stopped when the program ends for whatever reason.

    ``nodes``: 1 for a standalone server without cluster mode, or at least 3 for a cluster of
    ``max(3, nodes // 2)`` primaries, the others being replicas. ``data_folder``: where the servers
    keep their files; None for a private temporary folder, which is removed at the end.
    ``server``: path or name of the server program; None for the bundled Valkey, else the first of
    ``valkey-server`` and ``redis-server`` on the PATH. ``node_timeout``: seconds of silence after
    which a node counts as failed; a failover takes about 1.5 times that plus 1 s. ``persistent``:
    keep data on disk, and resume the cluster that ``data_folder`` holds from an earlier run, on the
    same ports. ``settings``: further server directives, with values as in the configuration file.
    ``username``, ``password``: what the servers require and all clients here use; if ``settings``
    contain ``requirepass``, ``user`` or ``aclfile``, those define the access instead. ``tls``:
    serve TLS only. ``startup_timeout``: seconds after which ``start`` gives up.

    Raises ConfigurationError if the options are invalid.
    """

    def __init__(
        self,
        *,
        nodes: int = 6,
        data_folder: str | Path | None = None,
        server: str | Path | None = None,
        node_timeout: float = 2.0,
        persistent: bool = False,
        settings: Mapping[str, str] | None = None,
        username: str | None = None,
        password: str | None = None,
        tls: TlsFiles | None = None,
        startup_timeout: float = 30.0,
    ) -> None:
        self._options = Options(
            nodes=nodes,
            node_timeout=node_timeout,
            persistent=persistent,
            settings=dict(settings or {}),
            username=username,
            password=password,
            tls=tls,
            startup_timeout=startup_timeout,
        )
        self._data_folder = None if data_folder is None else Path(data_folder)
        self._server = server
        self._lock = threading.RLock()
        self._owner = os.getpid()
        self._paused: set[int] = set()
        self._run: Run | None = None

    def start(self) -> Self:
        """Start the servers and wait until the cluster is healthy.

        Raises EmbeddedClusterError if that fails (with the end of a server's log if that explains
        it), if the cluster is already running, or if another cluster runs in the data folder.
        """
        return self._start(daemon=False)

    def _start(self, *, daemon: bool) -> Self:
        with self._lock:
            if self._run is not None:
                if self._run.supervisor.alive:
                    raise EmbeddedClusterError("The cluster is already running.")
                self.stop()
            server = find_server(self._server)
            self._run = launch(self._options, server, self._data_folder, daemon=daemon)
            self._owner = os.getpid()
            self._paused.clear()
        return self

    def stop(self) -> None:
        """Stop all servers and wait until they have exited.

        No effect if the cluster is not running, or in a forked child.
        """
        if os.getpid() != self._owner:
            return
        with self._lock:
            run, self._run = self._run, None
            if run is not None:
                run.close()

    def __enter__(self) -> Self:
        """Start the cluster, unless it is already running."""
        return self if self.running else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the cluster."""
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the cluster was started, was not stopped, and its supervisor is alive."""
        run = self._run
        return run is not None and run.supervisor.alive

    @property
    def url(self) -> str:
        """The store URL, with user, password and CA file if there are any.

        ``redis+cluster://`` with all nodes for a cluster, ``redis://`` for a standalone server;
        with TLS ``rediss+cluster://`` and ``rediss://``. Raises EmbeddedClusterError if the
        cluster is not running.
        """
        return self._options.url([node.port for node in self._started().nodes])

    @property
    def data_folder(self) -> Path:
        """The folder with the servers' files. Raises EmbeddedClusterError if not running."""
        return self._started().folder

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, each with its current process id; in a forked child, without.

        Raises EmbeddedClusterError if the cluster is not running.
        """
        run = self._started()
        if os.getpid() != self._owner:
            return run.nodes
        pids = run.supervisor.pids()
        return tuple(replace(node, pid=pids.get(node.index)) for node in run.nodes)

    def client(self, node: Node) -> "redis.Redis":
        """A new client of ``node``, with the right user, password and TLS.

        The client returns bytes and has a timeout of 5 s. The caller closes it.
        """
        return connect(node, self._options.access, timeout=5.0, retries=1)

    def primary_of(self, key: str | bytes) -> Node:
        """The primary that owns the slot of ``key``: the claim with the highest configuration
        epoch.

        Raises EmbeddedClusterError if no node answers.
        """
        return self._owner_of(key)[0]

    def replicas_of(self, key: str | bytes) -> tuple[Node, ...]:
        """The replicas of the slot of ``key`` that are not marked as failed.

        Raises EmbeddedClusterError if no node answers.
        """
        return self._owner_of(key)[1]

    def kill(self, node: Node, signal: int = SIGKILL) -> None:
        """Send ``signal`` to the server of ``node`` and wait until it has exited.

        No effect if the server has already exited. Raises EmbeddedClusterError if it takes more
        than 10 s.
        """
        with self._lock:
            supervisor = self._started().supervisor
            supervisor.signal(node.index, signal)
            supervisor.signal(node.index, SIGCONT)
            self._paused.discard(node.index)
            await_condition(
                lambda: (
                    None if supervisor.pids().get(node.index) is None else "it is still running"
                ),
                time.monotonic() + SIGNAL_SECONDS,
                f"{node.address} has exited",
            )

    def pause(self, node: Node) -> None:
        """Pause the server of ``node`` (SIGSTOP): it keeps its connections but answers nothing."""
        with self._lock:
            supervisor = self._started().supervisor
            supervisor.signal(node.index, SIGSTOP)
            self._paused.add(node.index)
            pid = supervisor.pids().get(node.index)
            if pid is not None and sys.platform == "linux":
                await_condition(
                    lambda: None if process_state(pid) in "TZX" else "it is still running",
                    time.monotonic() + SIGNAL_SECONDS,
                    f"{node.address} is paused",
                )

    def resume(self, node: Node) -> None:
        """Resume the paused server of ``node`` (SIGCONT)."""
        with self._lock:
            self._started().supervisor.signal(node.index, SIGCONT)
            self._paused.discard(node.index)

    def restart(self, node: Node) -> None:
        """Restart the server of ``node`` on its port and with its files; wait until it answers.

        A server that is still running is stopped first. A primary without persistence comes back
        empty. If it does so before a replica was promoted, its replicas lose their data as well.
        Raises EmbeddedClusterError, with the end of the log, if the server does not start.
        """
        with self._lock:
            run = self._started()
            self.kill(node, SIGTERM)
            run.start_node(run.nodes[node.index], time.monotonic() + self._options.startup_timeout)

    def wait_until_healthy(self, timeout: float) -> None:
        """Wait until the cluster is healthy: every slot is served, every replica can take over.

        ``timeout``: in seconds. Raises EmbeddedClusterError, which says what is missing, after
        that.
        """
        run = self._started()
        await_healthy(run.members(), self._options, time.monotonic() + timeout)

    def wait_until_primary_changes(self, key: str | bytes, old: Node, timeout: float) -> Node:
        """Wait until a node other than ``old`` owns the slot of ``key``; return that node.

        ``timeout``: in seconds. Raises EmbeddedClusterError after that.
        """
        run = self._started()
        found: list[Node] = []

        def missing() -> str | None:
            try:
                owner = self._owner_of(key)[0]
            except EmbeddedClusterError as error:
                return error.message
            if owner == old:
                return f"{old.address} is still the primary"
            info = ask(run.clients[owner.index], "CLUSTER", "INFO")
            if info is None or "cluster_state:ok" not in info:
                return f"{owner.address} does not serve its slots yet"
            found.append(owner)
            return None

        await_condition(
            missing,
            time.monotonic() + timeout,
            f"another node replaces {old.address} as the primary",
        )
        return found[0]

    def _detach(self, *, shared: bool = False) -> None:
        """Let the servers outlive this program; ``shared``: as long as another one uses them."""
        with self._lock:
            run, self._run = self._started(), None
            for client in run.clients:
                client.close()
            run.supervisor.detach(shared=shared)

    def _started(self) -> Run:
        run = self._run
        if run is None:
            raise EmbeddedClusterError("The cluster is not running.")
        return run

    def _owner_of(self, key: str | bytes) -> tuple[Node, tuple[Node, ...]]:
        run = self._started()
        if self._options.nodes == 1:
            return self.nodes[0], ()
        slot = slot_of(key.encode() if isinstance(key, str) else key)
        nodes = self.nodes
        asked = [node for node in nodes if node.index not in self._paused]
        if os.getpid() == self._owner:
            asked = [node for node in asked if node.pid is not None]
        return shard_of(slot, [run.clients[node.index] for node in asked], nodes)
