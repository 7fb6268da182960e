"""Listeners with ``scope="cluster"`` hear once of what each process on the namespace does."""

import asyncio
import contextlib
import logging
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import (
    AsyncSessionManager,
    Config,
    ConfigurationError,
    EmbeddedCluster,
    InvalidInput,
    RefreshTokenReused,
    SessionEvent,
    SessionManager,
    SessionPolicy,
)
from clusterpass.managers.aio import hearing
from clusterpass.protocol.keyspace import Keyspace
from tests.cluster.conftest import Facade
from tests.cluster.stored import eventually, new_namespace, rewrite
from tests.cluster.test_acl import QUOTED
from tests.cluster.test_without_resp3 import add_user, rights_without

pytestmark = pytest.mark.timeout(120)
KINDS: dict[str, Callable[[str, Config], Any]] = {"sync": SessionManager.from_url, "async": Facade}
SINGLE = SessionPolicy.single_session()


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []

    def __call__(self, event: SessionEvent) -> None:
        self.events.append(event)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def wait_for(self, count: int) -> list[SessionEvent]:
        eventually(lambda: len(self.events) >= count)
        return self.events


@pytest.fixture
def url(cluster: EmbeddedCluster) -> str:
    """The URL of a namespace that no other test uses."""
    return f"{cluster.url}?namespace={new_namespace()}"


