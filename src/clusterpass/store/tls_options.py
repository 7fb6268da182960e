"""The TLS options of a store URL: files, the key's passphrase, names that certificates bear."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clusterpass.model.errors import ConfigurationError
from clusterpass.store.address import Address, can_be_looked_up, is_literal
from clusterpass.store.credentials import read_secret

if TYPE_CHECKING:
    import ssl

_FILES: Final = {"ca_file", "cert_file", "key_file", "key_password_file"}
TLS_OPTIONS: Final = _FILES | {"key_password", "server_name", "verify_by"}
"""The options of store URLs that are about TLS."""
_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,45}")
_ENCRYPTED: Final = (
    "key_file of the store URL is encrypted: give its passphrase in key_password_file or"
    " key_password (settings of the service: store_key_password_file, store_key_password)"
)
_NOT_OPENED: Final = (
    "the passphrase in key_password or key_password_file does not open key_file of the store URL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """TLS options other than the files of the context. The passphrase is not in the repr."""

    key_password: str | None = field(default=None, repr=False)
    """The passphrase of an encrypted client key; None: that in the file ``key_password_file``."""
    server_name: str | None = None
    """The name that every certificate has to bear, also sent as SNI; None: that of its node."""
    seed_name: str | None = None
    """The name that the certificates of nodes have to bear that are announced by IP address; None:
    that IP address."""

    def name_of(self, address: Address) -> str:
        """The name or the IP address that the certificate of the node at ``address`` must bear."""
        if self.server_name is not None:
            return self.server_name
        if self.seed_name is not None and is_literal(address.host):
            return self.seed_name
        return address.host

    def passphrase(self, files: Mapping[str, str]) -> str:
        """The passphrase for the key among ``files``; "": none. Raises OSError and ValueError for a
        file that does not hold one."""
        if "key_password_file" in files:
            return read_secret(files["key_password_file"])
        return self.key_password or ""

    def check_key(self, files: Mapping[str, str]) -> None:
        """Raise ConfigurationError for an encrypted key among ``files`` that does not open.

        What is wrong otherwise may be mended while the process runs: connections tell of it.
        """
        if "key_file" not in files:
            return
        import ssl  # noqa: PLC0415 - with a client certificate alone

        try:
            passphrase = self.passphrase(files)
        except (OSError, ValueError):
            raise ConfigurationError(
                f"key_password_file of the store URL holds no text: {files['key_password_file']}"
            ) from None
        was_asked = False

        def answer() -> str:
            nonlocal was_asked
            was_asked = True
            return passphrase

        try:
            load_key(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), files, answer)
        except (OSError, ValueError):
            if was_asked:
                raise ConfigurationError(_NOT_OPENED if passphrase else _ENCRYPTED) from None


def load_key(
    context: "ssl.SSLContext", files: Mapping[str, str], passphrase: Callable[[], str]
) -> None:
    """Load the client's certificate and key among ``files``, never asking at the terminal.

    ``passphrase``: called for an encrypted key. Raises OSError, ValueError.
    """
    context.load_cert_chain(files["cert_file"], files["key_file"], password=passphrase)


def read_tls_options(
    options: Mapping[str, str], seeds: tuple[Address, ...]
) -> tuple[dict[str, str], TlsOptions]:
    """The files and the rest of ``options``, those of a store URL with ``seeds``.

    Raises ConfigurationError.
    """
    files = {name: options[name] for name in _FILES & options.keys()}
    for name, path in files.items():
        if not _is_file(path):
            raise ConfigurationError(f"{name} of the store URL names no file: {path}")
    if ("cert_file" in files) != ("key_file" in files):
        raise ConfigurationError("cert_file and key_file of the store URL go together")
    passphrases = {"key_password", "key_password_file"} & options.keys()
    if passphrases and "key_file" not in files:
        raise ConfigurationError(
            f"{min(passphrases)} of the store URL needs cert_file and key_file"
        )
    if len(passphrases) > 1:
        raise ConfigurationError("key_password and key_password_file exclude each other")
    server_name = options.get("server_name")
    if server_name is not None and not (
        _NAME.fullmatch(server_name) and can_be_looked_up(server_name)
    ):
        raise ConfigurationError(f"server_name of the store URL is no name: {server_name!r}")
    if server_name is not None and "verify_by" in options:
        raise ConfigurationError("server_name and verify_by of the store URL exclude each other")
    return files, TlsOptions(
        key_password=options.get("key_password"),
        server_name=server_name,
        seed_name=_seed_name(options.get("verify_by", "node"), seeds),
    )


def _seed_name(by: str, seeds: tuple[Address, ...]) -> str | None:
    if by not in {"node", "seed"}:
        raise ConfigurationError("verify_by of the store URL is node (the default) or seed")
    if by == "node":
        return None
    names = {seed.host for seed in seeds}
    if len(names) != 1 or is_literal(name := names.pop()):
        raise ConfigurationError(
            "verify_by=seed needs a store URL whose seeds all have the same host name; otherwise"
            " give the name that every certificate bears in server_name"
        )
    return name


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except OSError:  # no right to enter the folder, or too long a name
        return False
