"""A snapshot of a deployment as plain data: the only input of the checks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Literal

from clusterpass.config import Durability
from clusterpass.doctor.stored_secrets import SecretSettings, StoredSecret
from clusterpass.store.address import Address
from clusterpass.store.patience import Patience
from clusterpass.store.topology.cluster_nodes import Member

Role = Literal["primary", "replica", "unknown"]
_PATIENCE: Final = Patience()
_LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})


@dataclass(frozen=True, slots=True)
class Clock:
    """The offset of a server's clock from this machine's, in seconds; positive: ahead.

    ``uncertainty``: the greatest error of ``ahead``, in seconds.
    """

    ahead: float
    uncertainty: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The outcome of a trial write on one primary."""

    replicas: int | None = None
    """How many replicas confirmed the write; None if the write or WAIT was refused."""
    asked: int = 1
    """How many replicas the primary had that were not marked as failed."""
    was_pushed: bool | None = None
    """Whether the node sent an invalidation message; None if it refused to track the key."""
    refusal: str = ""
    """Why the write failed; empty if it succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NodeSnapshot:
    """The answers and refusals of one node. Equal only to itself."""

    address: Address
    id: str = ""
    refusal: str = ""
    """Why the node could not be queried; empty if it answered."""
    info: Mapping[str, str] | None = None
    """The reply to INFO; None if the node refused it."""
    settings: Mapping[str, str] | None = None
    """The reply to CONFIG GET; None if the node refused it."""
    members: tuple[Member, ...] = ()
    """The cluster as this node sees it; empty outside a cluster."""
    cluster_info: Mapping[str, str] = field(default_factory=dict)
    clock: Clock | None = None
    round_trip: float | None = None
    """The shortest of a few round trips, in seconds; None if TIME was refused."""
    denied: tuple[str, ...] | None = None
    """The required commands that the user may not run; None if the node did not tell."""
    allowed_beyond: tuple[str, ...] = ()
    """Commands that the user may run, although ClusterPass does not need them and they can harm."""
    tracking: str | None = None
    """Why the node refuses CLIENT TRACKING; empty if it accepts; None if that was not tried."""
    is_open: bool = False
    """Whether the node also serves clients that give no password, although the URL has one."""
    certificate_expires_at: float | None = None
    """When the certificate expires, as a Unix time; None without TLS."""
    trial: Trial | None = None
    secrets: tuple[StoredSecret, ...] | None = None
    """What the copies of the secrets that this node serves hold; None where it serves none."""

    @property
    def answered(self) -> bool:
        """Whether the node could be queried."""
        return not self.refusal

    @property
    def myself(self) -> Member | None:
        """The node as a member of the cluster, as it sees itself; None outside a cluster."""
        return next((member for member in self.members if member.is_myself), None)

    @property
    def role(self) -> Role:
        """The role that the node reports."""
        if self.myself is not None:
            return "primary" if self.myself.is_primary else "replica"
        named = (self.info or {}).get("role", "")
        return "primary" if named == "master" else "replica" if named == "slave" else "unknown"

    @property
    def version(self) -> str | None:
        """The server version, such as "Valkey 9.1.2" or "Redis 7.0.15"; None if not told."""
        info = self.info or {}
        if "valkey_version" in info:
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}" if "redis_version" in info else None

    def number(self, name: str) -> int | None:
        """The field ``name`` of INFO as a whole number; None if not told."""
        return whole((self.info or {}).get(name))

    def setting(self, name: str) -> str | None:
        """The setting ``name``; None if the node refused it or does not have it."""
        return None if self.settings is None else self.settings.get(name)

    def setting_number(self, name: str) -> int | None:
        """The setting ``name`` as a whole number; None if the node did not tell one."""
        return whole(self.setting(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The answers of all nodes of one deployment."""

    nodes: tuple[NodeSnapshot, ...]
    """Every member of the cluster that has an address, or the single server, or the primary and
    the replicas that Sentinels look after."""
    members: tuple[Member, ...] = ()
    """The cluster as the first seed that answered sees it; empty outside a cluster."""
    addresses: Mapping[str, Address] = field(default_factory=dict)
    """The address at which clients reach each member, by node id."""
    asked_for_cluster: bool = True
    """Whether the store URL is one for a cluster."""
    is_cluster: bool = True
    """Whether the servers form a cluster."""
    sentinels: int = 0
    """How many Sentinels look after the servers; 0 where the store URL names none."""
    has_tls: bool = False
    has_password: bool = False
    user: str = "default"
    """The ACL user whose permissions were checked."""
    namespace: str = "cp"
    durability: Durability = "replicated"
    patience: Patience = _PATIENCE
    has_tried: bool = False
    """Whether a trial write was requested."""
    secret_settings: SecretSettings | None = None
    """What is configured of the secrets in the store; None: that is not known."""
    taken_at: float = 0.0
    """When the snapshot was taken, as a Unix time."""

    @property
    def answering(self) -> tuple[NodeSnapshot, ...]:
        """The nodes that could be queried."""
        return tuple(node for node in self.nodes if node.answered)

    @property
    def primaries(self) -> tuple[NodeSnapshot, ...]:
        """The primaries that could be queried."""
        return tuple(node for node in self.answering if node.role == "primary")

    @property
    def replicas(self) -> tuple[NodeSnapshot, ...]:
        """The replicas that could be queried."""
        return tuple(node for node in self.answering if node.role == "replica")

    @property
    def is_local(self) -> bool:
        """Whether every node is on this machine."""
        return bool(self.nodes) and all(is_loopback(node.address.host) for node in self.nodes)

    @property
    def secrets(self) -> tuple[StoredSecret, ...] | None:
        """The keys and secrets in the store, each once; None where no copy could be read.

        Of one that copies hold differently, that which was given up, or opens: others take it over.
        """
        told = [node.secrets for node in self.answering if node.secrets is not None]
        by_name: dict[tuple[bool, str], StoredSecret] = {}
        for each in (secret for secrets in told for secret in secrets):
            name = each.is_key, each.name
            known = by_name.get(name)
            is_open = not each.why_closed
            if known is None or each.is_given_up or (is_open and not known.is_given_up):
                by_name[name] = each
        return tuple(by_name.values()) if told else None

    def host_of(self, member: Member) -> str:
        """The host at which clients reach ``member``."""
        address = self.addresses.get(member.id)
        return member.host if address is None else address.host

    def name_of(self, member: Member) -> str:
        """The address of ``member`` as host:port."""
        return str(self.addresses.get(member.id, Address(member.host, member.port)))

    def owners(self) -> tuple[Member, ...]:
        """The primaries that own slots."""
        return tuple(each for each in self.members if each.is_primary and each.slots)

    def replicas_of(self, primary: Member) -> tuple[Member, ...]:
        """The replicas of ``primary``, whether failed or not."""
        return tuple(each for each in self.members if each.primary_id == primary.id)


def whole(text: str | None) -> int | None:
    """``text`` as a whole number; None if it is not one."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a loopback address or a name for one."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOCAL_NAMES
