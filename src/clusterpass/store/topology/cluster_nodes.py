"""The members of a cluster as one node sees them: a parser for CLUSTER NODES. Pure."""

from dataclasses import dataclass
from typing import Final

_FEWEST_COLUMNS: Final = 8


@dataclass(frozen=True, slots=True)
class Member:
    """One line of CLUSTER NODES: one member of the cluster, as the asked node sees that member."""

    id: str
    host: str
    """The address on which the member listens; "" where the asked node has not learned its own."""
    port: int
    flags: frozenset[str]
    primary_id: str | None
    """The id of the primary that the member replicates; None for a primary."""
    epoch: int
    """The configuration epoch of the member."""
    connected: bool
    """Whether the asked node has a link to the member."""
    slots: tuple[tuple[int, int], ...]
    """The slots of the member, as ranges with their first and last slot."""
    moving: tuple[str, ...] = ()
    """Slots that migrate to or from the member, as written; a node lists only its own."""

    @property
    def is_myself(self) -> bool:
        """Whether the member is the asked node itself."""
        return "myself" in self.flags

    @property
    def is_primary(self) -> bool:
        """Whether the member is a primary."""
        return "master" in self.flags

    @property
    def is_replica(self) -> bool:
        """Whether the member is a replica. A member in its handshake has no role yet."""
        return "slave" in self.flags

    @property
    def has_failed(self) -> bool:
        """Whether a majority of the primaries agree that the member has failed."""
        return "fail" in self.flags

    @property
    def failing(self) -> bool:
        """Whether the member has failed or is suspected to, or is not fully known yet."""
        return bool(self.flags & {"fail", "fail?", "handshake", "noaddr"})

    @property
    def slot_count(self) -> int:
        """The number of slots that the member owns."""
        return sum(last - first + 1 for first, last in self.slots)

    def owns(self, slot: int) -> bool:
        """Whether the member owns ``slot``."""
        return any(first <= slot <= last for first, last in self.slots)


def parse_members(text: str) -> tuple[Member, ...]:
    """The members in ``text``, a reply to CLUSTER NODES. Lines with too few columns are skipped."""
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
