"""What a login may say besides its subject; declared once for every verb that logs somebody in."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from clusterpass.model.policy import SessionPolicy


class SessionOptions(TypedDict, total=False):
    """The options that a caller of any login may choose."""

    device: str | None
    """A name to recognise the session by, at most 128 bytes."""
    device_type: str | None
    """The kind of device (``phone``), at most 16 letters, digits or any of ``_.-``."""
    claims: Mapping[str, Any] | None
    """Plain JSON of at most 4096 bytes, carried in each access token of the session."""
    policy: SessionPolicy | None
    """The policy of this login, instead of ``Config.policy``."""
    replace: str | None
    """The id of a session of the subject that ends in favour of this one."""
    remember: bool
    """Whether to use the longer lifetimes of the configuration ("remember me")."""
    lifetime: int | None
    """Seconds after which the session ends in any case, instead of the configuration's."""
    idle_lifetime: int | None
    """Seconds without use after which it ends, instead of the configuration's; 0: never."""
    acr: str | None
    """The level of the authentication, one of ``Config.levels``; None: the first of them."""
    address: str | None
    """The client's IP address, for the history."""


class LoginOptions(SessionOptions, total=False):
    """The options of ``SessionManager.login``, where the application has authenticated the user."""

    amr: Sequence[str]
    """The methods by which the user was authenticated (RFC 8176), at most 8 short names."""
    generation: int | None
    """What ``SessionManager.generation`` returned before the user was authenticated."""
