"""Models of the response bodies, with the same members as the values of the library they show."""

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from clusterpass import (
    Ban,
    Ended,
    HistoryEntry,
    Session,
    TokenPair,
)
from clusterpass.web.session_json import ban_json, session_json


def pair_json(pair: TokenPair) -> dict[str, Any]:
    """Return the members of ``pair``."""
    return {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "token_type": "Bearer",
        "expires_in": pair.expires_in,
        "session_id": pair.session_id,
        "session_expires_in": pair.session_expires_in,
        "acr": pair.acr,
        "durable": pair.durable,
    }


class TokenResponse(BaseModel, defer_build=True):
    """A pair of tokens (RFC 6749 section 5.1)."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="Seconds until the access token expires.")
    session_id: str
    session_expires_in: int = Field(
        description="Seconds until an unused session ends: how long to keep the token pair."
    )
    acr: str = Field(description="The authentication level in the access token.")
    durable: bool = Field(description="Whether a replica has acknowledged the write.")

    @classmethod
    def of(cls, pair: TokenPair) -> Self:
        """Return the JSON form of ``pair``."""
        return cls(**pair_json(pair))


class ActorResponse(BaseModel, defer_build=True):
    """The administrator behind an impersonation (RFC 8693 section 4.1)."""

    subject: str
    session_id: str
    reason: str


class BanResponse(BaseModel, defer_build=True):
    """An active ban. Times are seconds since the epoch."""

    scope: str = Field(description="What the ban forbids; empty: everything.")
    level: int
    until: int | None = Field(description="When the ban expires; null: never.")
    reason: str
    banned_at: int

    @classmethod
    def of(cls, ban: Ban) -> Self:
        """Return the JSON form of ``ban``."""
        return cls(**ban_json(ban))


class SessionResponse(BaseModel, defer_build=True):
    """A live session. Times are seconds since the epoch."""

    subject: str
    session_id: str
    device: str | None
    device_type: str | None
    created_at: int = Field(description="When the login happened.")
    refreshed_at: int = Field(description="When its tokens were last issued.")
    active_at: int = Field(description="When it was last used, accurate to activity_interval.")
    expires_at: int = Field(description="When it ends if it is not used again.")
    auth_time: int = Field(description="When the user last authenticated.")
    acr: str = Field(description="The current authentication level.")
    amr: list[str] = Field(description="The authentication methods (RFC 8176).")
    claims: dict[str, Any] = Field(
        description="The application's claims: those of the login, overlaid with the live claims."
    )
    act: ActorResponse | None = Field(
        description="The impersonating administrator; null for other sessions."
    )
    bans: list[BanResponse] = Field(description="The subject's active bans.")

    @classmethod
    def of(cls, session: Session) -> Self:
        """Return the JSON form of ``session``."""
        return cls(**session_json(session))


class ListedSession(SessionResponse):
    """A session in a list."""

    current: bool = Field(description="Whether this session sent the request.")

    @classmethod
    def listed(cls, session: Session, *, current: bool) -> Self:
        """Return the JSON form of ``session``."""
        return cls(**session_json(session), current=current)


class SessionsResponse(BaseModel, defer_build=True):
    """The caller's live sessions, newest first."""

    sessions: list[ListedSession]


class HistoryLine(BaseModel, defer_build=True):
    """One entry of a subject's history."""

    kind: str = Field(examples=["login"])
    at: int = Field(description="Seconds since the epoch; for refreshes, the latest one.")
    count: int = Field(description="The number of refreshes, or of sessions affected.")
    session_id: str | None
    address: str | None
    text: str = Field(description="The device of a login or the reason of a revocation, truncated.")
    by: str | None = Field(description="Who ended the session, if that is known; may be cut.")


class HistoryResponse(BaseModel, defer_build=True):
    """The history of a subject's sessions, newest first."""

    entries: list[HistoryLine]

    @classmethod
    def of(cls, entries: Iterable[HistoryEntry]) -> Self:
        """Return the JSON form of ``entries``."""
        return cls(
            entries=[
                HistoryLine(
                    kind=entry.kind,
                    at=entry.at,
                    count=entry.count,
                    session_id=entry.session_id,
                    address=entry.address,
                    text=entry.text,
                    by=entry.by,
                )
                for entry in entries
            ]
        )


class RevokedResponse(BaseModel, defer_build=True):
    """The number of sessions that were revoked."""

    revoked: int
    durable: bool = Field(description="Whether no single failure can undo it.")
    journaled: bool = Field(
        default=False,
        description=(
            "Whether journals on other primaries hold it, as its own shard could not confirm it."
            " `revoked` is then 0 if the shard could not be asked."
        ),
    )

    @classmethod
    def of(cls, ended: Ended) -> Self:
        """Return the JSON form of ``ended``."""
        return cls(revoked=ended.count, durable=ended.durable, journaled=ended.journaled)


class StateResponse(BaseModel, defer_build=True):
    """The state of the service."""

    status: Literal["ok"] = "ok"


class WrongField(BaseModel, defer_build=True):
    """An invalid field of the request."""

    field: str
    message: str


class ProblemResponse(BaseModel, defer_build=True):
    """Problem details (RFC 9457)."""

    type: str = Field(examples=["urn:clusterpass:error:token_expired"])
    title: str
    status: int
    detail: str
    error: str = Field(
        description="The stable error code, for programs.", examples=["token_expired"]
    )
    reason: str | None = Field(
        default=None, description="A more specific cause, for codes that have several."
    )
    fields: list[WrongField] | None = Field(
        default=None, description="The invalid fields of the request."
    )
    ended_at: int | None = Field(
        default=None, description="When the session ended, in seconds since the epoch."
    )
    note: str | None = Field(
        default=None, description="The device of the newer login, or the reason of the revocation."
    )
    sessions: list[SessionResponse] | None = Field(
        default=None, description="The live sessions; with `too_many_sessions`."
    )
    ban: BanResponse | None = Field(default=None, description="The ban; with `subject_banned`.")
