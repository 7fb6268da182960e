"""What was seen of a deployment, as plain data: the only thing that checks look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Literal

from clusterpass.config import Durability
from clusterpass.store.location import Address, Patience
from clusterpass.store.topology.members import Member

Role = Literal["primary", "replica", "unknown"]
_PATIENCE: Final = Patience()
_LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})


@dataclass(frozen=True, slots=True)
class Clock:
    """How far a server's clock is ahead of ours, in seconds, and how sure that is."""

    ahead: float
    uncertainty: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A key that was written, on a primary."""

    replicas: int | None = None
    """How many replicas confirmed it; None: the write was refused."""
    was_pushed: bool | None = None
    """Whether the node told a watching connection of it; None: it was not watched."""
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NodeSeen:
    """One node: what it said, and what it would not say. Equal to itself alone."""

    address: Address
    id: str = ""
    refusal: str = ""
    """Why nothing could be asked of it; empty when it answered."""
    info: Mapping[str, str] | None = None
    """The answer to INFO; None: it may not be seen."""
    settings: Mapping[str, str] | None = None
    """The answer to CONFIG GET; None: it may not be seen."""
    members: tuple[Member, ...] = ()
    """Its own view of the cluster."""
    cluster_info: Mapping[str, str] = field(default_factory=dict)
    clock: Clock | None = None
    round_trip: float | None = None
    """Seconds, the shortest of a few."""
    denied: tuple[str, ...] | None = None
    """The commands that the user may not use; None: it could not be asked."""
    allowed_beyond: tuple[str, ...] = ()
    """Commands that destroy, or reach beyond our keys, and that the user may use."""
    tracking: str | None = None
    """Why it does not push what changes; empty: it does; None: it was not asked."""
    is_open: bool = False
    """Whether it also lets in who gives no password, although we gave one."""
    certificate_expires_at: float | None = None
    """Seconds since the epoch; None: no TLS."""
    trial: Trial | None = None

    @property
    def answered(self) -> bool:
        """Whether it could be asked anything."""
        return not self.refusal

    @property
    def myself(self) -> Member | None:
        """Its own line."""
        return next((member for member in self.members if member.is_myself), None)

    @property
    def role(self) -> Role:
        """What it says it is."""
        if self.myself is not None:
            return "primary" if self.myself.is_primary else "replica"
        named = (self.info or {}).get("role", "")
        return "primary" if named == "master" else "replica" if named == "slave" else "unknown"

    @property
    def version(self) -> str | None:
        """Such as "Valkey 9.1.2" and "Redis 7.0.15"; None when it is not told."""
        info = self.info or {}
        if "valkey_version" in info:
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}" if "redis_version" in info else None

    def number(self, name: str) -> int | None:
        """A number of INFO; None where it is not told."""
        return whole((self.info or {}).get(name))

    def setting(self, name: str) -> str | None:
        """A setting; None where it may not be seen or does not exist."""
        return None if self.settings is None else self.settings.get(name)

    def setting_number(self, name: str) -> int | None:
        """The same as a number."""
        return whole(self.setting(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A deployment."""

    nodes: tuple[NodeSeen, ...]
    """Every member of the cluster that has an address; or the one server."""
    members: tuple[Member, ...] = ()
    """The cluster as the node sees it that is asked for it, with addresses."""
    addresses: Mapping[str, Address] = field(default_factory=dict)
    """By node id: where each is reached."""
    asked_for_cluster: bool = True
    """Whether the store URL says that it is one."""
    is_cluster: bool = True
    """Whether it is one."""
    has_tls: bool = False
    has_password: bool = False
    user: str = "default"
    """Whose rights were looked at."""
    namespace: str = "cp"
    durability: Durability = "replicated"
    patience: Patience = _PATIENCE
    has_tried: bool = False
    """Whether a trial write was asked for."""
    taken_at: float = 0.0
    """Seconds since the epoch."""

    @property
    def answering(self) -> tuple[NodeSeen, ...]:
        """The nodes that could be asked."""
        return tuple(node for node in self.nodes if node.answered)

    @property
    def primaries(self) -> tuple[NodeSeen, ...]:
        """Those that are primaries and answered."""
        return tuple(node for node in self.answering if node.role == "primary")

    @property
    def replicas(self) -> tuple[NodeSeen, ...]:
        """Those that are replicas and answered."""
        return tuple(node for node in self.answering if node.role == "replica")

    @property
    def is_local(self) -> bool:
        """Whether all of it is on this machine."""
        return bool(self.nodes) and all(is_loopback(node.address.host) for node in self.nodes)

    def host_of(self, member: Member) -> str:
        """The host of a member."""
        address = self.addresses.get(member.id)
        return member.host if address is None else address.host

    def name_of(self, member: Member) -> str:
        """host:port of a member."""
        return str(self.addresses.get(member.id, Address(member.host, member.port)))

    def owners(self) -> tuple[Member, ...]:
        """The primaries that own slots."""
        return tuple(each for each in self.members if each.is_primary and each.slots)

    def replicas_of(self, primary: Member) -> tuple[Member, ...]:
        """Its replicas, failed or not."""
        return tuple(each for each in self.members if each.primary_id == primary.id)


def whole(text: str | None) -> int | None:
    """``text`` as a whole number, or None."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, as far as its name tells."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOCAL_NAMES
