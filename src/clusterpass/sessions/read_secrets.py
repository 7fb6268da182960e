"""Reads the refresh secrets of the namespace from the store, and makes the first one."""

import logging
from typing import Final

from clusterpass.model.errors import ConfigurationError, StoreFailed, StoreUnavailable
from clusterpass.protocol.calls.secrets import COPIES, add_secrets
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.audit_recorder import AuditTrail
from clusterpass.sessions.memory.known_secrets import KnownSecrets
from clusterpass.sessions.memory.stored_secret import KIND
from clusterpass.sessions.secret_copies import MARKER, SecretCopies, note_pruned
from clusterpass.sessions.signing_keys import SigningKeys
from clusterpass.sessions.unknown_key_lookup import search
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh import RefreshToken, RefreshTokens

logger: Final = logging.getLogger("clusterpass.keys")
_RETRY_AFTER: Final = 5


class RefreshSecrets:
    """The secrets with which verbs make and check refresh tokens."""

    def __init__(
        self,
        known: KnownSecrets,
        keyspace: Keyspace,
        deadline: float,
        signing: SigningKeys | None = None,
        trail: AuditTrail | None = None,
    ) -> None:
        """``deadline``: seconds after which the store gives up on a call. ``signing``: the signing
        keys, where the store has them; whoever makes a token needs them too. ``trail``: is told
        what was removed.
        """
        self._known = known
        self._signing = signing
        self._keyspace = keyspace
        self._copies: Final = SecretCopies(
            known,
            keyspace,
            deadline,
            fills="",
            tells=False,
            marker=MARKER + KIND,
            on_pruned=note_pruned(trail, "prune_refresh_secrets"),
        )
        self._told: set[bytes] = set()

    def replace_keys(self, keys: KeyRing) -> None:
        """Accept tokens of version 2 by the private keys in ``keys`` from now on."""
        self._known.replace_keys(keys)

    def tokens(self) -> Flow[RefreshTokens]:
        """Return what makes and accepts tokens.

        Usually no round trip; one in a minute, some when the namespace has no secret yet, and three
        in four minutes of one process where secrets are configured. Raises StoreUnavailable when no
        secret is known and no copy can be read; ConfigurationError and StoreFailed as
        ``KnownSecrets.learn``.
        """
        if self._signing is not None:
            yield from self._signing.ensure()
        fresh = self._known.fresh
        if fresh is not None:
            return fresh
        try:
            yield from self._read(all_copies=False)
        except StoreUnavailable:
            if self._known.latest is None:
                raise
            self._known.put_off()
        return self._latest()

    def genuine(self, token: RefreshToken) -> Flow[RefreshTokens | None]:
        """Return what accepts ``token``; None: it was not made by us, or for another audience.

        Takes and raises what :meth:`tokens` does. A token whose secret is not known here may be of
        a new one, so the store is asked, at most once a second; raises StoreUnavailable where other
        processes have the secret in their configuration, and this one does not, and where the store
        has it and it does not open here.
        """
        tokens = None if self._signing else self._known.fresh
        tokens = tokens or (yield from self.tokens())
        if not tokens.knows(token):
            yield from search(
                self._known.searches,
                lambda: self._latest().knows(token),
                lambda: self._read(all_copies=True),
            )
            tokens = self._latest()
            if self._known.is_closed(token.secret_id):
                raise lacking_secrets()  # the log says so since it was read
            if not tokens.knows(token) and self._known.is_elsewhere(token.secret_id):
                raise self._lacking(token.secret_id)
        return tokens if tokens.is_genuine(token) else None

    @property
    def knows_all(self) -> bool:
        """Whether this process can tell a stolen token from one that another process exchanged."""
        return self._known.knows_all

    def _lacking(self, secret_id: bytes) -> StoreUnavailable:
        if secret_id not in self._told and len(self._told) < COPIES * 16:
            self._told.add(secret_id)
            logger.error(
                "other processes make tokens by the refresh secret %s of their configuration,"
                " which is not in that of this one; see: Change refresh secrets",
                encode_base64url(secret_id),
            )
        return lacking_secrets()

    def rotate(self, *, retires_others: bool) -> Flow[str]:
        """Make a new secret in the store; return its id.

        ``retires_others``: accept no token of the others any more, which ends their sessions'
        refreshes, also where none of them opens here. Raises ConfigurationError where the secrets
        are configured, and StoreUnavailable unless each copy was written.
        """
        known = self._known
        if known.is_configured:
            raise ConfigurationError(
                "the refresh secrets are those of the configuration; change them there"
            )
        try:
            yield from self._read(all_copies=True)
        except (ConfigurationError, StoreFailed):
            if not retires_others:
                raise
        values = known.proposal()
        (name,) = values
        if retires_others:
            values |= known.retirement(besides=name)
        while values:
            for copy in range(COPIES):
                answer: Answer[dict[str, bytes]] = yield add_secrets(
                    self._keyspace, copy, values, tells=True
                )
                known.learn(answer.reply)
            # What a copy held that was not read before.
            values = known.retirement(besides=name) if retires_others else {}
        return name.removeprefix(KIND)

    def _latest(self) -> RefreshTokens:
        latest = self._known.latest
        if latest is None:  # all were retired, and another process makes one at this moment
            raise lacking_secrets()
        return latest

    def _read(self, *, all_copies: bool) -> Flow[None]:
        """Read copies until one has secrets, or all; make the first secret if none has, and
        announce those of the configuration."""
        known = self._known
        empty = yield from self._copies.read(all_copies=all_copies)
        if known.latest is None and not empty:  # a copy says that what another has was retired
            empty = yield from self._copies.read(all_copies=True)
        if known.latest is None and empty:
            # Where one was retired that a copy still has, it would be taken for the first.
            yield from self._copies.fill(empty)
            answer: Answer[dict[str, bytes]] = yield add_secrets(
                self._keyspace, min(empty), known.proposal(), when="first"
            )
            known.learn(answer.reply)
        yield from self._copies.fill(empty)
        announced = known.announcements()
        if announced and (yield from self._copies.tell_all(announced)):
            known.learn(announced)


def lacking_secrets() -> StoreUnavailable:
    """The error of a process that lacks a secret by which others make tokens."""
    return StoreUnavailable(
        "This server does not know all secrets of refresh tokens yet; no session was ended."
        " Please try again.",
        reason="secrets",
        retry_after=_RETRY_AFTER,
    )
