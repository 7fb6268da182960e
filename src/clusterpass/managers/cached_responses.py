"""Rendered responses about sessions, kept in the near cache beside the sessions.

A service that answers many requests about the same session need not render each answer. A response
kept here counts towards the size of the cache, is evicted with its session, and is served only
while the session itself may be served from memory.
"""

from clusterpass.model.values import Session
from clusterpass.sessions.memory.near_cache import NearCache


class CachedResponses:
    """Rendered responses about sessions, kept with them in the cache.

    No method waits or makes a round trip, and both managers have the same ones.
    """

    def __init__(self, near: NearCache) -> None:
        self._near = near

    def recall(self, access_token: str) -> bytes | None:
        """Return the response that was kept with the session of ``access_token``.

        None where none was kept, or where the session cannot be served from memory now:
        ``SessionManager.recall`` returns None then too.
        """
        return self._near.find_response(access_token)

    def of(self, access_token: str, session: Session) -> bytes | None:
        """Return the response that was kept with ``access_token`` if it is about ``session``.

        ``session``: what ``SessionManager.verify`` has just returned, in any mode. A session that
        has not changed since is the same object, and its response is the same.
        """
        return self._near.response_of(access_token, session)

    def keep(self, access_token: str, session: Session, response: bytes) -> None:
        """Keep ``response`` until the session changes, or leaves the cache.

        ``session``: what ``SessionManager.verify`` has just returned for ``access_token``. Nothing
        is kept where the cache does not hold that very session.
        """
        self._near.keep_response(access_token, session, response)
