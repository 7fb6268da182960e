"""What goes in and out of the calls for administrators.

Subjects are members of a query or a body, never parts of a path: they may hold slashes.
"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from clusterpass import (
    Applied,
    OnlineCount,
    OnlinePage,
    RevokedBefore,
)
from clusterpass.limits import LONGEST_IMPERSONATION, LONGEST_REASON_BYTES, LONGEST_SUBJECT_BYTES
from clusterpass.service.bodies.requests import (
    BanLevel,
    DeviceType,
    Incoming,
    IncomingQuery,
    Seconds,
)
from clusterpass.service.bodies.responses import BanResponse, SessionResponse

_MOST_SUBJECTS_ON_A_PAGE = 200
_LONGEST_SCOPE = 255

Subject = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_SUBJECT_BYTES,
        description="Whom it is about.",
        examples=["alice"],
    ),
]
Reason = Annotated[str, Field(max_length=LONGEST_REASON_BYTES)]
Scope = Annotated[
    str, Field(max_length=_LONGEST_SCOPE, description="What is forbidden; empty: everything.")
]


class OnlineQuery(IncomingQuery):
    """Which of those who are online."""

    cursor: str | None = Field(default=None, description="The `next_cursor` of the page before.")
    limit: int = Field(
        default=50, ge=1, le=_MOST_SUBJECTS_ON_A_PAGE, description="Subjects on a page, about."
    )


class SubjectQuery(IncomingQuery):
    """Which subject."""

    subject: Subject


class EndSessionsQuery(SubjectQuery):
    """Which sessions of a subject: one, those on one type of device, or all."""

    session_id: str | None = Field(default=None, description="This session alone.")
    device_type: DeviceType | None = None
    reason: Reason = Field(default="", description="What the user is told.")


class LiftBanQuery(SubjectQuery):
    """Which ban of a subject."""

    scope: Scope = ""


class BanRequest(Incoming):
    """Whom to ban from what, and for how long."""

    subject: Subject
    reason: Reason = Field(default="", description="What the user is told.")
    for_seconds: Seconds | None = Field(default=None, description="How long; null: for good.")
    scope: Scope = ""
    level: BanLevel = Field(default=1, description="How severe, by the application's own count.")


class ClaimsRequest(Incoming):
    """The live claims that a subject is to have."""

    subject: Subject
    claims: dict[str, Any] = Field(
        description="In place of those before; an empty object takes them back."
    )


class ImpersonationRequest(Incoming):
    """As whom to act, and why."""

    subject: Subject
    reason: Reason = Field(min_length=1, description="Why; lists and the history show it.")
    for_seconds: int = Field(default=900, ge=1, le=LONGEST_IMPERSONATION)


class RevokeBeforeRequest(Incoming):
    """Up to when sessions are to end."""

    time: int | None = Field(
        default=None,
        ge=1,
        lt=2**32,
        description="Seconds since the epoch; null or later than now: now.",
    )


class OnlineResponse(BaseModel):
    """Some of those who are online."""

    sessions: list[SessionResponse]
    next_cursor: str | None = Field(description="For the next page; null after the last one.")

    @classmethod
    def of(cls, page: OnlinePage) -> Self:
        """The page as JSON."""
        return cls(
            sessions=[SessionResponse.of(each) for each in page.sessions],
            next_cursor=page.next_cursor,
        )


class OnlineCountResponse(BaseModel):
    """How many are online."""

    subjects: int
    sessions: int = Field(
        description="At most: one that ended by itself counts until its subject's next change."
    )

    @classmethod
    def of(cls, count: OnlineCount) -> Self:
        """The numbers as JSON."""
        return cls(subjects=count.subjects, sessions=count.sessions)


class SubjectSessionsResponse(BaseModel):
    """A subject's live sessions, newest first."""

    sessions: list[SessionResponse]


class BansResponse(BaseModel):
    """A subject's bans in force."""

    bans: list[BanResponse]


class LiftedResponse(BaseModel):
    """Whether a ban was lifted."""

    lifted: int = Field(description="1, or 0 when there was none.")
    durable: bool = Field(description="Whether a replica has confirmed the write.")

    @classmethod
    def of(cls, applied: Applied) -> Self:
        """The outcome as JSON."""
        return cls(lifted=applied.count, durable=applied.durable)


class ClaimsResponse(BaseModel):
    """A subject's live claims."""

    claims: dict[str, Any]


class ClaimsSetResponse(BaseModel):
    """How many live sessions have the claims now."""

    sessions: int = Field(description="0 when nobody was logged in; then nothing was kept.")
    durable: bool = Field(description="Whether a replica has confirmed the write.")

    @classmethod
    def of(cls, applied: Applied) -> Self:
        """The outcome as JSON."""
        return cls(sessions=applied.count, durable=applied.durable)


class RevokedBeforeResponse(BaseModel):
    """The time that holds now."""

    time: int = Field(description="Sessions that were opened before this second have ended.")
    durable: bool = Field(description="Whether a replica has confirmed each copy.")

    @classmethod
    def of(cls, revoked: RevokedBefore) -> Self:
        """The outcome as JSON."""
        return cls(time=revoked.time, durable=revoked.durable)
