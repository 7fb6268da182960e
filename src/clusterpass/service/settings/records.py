"""The settings of records about users: history, audit trail, and how long they are kept."""

from typing import Any

from pydantic import Field

from clusterpass import AuditPolicy, StoredAddresses
from clusterpass.limits import DAY, LONGEST_LIFETIME
from clusterpass.service.settings.keys import KeySettings


class RecordSettings(KeySettings):
    """Settings for records about users: history, audit trail, addresses and devices."""

    history_entries: int = Field(
        default=20, ge=0, le=100, description="Maximum history entries stored per user."
    )
    audit: bool = Field(
        default=True,
        description="Whether an audit trail is kept in the store: logins, also failed ones, and"
        " every act of administrators by the page, HTTP and the command line. See `clusterpass"
        " audit`.",
    )
    audit_retention: int = Field(
        default=90 * DAY,
        ge=3600,
        le=LONGEST_LIFETIME,
        description="Seconds for which the entries of the audit trail are kept.",
    )
    audit_entries: int = Field(
        default=1_000_000,
        ge=1000,
        le=100_000_000,
        description="Maximum entries of the audit trail; the oldest go first. An entry takes about"
        " 300 bytes of the store's memory.",
    )
    stored_addresses: StoredAddresses = Field(
        default="full",
        description="What the history keeps of the addresses of clients: `full`, `network` (the"
        " first 24 bits of IPv4, 48 of IPv6), or `none`. The login throttle counts whole addresses,"
        " for as long as its windows.",
    )
    stored_devices: bool = Field(
        default=True,
        description="Whether sessions and the history keep the names of devices. Types of devices"
        " are kept.",
    )
    generation_lifetime: int = Field(
        default=3600,
        ge=3600,
        le=LONGEST_LIFETIME,
        description="Seconds for which the store remembers that all sessions of a user were ended:"
        " while users move from another library, as long as its tokens live.",
    )
    history_lifetime: int = Field(
        default=0,
        ge=0,
        le=LONGEST_LIFETIME,
        description="Seconds for which a user's history is kept after its last entry, once no"
        " session is left.",
    )
    index_online: bool = Field(
        default=True,
        description="Whether the store indexes the online users; GET /admin/online requires it.",
    )

    def records(self) -> dict[str, Any]:
        """Return these settings as settings of ``Config``."""
        return {
            "history_entries": self.history_entries,
            "generation_lifetime": self.generation_lifetime,
            "history_lifetime": self.history_lifetime,
            "audit": AuditPolicy(retention=self.audit_retention, most_entries=self.audit_entries)
            if self.audit
            else None,
            "stored_addresses": self.stored_addresses,
            "stored_devices": self.stored_devices,
            "index_online": self.index_online,
        }
