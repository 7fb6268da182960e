"""The options of an embedded cluster, checked before anything is started.

Rules of this module
- Everything here is plain data: no processes, no network.
- An invalid option raises a ConfigurationError that names the option and what to do.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from clusterpass.model.errors import ConfigurationError

HOST: Final = "127.0.0.1"
_OWN_DIRECTIVES: Final = re.compile(
    r"bind|port|tls-port|cluster-port|unixsocket|daemonize|supervised|pidfile|logfile|dir|include"
    r"|cluster-enabled|cluster-config-file|tls-(ca-cert|cert|key)-file|tls-(cluster|replication)"
)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files for TLS: the CA certificate, the servers' certificate and its private key.

    The servers' certificate must be valid for the IP address 127.0.0.1.
    """

    ca_file: str | Path
    cert_file: str | Path
    key_file: str | Path


@dataclass(frozen=True, slots=True)
class Node:
    """One server of an embedded cluster. Equality ignores the process id.

    ``port``: the client port. ``bus_port``: the port of the cluster bus; 0 for a standalone server.
    ``pid``: the process id when this object was created; None if the server was not running.
    """

    index: int
    host: str
    port: int
    bus_port: int
    folder: Path
    pid: int | None = field(default=None, compare=False)

    @property
    def address(self) -> str:
        """The client address as ``host:port``."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """The credentials and the CA file with which a client connects to a server."""

    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    """The path of the CA certificate; None without TLS."""

    @classmethod
    def of_url(cls, url: str) -> Self:
        """The credentials and the CA file in a URL from :meth:`Options.url`."""
        parts = urlsplit(url)
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        ca_file = dict(parse_qsl(parts.query)).get("ca_file")
        return cls(unquote(user) or None, unquote(password) or None, ca_file)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of an embedded cluster.

    Raises ConfigurationError if an option is invalid.
    """

    nodes: int = 6
    node_timeout: float = 2.0
    persistent: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: TlsFiles | None = None
    startup_timeout: float = 30.0

    def __post_init__(self) -> None:
        if self.nodes == 2 or self.nodes < 1:
            raise ConfigurationError(
                "nodes must be 1 (a standalone server) or at least 3: a cluster with fewer than"
                " three primaries has no majority for a failover."
            )
        if not 0.05 <= self.node_timeout <= 3600:
            raise ConfigurationError("node_timeout must be between 0.05 and 3600 seconds.")
        if self.startup_timeout <= 0:
            raise ConfigurationError("startup_timeout must be a positive number of seconds.")
        if self.username is not None and not re.fullmatch(r"[^\s\0\"'\\]+", self.username):
            raise ConfigurationError(
                "username must not be empty or contain spaces, quotes or backslashes."
            )
        if self.username is not None and self.password is None:
            raise ConfigurationError("username requires a password.")
        if self.password is not None and not re.fullmatch(r"[^\r\n\0]+", self.password):
            raise ConfigurationError("password must not be empty or contain line breaks.")
        for name, value in self.settings.items():
            if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or re.search(r"[\r\n\0]", value):
                raise ConfigurationError(
                    f"settings: {name!r} must be a directive name with a value on one line."
                )
            if _OWN_DIRECTIVES.fullmatch(name):
                raise ConfigurationError(
                    f"settings: {name!r} is set by the embedded cluster and cannot be changed."
                )
        if self.tls is not None:
            for role, path in asdict(self.tls).items():
                if not Path(path).is_file():
                    raise ConfigurationError(f"tls: {role} {path} is not a file.")
            paths = {role: Path(path).absolute() for role, path in asdict(self.tls).items()}
            object.__setattr__(self, "tls", TlsFiles(**paths))

    @property
    def access(self) -> Access:
        """The credentials and the CA file with which a client connects to these servers."""
        ca_file = None if self.tls is None else str(self.tls.ca_file)
        return Access(self.username, self.password, ca_file)

    @property
    def primaries(self) -> int:
        """The number of primaries that a new cluster has."""
        return 1 if self.nodes == 1 else max(3, self.nodes // 2)

    def url(self, ports: list[int]) -> str:
        """The store URL for servers on ``ports``, with user, password and CA file, if any."""
        scheme = "redis" if self.tls is None else "rediss"
        if self.nodes > 1:
            scheme += "+cluster"
        user = ""
        if self.password is not None:
            user = f"{quote(self.username or '', safe='')}:{quote(self.password, safe='')}@"
        hosts = ",".join(f"{HOST}:{port}" for port in ports)
        query = ""
        if self.access.ca_file is not None:
            query = "?" + urlencode({"ca_file": self.access.ca_file}, safe="/")
        return f"{scheme}://{user}{hosts}{query}"
