"""The call that takes the lease for making and removing signing keys on schedule."""

from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.script import ScriptCall, load_script


def take_lease(keyspace: Keyspace, *, owner: bytes, seconds: int) -> ScriptCall[bool]:
    """Take the lease of whoever makes the next signing key; the reply is whether ``owner`` has it.

    ``seconds``: how long it lasts. The script is ``scripts/take_key_lease.lua``.
    """
    return ScriptCall(
        load_script("take_key_lease"),
        (keyspace.key_lease(SLOTS_WITH_CUTOFF[0]),),
        (owner, seconds),
        bool,
        confirm=False,
    )
