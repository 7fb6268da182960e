"""Store URLs: addresses, credentials, TLS and limits of a store, in one string.

    redis+cluster://[user:password@]host:port[,host:port...][?option=value&...]
    redis://[user:password@]host[:port]           one server, no cluster
    redis+sentinel://[user:password@]host[:26379][,host...]/service-name
                                                  the primary that Sentinels name
    rediss+cluster://  rediss://  rediss+sentinel://
                                                  the same over TLS
    valkey+cluster://  valkey://                  the same as redis..., and valkeys... as rediss...
    unix://[user:password@]/path/to/socket        one server, through a Unix socket
    embedded://[?nodes=6&data=FOLDER]             starts a local cluster

Options: ``namespace`` (key prefix), ``timeout`` (seconds for one attempt), ``deadline``
(seconds for a call with all its retries), ``replica_wait`` (seconds that a write waits for its
confirmation), ``max_connections`` (per node, for threads), ``max_pending`` (calls in flight to one
node, for an event loop), ``max_waiting`` (calls that wait for one node that does not answer),
``password_file`` (read for each connection), ``sentinel_username`` and ``sentinel_password`` (of
the Sentinels; those before the hosts are the servers'), ``address_remap``
(``ANNOUNCED=REACHED,...``), and for TLS ``ca_file``, ``cert_file``, ``key_file``, ``key_password``,
``key_password_file``, ``server_name`` (the name that every certificate bears), ``verify_by=seed``
(nodes that are announced by IP address are verified by the name of the seed).

Every value is checked when the URL is parsed. No message quotes a password.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote, urlsplit

from clusterpass.config import Durability
from clusterpass.model.errors import ConfigurationError
from clusterpass.protocol.keyspace import DEFAULT_NAMESPACE, Keyspace
from clusterpass.store.address import (
    DEFAULT_PORT,
    SENTINEL_PORT,
    Address as Address,  # noqa: PLC0414 (others import it from here)
    AddressRemap,
    SentinelAddress as SentinelAddress,  # noqa: PLC0414 (the same)
    reached_through,
    read_address,
    read_remap,
)
from clusterpass.store.credentials import Credentials, CredentialSource, PasswordFile
from clusterpass.store.tls_options import TLS_OPTIONS, TlsOptions, read_tls_options
from clusterpass.store.url_parts import (
    read_credentials,
    read_number,
    read_options,
    refuse_databases,
    refuse_surplus,
    split_service,
)

_REPLICA_WAIT: Final = 0.25
_DISK_WAIT: Final = 1.5
_SCHEMES: Final = {
    **{name: name for name in ("redis+cluster", "rediss+cluster", "redis", "rediss")},
    "redis+sentinel": "redis+sentinel",
    "rediss+sentinel": "rediss+sentinel",
    "valkey+cluster": "redis+cluster",
    "valkeys+cluster": "rediss+cluster",
    "valkey+sentinel": "redis+sentinel",
    "valkeys+sentinel": "rediss+sentinel",
    "valkey": "redis",
    "valkeys": "rediss",
    "unix": "unix",
    "embedded": "embedded",
}
"""What a URL may begin with, by the name that is used here."""
_NUMBERS: Final = {"timeout", "deadline", "replica_wait", "max_connections", "max_pending"} | {
    "max_waiting"
}
_OF_SENTINELS: Final = {"sentinel_username", "sentinel_password"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Time limits in seconds, and limits of calls and connections for one node.

    The defaults last through the failover of a stopped node without blocking callers for long.
    """

    timeout: float = 0.5
    """Seconds for one attempt at one node."""
    deadline: float = 2.5
    """Seconds for a call with all its retries."""
    replica_wait: float | None = None
    """Seconds that a write waits for its confirmation; 0: no confirmation is asked for; None: as
    the durability needs, see :meth:`confirmation_wait`."""
    max_connections: int = 64
    """Connections to each node, in one process with threads."""
    max_pending: int = 10_000
    """Calls to one node that may be in flight or queued, in one event loop."""
    max_waiting: int = 256
    """Calls that may wait for one node that does not answer; further calls are refused at once."""

    def confirmation_wait(self, durability: Durability) -> float:
        """Seconds that a write waits for its confirmation: ``replica_wait``, or else 0.25 for a
        replica and 1.5 for a disk, as ``appendfsync everysec`` writes once a second."""
        if self.replica_wait is not None:
            return self.replica_wait
        return _DISK_WAIT if durability == "fsync" else _REPLICA_WAIT

    def write_timeout(self, durability: Durability) -> float:
        """Seconds for one attempt at a write that waits for its confirmation: ``timeout``, or more
        where the wait alone may take as long."""
        wait = self.confirmation_wait(durability)
        return self.timeout if wait < self.timeout else wait + self.timeout / 2

    def check(self, durability: Durability) -> None:
        """Raise ConfigurationError where an attempt at a write cannot end before ``deadline``."""
        needed = self.write_timeout(durability)
        if needed > self.deadline:
            raise ConfigurationError(
                f"durability={durability!r} waits up to {self.confirmation_wait(durability):g} s"
                f" for a disk, so deadline={self.deadline:g} in the store URL is too short: set it"
                f" to {needed:g} or more; where the servers run with appendfsync always, you may"
                " set a shorter replica_wait instead"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLocation:
    """The parts of a store URL. The password is left out of the repr."""

    seeds: tuple[Address, ...]
    is_cluster: bool
    is_embedded: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls_files: Mapping[str, str] | None = None
    """TLS files by option name; empty: the system's certificate authorities; None: no TLS."""
    tls_options: TlsOptions = field(default_factory=TlsOptions)
    """The passphrase of the client's key, and the names that certificates have to bear."""
    keyspace: Keyspace = field(default_factory=Keyspace)
    patience: Patience = Patience()
    embedded_options: Mapping[str, str] = field(default_factory=dict)
    reached_at: Mapping[Address, Address] = field(default_factory=dict)
    """The addresses to connect to in place of those that the cluster names, where the client is
    behind port forwarding or address translation."""
    address_remap: AddressRemap | None = None
    """Maps what ``reached_at`` does not."""
    credential_source: CredentialSource | None = field(default=None, repr=False)
    """Asked for the user and the password of each new connection; None: ``username`` and
    ``password`` are fixed."""
    service: str | None = None
    """The name under which the seeds, which are Sentinels then, know the primary and its replicas;
    None: there are no Sentinels."""
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    @property
    def looks_up(self) -> bool:
        """Whether others tell who the primaries are: the nodes of a cluster, or Sentinels."""
        return self.is_cluster or self.service is not None

    def reaching(self, address: Address) -> "StoreLocation":
        """The location with the user and the password that ``address`` takes.

        A Sentinel gets those of the Sentinels alone, never what the servers' source returns.
        """
        if not isinstance(address, SentinelAddress):
            return self
        return replace(
            self,
            username=self.sentinel_username,
            password=self.sentinel_password,
            credential_source=None,
        )

    def reach(self, address: Address) -> Address:
        """Where the node at ``address`` is reached. Raises StoreFailed where the remap fails."""
        return reached_through(address, self.reached_at, self.address_remap)

    def certificate_name(self, address: Address) -> str:
        """The name or the IP address that the certificate of the node at ``address`` must bear."""
        return self.tls_options.name_of(address)

    @property
    def fixed_credentials(self) -> Credentials | None:
        """The user and the password of the URL; None: a connection stays that of the default user.

        A user may have no password (``nopass``): a server then accepts any.
        """
        if self.username is None and self.password is None:
            return None
        return Credentials(username=self.username, password=self.password or "")

    @property
    def has_password(self) -> bool:
        """Whether connections log in with a password."""
        return self.password is not None or self.credential_source is not None

    def check_files(self) -> None:
        """Raise ConfigurationError where an encrypted key cannot be opened, or a password file
        cannot be read."""
        self.tls_options.check_key(self.tls_files or {})
        if isinstance(self.credential_source, PasswordFile):
            try:
                self.credential_source()
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"password_file {self.credential_source.path} cannot be used:"
                    f" {getattr(error, 'strerror', None) or 'it holds no text'}"
                ) from None


