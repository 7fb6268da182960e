"""The calls of the user directory and of the login throttle."""

from dataclasses import dataclass, field
from typing import Any, Literal, cast

from clusterpass.protocol.calls.statuses import AddUserStatus, ChangeUserStatus
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import ScriptCall, load_script


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user of the directory as stored."""

    password_hash: str = field(repr=False)
    """The password hash, with its algorithm and parameters."""
    disabled: bool
    """Whether the user may not log in."""
    created_at: int
    """The second in which the user was added, on the server's clock."""


def add_user(
    keyspace: Keyspace, username: str, *, password_hash: str, operation: bytes
) -> ScriptCall[AddUserStatus]:
    """Add a user to the directory, unless there is one of that name.

    ``operation``: the same for each repetition of a call, so that the repetition answers OK. The
    script is ``scripts/user_add.lua``.
    """
    return ScriptCall(
        load_script("user_add"),
        (keyspace.user(username),),
        (password_hash.encode(), operation),
        lambda raw: cast("AddUserStatus", raw.decode()),
    )


def find_user(keyspace: Keyspace, username: str) -> ScriptCall[StoredUser | None]:
    """Read a user of the directory, None when there is none: ``scripts/user_find.lua``."""
    return ScriptCall(load_script("user_find"), (keyspace.user(username),), (), _read_user)


def change_user(
    keyspace: Keyspace,
    username: str,
    *,
    field_name: Literal["password", "disabled"],
    value: str,
    expected: str = "",
) -> ScriptCall[ChangeUserStatus]:
    """Change one field of a directory user.

    ``expected``: the value that the field must hold now; empty: any. The script is
    ``scripts/user_change.lua``.
    """
    return ScriptCall(
        load_script("user_change"),
        (keyspace.user(username),),
        (field_name.encode(), value.encode(), expected.encode()),
        lambda raw: cast("ChangeUserStatus", raw.decode()),
    )


def remove_user(keyspace: Keyspace, username: str, *, created_at: int) -> ScriptCall[int]:
    """Remove the user who was added in the second ``created_at``; the reply is 1, or 0: none was.

    The script is ``scripts/user_remove.lua``.
    """
    return ScriptCall(load_script("user_remove"), (keyspace.user(username),), (created_at,), int)


def count_attempt(key: bytes, *, most: int, window_seconds: int) -> ScriptCall[int]:
    """Count an attempt at ``key``; the reply is 0, or the seconds to wait for the next window.

    The script is ``scripts/count_attempt.lua``.
    """
    return ScriptCall(load_script("count_attempt"), (key,), (most, window_seconds), int)


def forget_attempts(key: bytes) -> ScriptCall[int]:
    """Reset the counter of attempts at ``key``: ``scripts/forget_attempts.lua``."""
    return ScriptCall(load_script("forget_attempts"), (key,), (), int)


def return_attempt(key: bytes) -> ScriptCall[int]:
    """Give back one attempt counted at ``key``: ``scripts/return_attempt.lua``."""
    return ScriptCall(load_script("return_attempt"), (key,), (), int)


def _read_user(raw: list[Any]) -> StoredUser | None:
    password_hash, disabled, created_at = raw
    if not password_hash:
        return None
    return StoredUser(password_hash.decode(), disabled == b"1", created_at)
