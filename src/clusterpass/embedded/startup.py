"""From options to running servers.

Rules of this module
- The folder is looked at and changed only while our supervisor holds its lock.
- Data of a persistent cluster is resumed or refused, never removed. What a start that did not
  finish, or a cluster without persistence, left behind is replaced.
- Whatever fails, nothing is left running.
"""

import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clusterpass.model.errors import ConfigurationError, EmbeddedClusterError

from .conf import free_ports, log_tail, port_is_free, write_configuration
from .formation import await_healthy, form_cluster
from .options import HOST, Node, Options
from .process import SupervisorProcess
from .state import make_record, nodes_of, read_record, resolve
from .topology import Client, complaint, connect, process_id

ATTEMPTS: Final = 3
CLIENT_SECONDS: Final = 1.0  # an idle server of this machine answers in well under 1 ms
_PORT_TAKEN: Final = re.compile(r"ddress already in use|Failed listening on port")
_NO_TLS: Final = re.compile(r"Failed finding TLS support|connection type tls|>>> 'tls-")


class _PortTaken(EmbeddedClusterError):
    """A port was taken by another program."""


@dataclass(slots=True)
class Run:
    """Running servers and what belongs to them."""

    options: Options
    server: Path
    folder: Path
    temporary: bool
    supervisor: SupervisorProcess
    nodes: tuple[Node, ...]
    clients: tuple[Client, ...]

    def members(self) -> list[tuple[Node, Client]]:
        """Each node with a client for short questions."""
        return list(zip(self.nodes, self.clients, strict=True))

    def close(self) -> None:
        """End everything and remove what is temporary. Idempotent."""
        for client in self.clients:
            client.close()
        self.supervisor.stop()
        if self.temporary:
            _remove(self.folder)

    def start_node(self, node: Node, deadline: float) -> None:
        """Run the server of ``node`` and wait until it answers. Raises EmbeddedClusterError."""
        self.supervisor.spawn(node.index, self.server, node.folder)
        self._await_answers([node.index], deadline)

    def start_nodes(self, deadline: float) -> None:
        """Run all servers and wait until they answer. Raises EmbeddedClusterError."""
        for node in self.nodes:
            write_configuration(node, self.options)
            log = node.folder / "server.log"
            if log.exists():
                log.replace(node.folder / "server.log.old")
        for node in self.nodes:
            self.supervisor.spawn(node.index, self.server, node.folder)
        self._await_answers([node.index for node in self.nodes], deadline)

    def record(self, *, formed: bool) -> None:
        """Have the record of the cluster written."""
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
            ]  # a server that is not ours may answer where ours found the port taken
            if not waiting:
                return
            for index in waiting:
                if pids[index] is None:
                    raise self._failure(self.nodes[index], "ended at once")
            if time.monotonic() >= deadline:
                first = waiting[0]
                raise self._failure(
                    self.nodes[first], f"is not up in time: {lacks[first] or 'another one answers'}"
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
            hint = f" {self.server} is built without TLS; name another one with server=."
        elif re.search(r">>> '(cluster-port|shutdown-timeout)", tail):
            hint = f" {self.server} is too old: version 7.0 or newer is needed."
        return kind(
            f"Server {node.index} ({node.address}) {what}.{hint}"
            f" See {node.folder / 'server.log'}:\n{tail}"
        )


def launch(options: Options, server: Path, data_folder: Path | None, *, daemon: bool) -> Run:
    """Start and form the cluster, or resume the persistent one of ``data_folder``.

    Without ``data_folder`` a private temporary one is made. Raises EmbeddedClusterError, or
    ConfigurationError if the options do not fit what the folder holds.
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
            raise EmbeddedClusterError(f"{folder} cannot be used: {error}.") from error
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
                        f"Port {port}, which the cluster in {run.folder} is bound to, is taken by"
                        " another program; end that, or use another data folder."
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
    """The nodes of the persistent cluster in the folder; None if there is none to resume."""
    record = read_record(run.folder)
    if record is None:
        if any(run.folder.glob("node-*")):
            raise EmbeddedClusterError(
                f"{run.folder} holds servers' data but no record of their cluster;"
                " use another data folder."
            )
        return None
    if not (record["formed"] and record["persistent"]):
        _remove_nodes(run.folder)
        return None
    if not run.options.persistent:
        raise EmbeddedClusterError(
            f"{run.folder} holds a persistent cluster; resume it with persistent=True,"
            " or use another data folder."
        )
    nodes = nodes_of(run.folder, record["nodes"])
    if len(nodes) != run.options.nodes:
        raise ConfigurationError(
            f"nodes: the cluster in {run.folder} has {len(nodes)}, not {run.options.nodes}."
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
        raise EmbeddedClusterError(f"The data folder cannot be made: {error}.") from error
    return folder


def _remove_nodes(folder: Path) -> None:
    for path in folder.glob("node-*"):
        shutil.rmtree(path)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + 2
    while folder.exists() and time.monotonic() < deadline:  # a dying server may still write
        shutil.rmtree(folder, ignore_errors=True)
