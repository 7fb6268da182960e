"""What goes in, as JSON or in a query. It is strict: no conversions, no unknown members.

What goes out is in ``answers``.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from clusterpass.limits import (
    LONGEST_DEVICE_BYTES,
    LONGEST_GRACE,
    LONGEST_LIFETIME,
    LONGEST_PASSWORD_BYTES,
    LONGEST_SUBJECT_BYTES,
    MOST_BAN_LEVEL,
)

_LONGEST_REFRESH_TOKEN = 4096
_MOST_CONDITIONS = 32

Password = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_PASSWORD_BYTES)]
DeviceType = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_.-]{1,16}$",
        description="The kind of device.",
        examples=["phone"],
    ),
]
Seconds = Annotated[int, Field(ge=1, le=LONGEST_LIFETIME)]
BanLevel = Annotated[int, Field(ge=1, le=MOST_BAN_LEVEL)]


class Incoming(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class IncomingQuery(BaseModel):
    """A request's query: all of it is text, so numbers are converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LoginRequest(Incoming):
    """Who wants to log in."""

    username: str = Field(min_length=1, max_length=LONGEST_SUBJECT_BYTES, examples=["alice"])
    password: Password
    device: str | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_DEVICE_BYTES,
        description="A name to recognise the session by in a list.",
        examples=["Firefox on Linux"],
    )
    device_type: DeviceType | None = None
    remember: bool = Field(default=False, description="Whether to use the longer lifetimes.")
    replace: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{22}$",
        description="The id of a session that is to leave for this one.",
    )


class StepUpRequest(Incoming):
    """The password of who is logged in, once more."""

    password: Password


class RefreshRequest(Incoming):
    """The refresh token to exchange; it is used up."""

    refresh_token: SecretStr = Field(min_length=1, max_length=_LONGEST_REFRESH_TOKEN)


class ShortenRequest(Incoming):
    """How soon a session is to end; at least one of them."""

    lifetime: Seconds | None = Field(default=None, description="Seconds from now, at most.")
    idle_lifetime: Seconds | None = Field(
        default=None, description="Seconds without use, at most; 10 or more."
    )


class VerifyQuery(IncomingQuery):
    """What the session must fulfil."""

    level: str | None = Field(default=None, description="The lowest level of authentication.")
    max_auth_age: int | None = Field(
        default=None,
        ge=0,
        le=LONGEST_LIFETIME,
        description="Seconds since the user was authenticated, at most.",
    )
    scope: list[str] = Field(
        default=[],
        max_length=_MOST_CONDITIONS,
        description="A scope that the claim `scope` must cover; may be repeated.",
    )
    not_banned: list[str] = Field(
        default=[],
        max_length=_MOST_CONDITIONS,
        description="A scope that the subject must not be banned from; may be repeated.",
    )
    ban_level: BanLevel | None = Field(
        default=None,
        description="The level from which a ban counts for `not_banned`; 1 unless given.",
    )
    verification: Literal["strict"] | None = Field(
        default=None,
        description="`strict` asks the store in any case, before an act that an old answer could"
        " harm; otherwise as the service is set.",
    )
    outage_grace: int | None = Field(
        default=None,
        ge=0,
        le=LONGEST_GRACE,
        description="Seconds: while the session store cannot be asked, accept a session that was"
        " seen alive no longer ago; for requests that only read. Unless given, as the service is"
        " set.",
    )


class OwnSessionsQuery(IncomingQuery):
    """Which of the caller's other sessions."""

    device_type: DeviceType | None = None
