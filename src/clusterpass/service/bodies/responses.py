"""What goes out as JSON: each of these is a value of the library, member for member."""

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from clusterpass import (
    AccessToken,
    Ban,
    Ended,
    HistoryEntry,
    Session,
    TokenPair,
)


class TokenResponse(BaseModel):
    """A pair of tokens (RFC 6749 section 5.1)."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="Seconds until the access token expires.")
    session_id: str
    session_expires_in: int = Field(
        description="Seconds until the session ends unless it is used: how long to keep the pair."
    )
    durable: bool = Field(description="Whether a replica has confirmed the write.")

    @classmethod
    def of(cls, pair: TokenPair) -> Self:
        """The pair as JSON."""
        return cls(
            access_token=pair.access_token,
            refresh_token=pair.refresh_token,
            token_type="Bearer",  # noqa: S106 (the name of a scheme)
            expires_in=pair.expires_in,
            session_id=pair.session_id,
            session_expires_in=pair.session_expires_in,
            durable=pair.durable,
        )


class StepUpResponse(BaseModel):
    """Another access token of the same session."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(
        description="Seconds until it expires, which is no later than the step-up does."
    )
    session_id: str
    acr: str = Field(description="The level of authentication that the token says.")
    durable: bool = Field(description="Whether a replica has confirmed the write.")

    @classmethod
    def of(cls, token: AccessToken) -> Self:
        """The token as JSON."""
        return cls(
            access_token=token.access_token,
            token_type="Bearer",  # noqa: S106 (the name of a scheme)
            expires_in=token.expires_in,
            session_id=token.session_id,
            acr=token.acr,
            durable=token.durable,
        )


class ActorResponse(BaseModel):
    """Who acts in a session that is another's (RFC 8693 section 4.1)."""

    subject: str
    session_id: str
    reason: str


class BanResponse(BaseModel):
    """A ban in force."""

    scope: str = Field(description="What is forbidden; empty: everything.")
    level: int
    until: int | None = Field(description="When it ends by itself; null: never.")
    reason: str
    banned_at: int

    @classmethod
    def of(cls, ban: Ban) -> Self:
        """The ban as JSON."""
        return cls(
            scope=ban.scope,
            level=ban.level,
            until=ban.until,
            reason=ban.reason,
            banned_at=ban.banned_at,
        )


class SessionResponse(BaseModel):
    """A live session. Times are seconds since the epoch."""

    subject: str
    session_id: str
    device: str | None
    device_type: str | None
    created_at: int = Field(description="When the login happened.")
    refreshed_at: int = Field(description="When its tokens were made last.")
    active_at: int = Field(description="When it was used last, to within activity_interval.")
    expires_at: int = Field(description="When it ends unless it is used.")
    auth_time: int = Field(description="When the user was authenticated last.")
    acr: str = Field(description="The level of authentication in force.")
    amr: list[str] = Field(description="By which methods (RFC 8176).")
    claims: dict[str, Any] = Field(description="The application's own claims, with the live ones.")
    act: ActorResponse | None = Field(description="Who acts in it, when it is an impersonation.")
    bans: list[BanResponse] = Field(description="What the subject is banned from.")

    @classmethod
    def of(cls, session: Session) -> Self:
        """The session as JSON."""
        return cls(**_members(session))


class ListedSession(SessionResponse):
    """A session in a list."""

    current: bool = Field(description="Whether the request came from this one.")

    @classmethod
    def listed(cls, session: Session, *, current: bool) -> Self:
        """The session as JSON."""
        return cls(**_members(session), current=current)


class SessionsResponse(BaseModel):
    """The caller's live sessions, newest first."""

    sessions: list[ListedSession]


class HistoryLine(BaseModel):
    """One line of a subject's history."""

    kind: str = Field(examples=["login"])
    at: int = Field(description="When, in seconds since the epoch; of refreshes the latest.")
    count: int = Field(description="How many times, or how many sessions it concerned.")
    session_id: str | None
    address: str | None
    text: str = Field(description="The device of a login, the reason of a revocation; cut short.")


class HistoryResponse(BaseModel):
    """What happened to a subject's sessions, newest first."""

    entries: list[HistoryLine]

    @classmethod
    def of(cls, entries: Iterable[HistoryEntry]) -> Self:
        """The history as JSON."""
        return cls(
            entries=[
                HistoryLine(
                    kind=entry.kind,
                    at=entry.at,
                    count=entry.count,
                    session_id=entry.session_id,
                    address=entry.address,
                    text=entry.text,
                )
                for entry in entries
            ]
        )


class RevokedResponse(BaseModel):
    """How many sessions were ended."""

    revoked: int
    durable: bool = Field(description="Whether a replica has confirmed the write.")

    @classmethod
    def of(cls, ended: Ended) -> Self:
        """The outcome as JSON."""
        return cls(revoked=ended.count, durable=ended.durable)


class StateResponse(BaseModel):
    """How the service is."""

    status: Literal["ok"] = "ok"


class WrongField(BaseModel):
    """A member of the request that is not as it should be."""

    field: str
    message: str


class ProblemResponse(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field(examples=["urn:clusterpass:error:token_expired"])
    title: str
    status: int
    detail: str
    error: str = Field(description="The stable code to compare.", examples=["token_expired"])
    reason: str | None = Field(
        default=None, description="A finer cause, where one code has several."
    )
    fields: list[WrongField] | None = Field(
        default=None, description="What is wrong in a request that does not fit its schema."
    )
    ended_at: int | None = Field(
        default=None, description="When the session ended, in seconds since the epoch."
    )
    note: str | None = Field(
        default=None, description="By which device it was replaced, or why it was revoked."
    )
    sessions: list[SessionResponse] | None = Field(
        default=None, description="The live sessions, of `too_many_sessions`."
    )
    ban: BanResponse | None = Field(default=None, description="The ban, of `subject_banned`.")


def _members(session: Session) -> dict[str, Any]:
    act = session.act
    return {
        "subject": session.subject,
        "session_id": session.session_id,
        "device": session.device,
        "device_type": session.device_type,
        "created_at": session.created_at,
        "refreshed_at": session.refreshed_at,
        "active_at": session.active_at,
        "expires_at": session.expires_at,
        "auth_time": session.auth_time,
        "acr": session.acr,
        "amr": list(session.amr),
        "claims": dict(session.claims),
        "act": None
        if act is None
        else ActorResponse(subject=act.subject, session_id=act.session_id, reason=act.reason),
        "bans": [BanResponse.of(ban) for ban in session.bans],
    }