@pytest.fixture(params=["sync", "async"])
def style(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def other(url: str, config: Config) -> Iterator[SessionManager]:
    """A second manager that shares no memory with the first, as in another process."""
    with SessionManager.from_url(url, config) as opened:
        yield opened


@pytest.fixture
def listening(style: str, url: str, config: Config) -> Iterator[Any]:
    with contextlib.closing(KINDS[style](url, config)) as opened:
        yield opened


def listen(manager: Any, *kinds: Any) -> Heard:
    """A new listener of ``manager``, once the nodes push."""
    heard = Heard()
    manager.on(*kinds, scope="cluster")(heard)
    manager.sessions("nobody")  # without an event loop on this thread, listening begins here
    eventually(lambda: manager.stats().nodes and all(n.is_connected for n in manager.stats().nodes))
    return heard


def let_the_second_end() -> None:
    """Histories tell whole seconds, and what happened while an answer was under way counts."""
    second = int(time.time())
    eventually(lambda: int(time.time()) > second + 2)


def alike(event: SessionEvent) -> SessionEvent:
    """What both scopes tell of an event: all but the clock, the order of ids, and some devices."""
    device_type = event.device_type if event.kind == "login" else None
    return replace(
        event, at=0, session_ids=tuple(sorted(event.session_ids)), device_type=device_type
    )


@pytest.mark.parametrize("mode", ["cached", "strict", "stateless"])
def test_what_another_process_does(
    style: str, mode: Any, url: str, config: Config, cluster: Any, other: SessionManager
) -> None:
    told = Heard()
    other.on()(told)
    with contextlib.closing(KINDS[style](url, replace(config, verification=mode))) as manager:
        heard = listen(manager)
        actor = other.verify(other.login("root").access_token)
        heard.wait_for(1)
        pair = other.login("alice", device="a laptop", device_type="web", address="192.0.2.7")
        heard.wait_for(2)
        pair = other.refresh(pair.refresh_token, address="2001:db8::1")
        heard.wait_for(3)
        pair = other.elevate(
            other.verify(pair.access_token), "2", for_seconds=60, address="192.0.2.8"
        )
        heard.wait_for(4)
        acting = other.impersonate(actor, "alice", reason="ticket 7")
        heard.wait_for(5)
        other.claims.set("alice", {"plan": "pro"})
        heard.wait_for(6)
        other.revoke("alice", acting.session_id, reason="enough")
        heard.wait_for(7)
        other.logout(pair.access_token, address="192.0.2.9")
        heard.wait_for(8)
        other.login("alice", device="old")
        heard.wait_for(9)
        other.login("alice", device="new", policy=SINGLE)
        heard.wait_for(11)
        other.login("alice", device="phone", device_type="phone")
        heard.wait_for(12)
        other.revoke_all("alice", reason="stolen")
        heard.wait_for(13)
        for _ in range(2):
            other.login("alice", address="192.0.2.10")
        heard.wait_for(15)
        other.bans.add("alice", scope="chat", reason="spam")
        heard.wait_for(16)
        other.bans.lift("alice", scope="chat")
        heard.wait_for(17)
        other.bans.add("alice", reason="abuse")
        heard.wait_for(18)
        pair = other.login("bob")
        heard.wait_for(19)
        other.verify(other.refresh(pair.refresh_token).access_token)
        heard.wait_for(20)
        keyspace = Keyspace(url.rpartition("=")[2])
        rewrite((cluster, style), pair, keyspace, refreshed_at=int(time.time()) - 100)
        with pytest.raises(RefreshTokenReused):
            other.refresh(pair.refresh_token, address="192.0.2.11")
        heard.wait_for(21)
        fresh = other.verify(other.login("carol").access_token)
        other.elevate(fresh, "1", for_seconds=60, address="192.0.2.12", password_changed=True)
        heard.wait_for(23)
        eventually(lambda: len(told.events) >= 23)
        assert [alike(event) for event in heard.events] == [alike(event) for event in told.events]
        assert set(told.kinds()) == {
            *("login", "refresh", "logged_out", "replaced", "revoked", "banned", "unbanned"),
            *("reused", "elevated", "password_changed", "impersonated", "claims_changed"),
        }
        for one, another in zip(heard.events, told.events, strict=True):
            assert abs(one.at - another.at) <= 2


def test_what_this_process_does_is_told_once(listening: Any, other: SessionManager) -> None:
    heard, plain = listen(listening), Heard()
    listening.on()(plain)
    for name in ("alice", "bob"):
        pair = listening.login(name, device="a laptop", device_type="web")
        for _ in range(3):
            pair = listening.refresh(pair.refresh_token)
        for number in range(3):
            listening.claims.set(name, {"number": number})
        other.refresh(pair.refresh_token)
        listening.revoke_all(name, reason="lost")
        listening.bans.add(name)
        listening.bans.lift(name)
    # What comes last shows that the histories were read up to there.
    for name in ("alice", "bob"):
        other.login(name)
    eventually(lambda: len([e for e in heard.events if e.kind == "login"]) >= 4)
    counts = {
        "login": 4, "refresh": 8, "claims_changed": 6, "revoked": 2, "banned": 2, "unbanned": 2,
    }  # fmt: skip
    assert Counter(heard.kinds()) == counts
    own = {"login": 2, "refresh": 6}
    assert Counter(plain.kinds()) == {**counts, **own}, "of the other listener nothing changes"


def test_equal_claims_of_this_process_hide_no_change_by_another(
    listening: Any, other: SessionManager
) -> None:
    heard = listen(listening, "claims_changed", "login")
    other.login("alice")
    other.claims.set("alice", {"plan": "pro"})
    heard.wait_for(2)
    for _ in range(2):
        assert listening.claims.set("alice", {"plan": "pro"}).count == 1
    other.login("bob")
    eventually(lambda: heard.events[-1].subject == "bob")
    assert heard.kinds() == ["login", "claims_changed", "login"]
    for plan in ("free", "pro"):
        other.claims.set("alice", {"plan": plan})
    heard.wait_for(5)
    other.login("carol")
    eventually(lambda: heard.events[-1].subject == "carol")
    assert heard.kinds() == ["login", "claims_changed", "login", *["claims_changed"] * 2, "login"]


def test_many_events_all_arrive(listening: Any, url: str, config: Config) -> None:
    """From several processes, about few subjects: as many as the history of each one holds."""
    heard = listen(listening, "login", "logged_out")
    subjects = [f"subject-{number}" for number in range(8)]

    def work(number: int) -> None:
        with SessionManager.from_url(url, config) as manager:
            for turn in range(number, number + 20):
                pair = manager.login(subjects[turn % 8])
                manager.logout(pair.refresh_token)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    heard.wait_for(160)
    stats = listening.stats().listeners
    assert (stats.overrun, stats.unread, stats.dropped) == (0, 0, 0)
    assert stats.reads <= listening.stats().cache.invalidations, "one for each push, at most"
    assert len({(event.kind, event.session_ids) for event in heard.events}) == 160
    assert Counter(heard.kinds()) == {"login": 80, "logged_out": 80}


def test_many_subjects_at_once(listening: Any, other: SessionManager) -> None:
    """More than are read at once."""
    heard = listen(listening)
    names = [f"subject-{number}" for number in range(20 * hearing.MOST_READS)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(other.login, names))
    heard.wait_for(len(names))
    assert sorted(event.subject for event in heard.events) == sorted(names)
    assert listening.stats().listeners.unread == 0


def test_what_was_before_the_listener_is_not_told(listening: Any, other: SessionManager) -> None:
    pair = other.login("alice")
    let_the_second_end()
    heard = listen(listening)
    other.logout(pair.refresh_token)
    assert [event.kind for event in heard.wait_for(1)] == ["logged_out"]


def test_a_listener_that_fails_breaks_nothing(
    listening: Any, other: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    @listening.on("login", scope="cluster")
    def fails(event: SessionEvent) -> None:
        raise LookupError(event.subject)

    heard = listen(listening, "login")
    with caplog.at_level(logging.ERROR, logger="clusterpass.listeners"):
        for name in ("alice", "bob"):
            other.login(name)
        heard.wait_for(2)
        assert listening.login("carol")
        heard.wait_for(3)
    assert sorted(event.subject for event in heard.events) == ["alice", "bob", "carol"]
    assert caplog.text.count("failed: LookupError") == 3


def test_without_a_listener_nothing_is_read(listening: Any, other: SessionManager) -> None:
    heard, second = listen(listening), Heard()
    listening.on("login", scope="cluster")(second)
    pushed = listening.stats().cache.invalidations
    other.login("alice")
    heard.wait_for(1)
    listening.off(heard)
    other.login("alice")
    assert len(second.wait_for(2)) == 2, "the others go on"
    listening.off(second)
    eventually(lambda: listening.stats().cache.invalidations >= pushed + 2)
    jobs = getattr(listening, "manager", listening)._hearing._jobs
    eventually(lambda: not jobs.running())
    reads = listening.stats().listeners.reads
    for _ in range(5):
        other.login("bob")
    eventually(lambda: listening.stats().cache.invalidations >= pushed + 7)
    assert listening.stats().listeners.reads == reads
    assert (len(heard.events), len(second.events)) == (1, 2)
    let_the_second_end()
    again = listen(listening)
    other.logout(other.login("bob").access_token)
    eventually(lambda: "logged_out" in again.kinds())
    assert again.kinds() == ["login", "logged_out"], "of the time between nothing is told"


def test_closing_ends_the_threads_and_tasks(style: str, url: str, config: Config) -> None:
    before = {thread.name for thread in threading.enumerate()}
    with contextlib.closing(KINDS[style](url, config)) as manager:
        heard = listen(manager)
        manager.login("alice")
        heard.wait_for(1)
        assert manager.stats().listeners.waiting == 0
    names = {thread.name for thread in threading.enumerate()} - before
    assert not any(name.startswith("clusterpass-h") for name in names)


def test_where_no_event_loop_runs_yet_listening_begins_with_the_manager(
    url: str, config: Config, other: SessionManager
) -> None:
    """As in a module that makes its manager and its listeners when it is imported."""
    manager, heard = AsyncSessionManager.from_url(url, config), Heard()
    manager.on("login", scope="cluster")(heard)

    async def run() -> None:
        async with manager, asyncio.timeout(60):
            while not (nodes := manager.stats().nodes) or not all(n.is_connected for n in nodes):
                await asyncio.sleep(0.01)
            await asyncio.to_thread(other.login, "alice")
            while not heard.events:
                await asyncio.sleep(0.01)

    asyncio.run(run())
    assert [event.subject for event in heard.events] == ["alice"]


def test_after_a_lost_connection_the_next_change_tells_what_was_missed(
    cluster: EmbeddedCluster, listening: Any, other: SessionManager
) -> None:
    heard = listen(listening)
    other.login("alice")
    heard.wait_for(1)
    near = getattr(listening, "manager", listening)._flows.memory.near
    unheard: list[bytes] = []
    hears, near.on_pushed = near.on_pushed, unheard.extend
    for _ in range(3):
        other.login("alice")
    eventually(lambda: len(unheard) >= 3)
    near.on_pushed = hears
    for node in cluster.nodes:
        with cluster.client(node) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    eventually(lambda: listening.stats().listeners.gaps >= 3)
    eventually(lambda: all(node.is_connected for node in listening.stats().nodes))
    other.revoke_all("alice")
    heard.wait_for(5)
    assert heard.kinds() == [*["login"] * 4, "revoked"]


@pytest.mark.parametrize("scope", ["", "Cluster", "namespace", None, True, ["cluster"], b"cluster"])
def test_an_odd_scope(listening: Any, scope: Any) -> None:
    with pytest.raises(InvalidInput, match="scope must be one of process, cluster"):
        listening.on("login", scope=scope)


@pytest.mark.parametrize("kind", ["refused", "expired", "idle", "nonsense"])
def test_what_no_history_tells(listening: Any, kind: Any) -> None:
    with pytest.raises(InvalidInput, match=r"there is no event .* of other processes; use one of"):
        listening.on("login", kind, scope="cluster")


def test_without_a_history_nothing_can_be_heard(style: str, url: str, config: Config) -> None:
    with contextlib.closing(KINDS[style](url, replace(config, history_entries=0))) as manager:
        manager.on("login")(Heard())
        with pytest.raises(ConfigurationError, match="history_entries=0"):
            manager.on("login", scope="cluster")


def test_where_nodes_refuse_to_push_only_own_events_are_told(
    style: str,
    url: str,
    cluster: EmbeddedCluster,
    config: Config,
    other: SessionManager,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_user(cluster, "unheard", *rights_without("+client|tracking"), "~*")
    plain = url.replace("://", f"://unheard:{QUOTED}@")
    strict = replace(config, verification="strict")
    with (
        caplog.at_level(logging.WARNING, logger="clusterpass.listeners"),
        contextlib.closing(KINDS[style](plain, strict)) as manager,
    ):
        heard = Heard()
        manager.on("login", scope="cluster")(heard)
        manager.login("alice")
        eventually(lambda: "client|tracking" in manager.stats().refusal)
        eventually(lambda: "listeners hear of this process only: " in caplog.text)
        other.login("bob")
        manager.login("carol")
        heard.wait_for(2)
        assert [event.subject for event in heard.events] == ["alice", "carol"]
        assert manager.stats().listeners.reads == 0


def run_apart(code: str, url: str) -> None:
    """Run ``code`` in a process of its own, with ``url`` as its argument."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), url],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "all right"), done.stderr


def test_a_forked_process_hears_from_its_first_call_on(url: str) -> None:
    run_apart(
        """
        import os, sys, time
        from clusterpass import Config, KeyRing, SessionManager

        config = Config(issuer="https://auth.example", keys=KeyRing.generate())
        manager, other = (SessionManager.from_url(sys.argv[1], config) for _ in range(2))
        heard = []

        def eventually(condition):
            until = time.monotonic() + 30
            while not condition():
                assert time.monotonic() < until, heard
                time.sleep(0.01)

        def listens():
            nodes = manager.stats().nodes
            return nodes and all(node.is_connected for node in nodes)

        @manager.on("login", scope="cluster")
        def listener(event):
            heard.append((os.getpid(), event.subject))

        eventually(listens)
        other.login("alice")
        eventually(lambda: heard == [(os.getpid(), "alice")])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                heard.clear()
                manager.sessions("nobody")
                eventually(listens)
                other.login("bob")
                eventually(lambda: heard == [(os.getpid(), "bob")])
                manager.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        eventually(lambda: heard[1:] == [(os.getpid(), "bob")])
        manager.close()
        print("all right")
        """,
        url,
    )


def test_under_gevent_it_is_refused(url: str) -> None:
    run_apart(
        """
        from gevent import monkey

        monkey.patch_all()
        import sys
        from clusterpass import Config, ConfigurationError, KeyRing, SessionManager

        config = Config(
            issuer="https://auth.example", keys=KeyRing.generate(), verification="strict"
        )
        with SessionManager.from_url(sys.argv[1], config) as manager:
            manager.on("login")(print)
            try:
                manager.on("login", scope="cluster")
            except ConfigurationError as error:
                assert str(error) == (
                    'scope="cluster" needs a real thread, but gevent or eventlet has replaced'
                    " threads here"
                ), error
                print("all right")
        """,
        url,
    )


def test_what_comes_after_a_subject_was_erased_is_told(
    listening: Any, other: SessionManager
) -> None:
    heard = listen(listening)
    for number in range(5):
        other.login("alice", device=f"device {number}")
    heard.wait_for(5)
    other.erase("alice")
    let_the_second_end()
    other.login("alice", device="anew")
    eventually(lambda: any(event.device == "anew" for event in heard.events))
    assert [event.device for event in heard.events if event.kind == "login"][5:] == ["anew"]
    assert {event.kind for event in heard.events} <= {"login", "revoked"}
