"""What goes in and out as JSON. What goes in is strict: no conversions, no unknown members."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from clusterpass.models import Session, TokenPair
from clusterpass.passwords import LONGEST_PASSWORD_BYTES
from clusterpass.tokens.identifiers import LONGEST_DEVICE_BYTES, LONGEST_SUBJECT_BYTES

_LONGEST_REFRESH_TOKEN = 4096


class _Incoming(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class LoginRequest(_Incoming):
    """Who wants to log in."""

    username: str = Field(min_length=1, max_length=LONGEST_SUBJECT_BYTES, examples=["alice"])
    password: SecretStr = Field(min_length=1, max_length=LONGEST_PASSWORD_BYTES)
    device: str | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_DEVICE_BYTES,
        description="A name to recognise the session by in a list.",
        examples=["Firefox on Linux"],
    )


class RefreshRequest(_Incoming):
    """The refresh token to exchange; it is used up."""

    refresh_token: SecretStr = Field(min_length=1, max_length=_LONGEST_REFRESH_TOKEN)


class TokenResponse(BaseModel):
    """A pair of tokens (RFC 6749 section 5.1)."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="Seconds until the access token expires.")
    session_id: str
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
            durable=pair.durable,
        )


class SessionResponse(BaseModel):
    """A live session. Times are seconds since the epoch."""

    subject: str
    session_id: str
    device: str | None
    created_at: int = Field(description="When the login happened.")
    refreshed_at: int = Field(description="When its tokens were made last.")
    expires_at: int = Field(description="When it ends unless it is refreshed.")
    claims: dict[str, Any] = Field(description="The application's own claims.")

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


class RevokedResponse(BaseModel):
    """How many sessions were ended."""

    revoked: int


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


def _members(session: Session) -> dict[str, Any]:
    return {
        "subject": session.subject,
        "session_id": session.session_id,
        "device": session.device,
        "created_at": session.created_at,
        "refreshed_at": session.refreshed_at,
        "expires_at": session.expires_at,
        "claims": dict(session.claims),
    }
