"""A simulated process: the real near cache and journals of a manager on a simulated store."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from clusterpass.model.errors import StoreUnavailable
from clusterpass.model.values import Session
from clusterpass.protocol.calls.end import end_session
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.keyspace import SubjectKeys
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.entries import CachedSession, CachedToken
from clusterpass.sessions.memory.journal import Journal
from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.near_cache import NearCache
from clusterpass.sessions.revocations.journaling import Journaling

from .clock import EPOCH, Clock, Future, spawn
from .cluster import Cluster
from .invariants import Judge
from .network import Network
from .scripts import KEYSPACE, read_session, refresh_session
from .store import Running, SimulatedStore
from .watch import SimulatedWatch

_FAR = 4_000_000_000
_SESSION_ID = b"s" * 16
_LOCK: Callable[[], AbstractContextManager[Any]] = nullcontext
BOUND = 0.5
"""T, in seconds: the default of ``Config.staleness_bound``."""


class User:
    """A session, by its subject."""

    __slots__ = ("keys", "name", "token")

    def __init__(self, number: int) -> None:
        self.name = f"u{number}"
        self.token = f"token-{number}"
        self.keys: SubjectKeys = KEYSPACE.keys_of(self.name)


@dataclass(frozen=True)
class Traffic:
    """The traffic of each process's users."""

    verifies: float = 50.0
    """A second."""
    sessions: int = 200
    """That come to one process; each session comes to two."""
    refresh_seconds: float = 900.0
    """Between two refreshes of a session: the default lifetime of an access token."""
    busy: float = 1.0
    """The share of the processes to which anybody comes."""