def parse_store_url(url: str) -> StoreLocation:
    """The parts of ``url``.

    Raises ConfigurationError that names the part that is wrong, and never quotes the password.
    """
    scheme, separator, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    if not separator or scheme not in _SCHEMES:
        raise ConfigurationError(
            "the store URL must begin with redis+cluster://, redis+sentinel://, redis://, the same"
            " with rediss, valkey or valkeys, unix:// or embedded://"
        )
    scheme = _SCHEMES[scheme]
    authority, _, query = rest.partition("?")
    if "@" in query:  # most likely a "?" in the password: the message quotes nothing of it
        raise ConfigurationError(
            "percent-encode the user, the password and the option values of the store URL:"
            " ? is %3F, @ is %40"
        )
    options = read_options(query)
    location = authority.rpartition("@")[2]
    username, password = read_credentials(authority)
    has_sentinels = scheme.endswith("+sentinel")
    is_cluster = not has_sentinels and scheme not in {"redis", "rediss", "unix"}
    keyspace = Keyspace(options.pop("namespace", DEFAULT_NAMESPACE))
    patience = _patience({name: options.pop(name) for name in _NUMBERS & options.keys()})
    if scheme == "embedded":
        if location.rstrip("/") or username or password:
            raise ConfigurationError("embedded:// takes neither an address nor a user")
        refuse_surplus(options.keys() - {"nodes", "data"})
        return StoreLocation(
            seeds=(),
            is_cluster=True,
            is_embedded=True,
            keyspace=keyspace,
            patience=patience,
            embedded_options=options,
        )
    tls = {name: options.pop(name) for name in TLS_OPTIONS & options.keys()}
    has_tls = scheme.startswith("rediss")
    if tls and not has_tls:
        raise ConfigurationError(f"TLS files and {min(tls)} need a URL that begins with rediss")
    password_file = options.pop("password_file", None)
    if password_file is not None and password is not None:
        raise ConfigurationError("the store URL has a password and a password_file: leave one out")
    remap = options.pop("address_remap", None)
    service, of_sentinels = None, dict[str, str]()
    if scheme != "unix":
        location, _, database = location.partition("/")
        if has_sentinels:
            service, database = split_service(database)
            of_sentinels = {name: options.pop(name) for name in _OF_SENTINELS & options.keys()}
        refuse_databases(database.rstrip("/"))
    refuse_databases(options.pop("db", ""))
    refuse_surplus(options.keys())
    seeds = (_socket(location),) if scheme == "unix" else _seeds(location, scheme)
    tls_files, tls_options = read_tls_options(tls, seeds)
    return StoreLocation(
        seeds=seeds,
        is_cluster=is_cluster,
        service=service,
        sentinel_username=of_sentinels.get("sentinel_username") or None,
        sentinel_password=of_sentinels.get("sentinel_password") or None,
        username=username,
        password=password,
        tls_files=tls_files if has_tls else None,
        tls_options=tls_options,
        keyspace=keyspace,
        patience=patience,
        reached_at={} if remap is None else read_remap(remap),
        credential_source=None if password_file is None else PasswordFile(password_file, username),
    )


