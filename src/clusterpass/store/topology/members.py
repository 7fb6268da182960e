"""What a node says of each member of its cluster: CLUSTER NODES taken apart. Pure."""

from dataclasses import dataclass
from typing import Final

_FEWEST_COLUMNS: Final = 8


@dataclass(frozen=True, slots=True)
class Member:
    """One line of CLUSTER NODES: what one node says of one member of the cluster."""

    id: str
    host: str
    """The address on which it listens; "" where the node that was asked is the only one to know."""
    port: int
    flags: frozenset[str]
    primary_id: str | None
    epoch: int
    connected: bool
    slots: tuple[tuple[int, int], ...]
    moving: tuple[str, ...] = ()
    """Slots on their way to or from it, as the node writes them; it does so for itself alone."""

    @property
    def is_myself(self) -> bool:
        """Whether it is the node that was asked."""
        return "myself" in self.flags

    @property
    def is_primary(self) -> bool:
        """Whether it is one."""
        return "master" in self.flags

    @property
    def is_replica(self) -> bool:
        """Whether it is one; a node that is not known well yet is neither."""
        return "slave" in self.flags

    @property
    def has_failed(self) -> bool:
        """Whether the cluster has agreed that it failed."""
        return "fail" in self.flags

    @property
    def failing(self) -> bool:
        """Whether it is suspected or known to have failed, or is not known well yet."""
        return bool(self.flags & {"fail", "fail?", "handshake", "noaddr"})

    @property
    def slot_count(self) -> int:
        """How many slots it owns."""
        return sum(last - first + 1 for first, last in self.slots)

    def owns(self, slot: int) -> bool:
        """Whether ``slot`` is its own."""
        return any(first <= slot <= last for first, last in self.slots)


def parse_members(text: str) -> tuple[Member, ...]:
    """The members in the text of CLUSTER NODES (Redis Cluster specification)."""
    members = []
    for line in text.splitlines():
        columns = line.split(" ")
        if len(columns) < _FEWEST_COLUMNS:
            continue
        identifier, address, flags, primary, _ping, _pong, epoch, link, *slots = columns
        host, _, port = address.split(",")[0].split("@")[0].rpartition(":")
        ranges = [word.partition("-") for word in slots if word and not word.startswith("[")]
        members.append(
            Member(
                id=identifier,
                host=host,
                port=int(port or 0),
                flags=frozenset(flags.split(",")),
                primary_id=None if primary == "-" else primary,
                epoch=int(epoch),
                connected=link == "connected",
                slots=tuple((int(first), int(last or first)) for first, _, last in ranges),
                moving=tuple(word for word in slots if word.startswith("[")),
            )
        )
    return tuple(members)
