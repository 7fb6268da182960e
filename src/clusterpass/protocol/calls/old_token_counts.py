"""Calls that add to and read the counts of other issuers' tokens: accepted, exchanged, refused."""

from collections.abc import Sequence
from dataclasses import dataclass

from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import ScriptCall, load_script


@dataclass(frozen=True, slots=True)
class OldTokensCounted:
    """The counts of all processes for the tokens of one other issuer."""

    issuer: str
    """The name of the other issuer."""
    accepted: int
    exchanged: int
    refused: int
    last_seen_at: int
    """The second in which one was last accepted or exchanged; 0: never."""
    last_issued_at: int
    """The latest second in which one that was seen was issued; 0: none was seen."""
    lifetime: int
    """The seconds for which the longest-lived one is valid: the most that a process has told."""
    began_at: int
    """The second in which counting began."""


def count_old_tokens(
    keyspace: Keyspace,
    issuer: str,
    numbers: tuple[int, int, int],
    *,
    last_seen_at: int,
    last_issued_at: int,
    lifetime: int,
) -> ScriptCall[int]:
    """Add to the ``numbers`` of tokens of ``issuer`` that were accepted, exchanged and refused.

    The reply is the second in which counting began. The script is
    ``scripts/count_old_tokens.lua``.
    """
    return ScriptCall(
        load_script("count_old_tokens"),
        (keyspace.old_tokens(),),
        (issuer.encode(), *numbers, last_seen_at, last_issued_at, lifetime),
        int,
    )


def read_old_tokens(keyspace: Keyspace) -> ScriptCall[tuple[OldTokensCounted, ...]]:
    """Read what was counted of all issuers, by name.

    Members that this release does not know are left out. The script is
    ``scripts/read_old_token_counts.lua``.
    """
    return ScriptCall(load_script("read_old_token_counts"), (keyspace.old_tokens(),), (), _read)


def _read(raw: Sequence[bytes]) -> tuple[OldTokensCounted, ...]:
    counted: dict[str, dict[str, int]] = {}
    known = OldTokensCounted.__dataclass_fields__.keys() - {"issuer"}
    for field, value in zip(raw[::2], raw[1::2], strict=True):
        issuer, _, name = field.decode().rpartition(":")
        if name in known:
            counted.setdefault(issuer, dict.fromkeys(known, 0))[name] = int(value)
    return tuple(OldTokensCounted(issuer=issuer, **counted[issuer]) for issuer in sorted(counted))
