"""The calls of one-time links, which are stored in the directory entry of their user."""

from dataclasses import dataclass
from typing import cast

from clusterpass.protocol.calls.statuses import MakeLinkStatus
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import ScriptCall, load_script


@dataclass(frozen=True, slots=True)
class MadeLink:
    """The outcome of making a link."""

    status: MakeLinkStatus
    """Whether the link is there."""
    ends_at: int
    """The second until which the link may be used."""


def make_link(
    keyspace: Keyspace, username: str, *, digest: bytes, seconds: int
) -> ScriptCall[MadeLink]:
    """Make a link for a user; ``digest``: of its secret. The script is ``scripts/link_make.lua``.

    ``seconds``: for how long it may be used.
    """
    return ScriptCall(
        load_script("link_make"),
        (keyspace.user(username),),
        (digest, seconds),
        lambda raw: MadeLink(cast("MakeLinkStatus", raw[0].decode()), raw[1]),
    )


def find_link(keyspace: Keyspace, username: str, *, digest: bytes) -> ScriptCall[int]:
    """Tell whether a link can be used: 1 or 0. The script is ``scripts/link_check.lua``."""
    return ScriptCall(load_script("link_check"), (keyspace.user(username),), (digest,), int)


def use_link(
    keyspace: Keyspace, username: str, *, digest: bytes, password_hash: str
) -> ScriptCall[int]:
    """Set a password by a link, and end the link: 1, or 0 when it cannot be used.

    The script is ``scripts/link_use.lua``.
    """
    return ScriptCall(
        load_script("link_use"),
        (keyspace.user(username),),
        (digest, password_hash.encode()),
        int,
    )
