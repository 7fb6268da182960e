"""One function per script of the user directory and of the login throttle."""

from dataclasses import dataclass, field
from typing import Any, Literal, cast

from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import ScriptCall, load_script


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user of the directory."""

    password_hash: str = field(repr=False)
    disabled: bool
    created_at: int


def add_user(
    keyspace: Keyspace, username: str, *, password_hash: str, operation: bytes
) -> ScriptCall[Literal["OK", "EXISTS"]]:
    """Add a user; see ``scripts/user_add.lua``."""
    return ScriptCall(
        load_script("user_add"),
        (keyspace.user(username),),
        (password_hash.encode(), operation),
        lambda raw: cast("Literal['OK', 'EXISTS']", raw.decode()),
    )


def find_user(keyspace: Keyspace, username: str) -> ScriptCall[StoredUser | None]:
    """Read a user; see ``scripts/user_find.lua``."""
    return ScriptCall(load_script("user_find"), (keyspace.user(username),), (), _read_user)


def change_user(
    keyspace: Keyspace,
    username: str,
    *,
    field_name: Literal["password", "disabled"],
    value: str,
    expected: str = "",
) -> ScriptCall[Literal["OK", "UNKNOWN", "CHANGED"]]:
    """Change one field of a user; see ``scripts/user_change.lua``."""
    return ScriptCall(
        load_script("user_change"),
        (keyspace.user(username),),
        (field_name.encode(), value.encode(), expected.encode()),
        lambda raw: cast("Literal['OK', 'UNKNOWN', 'CHANGED']", raw.decode()),
    )


def count_attempt(key: bytes, *, most: int, window_seconds: int) -> ScriptCall[int]:
    """Count an attempt; 0, or the seconds to wait; see ``scripts/attempt.lua``."""
    return ScriptCall(load_script("attempt"), (key,), (most, window_seconds), int)


def forget_attempts(key: bytes) -> ScriptCall[int]:
    """Forget a counter; see ``scripts/forget_attempts.lua``."""
    return ScriptCall(load_script("forget_attempts"), (key,), (), int)


def _read_user(raw: list[Any]) -> StoredUser | None:
    password_hash, disabled, created_at = raw
    if not password_hash:
        return None
    return StoredUser(password_hash.decode(), disabled == b"1", created_at)
