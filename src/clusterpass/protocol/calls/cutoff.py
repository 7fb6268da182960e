"""Calls about the cutoff: the time before which every session of the namespace has ended."""

from clusterpass.protocol.calls.call_time import NO_TIME, CallTime
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import ScriptCall, load_script


def raise_cutoff(
    keyspace: Keyspace,
    slot: int,
    *,
    milliseconds: int | None,
    ahead: int,
    time: CallTime = NO_TIME,
) -> ScriptCall[int]:
    """Raise the copy of the revocation cutoff in ``slot``; the reply is the cutoff in force.

    ``milliseconds``: the new cutoff since the epoch; None: now. ``ahead``: by how many milliseconds
    the cutoff may lie ahead of the server's clock. ``time``: when the call is made.
    The script is ``scripts/not_before.lua``.
    """
    argument = b"" if milliseconds is None else milliseconds
    return ScriptCall(
        load_script("not_before"),
        (keyspace.not_before(slot),),
        (argument, ahead, time.pack()),
        int,
        insists=True,
        is_ending=True,
    )


def read_cutoff(keyspace: Keyspace, slot: int, *, deadline: float | None) -> ScriptCall[int]:
    """Read the copy of the revocation cutoff in ``slot``: milliseconds since the epoch; 0: none.

    ``deadline``: seconds after which the call is given up; None: the store's own deadline. The
    script is ``scripts/read_not_before.lua``.
    """
    return ScriptCall(
        load_script("read_not_before"),
        (keyspace.not_before(slot),),
        (),
        int,
        deadline=deadline,
    )
