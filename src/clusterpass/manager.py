"""The synchronous session manager: one line per verb over the shared flows."""

import secrets
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from clusterpass.config import Config
from clusterpass.models import Ended, Session, TokenPair
from clusterpass.sessions.administration import Administration
from clusterpass.sessions.lifecycle import Lifecycle
from clusterpass.store.sync import SyncStore


class SessionManager:
    """Sessions on a cluster, for threads. Safe to share between threads; close it at the end.

    Every verb is one round trip to the node that owns the subject's slot (a logout by a refresh
    token: two), and raises StoreUnavailable when that node cannot be reached in time.
    :class:`AsyncSessionManager` has the same verbs, awaited.
    """

    def __init__(self, store: SyncStore, config: Config) -> None:
        """``store`` is closed together with the manager."""
        self.store = store
        self.config = config
        self._life = Lifecycle(
            config, store.keyspace, clock=time.time, random_bytes=secrets.token_bytes
        )
        self._all = Administration(store.keyspace, tombstone_seconds=self._life.tombstone_seconds)

    @classmethod
    def from_url(cls, url: str, config: Config) -> Self:
        """A manager for the store at ``url``.

        ``redis+cluster://host:port,host:port``, ``redis://host:port`` (one server), the same with
        ``rediss`` for TLS, or ``embedded://`` (starts a local cluster). Nothing is sent before the
        first verb. Raises ConfigurationError when the URL cannot be understood.
        """
        return cls(SyncStore.from_url(url), config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; an embedded cluster is stopped."""
        self.store.close()

    def login(
        self,
        subject: str,
        *,
        device: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> TokenPair:
        """Open a session of ``subject``, who must have been authenticated before.

        ``device``: a name to recognise the session by, at most 128 bytes. ``claims``: plain JSON of
        at most 4096 bytes, carried in each access token. When the subject would have more sessions
        than the policy allows, the oldest are replaced. Raises InvalidInput.
        """
        return self.store.run(self._life.login(subject, device=device, claims=claims))

    def verify(self, access_token: str) -> Session:
        """The live session of ``access_token``.

        Raises the InvalidToken that says why not: malformed, bad signature, wrong type, issuer or
        audience, expired, or its session is unknown, expired or revoked.
        """
        return self.store.run(self._life.verify(access_token))

    def refresh(self, refresh_token: str) -> TokenPair:
        """A new pair; ``refresh_token`` is used up (RFC 9700 section 4.14.2).

        Raises InvalidRefreshToken, whose ``reason`` says why.
        """
        return self.store.run(self._life.refresh(refresh_token))

    def logout(self, token: str) -> Ended:
        """End the session of an access token, also of an expired one, or of a refresh token.

        Raises InvalidToken or InvalidRefreshToken when the token is not genuine.
        """
        return self.store.run(self._life.logout(token))

    def sessions(self, subject: str) -> list[Session]:
        """Every live session of ``subject``, newest first."""
        return self.store.run(self._all.sessions(subject))

    def revoke(self, subject: str, session_id: str) -> Ended:
        """End one session of ``subject``; ending it twice is no error.

        Raises SessionNotFound when the subject has no such session.
        """
        return self.store.run(self._all.revoke(subject, session_id))

    def revoke_all(self, subject: str, *, keep: str | None = None) -> Ended:
        """End every session of ``subject``, except the one with the id ``keep``."""
        return self.store.run(self._all.revoke_all(subject, keep=keep))

    def ping(self) -> None:
        """Return when the store answers; raises StoreUnavailable otherwise."""
        self.store.ping()
