"""Request bodies and query parameters: strict, without conversions or unknown members."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from clusterpass.limits import (
    LONGEST_GRACE,
    LONGEST_LIFETIME,
    LONGEST_PASSWORD_BYTES,
    LONGEST_SUBJECT_BYTES,
    MOST_BAN_LEVEL,
)

_LONGEST_REFRESH_TOKEN = 4096
_LONGEST_LINK_TOKEN = 512
_MOST_CONDITIONS = 32

Password = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_PASSWORD_BYTES)]
DeviceType = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_.-]{1,16}$",
        description="The type of device.",
        examples=["phone"],
    ),
]
Seconds = Annotated[int, Field(ge=1, le=LONGEST_LIFETIME)]
BanLevel = Annotated[int, Field(ge=1, le=MOST_BAN_LEVEL)]


class RequestBody(BaseModel):
    """A JSON request body: nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class QueryParameters(BaseModel):
    """Query parameters: all of them are text, so numbers are parsed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LoginRequest(RequestBody):
    """The credentials and options of a login."""

    username: str = Field(min_length=1, max_length=LONGEST_SUBJECT_BYTES, examples=["alice"])
    password: Password
    device: str | None = Field(
        default=None,
        description="A device name that identifies the session in lists; its first 128 bytes are"
        " kept.",
        examples=["Firefox on Linux"],
    )
    device_type: DeviceType | None = None
    remember: bool = Field(
        default=False, description="Whether to use remember_lifetime and remember_idle_lifetime."
    )
    replace: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{22}$",
        description="The id of one of the user's sessions to end in favour of this one.",
    )


class StepUpRequest(RequestBody):
    """The password of the logged-in user."""

    password: Password


class PasswordRequest(RequestBody):
    """The password of the logged-in user, and the one that replaces it."""

    current_password: Password
    new_password: Password
    end_others: bool = Field(
        default=True, description="Whether the user's other sessions end, as they should."
    )


class LinkRequest(RequestBody):
    """The token of a one-time link, and the password that its user chooses."""

    token: SecretStr = Field(min_length=1, max_length=_LONGEST_LINK_TOKEN)
    new_password: Password


class RefreshRequest(RequestBody):
    """The refresh token to exchange; each can be used once."""

    refresh_token: SecretStr = Field(min_length=1, max_length=_LONGEST_REFRESH_TOKEN)


class ShortenRequest(RequestBody):
    """New, shorter limits of a session; at least one is required."""

    lifetime: Seconds | None = Field(
        default=None, description="Maximum seconds from now until the session ends."
    )
    idle_lifetime: Seconds | None = Field(
        default=None, description="Maximum seconds without use; at least 10."
    )


class VerifyQuery(QueryParameters):
    """Conditions on the session."""

    level: str | None = Field(default=None, description="The minimum authentication level.")
    max_auth_age: int | None = Field(
        default=None,
        ge=0,
        le=LONGEST_LIFETIME,
        description="Maximum seconds since the user authenticated.",
    )
    scope: list[str] = Field(
        default=[],
        max_length=_MOST_CONDITIONS,
        description="A scope that the `scope` claim must cover; may be repeated.",
    )
    not_banned: list[str] = Field(
        default=[],
        max_length=_MOST_CONDITIONS,
        description="A scope that the subject must not be banned from; may be repeated.",
    )
    ban_level: BanLevel | None = Field(
        default=None,
        description="The minimum level of bans that `not_banned` considers; default 1.",
    )
    verification: Literal["strict"] | None = Field(
        default=None,
        description="`strict` always asks the store, for requests where a stale response would do"
        " harm; default: the setting `verification`.",
    )
    outage_grace: int | None = Field(
        default=None,
        ge=0,
        le=LONGEST_GRACE,
        description="Stale-while-error: during a store outage, accept a session that was verified"
        " at most this many seconds ago; for read-only requests. Default: the setting"
        " `outage_grace`.",
    )


class OwnSessionsQuery(QueryParameters):
    """The caller's other sessions to end: all, or those on one type of device."""

    device_type: DeviceType | None = None
