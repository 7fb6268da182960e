"""Counts the tokens of other issuers by what became of them, and reads these counts.

The counts include times from which it follows when no such token can be valid any more.
"""

from clusterpass.protocol.calls import old_token_counts as calls
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.context import Context


class OldTokens:
    """The flows that count old tokens, and read what all processes have counted."""

    def __init__(self, context: Context) -> None:
        self._keyspace = context.keyspace

    def count(
        self,
        issuer: str,
        numbers: tuple[int, int, int],
        *,
        last_seen_at: int,
        last_issued_at: int,
        lifetime: int,
    ) -> Flow[None]:
        """Add to the ``numbers`` of old tokens that were accepted, exchanged and refused.

        ``last_seen_at``, ``last_issued_at``: seconds since the epoch; 0: no token was seen.
        ``lifetime``: seconds for which the longest-lived token is valid. Raises StoreUnavailable.
        """
        yield calls.count_old_tokens(
            self._keyspace,
            issuer,
            numbers,
            last_seen_at=last_seen_at,
            last_issued_at=last_issued_at,
            lifetime=lifetime,
        )

    def counted(self) -> Flow[tuple[calls.OldTokensCounted, ...]]:
        """Return what all processes have counted, by issuer. Raises StoreUnavailable."""
        answer: Answer[tuple[calls.OldTokensCounted, ...]] = yield calls.read_old_tokens(
            self._keyspace
        )
        return answer.reply