def _socket(path: str) -> Address:
    if not path.startswith("/") or path.endswith("/"):
        raise ConfigurationError(
            f"{path!r} in the store URL is not the path of a socket: write unix:///path/to/socket"
        )
    return Address(unquote(path), 0)


def _seeds(location: str, scheme: str) -> tuple[Address, ...]:
    is_sentinel = scheme.endswith("+sentinel")
    kind, default = (SentinelAddress, SENTINEL_PORT) if is_sentinel else (Address, DEFAULT_PORT)
    addresses = []
    for text in location.split(","):
        address = read_address(text, default)
        if address is None:
            raise ConfigurationError(f"{text!r} in the store URL is not host:port")
        addresses.append(kind(*address))
    if len(addresses) > 1 and "+" not in scheme:
        raise ConfigurationError(
            "several addresses need redis+cluster:// or rediss+cluster://, or redis+sentinel://;"
            " one server has one"
        )
    return tuple(addresses)


def _patience(texts: Mapping[str, str]) -> Patience:
    default = Patience()
    numbers = {name: read_number(name, text) for name, text in texts.items()}
    patience = Patience(
        timeout=numbers.get("timeout", default.timeout),
        deadline=numbers.get("deadline", default.deadline),
        replica_wait=numbers.get("replica_wait"),
        max_connections=int(numbers.get("max_connections", default.max_connections)),
        max_pending=int(numbers.get("max_pending", default.max_pending)),
        max_waiting=int(numbers.get("max_waiting", default.max_waiting)),
    )
    if not (
        0.01 <= patience.timeout <= patience.deadline <= 300
        and 0 <= patience.confirmation_wait("replicated") < patience.timeout
        and 1 <= patience.max_connections <= 10_000
        and 1 <= patience.max_pending <= 1_000_000
        and 0 <= patience.max_waiting <= 1_000_000
    ):
        raise ConfigurationError(
            "the store URL needs 0 <= replica_wait < timeout <= deadline <= 300 (seconds)"
            ", max_connections from 1 to 10000, max_pending from 1 to 1000000 and max_waiting"
            " from 0 to 1000000"
        )
    return patience


def redact_store_url(url: str) -> str:
    """``url`` with ``***`` in place of the password, for messages and logs."""
    parts = urlsplit(url)
    user_info, separator, location = parts.netloc.rpartition("@")
    if separator:
        user_info = user_info.partition(":")[0] + ":***"
    path = parts.path if parts.scheme == "unix" or parts.scheme.endswith("+sentinel") else ""
    return f"{parts.scheme}://{user_info}{separator}{location}{path}"
