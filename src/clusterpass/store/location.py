"""The location of a store, as a store URL and further arguments give it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from clusterpass.model.errors import ConfigurationError
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.address import Address, AddressRemap, SentinelAddress, reached_through
from clusterpass.store.credentials import Credentials, CredentialSource, PasswordFile
from clusterpass.store.patience import DEFAULT_PATIENCE, Patience
from clusterpass.store.tls_options import TlsOptions


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
    patience: Patience = DEFAULT_PATIENCE
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
        """The address at which the node is reached. Raises StoreFailed where the remap fails."""
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
