"""A cluster that lives as long as the program that started it.

Rules of this module
- Thread-safe; it may be started in one thread and stopped in another.
- A forked child may read and connect, but never ends or changes its parent's cluster.
- Questions about owners are asked live, and never of a server that is paused or dead.
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

from clusterpass.model.errors import EmbeddedClusterError
from clusterpass.protocol.keyspace import slot_of
from clusterpass.store.topology.members import Member

from .binary import find_server
from .formation import await_condition, await_healthy
from .options import Node, Options, TlsFiles
from .startup import Run, launch
from .topology import ask, connect, owner_of, view

SIGNAL_SECONDS = 10.0


class EmbeddedCluster:
    """Real servers on 127.0.0.1, ended when the program ends, however it ends.

    ``nodes``: 1 is one standalone server without cluster mode; from 3 on a cluster of
    ``max(3, nodes // 2)`` primaries, the rest replicas. ``data_folder``: where the servers keep
    files; a private temporary folder, removed at the end, if it is None. ``server``: the program
    to run (see ``find_server``). ``node_timeout``: seconds of silence after which a node counts as
    failed; a failover takes about 1.5 times that plus 1 s. ``persistent``: keep data on disk, and
    resume what ``data_folder`` holds from an earlier run, on the same ports. ``settings``: further
    directives of the servers, values written as in their configuration file. ``username``,
    ``password``: what the servers ask for and all clients here use; if ``settings`` hold
    ``requirepass``, ``user`` or ``aclfile``, those define the access. ``tls``: serve TLS only.
    ``startup_timeout``: seconds until ``start`` gives up.

    Raises ConfigurationError for options that cannot work.
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

        Raises EmbeddedClusterError (with the end of a server's log where that tells more), also
        if it is started already or another cluster runs in the data folder.
        """
        return self._start(daemon=False)

    def _start(self, *, daemon: bool) -> Self:
        with self._lock:
            if self._run is not None:
                if self._run.supervisor.alive:
                    raise EmbeddedClusterError("The cluster is started already.")
                self.stop()
            server = find_server(self._server)
            self._run = launch(self._options, server, self._data_folder, daemon=daemon)
            self._owner = os.getpid()
            self._paused.clear()
        return self

    def stop(self) -> None:
        """End all servers and wait until they have ended. Idempotent; no effect in a fork."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            run, self._run = self._run, None
            if run is not None:
                run.close()

    def __enter__(self) -> Self:
        """Start it, unless it runs already."""
        return self if self.running else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether it was started, not stopped, and its supervisor lives."""
        run = self._run
        return run is not None and run.supervisor.alive

    @property
    def url(self) -> str:
        """The address for clients, with user, password and CA file where there are any.

        ``redis+cluster://`` with all nodes for a cluster, ``redis://`` for a standalone server;
        with TLS ``rediss+cluster://`` and ``rediss://``. Raises EmbeddedClusterError if not
        started.
        """
        return self._options.url([node.port for node in self._started().nodes])

    @property
    def data_folder(self) -> Path:
        """Where the servers keep their files. Raises EmbeddedClusterError if not started."""
        return self._started().folder

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes with their present process ids (a forked child is not told those).

        Raises EmbeddedClusterError if not started.
        """
        run = self._started()
        if os.getpid() != self._owner:
            return run.nodes
        pids = run.supervisor.pids()
        return tuple(replace(node, pid=pids.get(node.index)) for node in run.nodes)

    def client(self, node: Node) -> "redis.Redis":
        """A new client of that one server, with the right user, password and TLS.

        It answers bytes, waits 5 s at most, and is the caller's to close.
        """
        return connect(node, self._options.access, timeout=5.0, retries=1)

    def primary_of(self, key: str | bytes) -> Node:
        """The node that owns the slot of ``key``, by the newest claim of the nodes that answer.

        Raises EmbeddedClusterError if no node answers.
        """
        return self._owner_of(key)[0]

    def replicas_of(self, key: str | bytes) -> tuple[Node, ...]:
        """The replicas of the slot of ``key`` that are not seen as failed.

        Raises EmbeddedClusterError if no node answers.
        """
        return self._owner_of(key)[1]

    def kill(self, node: Node, signal: int = SIGKILL) -> None:
        """Send ``signal`` to the server and wait until it has ended; no effect if it has already.

        Raises EmbeddedClusterError if it does not end within 10 s.
        """
        with self._lock:
            supervisor = self._started().supervisor
            supervisor.signal(node.index, signal)
            supervisor.signal(node.index, SIGCONT)
            self._paused.discard(node.index)
            await_condition(
                lambda: None if supervisor.pids().get(node.index) is None else "it still runs",
                time.monotonic() + SIGNAL_SECONDS,
                f"rid of {node.address}",
            )

    def pause(self, node: Node) -> None:
        """Stop the server (SIGSTOP): it keeps its connections but answers nothing."""
        with self._lock:
            supervisor = self._started().supervisor
            supervisor.signal(node.index, SIGSTOP)
            self._paused.add(node.index)
            pid = supervisor.pids().get(node.index)
            if pid is not None and sys.platform == "linux":
                await_condition(
                    lambda: None if _state_of(pid) in "TZX" else "it still runs",
                    time.monotonic() + SIGNAL_SECONDS,
                    f"paused at {node.address}",
                )

    def resume(self, node: Node) -> None:
        """Let a paused server go on (SIGCONT)."""
        with self._lock:
            self._started().supervisor.signal(node.index, SIGCONT)
            self._paused.discard(node.index)

    def restart(self, node: Node) -> None:
        """Start the server again, on its port and with its files, and wait until it answers.

        One that still runs is ended first. A primary without persistence comes back empty: restart
        it at once and its replicas are emptied too; wait until a replica was promoted.
        Raises EmbeddedClusterError with the end of its log if it does not start.
        """
        with self._lock:
            run = self._started()
            self.kill(node, SIGTERM)
            run.start_node(run.nodes[node.index], time.monotonic() + self._options.startup_timeout)

    def wait_until_healthy(self, timeout: float) -> None:
        """Wait until every node serves, is in sync and sees all others, so that all may fail over.

        ``timeout`` in seconds; EmbeddedClusterError says what was missing when it passed.
        """
        run = self._started()
        await_healthy(run.members(), self._options, time.monotonic() + timeout)

    def wait_until_primary_changes(self, key: str | bytes, old: Node, timeout: float) -> Node:
        """Wait until a node other than ``old`` owns the slot of ``key`` and serves it; that node.

        ``timeout`` in seconds; raises EmbeddedClusterError when it passed.
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
                return f"{owner.address} does not serve yet"
            found.append(owner)
            return None

        await_condition(missing, time.monotonic() + timeout, f"free of {old.address} as primary")
        return found[0]

    def _detach(self) -> None:
        """Let the servers live on without this program."""
        with self._lock:
            run, self._run = self._started(), None
            for client in run.clients:
                client.close()
            run.supervisor.detach()

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
        views = [seen for node in asked if (seen := view(run.clients[node.index])) is not None]
        try:
            owner, members = owner_of(slot, views)
        except LookupError:
            raise EmbeddedClusterError(f"No node knows an owner of slot {slot}.") from None
        replicas = [one for one in members if one.primary_id == owner.id and not one.failing]
        return _node_of(owner, nodes), tuple(_node_of(one, nodes) for one in replicas)


def _node_of(member: Member, nodes: tuple[Node, ...]) -> Node:
    return next(node for node in nodes if node.port == member.port)


def _state_of(pid: int) -> str:
    """The state letter of a process (Linux), X if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
