"""Looks up in the store a signing key or refresh secret that a token names and nobody here knows.

Concurrent callers share one look-up.
"""

from collections.abc import Callable

from clusterpass.protocol.script import Flow, Rest
from clusterpass.sessions.memory.unknown_key_lookups import Searches


def search(
    searches: Searches, is_known: Callable[[], bool], read: Callable[[], Flow[None]]
) -> Flow[None]:
    """Read until what is wanted is known, or a search that began after this call did not find it.

    ``read``: reads what the store holds. Waits up to a second for others, unless too many wait
    already. Raises what ``read`` does.
    """
    arrived_at = searches.now()
    while not is_known() and searches.last_began_at < arrived_at:
        seconds = searches.seconds_to_wait()
        if seconds > 0:
            if not searches.has_room:
                return
            searches.waiting += 1
            try:
                yield Rest(seconds)
            finally:
                searches.waiting -= 1
            continue
        searches.begin()
        is_done = False
        try:
            yield from read()
            is_done = True
        finally:
            searches.end(is_done=is_done)
