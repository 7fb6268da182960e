"""Request and response bodies of the audit trail."""

from typing import Any, Self

from pydantic import BaseModel, Field

from clusterpass import AuditEntry, AuditPage
from clusterpass.service.bodies.requests import QueryParameters

_MOST_ENTRIES = 1000
_CURSOR = r"^([0-9]{1,20}-[0-9]{1,20})?$"


class AuditQuery(QueryParameters):
    """The range of entries of the audit trail."""

    after: str | None = Field(
        default=None,
        pattern=_CURSOR,
        description="List the entries behind this id; empty: from the oldest on.",
    )
    before: str | None = Field(
        default=None,
        pattern=_CURSOR,
        description="List the latest entries before this id; empty: the latest of all.",
    )
    limit: int = Field(default=100, ge=1, le=_MOST_ENTRIES, description="Entries per page.")


class AuditLine(BaseModel):
    """One entry of the audit trail."""

    number: int = Field(description="Its place in the chain, from 1.")
    id: str = Field(examples=["1795747743283-0"])
    at: float = Field(description="Seconds since the epoch.")
    action: str = Field(examples=["revoke_all"])
    outcome: str = Field(
        description="`done`, `refused`, `pending`, `failed` or `unknown`.", examples=["done"]
    )
    actor: str | None = Field(description="Who did it; null: the application, or nobody known.")
    subject: str | None = Field(description="To whom, also a name that was only attempted.")
    session_id: str | None
    via: str | None = Field(description="`http`, `page`, `command`, or an application's name.")
    address: str | None
    reason: str | None
    error: str | None = Field(description="The code of the error.")
    request_id: str | None
    details: dict[str, Any]
    chain: str = Field(description="The hash of this entry and all before it.")

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """Return the JSON form of ``entry``."""
        members = entry.to_dict()
        return cls(**{name: members[name] for name in cls.model_fields})


class AuditResponse(BaseModel):
    """Entries of the audit trail, the oldest first."""

    entries: list[AuditLine]
    next_cursor: str | None = Field(
        description="Where to go on, in the direction that was asked for; null: at its end."
    )
    unreadable: int = Field(
        description="How many entries are left out, which this release cannot read."
    )

    @classmethod
    def of(cls, page: AuditPage) -> Self:
        """Return the JSON form of ``page``."""
        return cls(
            entries=[AuditLine.of(entry) for entry in page.entries],
            next_cursor=page.next_cursor,
            unreadable=page.unreadable,
        )
