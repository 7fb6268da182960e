"""The options of a login, declared once for every verb that opens a session for a user."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from clusterpass.model.policy import SessionPolicy


class SessionOptions(TypedDict, total=False):
    """The options of every login."""

    device: str | None
    """A device name by which the user recognises the session, at most 128 bytes."""
    device_type: str | None
    """The type of device (``phone``), at most 16 letters, digits or any of ``_.-``."""
    claims: Mapping[str, Any] | None
    """Plain JSON of at most 4096 bytes, which every access token of the session carries."""
    policy: SessionPolicy | None
    """The policy of this login, overriding ``Config.policy``."""
    replace: str | None
    """The id of a session of the subject that the new session replaces."""
    remember: bool
    """Whether to use the longer "remember me" lifetimes of the configuration."""
    lifetime: int | None
    """The absolute lifetime in seconds, overriding the configuration."""
    idle_lifetime: int | None
    """The idle lifetime in seconds, overriding the configuration; 0: no idle limit."""
    acr: str | None
    """The level of the authentication, one of ``Config.levels``; None: the lowest level."""
    address: str | None
    """The client's IP address, for the history."""


class LoginOptions(SessionOptions, total=False):
    """The options of ``SessionManager.login``, for a user whom the application authenticated."""

    amr: Sequence[str]
    """The methods of the authentication (RFC 8176), at most 8 short names."""
    generation: int | None
    """The result of ``SessionManager.generation``, read before the user was authenticated."""
