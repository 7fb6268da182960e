"""Starts the servers of a cluster, or resumes them with their data.

Rules of this module
- The data folder is read and changed only while the supervisor of this run holds its lock.
- The data of a persistent cluster is resumed or refused, never removed. The remains of an
  unfinished start, or of a cluster without persistence, are replaced.
- If a start fails, no process is left running.
"""

import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clusterpass.embedded.conf import free_ports, log_tail, port_is_free, write_configuration
from clusterpass.embedded.formation import await_healthy, form_cluster
from clusterpass.embedded.options import HOST, Node, Options
from clusterpass.embedded.state import make_record, nodes_of, read_record, resolve
from clusterpass.embedded.supervisor_process import SupervisorProcess
from clusterpass.embedded.topology import Client, complaint, connect, process_id
from clusterpass.model.errors import ConfigurationError, EmbeddedClusterError

ATTEMPTS: Final = 3
CLIENT_SECONDS: Final = 1.0  # an idle local server answers in well under 1 ms
_PORT_TAKEN: Final = re.compile(r"ddress already in use|Failed listening on port")
_NO_TLS: Final = re.compile(r"Failed finding TLS support|connection type tls|>>> 'tls-")


class _PortTaken(EmbeddedClusterError):
    """Another program took the port of a server."""


@dataclass(slots=True)
class Run:
    """The running servers of a cluster, their supervisor, and a client for each."""

    options: Options
    server: Path
    folder: Path
    temporary: bool
    supervisor: SupervisorProcess
    nodes: tuple[Node, ...]
    clients: tuple[Client, ...]

    def members(self) -> list[tuple[Node, Client]]:
        """Every node with a client that has a short timeout."""
        return list(zip(self.nodes, self.clients, strict=True))

    def close(self) -> None:
        """Stop everything and remove a temporary folder. Can be called repeatedly."""
        for client in self.clients:
            client.close()
        self.supervisor.stop()
        if self.temporary:
            _remove(self.folder)

    def start_node(self, node: Node, deadline: float) -> None:
        """Start the server of ``node`` and wait until it answers.

        ``deadline``: on the monotonic clock, in seconds. Raises EmbeddedClusterError after that.
        """
        self.supervisor.spawn(node.index, self.server, node.folder)
        self._await_answers([node.index], deadline)

    def start_nodes(self, deadline: float) -> None:
        """Configure and start all servers, and wait until they answer.

        ``deadline``: on the monotonic clock, in seconds. Raises EmbeddedClusterError after that.
        """
        for node in self.nodes:
            write_configuration(node, self.options)
            log = node.folder / "server.log"
            if log.exists():
                log.replace(node.folder / "server.log.old")
        for node in self.nodes:
            self.supervisor.spawn(node.index, self.server, node.folder)
        self._await_answers([node.index for node in self.nodes], deadline)

    def record(self, *, formed: bool) -> None:
        """Have the supervisor write the record; ``formed``: whether the cluster is complete."""
        state = make_record(self.nodes, self.options, self.server, formed=formed)
        self.supervisor.request("state", state=state)

    def _await_answers(self, waiting: list[int], deadline: float) -> None:
        while True:
            lacks = {index: complaint(self.clients[index]) for index in waiting}
            pids = self.supervisor.pids()
            waiting = [
                index
                for index, lack in lacks.items()
                if lack is not None or process_id(self.clients[index]) != pids[index]
            ]  # another server may answer if the port was taken
            if not waiting:
                return
            for index in waiting:
                if pids[index] is None:
                    raise self._failure(self.nodes[index], "exited at once")
            if time.monotonic() >= deadline:
                first = waiting[0]
                raise self._failure(
                    self.nodes[first],
                    "did not start in time:"
                    f" {lacks[first] or 'another server answers on its port'}",
                )
            time.sleep(0.01)

    def _failure(self, node: Node, what: str) -> EmbeddedClusterError:
        tail = log_tail(node, self.options)
        kind: type[EmbeddedClusterError] = EmbeddedClusterError
        hint = ""
        if _PORT_TAKEN.search(tail):
            kind = _PortTaken
            hint = f" Port {node.port} or {node.bus_port} is taken by another program."
        elif self.options.tls is not None and _NO_TLS.search(tail):
            hint = f" {self.server} is built without TLS; choose another program with server=."
        elif re.search(r">>> '(cluster-port|shutdown-timeout)", tail):
            hint = f" {self.server} is too old: version 7.0 or later is required."
        return kind(
            f"Server {node.index} ({node.address}) {what}.{hint}"
            f" See {node.folder / 'server.log'}:\n{tail}"
        )


