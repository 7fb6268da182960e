"""Names the sender of a request as the current actor, for the audit trail and the history."""

from contextlib import AbstractContextManager
from typing import Final

from clusterpass.model.acting import LONGEST_NAME, acting
from clusterpass.web.gate import Gate, Visit

_VIA: Final = "http"


def acting_in(gate: Gate, visit: Visit) -> AbstractContextManager[None]:
    """Return a block in which whoever sends the request acts, from the client's address.

    The actor is the subject of the session that was admitted, or whoever impersonates it; without
    one the block says nothing about the actor.
    """
    session, address = visit.session, gate.address(visit.request)
    actor = None
    if session is not None:
        actor = session.subject if session.act is None else session.act.subject
    # A server on a socket of the system has the path of that, or an empty text.
    return acting(actor, via=_VIA, address=address[:LONGEST_NAME] if address else None)
