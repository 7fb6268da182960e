"""The calls that read and change the secrets of the namespace, of which there are three copies."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.script import ScriptCall, load_script

COPIES: Final = len(SLOTS_WITH_CUTOFF)
"""How many copies there are, on as many primaries where the cluster has them."""
When = Literal["", "first", "always"]
"""When a secret is added: if its name is new; if there is none of its kind, which the first two
bytes of the name are; always, in place of another."""


def read_secrets(
    keyspace: Keyspace, copy: int, *, deadline: float | None = None
) -> ScriptCall[dict[str, bytes]]:
    """Read copy number ``copy``: the values by name. The script is ``scripts/read_secrets.lua``.

    ``deadline``: seconds after which the call is given up; None: the store's own deadline.
    """
    slot = SLOTS_WITH_CUTOFF[copy % COPIES]
    return ScriptCall(
        load_script("read_secrets"),
        (keyspace.secrets(slot),),
        (),
        _read_values,
        deadline=deadline,
    )


def add_secrets(
    keyspace: Keyspace,
    copy: int,
    secrets: Mapping[str, bytes],
    *,
    when: When = "",
    tells: bool = False,
    deadline: float | None = None,
) -> ScriptCall[dict[str, bytes]]:
    """Add values to copy number ``copy``; the reply is all of its values by name.

    ``tells``: whether all processes that watch the store are told to ask again. ``deadline``: as
    for :func:`read_secrets`. The script is ``scripts/add_secrets.lua``.
    """
    slot = SLOTS_WITH_CUTOFF[copy % COPIES]
    channel = keyspace.channel() if tells else b""
    pairs = [part for name, value in secrets.items() for part in (name.encode(), value)]
    return ScriptCall(
        load_script("add_secrets"),
        (keyspace.secrets(slot),),
        (when.encode(), channel, *pairs),
        _read_values,
        deadline=deadline,
    )


def prune_secrets(
    keyspace: Keyspace,
    copy: int,
    stale: Mapping[str, tuple[bytes, int]],
    *,
    marker: str,
    deadline: float | None = None,
) -> ScriptCall[list[str]]:
    """Remove stale values from copy number ``copy``, at most once a day; the reply is the names of
    those removed.

    ``stale``: by name the value as it was read, and the second from which on it may go. ``marker``:
    the name under which the copy keeps when that was done. ``deadline``: as for
    :func:`read_secrets`. The script is ``scripts/prune_secrets.lua``.
    """
    slot = SLOTS_WITH_CUTOFF[copy % COPIES]
    parts = [part for name, (value, due) in stale.items() for part in (name.encode(), value, due)]
    return ScriptCall(
        load_script("prune_secrets"),
        (keyspace.secrets(slot),),
        (marker.encode(), *parts),
        lambda raw: [name.decode() for name in raw],
        deadline=deadline,
    )


def _read_values(raw: list[Any]) -> dict[str, bytes]:
    return {name.decode(): value for name, value in zip(raw[::2], raw[1::2], strict=True)}
