"""Request and response bodies of the administration API.

Subjects are members of a query or a body, never path segments, because they may contain slashes.
"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from clusterpass import (
    Applied,
    Ended,
    OneTimeLink,
    OnlineCount,
    OnlinePage,
    RevokedBefore,
)
from clusterpass.limits import LONGEST_IMPERSONATION, LONGEST_REASON_BYTES, LONGEST_SUBJECT_BYTES
from clusterpass.service.bodies.requests import (
    BanLevel,
    DeviceType,
    QueryParameters,
    RequestBody,
    Seconds,
)
from clusterpass.service.bodies.responses import BanResponse, RevokedResponse, SessionResponse

_MOST_SUBJECTS_ON_A_PAGE = 200
_LONGEST_SCOPE = 255
_LONGEST_MAIL_ADDRESS = 254

Subject = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_SUBJECT_BYTES,
        description="The subject (user) that the request concerns.",
        examples=["alice"],
    ),
]
Reason = Annotated[str, Field(max_length=LONGEST_REASON_BYTES)]
Scope = Annotated[
    str, Field(max_length=_LONGEST_SCOPE, description="What the ban forbids; empty: everything.")
]


class OnlineQuery(QueryParameters):
    """The page of the list of online users."""

    cursor: str | None = Field(default=None, description="The `next_cursor` of the previous page.")
    limit: int = Field(
        default=50,
        ge=1,
        le=_MOST_SUBJECTS_ON_A_PAGE,
        description="Approximate number of subjects per page.",
    )


class SubjectQuery(QueryParameters):
    """The subject of a call."""

    subject: Subject


class SubjectRequest(RequestBody):
    """The subject of a call."""

    subject: Subject


class MakeLinkRequest(SubjectRequest):
    """The user of a one-time link, and the address to send it to."""

    send_to: str | None = Field(
        default=None,
        max_length=_LONGEST_MAIL_ADDRESS,
        description="The mail address to which the link is sent; without it, it is in the"
        " response.",
        examples=["alice@example.org"],
    )


class LinkResponse(BaseModel):
    """A one-time link by which a user sets a password."""

    subject: str
    link: str | None = Field(
        description="The address of the page, for the user alone; null if it was sent to them, and"
        " where `login_enabled` is off, so that there is no page."
    )
    token: str | None = Field(
        description="The `token` in it, for POST /password/link or `UserDirectory.use_link`."
    )
    sent_to: str | None
    expires_at: int

    @classmethod
    def of(cls, made: OneTimeLink, address: str | None) -> Self:
        """Return the body for a caller who brings the link to the user, ``address`` the page;
        None: there is none."""
        return cls(
            subject=made.username,
            link=address,
            token=made.token,
            sent_to=None,
            expires_at=made.expires_at,
        )

    @classmethod
    def sent(cls, made: OneTimeLink, to: str) -> Self:
        """Return the body after the link was sent to the address ``to``; it is not told again."""
        return cls(
            subject=made.username, link=None, token=None, sent_to=to, expires_at=made.expires_at
        )


class DeleteUserQuery(SubjectQuery):
    """The user to delete, and whether to erase what is known of them."""

    erase: bool = Field(
        default=False, description="Whether the history and all else that is known is erased, too."
    )


class EndSessionsQuery(SubjectQuery):
    """The sessions of a subject to end: one, those on one type of device, or all."""

    session_id: str | None = Field(default=None, description="End only this session.")
    device_type: DeviceType | None = None
    reason: Reason = Field(default="", description="The reason shown to the user.")


class LiftBanQuery(SubjectQuery):
    """The ban of a subject to lift."""

    scope: Scope = ""


class BanRequest(RequestBody):
    """A ban to impose."""

    subject: Subject
    reason: Reason = Field(default="", description="The reason shown to the user.")
    for_seconds: Seconds | None = Field(
        default=None, description="Duration in seconds; null: permanent."
    )
    scope: Scope = ""
    level: BanLevel = Field(default=1, description="Severity, on the application's own scale.")


class BannedResponse(RevokedResponse):
    """Whom a ban concerns, and how many sessions it ended."""

    subject: str = Field(
        description="The subject that is banned: `subject` as logins by that name have it.",
        examples=["alice"],
    )
    known: bool | None = Field(
        description="Whether the user directory has this user; null where `password_check` checks"
        " passwords, and where the store did not say. A ban of a name that nobody has"
        " holds all the same."
    )

    @classmethod
    def of_ban(cls, ended: Ended, subject: str, *, is_known: bool | None) -> Self:
        """Return the JSON form of a ban of ``subject`` that has ``ended`` sessions."""
        return cls(**RevokedResponse.of(ended).model_dump(), subject=subject, known=is_known)


class ClaimsRequest(RequestBody):
    """The live claims to set for a subject."""

    subject: Subject
    claims: dict[str, Any] = Field(
        description="Replaces the previous live claims; an empty object removes them."
    )


class ImpersonationRequest(RequestBody):
    """An impersonation to start."""

    subject: Subject
    reason: Reason = Field(
        min_length=1, description="The reason, shown in the user's session list and history."
    )
    for_seconds: int = Field(
        default=900,
        ge=1,
        le=LONGEST_IMPERSONATION,
        description="Seconds until the impersonation ends.",
    )


class RevokeBeforeRequest(RequestBody):
    """The time before which sessions are revoked."""

    time: int | None = Field(
        default=None,
        ge=1,
        lt=2**32,
        description="Seconds since the epoch; null or a time in the future means now.",
    )


class OnlineResponse(BaseModel):
    """One page of the online users."""

    sessions: list[SessionResponse]
    next_cursor: str | None = Field(
        description="The cursor of the next page; null on the last page."
    )

    @classmethod
    def of(cls, page: OnlinePage) -> Self:
        """Return the JSON form of ``page``."""
        return cls(
            sessions=[SessionResponse.of(each) for each in page.sessions],
            next_cursor=page.next_cursor,
        )


class OnlineCountResponse(BaseModel):
    """The number of users and sessions that are online."""

    subjects: int
    sessions: int = Field(
        description="An upper bound: an expired session is counted until its subject's next change."
    )

    @classmethod
    def of(cls, count: OnlineCount) -> Self:
        """Return the JSON form of ``count``."""
        return cls(subjects=count.subjects, sessions=count.sessions)


class SubjectSessionsResponse(BaseModel):
    """A subject's live sessions, newest first."""

    sessions: list[SessionResponse]


