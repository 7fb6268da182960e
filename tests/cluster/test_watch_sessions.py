"""A watched session tells what becomes of it, whichever process was the cause."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import (
    Config,
    EmbeddedCluster,
    InvalidInput,
    SessionChange,
    SessionExpired,
    SessionManager,
    SessionPolicy,
    SessionRevoked,
    SessionUnknown,
    StoreUnavailable,
)
from clusterpass.protocol.keyspace import Keyspace

from .conftest import Facade
from .stored import eventually

pytestmark = pytest.mark.timeout(120)
HANGING = 40.0
KINDS: dict[str, Callable[[str, Config], Any]] = {"sync": SessionManager.from_url, "async": Facade}


class Watch:
    """Iterates over a watch on a thread, and hands its reports on."""

    def __init__(self, manager: Any, session: Any) -> None:
        self.reports: queue.Queue[Any] = queue.Queue()
        self.iterator = manager.watch(session)
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        try:
            for change in self.iterator:
                self.reports.put(change)
        except BaseException as error:
            self.reports.put(error)
        else:
            self.reports.put(None)

    def next(self) -> Any:
        return self.reports.get(timeout=HANGING)

    def ended(self) -> SessionChange:
        """The last report, which says that the session is over."""
        change = self.next()
        assert isinstance(change, SessionChange)
        assert change.kind == "ended"
        assert self.next() is None
        return change


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Callable[[str, Config], Any]:
    return KINDS[request.param]


WATCHERS = ("sync cached", "async cached", "async strict", "sync stateless")


def watching(name: str, cluster: EmbeddedCluster, config: Config) -> Any:
    """A manager that is one of ``WATCHERS``, to be closed."""
    kind, mode = name.split()
    verification: Any = mode
    return contextlib.closing(KINDS[kind](cluster.url, replace(config, verification=verification)))


@pytest.fixture(params=WATCHERS)
def watcher(
    request: pytest.FixtureRequest, cluster: EmbeddedCluster, config: Config
) -> Iterator[Any]:
    with watching(request.param, cluster, config) as opened:
        yield opened


@pytest.fixture
def other(cluster: EmbeddedCluster, config: Config) -> Iterator[SessionManager]:
    """A second manager that shares no memory with the first, as in another process."""
    with SessionManager.from_url(cluster.url, config) as opened:
        yield opened


def logged_in(manager: Any, subject: str, **options: Any) -> tuple[Any, Any]:
    pair = manager.login(subject, **options)
    return pair, manager.verify(pair.access_token, verification="strict")


def settle(watch: Watch, manager: Any, subject: str) -> None:
    """Return once the watch has read the session: a change then comes by a push."""
    manager.claims.set(subject, {"settled": True})
    assert watch.next().session.claims["settled"]


def test_sessions_are_read_and_watched_on_every_engine(manager, subject):
    pair, session = logged_in(manager, subject)
    assert manager.get(subject, pair.session_id).session_id == session.session_id
    iterator = iter(manager.watch(session))
    manager.claims.set(subject, {"role": "editor"})
    assert next(iterator).session.claims == {"role": "editor"}
    manager.logout(pair.access_token)
    assert next(iterator).kind == "ended"
    with pytest.raises(SessionRevoked):
        manager.get(subject, pair.session_id)


def test_the_end_is_told_with_its_reason(watcher, other, subject):
    _, session = logged_in(other, subject)
    watch = Watch(watcher, session)
    settle(watch, other, subject)
    other.revoke(subject, session.session_id, reason="stolen phone")
    change = watch.ended()
    assert isinstance(change.error, SessionRevoked)
    assert (change.error.reason, change.error.note) == ("revoked", "stolen phone")
    assert change.session.session_id == session.session_id


@pytest.mark.parametrize(
    "end",
    [
        lambda manager, pair: manager.logout(pair.refresh_token),
        lambda manager, pair: manager.revoke_all(pair.subject),
        lambda manager, pair: manager.bans.add(pair.subject, reason="spam"),
        lambda manager, pair: manager.login(pair.subject, policy=SessionPolicy(max_sessions=1)),
    ],
    ids=["logout", "revoke_all", "ban", "replaced"],
)
def test_every_end_is_told(watcher, other, subject, end):
    pair, session = logged_in(other, subject)
    watch = Watch(watcher, session)
    settle(watch, other, subject)
    end(other, pair)
    assert isinstance(watch.ended().error, SessionRevoked)


def test_an_end_by_this_process_is_told(watcher, subject):
    _, session = logged_in(watcher, subject)
    watch = Watch(watcher, session)
    settle(watch, watcher, subject)
    watcher.revoke_all(subject)
    assert isinstance(watch.ended().error, SessionRevoked)


def test_a_cutoff_ends_every_session(watcher, other, subject, config, cluster):
    names = replace(config)
    with contextlib.closing(
        SessionManager.from_url(f"{cluster.url}?namespace={subject}", names)
    ) as ends:
        pairs = [ends.login(f"{subject}-{number}") for number in range(5)]
        watches = [Watch(ends, ends.verify(pair.access_token)) for pair in pairs]
        for watch, pair in zip(watches, pairs, strict=True):
            settle(watch, ends, pair.subject)
        with SessionManager.from_url(f"{cluster.url}?namespace={subject}", names) as there:
            there.revoke_before()
        assert all(isinstance(watch.ended().error, SessionRevoked) for watch in watches)


def test_changes_are_told_and_refreshes_are_not(watcher, other, subject):
    pair, session = logged_in(other, subject, claims={"scope": "a"})
    watch = Watch(watcher, session)
    settle(watch, other, subject)
    pair = other.refresh(pair.refresh_token)
    other.bans.add(subject, reason="spam", scope="chat")
    change = watch.next()
    assert change.kind == "changed"
    assert change.error is None
    assert [ban.scope for ban in change.session.bans] == ["chat"]
    other.claims.set(subject, {"scope": "b"})
    assert watch.next().session.claims == {"scope": "b"}
    pair = other.elevate(other.verify(pair.access_token, verification="strict"), "2", for_seconds=9)
    other.logout(pair.refresh_token)
    assert watch.ended().session.acr == "1", "a step-up applies to the tokens issued after it"


def test_what_changed_before_the_watch_is_told_at_once(watcher, other, subject):
    _, session = logged_in(other, subject)
    other.claims.set(subject, {"role": "editor"})
    watch = Watch(watcher, session)
    assert watch.next().session.claims == {"role": "editor"}
    other.revoke_all(subject)
    watch.ended()
    assert isinstance(Watch(watcher, session).ended().error, SessionRevoked)


def test_the_watch_outlives_the_access_token(cluster, config, subject):
    """With all kinds of managers at once, as it takes the shortest lifetime that there is."""
    short = replace(config, access_lifetime=10, idle_lifetime=10, absolute_lifetime=10)
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(SessionManager.from_url(cluster.url, short))
        _, session = logged_in(other, subject)
        managers = [stack.enter_context(watching(name, cluster, config)) for name in WATCHERS]
        changes = [watch.ended() for watch in [Watch(manager, session) for manager in managers]]
    assert all(isinstance(change.error, SessionExpired) for change in changes)
    assert time.time() >= session.expires_at - 1


def test_an_impersonation_ends_with_its_actor(watcher, other, subject):
    _, actor = logged_in(other, f"{subject}-root")
    pair = other.impersonate(actor, subject, reason="help")
    watch = Watch(watcher, other.verify(pair.access_token, verification="strict"))
    settle(watch, other, subject)
    other.revoke_all(actor.subject)
    assert isinstance(watch.ended().error, SessionRevoked)


def test_so_it_does_after_a_connection_to_the_node_of_its_actor_was_lost(
    cluster, watcher, other, new_subject
):
    """The node that has the session of the subject has said nothing, and goes on."""
    keys = Keyspace()
    subject = new_subject()
    home = cluster.primary_of(keys.sessions(subject))
    name = next(
        each
        for each in (f"{subject}-root-{number}" for number in range(100))
        if cluster.primary_of(keys.sessions(each)) != home
    )
    _, actor = logged_in(other, name)
    pair = other.impersonate(actor, subject, reason="help")
    watch = Watch(watcher, other.verify(pair.access_token, verification="strict"))
    settle(watch, other, subject)
    with cluster.client(cluster.primary_of(keys.sessions(name))) as client:
        for link in client.client_list():
            if link["name"] == "clusterpass":
                client.client_kill_filter(_id=link["id"])
    eventually(lambda: all(node.has_lease for node in watcher.stats().nodes))
    time.sleep(2.0)  # the time in which every session without a lease is read again
    other.revoke_all(actor.subject)
    assert isinstance(watch.ended().error, SessionRevoked)


def test_a_session_is_found_by_its_id(watcher, other, subject):
    _, session = logged_in(other, subject, device="phone", claims={"scope": "a:*"})
    found = watcher.get(subject, session.session_id)
    assert (found.subject, found.device, found.claims) == (subject, "phone", {"scope": "a:*"})
    other.revoke(subject, session.session_id)
    with pytest.raises(SessionRevoked):
        watcher.get(subject, session.session_id)
    with pytest.raises(SessionUnknown):
        watcher.get(f"{subject}-nobody", session.session_id)


def test_what_is_no_session_is_refused(watcher, other, subject):
    _, session = logged_in(other, subject)
    with pytest.raises(SessionUnknown):
        watcher.get(subject, "no id")
    with pytest.raises(InvalidInput):
        watcher.get("", session.session_id)
    with pytest.raises(InvalidInput):
        watcher.watch(subject)
    with pytest.raises(SessionUnknown):
        watcher.watch(replace(session, session_id="no id"))


def test_a_watch_that_is_closed_is_forgotten(watcher, other, subject):
    _, session = logged_in(other, subject)
    other.claims.set(subject, {"role": "editor"})
    iterator = watcher.watch(session)
    assert next(iter(iterator)).kind == "changed"
    manager = getattr(watcher, "manager", watcher)
    followers = manager._flows.memory.near.followers
    assert len(followers) == 1
    iterator.close()
    assert len(followers) == 0


def test_closing_the_manager_ends_the_watch(kind, cluster, config, other, subject):
    _, session = logged_in(other, subject)
    manager = kind(cluster.url, config)
    watch = Watch(manager, session)
    settle(watch, other, subject)
    manager.close()
    assert watch.next() is None


def test_an_outage_is_told_and_so_is_its_end(kind, config, subject):
    with EmbeddedCluster(nodes=1) as server:
        url = f"{server.url}?timeout=0.3&deadline=0.6"
        with contextlib.closing(kind(url, config)) as manager:
            pair = manager.login(subject)
            watch = Watch(manager, manager.verify(pair.access_token))
            settle(watch, manager, subject)
            server.pause(server.nodes[0])
            change = watch.next()
            assert change.kind == "unavailable"
            assert isinstance(change.error, StoreUnavailable)
            server.resume(server.nodes[0])
            assert watch.next().kind == "available"
            manager.revoke_all(subject)
            watch.ended()


def test_where_nothing_is_pushed_the_watch_asks(cluster, config, other, subject):
    with SessionManager.from_url(cluster.url, replace(config, verification="strict")) as manager:
        manager.store._may_watch = False  # as under gevent
        _, session = logged_in(other, subject)
        watch = Watch(manager, session)
        settle(watch, other, subject)
        other.revoke_all(subject)
        watch.ended()


def test_a_slow_reader_is_told_the_latest(watcher, other, subject):
    _, session = logged_in(other, subject)
    iterator = iter(watcher.watch(session))
    for number in range(5):
        other.claims.set(subject, {"number": number})
        if number == 0:
            assert next(iterator).session.claims == {"number": 0}
    change = next(iterator)
    while change.session.claims != {"number": 4}:
        change = next(iterator)
    other.revoke_all(subject)
    assert next(iterator).kind == "ended"
    with pytest.raises(StopIteration):
        next(iterator)
