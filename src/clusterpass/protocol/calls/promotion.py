"""Asks a node whether it was ever promoted from replica to primary.

A primary that never was has not lost writes in a failover.
"""

from typing import Final

from clusterpass.protocol.script import ScriptCall, load_script

_SECONDS_A_PRIMARY: Final = 2
"""Seconds, more than evidence can be old: INFO counts whole ones."""
_PROMOTION_DEADLINE: Final = 0.25
"""Seconds: it takes no longer to wait until nobody can believe another primary."""


def never_promoted(key: bytes, slot: int | None) -> ScriptCall[int]:
    """Ask the owner of ``key`` whether it has been a primary since it started; the reply is 1 or 0.

    The script is ``scripts/never_promoted.lua``.
    """
    return ScriptCall(
        load_script("never_promoted"),
        (key,),
        (_SECONDS_A_PRIMARY,),
        int,
        deadline=_PROMOTION_DEADLINE,
        slot=slot,
    )
