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

from typing import Final
from urllib.parse import unquote

from clusterpass.model.errors import ConfigurationError
from clusterpass.protocol.keyspace import DEFAULT_NAMESPACE, Keyspace
from clusterpass.store.address import (
    DEFAULT_PORT,
    SENTINEL_PORT,
    Address,
    SentinelAddress,
    read_address,
    read_remap,
)
from clusterpass.store.credentials import PasswordFile
from clusterpass.store.location import StoreLocation
from clusterpass.store.patience import NUMBERS, read_patience
from clusterpass.store.tls_options import TLS_OPTIONS, read_tls_options
from clusterpass.store.url_parts import (
    read_credentials,
    read_options,
    refuse_databases,
    refuse_surplus,
    split_service,
)

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
_OF_SENTINELS: Final = {"sentinel_username", "sentinel_password"}


def parse_store_url(url: str) -> StoreLocation:
    """The parts of ``url``.

    Raises ConfigurationError that names the part that is wrong, and never quotes the password.
    """
    scheme, authority, options = _split(url)
    location = authority.rpartition("@")[2]
    username, password = read_credentials(authority)
    keyspace = Keyspace(options.pop("namespace", DEFAULT_NAMESPACE))
    patience = read_patience({name: options.pop(name) for name in NUMBERS & options.keys()})
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
        if scheme.endswith("+sentinel"):
            service, database = split_service(database)
            of_sentinels = {name: options.pop(name) for name in _OF_SENTINELS & options.keys()}
        refuse_databases(database.rstrip("/"))
    refuse_databases(options.pop("db", ""))
    refuse_surplus(options.keys())
    seeds = (_socket(location),) if scheme == "unix" else _seeds(location, scheme)
    tls_files, tls_options = read_tls_options(tls, seeds)
    return StoreLocation(
        seeds=seeds,
        is_cluster=scheme.endswith("+cluster"),
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


def _split(url: str) -> tuple[str, str, dict[str, str]]:
    """Return the scheme, as it is named here, the part with the addresses, and the options."""
    scheme, separator, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    if not separator or scheme not in _SCHEMES:
        raise ConfigurationError(
            "the store URL must begin with redis+cluster://, redis+sentinel://, redis://, the same"
            " with rediss, valkey or valkeys, unix:// or embedded://"
        )
    authority, _, query = rest.partition("?")
    if "@" in query:  # most likely a "?" in the password: the message quotes nothing of it
        raise ConfigurationError(
            "percent-encode the user, the password and the option values of the store URL:"
            " ? is %3F, @ is %40"
        )
    return _SCHEMES[scheme], authority, read_options(query)


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


def redact_store_url(url: str) -> str:
    """``url`` with ``***`` in place of the password, for messages and logs.

    The URL is taken apart as :func:`parse_store_url` does it, so that nothing of a password is
    shown in which ``/``, ``#`` or ``@`` stand as they are.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***"
    user_info, at, location = rest.partition("?")[0].rpartition("@")
    if at:
        user_info = user_info.partition(":")[0] + ":***"
    if scheme != "unix" and not scheme.endswith("+sentinel"):
        location = location.partition("/")[0]
    return f"{scheme}://{user_info}{at}{location}"
