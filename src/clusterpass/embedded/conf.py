"""Writes the configuration file of a server, finds free ports, and reads the end of its log.

Rules of this module
- Passwords appear only in the configuration file, which has mode 0600.
- Ports are chosen below the ephemeral range of the system, so that no outgoing connection takes the
  port of a killed server before it is restarted.
"""

import contextlib
import hashlib
import os
import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path

from clusterpass.embedded.options import HOST, Node, Options
from clusterpass.model.errors import EmbeddedClusterError

_PORTS = range(12000, 32000)
_VALIDITY_FACTOR = "1000"
"""A replica takes over however long ago its link failed, but not before it has synced: the data of
one that has not synced since it started counts as older than any limit. With 0 there is no limit,
and a replica that restarts with old data while its primary is down undoes what it had confirmed."""


def free_ports(count: int) -> list[int]:
    """``count`` different ports of 127.0.0.1 that are free at this moment.

    Raises EmbeddedClusterError if there are not enough.
    """
    chosen: list[int] = []
    with contextlib.ExitStack() as held:
        for candidate in [*random.sample(_PORTS, 2000), *([0] * count)]:
            if len(chosen) == count:
                break
            listener = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                listener.bind((HOST, candidate))
                chosen.append(listener.getsockname()[1])
    if len(chosen) < count:
        raise EmbeddedClusterError("127.0.0.1 does not have enough free ports.")
    return chosen


def port_is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of 127.0.0.1 at this moment."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def quoted(value: str | Path) -> str:
    """``value`` as one quoted word of the server configuration language."""
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_configuration(node: Node, options: Options) -> None:
    """Write ``server.conf`` into the folder of ``node``, creating the folder if necessary."""
    node.folder.mkdir(mode=0o700, exist_ok=True)
    text = "".join(f"{name} {value}\n" for name, value in _directives(node, options))
    path = node.folder / "server.conf"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _directives(node: Node, options: Options) -> Iterator[tuple[str, str]]:
    chosen: dict[str, str] = {
        "save": '""',
        "appendonly": "yes" if options.persistent else "no",
        "appendfsync": "everysec",
        "tcp-backlog": "128",
        "shutdown-timeout": "0",
        "repl-diskless-sync": "yes",
        "repl-diskless-sync-delay": "0",
        "repl-ping-replica-period": "1",
    }
    if options.nodes > 1:
        chosen |= {
            "cluster-node-timeout": str(round(options.node_timeout * 1000)),
            "cluster-require-full-coverage": "no",
            "cluster-replica-validity-factor": _VALIDITY_FACTOR,
        }
    yield "bind", HOST
    yield "protected-mode", "yes"
    yield "daemonize", "no"
    yield "logfile", '""'
    yield "dir", quoted(node.folder)
    yield from _ports(node, options)
    yield from _access(options)
    yield from (chosen | dict(options.settings)).items()


def _ports(node: Node, options: Options) -> Iterator[tuple[str, str]]:
    clustered = options.nodes > 1
    if options.tls is None:
        yield "port", str(node.port)
    else:
        yield "port", "0"
        yield "tls-port", str(node.port)
        yield "tls-ca-cert-file", quoted(options.tls.ca_file)
        yield "tls-cert-file", quoted(options.tls.cert_file)
        yield "tls-key-file", quoted(options.tls.key_file)
        yield "tls-replication", "yes"
        if clustered:
            yield "tls-cluster", "yes"
        if "tls-auth-clients" not in options.settings:
            yield "tls-auth-clients", "no"
    if clustered:
        yield "cluster-enabled", "yes"
        yield "cluster-config-file", "nodes.conf"
        yield "cluster-port", str(node.bus_port)


def _access(options: Options) -> Iterator[tuple[str, str]]:
    """The directives for the password, unless the settings define the access themselves."""
    if options.password is None:
        return
    given = options.settings.keys()
    named = options.username not in (None, "default")
    if not given & {"requirepass", "user", "aclfile"}:
        if named:
            digest = hashlib.sha256(options.password.encode()).hexdigest()
            yield "user", "default off"
            yield "user", f"{options.username} on #{digest} ~* &* +@all"
        else:
            yield "requirepass", quoted(options.password)
    if "masterauth" not in given:
        yield "masterauth", quoted(options.password)
        if named and "masteruser" not in given:
            yield "masteruser", str(options.username)


def log_tail(node: Node, options: Options, lines: int = 12) -> str:
    """The last ``lines`` lines of the log of ``node``, with passwords masked."""
    try:
        text = (node.folder / "server.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    if options.password is not None:
        text = text.replace(options.password, "***")
    text = re.sub(
        r"(?m)^(>>> '(?:requirepass|masterauth|user|tls-key-file-pass)\b).*", r"\1 ***'", text
    )
    return "\n".join(text.splitlines()[-lines:])
