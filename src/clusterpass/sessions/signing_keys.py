"""Reads the signing keys from the store, makes the next one when it is time, and revokes one."""

import secrets
from dataclasses import replace
from typing import Final

from clusterpass.model.errors import InvalidInput, StoreUnavailable
from clusterpass.protocol.calls.key_lease import take_lease
from clusterpass.protocol.calls.secrets import COPIES, When, add_secrets
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, Flow, Rest, Work
from clusterpass.sessions.audit_recorder import AuditTrail
from clusterpass.sessions.memory.known_keys import KIND, KnownKeys
from clusterpass.sessions.secret_copies import MARKER, SecretCopies, note_pruned
from clusterpass.sessions.unknown_key_lookup import search
from clusterpass.tokens.managed_keys import ManagedKey

_LEASE_SECONDS: Final = 10
_TURN_SECONDS: Final = 2
_TURNS, _REST_SECONDS = 30, 0.1
"""How often, and after how long, whoever is to make a key looks whether another has made it."""


class SigningKeys:
    """The keys of the store, for the verbs of one manager."""

    def __init__(
        self,
        known: KnownKeys,
        keyspace: Keyspace,
        deadline: float,
        trail: AuditTrail | None = None,
    ) -> None:
        """``deadline``: seconds after which the store gives up on a call. ``trail``: is told of the
        keys that are made and removed because it is time."""
        self._known = known
        self._trail = trail
        self._keyspace = keyspace
        self._copies: Final = SecretCopies(
            known,
            keyspace,
            deadline,
            fills="always",
            tells=True,
            marker=MARKER + KIND,
            on_pruned=note_pruned(trail, "prune_keys"),
        )
        self._owner = secrets.token_bytes(8)

    def ensure(self) -> Flow[None]:
        """Know the keys as they are now; make the first or the next one when it is time.

        At most one round trip a second, of one caller. Raises StoreUnavailable when no key is known
        and no copy can be read, ConfigurationError when a private half does not open.
        """
        known = self._known
        if not known.is_due:
            return
        changes, asks_all = known.changes, known.asks_all
        if known.is_known:
            known.settled(changes)  # the others go on with what is known
        known.asks_all = False
        try:
            yield from self._read(all_copies=asks_all)
            yield from self._rotate_when_due()
        except StoreUnavailable:
            known.asks_all = known.asks_all or asks_all
            if not known.is_known:
                raise
        known.settled(changes)
        known.use()

    def search(self) -> Flow[None]:
        """Ask for a key that nobody here knows, once for all who ask within a second."""
        known, used = self._known, self._known.used

        def read() -> Flow[None]:
            yield from self._read(all_copies=True)
            known.use()

        yield from search(known.searches, lambda: known.used is not used, read)

    def prepare(self, *, asks: bool) -> Flow[None]:
        """Know the keys before a token is verified.

        ``asks``: as they are now; otherwise as they were a minute ago at most, unless the store is
        unavailable.
        """
        if asks or not self._known.is_known or self._known.is_old:
            yield from self.ensure()

    def list(self) -> Flow[tuple[ManagedKey, ...]]:
        """Return all keys, the oldest first."""
        yield from self._read_all()
        self._known.use()
        return tuple(self._known.schedule().described())

    def rotate(self) -> Flow[tuple[ManagedKey, ...]]:
        """Make a key that signs after ``publish_before``, unless the next one is there already."""
        known = self._known
        yield from self._read_all()
        for _ in range(_TURNS):
            if known.schedule().has_next(known.how):
                break
            lease = take_lease(self._keyspace, owner=self._owner, seconds=_TURN_SECONDS)
            answer: Answer[bool] = yield lease
            if not answer.reply:  # another process makes one at this moment
                yield Rest(_REST_SECONDS)
            yield from self._read(all_copies=True)
            if answer.reply:
                break
        if not known.schedule().has_next(known.how):
            yield from self._make(known.now() + known.how.publish_before)
        known.use()
        return tuple(known.schedule().described())

    def revoke(self, kid: str) -> Flow[tuple[ManagedKey, ...]]:
        """Let no token of a key be accepted any more; if it signs, another one does at once."""
        known = self._known
        yield from self._read_all()
        key = known.find(kid)
        if key is None:
            raise InvalidInput(f"there is no key {kid!r}; see: clusterpass keys list")
        if not key.revoked:
            active = known.schedule().active
            if active is not None and active.kid == kid:
                yield from self._make(known.schedule().begins_at_once)
            revoked = replace(key, revoked=known.now())
            yield from self._write({KIND + kid: revoked.encode()}, always=True)
        known.use()
        return tuple(known.schedule().described())

    def _read_all(self) -> Flow[None]:
        """Know what every copy holds, and make the first or the next key when it is time."""
        yield from self._read(all_copies=True)
        yield from self._rotate_when_due()

    def _rotate_when_due(self) -> Flow[None]:
        known = self._known
        begins = known.schedule().next_begins(known.how)
        if begins is None:
            return
        if known.schedule().active is not None:
            answer: Answer[bool] = yield take_lease(
                self._keyspace, owner=self._owner, seconds=_LEASE_SECONDS
            )
            if not answer.reply:
                return
            yield from self._read(all_copies=True)  # the one that had the lease before
            begins = known.schedule().next_begins(known.how)
            if begins is None:
                return
            made = yield from self._make(begins)
        else:  # nobody is waited for: of several first keys, one is taken by all
            made = yield from self._make(begins, first=not known.schedule().described())
        if self._trail is not None and known.find(made) is not None:
            details = {"next": made, "signs_from": begins, "scheduled": True}
            self._trail.note_of_itself("rotate_key", details)

    def _read(self, *, all_copies: bool) -> Flow[None]:
        empty = yield from self._copies.read(all_copies=all_copies)
        yield from self._copies.fill(empty)

    def _make(self, signs_from: int, *, first: bool = False) -> Flow[str]:
        """Make a key that signs from a second on, and write it; return its id. ``first``: as
        below."""
        values: dict[str, bytes] = yield Work(lambda: self._known.made(signs_from))
        (name,) = values
        yield from self._write(values, first=first)
        return name.removeprefix(KIND)

    def _write(
        self, values: dict[str, bytes], *, always: bool = False, first: bool = False
    ) -> Flow[None]:
        """Write to every copy that can be reached; raise StoreUnavailable when none can.

        ``first``: unless another process has written the first key, which is then the one.
        """
        failure: StoreUnavailable | None = None
        written = 0
        for copy in range(COPIES):
            when: When = "always" if always else "first" if first and not written else ""
            try:
                answer: Answer[dict[str, bytes]] = yield add_secrets(
                    self._keyspace, copy, values, when=when, tells=True
                )
            except StoreUnavailable as error:
                failure = error
                continue
            written += 1
            self._known.learn(answer.reply)
            if first:
                # Another process may have been first: its key is the one.
                values = {
                    name: value for name, value in answer.reply.items() if name.startswith(KIND)
                }
        if not written:
            assert failure is not None
            raise failure
