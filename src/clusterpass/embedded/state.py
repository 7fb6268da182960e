"""The record of a cluster in its data folder: ``cluster.json``, written by the supervisor.

Rules of this module
- Only the lock of the folder decides whether a cluster is running. The record may outlive its
  cluster, for example after a crash.
- The record has mode 0600, because its URL may contain a password.
"""

import fcntl
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clusterpass.embedded.options import HOST, Node, Options
from clusterpass.model.errors import EmbeddedClusterError

RECORD: Final = "cluster.json"


@dataclass(frozen=True, slots=True)
class ClusterState:
    """A running detached cluster, according to its data folder.

    ``node_timeout``: in seconds.
    """

    url: str
    supervisor_pid: int
    data_folder: Path
    server: Path
    node_timeout: float
    nodes: tuple[Node, ...]
    is_shared: bool = False
    """Whether the cluster stops when no process uses it any more."""


def resolve(data_folder: str | Path) -> Path:
    """The absolute path of ``data_folder``, with ``~`` expanded."""
    return Path(data_folder).expanduser().absolute()


def read_state(data_folder: str | Path) -> ClusterState | None:
    """The cluster that is running in ``data_folder``; None if there is none, or it is starting.

    Raises EmbeddedClusterError if the record in the folder cannot be read.
    """
    folder = resolve(data_folder)
    if not is_locked(folder):
        return None
    record = read_record(folder)
    if record is None or not record["formed"]:
        return None
    return ClusterState(
        url=record["url"],
        supervisor_pid=record["supervisor_pid"],
        data_folder=folder,
        server=Path(record["server"]),
        node_timeout=record["node_timeout"],
        nodes=nodes_of(folder, record["nodes"]),
        is_shared=bool(record.get("shared")),
    )


def is_locked(folder: Path) -> bool:
    """Whether a supervisor holds the lock of ``folder``.

    Raises EmbeddedClusterError if the lock file cannot be read.
    """
    try:
        with (folder / "lock").open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise EmbeddedClusterError(f"{folder} cannot be read: {error}.") from error
    return False


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of the cluster that is or was running in ``folder``; None without a record.

    Raises EmbeddedClusterError if the record cannot be read.
    """
    path = folder / RECORD
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        nodes_of(folder, record["nodes"])
        for name in ("url", "formed", "persistent", "tls", "server", "node_timeout"):
            record[name]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EmbeddedClusterError(f"The record {path} cannot be read: {error}.") from error
    return record


def make_record(
    nodes: Sequence[Node], options: Options, server: Path, *, formed: bool
) -> dict[str, Any]:
    """The record for the supervisor to write; the supervisor adds all process ids."""
    return {
        "formed": formed,
        "persistent": options.persistent,
        "tls": options.tls is not None,
        "url": options.url([node.port for node in nodes]),
        "server": str(server),
        "node_timeout": options.node_timeout,
        "settings": dict(options.settings),
        "nodes": [
            {"index": node.index, "port": node.port, "bus_port": node.bus_port} for node in nodes
        ],
    }


def nodes_of(folder: Path, entries: Sequence[dict[str, Any]]) -> tuple[Node, ...]:
    """The nodes that ``entries`` of a record describe."""
    return tuple(
        Node(
            index=int(entry["index"]),
            host=HOST,
            port=int(entry["port"]),
            bus_port=int(entry["bus_port"]),
            folder=folder / f"node-{int(entry['index'])}",
            pid=entry.get("pid"),
        )
        for entry in entries
    )