def launch(options: Options, server: Path, data_folder: Path | None, *, daemon: bool) -> Run:
    """Start a new cluster, or resume the persistent cluster in ``data_folder``.

    ``data_folder``: None for a private temporary folder. ``daemon``: whether the cluster is to be
    detached. Raises EmbeddedClusterError if the start fails, and ConfigurationError if the options
    contradict the folder.
    """
    deadline = time.monotonic() + options.startup_timeout
    folder = _make_folder(data_folder)
    temporary = data_folder is None
    try:
        supervisor = SupervisorProcess(folder, temporary=temporary, daemon=daemon)
    except BaseException:
        if temporary:
            _remove(folder)
        raise
    run = Run(options, server, folder, temporary, supervisor, (), ())
    try:
        _start(run, deadline)
    except BaseException as error:
        run.close()
        if isinstance(error, OSError):
            raise EmbeddedClusterError(
                f"The data folder {folder} cannot be used: {error}."
            ) from error
        raise
    return run


def _start(run: Run, deadline: float) -> None:
    known = _resumable(run)
    if known is not None:
        _set_nodes(run, known)
        for node in known:
            for port in (node.port, node.bus_port):
                if port and not port_is_free(port):
                    raise EmbeddedClusterError(
                        f"Port {port}, which the cluster in {run.folder} needs, is taken by another"
                        " program; stop that program, or use another data folder."
                    )
        run.start_nodes(deadline)
        await_healthy(run.members(), run.options, deadline)
        run.record(formed=True)
        return
    for attempt in range(ATTEMPTS):
        _set_nodes(run, _fresh_nodes(run))
        run.record(formed=False)
        try:
            run.start_nodes(deadline)
        except _PortTaken:
            if attempt == ATTEMPTS - 1:
                raise
            run.supervisor.request("reset")
            _remove_nodes(run.folder)
        else:
            break
    if run.options.nodes == 1:
        await_healthy(run.members(), run.options, deadline)
    else:
        form_cluster(run.members(), run.options, deadline)
    run.record(formed=True)


def _resumable(run: Run) -> tuple[Node, ...] | None:
    """The nodes of the persistent cluster in the folder; None if there is none to resume.

    Raises EmbeddedClusterError or ConfigurationError if there is one that cannot be resumed.
    """
    record = read_record(run.folder)
    if record is None:
        if any(run.folder.glob("node-*")):
            raise EmbeddedClusterError(
                f"{run.folder} contains data of servers but no record of their cluster;"
                " use another data folder."
            )
        return None
    if not (record["formed"] and record["persistent"]):
        _remove_nodes(run.folder)
        return None
    if not run.options.persistent:
        raise EmbeddedClusterError(
            f"{run.folder} contains a persistent cluster; resume it with persistent=True,"
            " or use another data folder."
        )
    nodes = nodes_of(run.folder, record["nodes"])
    if len(nodes) != run.options.nodes:
        raise ConfigurationError(
            f"nodes: the cluster in {run.folder} has {len(nodes)} nodes, not {run.options.nodes}."
        )
    if record["tls"] != (run.options.tls is not None):
        raise ConfigurationError(
            f"tls: the cluster in {run.folder} runs {'with' if record['tls'] else 'without'} TLS."
        )
    return nodes


def _fresh_nodes(run: Run) -> tuple[Node, ...]:
    count = run.options.nodes
    ports = free_ports(count if count == 1 else 2 * count)
    bus = [0] if count == 1 else ports[count:]
    return tuple(
        Node(index, HOST, ports[index], bus[index], run.folder / f"node-{index}")
        for index in range(count)
    )


def _set_nodes(run: Run, nodes: tuple[Node, ...]) -> None:
    run.nodes = nodes
    run.clients = tuple(connect(node, run.options.access, timeout=CLIENT_SECONDS) for node in nodes)


def _make_folder(data_folder: Path | None) -> Path:
    try:
        if data_folder is None:
            return Path(tempfile.mkdtemp(prefix="clusterpass-")).absolute()
        folder = resolve(data_folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedClusterError(f"The data folder cannot be created: {error}.") from error
    return folder


def _remove_nodes(folder: Path) -> None:
    for path in folder.glob("node-*"):
        shutil.rmtree(path)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + 2
    while (
        folder.exists() and time.monotonic() < deadline
    ):  # a server that is exiting may still write
        shutil.rmtree(folder, ignore_errors=True)
