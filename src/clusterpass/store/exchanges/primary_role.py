"""Checks whether a single server is still a primary. Pure.

This does not detect a server that was replaced under its name without knowing it: it still says
that it is a primary. The module :mod:`evidence` finds replaced nodes of a cluster.
"""

from typing import Final

from clusterpass.store.address import Address
from clusterpass.store.exchanges.steps import Drop, Exchange, Send
from clusterpass.store.outcomes import Replies, ServerError

_REFUSED: Final = frozenset({"NOPERM", "ERR"})


def is_primary(node: Address) -> Exchange[bool]:
    """Whether the single server ``node`` says that it is a primary, or refuses to tell its role.

    The connections to a replica are closed, as its name may lead to the new primary by now.
    """
    outcome = yield Send(node, ((b"ROLE",),), urgent=True)
    answer = outcome.values[0] if isinstance(outcome, Replies) else None
    if isinstance(answer, ServerError):
        return answer.code in _REFUSED
    if isinstance(answer, list) and answer[:1] != [b"master"]:
        yield Drop(node)
        return False
    return isinstance(answer, list)