class Process:
    """A process that verifies tokens; ``weight``: how many processes it stands for."""

    def __init__(
        self,
        number: int,
        cluster: Cluster,
        network: Network,
        judge: Judge,
        users: list[User],
        *,
        weight: int = 1,
        leases: type[Leases] = Leases,
        reloads_at_once: bool = False,
    ) -> None:
        """``reloads_at_once``: a broken build, which loads all it held again with each epoch."""
        self.number, self.users, self.judge = number, users, judge
        self.weight = weight
        self.clock: Clock = cluster.clock
        self.is_gone = False
        self.stalled_until = 0.0
        clock = self.clock
        cutoff = Cutoff(clock.read, BOUND)
        self.near = NearCache(
            leases(BOUND),
            cutoff,
            key_prefix=KEYSPACE.sessions_prefix(),
            cutoff_prefix=KEYSPACE.not_before_prefix(),
            most_entries=10_000,
            most_bytes=2**30,
            steady=clock.read,
            clock=clock.wall,
            lock=_LOCK,
        )
        self.journal = Journal(
            KEYSPACE,
            lambda: Housekeeping(975),
            steady=clock.read,
            clock=clock.wall,
            lock=_LOCK,
            jitter=clock.random.random,
            changed=self.near.changed,
        )
        self.near.journal = self.journal
        self.near.leases.set_journals(None)
        self.near.wants_all = cluster.design.hears_all
        self.store = SimulatedStore(cluster, network, owner=number, weight=weight, later=self.later)
        self.store.observe(self.near, BOUND)
        self.watch = self.store.listener = SimulatedWatch(self.store, self.near, BOUND)
        self._loading: dict[str, Future] = {}
        self._reloads_at_once, self._epoch = reloads_at_once, 0

    # Time.

    def later(self, seconds: float, do: Callable[..., None], *args: Any) -> None:
        """Call ``do`` after ``seconds``, or once the process does not stand still any more."""
        self.clock.after(seconds, self._wake, do, args)

    def _wake(self, do: Callable[..., None], args: tuple[Any, ...]) -> None:
        if self.is_gone:
            return
        if self.clock.now < self.stalled_until:
            self.clock.at(self.stalled_until, self._wake, do, args)
        else:
            do(*args)

    def begin(self) -> None:
        """Connect, and take turns."""
        self.watch.begin(self.later)

    def end(self) -> None:
        """End the process."""
        self.is_gone = True
        self.store.close()

    # Users.

    def live(self, traffic: Traffic) -> None:
        """Verify and refresh at random times from now on."""
        if traffic.verifies:
            self._next(traffic.verifies, self._verify_some)
        # Each session comes to two processes, one of which refreshes it.
        refreshes = traffic.sessions / 2 / traffic.refresh_seconds
        if traffic.verifies and refreshes:
            self._next(refreshes, self._refresh_some)

    def _next(self, rate: float, do: Callable[[], None]) -> None:
        def go_on() -> None:
            do()
            self._next(rate, do)

        self.later(self.clock.random.expovariate(rate), go_on)

    def _verify_some(self) -> None:
        if self.users:
            self.verify(self.clock.random.choice(self.users))

    def verify(self, user: User) -> None:
        """Verify the token of ``user``."""
        began = self.clock.now
        if self._reloads_at_once and self._epoch != self.near.leases.epoch:
            self._epoch = self.near.leases.epoch
            for each in list(self.users):
                spawn(self.later, self._load(each, began))
        if self.find(user):
            self.judge.accepted(self.number, user.name, began, from_memory=True)
        else:
            spawn(self.later, self._ask(user, began))

    def find(self, user: User) -> bool:
        """Whether memory serves the session of ``user``, as a verify looks for it."""
        near = self.near
        if near.find(user.token) is not None:
            return True
        entry = near.entry(user.token)
        return entry is not None and near.is_served(entry)

    def _ask(self, user: User, began: float) -> Running:
        """Verify by the store; those who ask for one token share a load."""
        under_way = self._loading.get(user.token)
        if under_way is not None:
            yield under_way
            if self.near.shared(user.token, began) is not None:
                self.judge.accepted(self.number, user.name, began, from_memory=True)
                return
            if user.token in self._loading:
                return  # counted with whoever loads it now
        done = self._loading[user.token] = Future()
        try:
            yield from self._load(user, began)
        finally:
            if self._loading.get(user.token) is done:
                del self._loading[user.token]
            done.set(None)

    def _load(self, user: User, began: float) -> Running:
        near = self.near
        entry = near.entry(user.token) or CachedToken(
            user.token, user.name, user.keys, _SESSION_ID, _FAR
        )
        loading = near.begin(user.keys.sessions, user.token)
        try:
            answer = yield from self.store.perform(read_session(user.keys))
            _, version, is_live = answer.reply
            if is_live:
                near.keep(entry, _loaded(user, version), loading, answer.node)
                self.judge.accepted(self.number, user.name, began, from_memory=False)
            else:
                self.judge.ended(user.name)
                if user in self.users:
                    self.users.remove(user)  # who was told does not come again
        except StoreUnavailable as error:
            if not self.is_gone:
                self.judge.refused(self.number, user.name, error.reason)
        finally:
            near.end(loading)

    def _refresh_some(self) -> None:
        if self.users:
            spawn(self.later, self._refresh(self.clock.random.choice(self.users)))

    def _refresh(self, user: User) -> Running:
        try:
            yield from self.store.perform(refresh_session(user.keys))
        except StoreUnavailable as error:
            if not self.is_gone:
                self.judge.refused(self.number, user.name, error.reason)

    def revoke(self, user: User, operation: int) -> Running:
        """End the session of ``user``, as the library confirms it; tell the judge when it has.

        By its shard and, where that cannot confirm it, by two journals.
        """
        started = self.clock.now
        name = operation.to_bytes(8, "big")
        call = end_session(
            KEYSPACE,
            Housekeeping(975),
            user.name,
            session_id=_SESSION_ID,
            reason="revoked",
            operation=name,
        )
        call.insists, call.deadline = False, BOUND
        call.read = lambda raw: raw
        self.judge.ending(user.name)
        try:
            answer = yield from self.store.perform(call)
            if answer.durable:
                yield self.near.seconds_unsettled(answer.node)
                self.judge.acknowledged(user.name, self.clock.now - started)
                return
        except StoreUnavailable:
            pass
        entry = JournalEntry.of_end_session(
            name,
            user.name,
            session_id=_SESSION_ID,
            reason="revoked",
            address=b"",
            note="",
            expires_at=int(EPOCH) + 10**8,
        )
        if (yield from self.store.run(self._journaling().record(entry))):
            self.judge.acknowledged(user.name, self.clock.now - started, by_journals=True)

    def _journaling(self) -> Journaling:
        pending = SimpleNamespace(owner_of=self.store.owner_of)
        memory = SimpleNamespace(near=self.near, journal=self.journal, pending=pending)
        return Journaling(SimpleNamespace(memory=memory, keyspace=KEYSPACE))  # type: ignore[arg-type]


def _loaded(user: User, version: int) -> CachedSession:
    session = Session(user.name, "s", str(version), 0, 0, _FAR)
    return CachedSession(
        session,
        [str(version).encode()],
        ahead=EPOCH,
        created_milliseconds=int(EPOCH * 1000),
        fresh_until=_FAR,
        note_at=_FAR,
    )
