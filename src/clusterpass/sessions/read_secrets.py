"""Reads the refresh secrets of the namespace from the store, and makes the first one."""

from typing import Final

from clusterpass.model.errors import ConfigurationError, StoreUnavailable
from clusterpass.protocol.calls.secrets import COPIES, add_secrets, read_secrets
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.memory.known_secrets import KIND, KnownSecrets
from clusterpass.sessions.search import search
from clusterpass.sessions.signing_keys import SigningKeys
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh import RefreshToken, RefreshTokens

_SHARE_OF_A_COPY: Final = 0.3
"""Of the deadline, for each copy but the last one that is tried."""


class RefreshSecrets:
    """What verbs make and check refresh tokens with."""

    def __init__(
        self,
        known: KnownSecrets,
        keyspace: Keyspace,
        deadline: float,
        signing: SigningKeys | None = None,
    ) -> None:
        """``deadline``: seconds after which the store gives up on a call. ``signing``: the signing
        keys, where the store has them; whoever makes a token needs them too.
        """
        self._known = known
        self._signing = signing
        self._keyspace = keyspace
        self._deadline = deadline

    def replace_keys(self, keys: KeyRing) -> None:
        """Accept tokens of version 2 by the private keys in ``keys`` from now on."""
        self._known.replace_keys(keys)

    def tokens(self) -> Flow[RefreshTokens]:
        """Return what makes and accepts tokens.

        Usually no round trip; one in a minute, unless the secrets are configured, and some when the
        namespace has no secret yet. Raises StoreUnavailable when no secret is known and no copy can
        be read; ConfigurationError and StoreFailed as ``KnownSecrets.learn``.
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
        a new one, so the store is asked, at most once a second.
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
            self._known.require_open(token.secret_id)
        return tokens if tokens.is_genuine(token) else None

    def rotate(self, *, retires_others: bool) -> Flow[str]:
        """Make a new secret in the store; return its id.

        ``retires_others``: accept no token of the others any more, which ends their sessions'
        refreshes. Raises ConfigurationError where the secrets are configured, and StoreUnavailable
        unless each copy was written.
        """
        known = self._known
        if known.is_configured:
            raise ConfigurationError(
                "the refresh secrets are those of the configuration; change them there"
            )
        yield from self._read(all_copies=True)
        values = known.proposal()
        (name,) = values
        if retires_others:
            values |= known.retirement()
        for copy in range(COPIES):
            answer: Answer[dict[str, bytes]] = yield add_secrets(
                self._keyspace, copy, values, when="always"
            )
            known.learn(answer.reply)
        return name.removeprefix(KIND)

    def _latest(self) -> RefreshTokens:
        latest = self._known.latest
        assert latest is not None  # each way of reading them ends with one, or raises
        return latest

    def _read(self, *, all_copies: bool) -> Flow[None]:
        """Read copies until one has secrets, or all; make the first secret if none has."""
        known, first = self._known, self._known.copy
        failure: StoreUnavailable | None = None
        empty: list[int] = []
        is_found = False
        for copy in range(first, first + COPIES):
            is_last = copy == first + COPIES - 1 and not empty and not is_found
            deadline = None if is_last else self._deadline * _SHARE_OF_A_COPY
            try:
                answer: Answer[dict[str, bytes]] = yield read_secrets(
                    self._keyspace, copy, deadline=deadline
                )
                if not any(name.startswith(KIND) for name in answer.reply):
                    empty.append(copy)
                    continue
                known.learn(answer.reply)
                if not known.is_configured:
                    yield from self._complete(copy, answer.reply)
            except StoreUnavailable as error:
                failure = error
                continue
            is_found = True
            known.copy = (copy + 1) % COPIES
            if not all_copies:
                break
        if not is_found and not empty:
            assert failure is not None
            raise failure
        if not known.is_configured:
            yield from self._fill(empty, is_new=not is_found)

    def _complete(self, copy: int, values: dict[str, bytes]) -> Flow[None]:
        """Put into a copy what it lacks, and wrap what lies open in it."""
        lacking, open_ones = self._known.lacking(values), self._known.unwrapped()
        if lacking:
            yield add_secrets(self._keyspace, copy, lacking)
        if open_ones:
            for each in range(COPIES):
                answer: Answer[dict[str, bytes]] = yield add_secrets(
                    self._keyspace, each, open_ones, when="always"
                )
                self._known.learn(answer.reply)

    def _fill(self, empty: list[int], *, is_new: bool) -> Flow[None]:
        """Put what is known into the copies that have nothing, or a new secret where nothing is."""
        known = self._known
        if is_new and known.latest is None and empty:
            proposal = known.proposal()
            answer: Answer[dict[str, bytes]] = yield add_secrets(
                self._keyspace, empty[0], proposal, when="first"
            )
            known.learn(answer.reply)
        for copy in empty:
            values = known.lacking({})
            try:
                answer = yield add_secrets(self._keyspace, copy, values)
            except StoreUnavailable:
                continue  # whoever reads that copy fills it
            known.learn(answer.reply)