class BansResponse(BaseModel):
    """A subject's active bans."""

    bans: list[BanResponse]


class LiftedResponse(BaseModel):
    """Whether a ban was lifted."""

    lifted: int = Field(description="1, or 0 if there was no such ban.")
    durable: bool = Field(description="Whether a replica has acknowledged the write.")

    @classmethod
    def of(cls, applied: Applied) -> Self:
        """Return the JSON form of ``applied``."""
        return cls(lifted=applied.count, durable=applied.durable)


class ClaimsResponse(BaseModel):
    """A subject's live claims."""

    claims: dict[str, Any]


class ClaimsSetResponse(BaseModel):
    """The number of live sessions that received the claims."""

    sessions: int = Field(
        description="0 if the subject has no live session; the claims were then not stored."
    )
    durable: bool = Field(description="Whether a replica has acknowledged the write.")

    @classmethod
    def of(cls, applied: Applied) -> Self:
        """Return the JSON form of ``applied``."""
        return cls(sessions=applied.count, durable=applied.durable)


class RevokedBeforeResponse(BaseModel):
    """The revocation time in effect."""

    time: int = Field(
        description="Sessions opened before this time are revoked; seconds since the epoch."
    )
    durable: bool = Field(
        description="Whether a replica has acknowledged the write on every shard."
    )

    @classmethod
    def of(cls, revoked: RevokedBefore) -> Self:
        """Return the JSON form of ``revoked``."""
        return cls(time=revoked.time, durable=revoked.durable)
