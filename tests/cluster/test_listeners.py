"""Listeners of one manager: events in order, errors, slow listeners, and closing."""

import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import get_args

import pytest

from clusterpass import (
    InvalidInput,
    LoginOvertaken,
    RefreshTokenReused,
    SessionPolicy,
    SubjectBanned,
    TooManySessions,
)
from clusterpass.managers.aio.listener_queue import MOST_WAITING
from clusterpass.model.events import EventKind, SessionEvent
from clusterpass.model.values import Actor
from tests.cluster.conftest import Facade
from tests.cluster.stored import eventually, opened_apart, rewrite

SINGLE = SessionPolicy.single_session()
STRICT = SessionPolicy(max_sessions=1, overflow="refuse")


@pytest.fixture
def own(engine, config):
    """A manager whose listeners are this test's alone; in the namespace of all."""
    with opened_apart(engine, config, "cp") as manager:
        yield manager


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []

    def __call__(self, event: SessionEvent) -> None:
        self.events.append(event)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def wait_for(self, kinds: list[str]) -> None:
        eventually(lambda: len(self.events) >= len(kinds))
        assert self.kinds() == kinds


def test_every_event_is_told_in_order(engine, own, new_subject):
    heard = Heard()
    own.on()(heard)
    actor = own.verify(own.login(new_subject()).access_token)
    subject = new_subject()
    pair = own.login(subject, device="old", device_type="web", address="192.0.2.7")
    own.elevate(own.verify(pair.access_token), "2", for_seconds=60, address="192.0.2.8")
    acting = own.impersonate(actor, subject, reason="ticket")
    own.claims.set(subject, {"plan": "pro"})
    own.revoke(subject, acting.session_id, reason="enough")
    newer = own.login(subject, device="new", policy=SINGLE)
    with pytest.raises(TooManySessions):
        own.login(subject, policy=STRICT)
    with pytest.raises(LoginOvertaken):
        own.revoke_all(subject, keep=newer.session_id)
        own.login(subject, generation=0)
    newer_still = own.refresh(newer.refresh_token, address="192.0.2.9")
    own.verify(newer_still.access_token)
    rewrite(engine, newer, refreshed_at=int(time.time()) - 100)
    with pytest.raises(RefreshTokenReused):
        own.refresh(newer.refresh_token, address="192.0.2.10")
    last = own.login(subject)
    own.logout(last.access_token, address="2001:db8::1")
    several = [own.login(subject) for _ in range(2)]
    own.bans.add(subject, reason="fraud")
    with pytest.raises(SubjectBanned):
        own.login(subject)
    own.bans.lift(subject)
    own.bans.add(subject, scope="comments", reason="spam")
    fresh = own.verify(own.login(subject).access_token)
    own.elevate(fresh, "1", for_seconds=60, address="192.0.2.12", password_changed=True)
    heard.wait_for(
        [
            *["login", "login", "elevated", "impersonated", "claims_changed", "revoked"],
            *["replaced", "login", "refused", "refused", "refresh", "reused"],
            *["login", "logged_out", "login", "login", "banned", "refused", "unbanned", "banned"],
            *["login", "password_changed"],
        ]
    )
    # Ends by themselves are found out by whoever looks next: nobody does them.
    assert set(heard.kinds()) == set(get_args(EventKind)) - {"expired", "idle"}
    for event in heard.events:
        assert event.subject in {subject, actor.subject}
        assert abs(event.at - time.time()) < 60
    told = {(event.kind, event.reason): event for event in heard.events if event.subject == subject}
    login = next(event for event in heard.events if event.device == "old")
    assert (login.session_ids, login.device_type, login.address) == (
        (pair.session_id,),
        "web",
        "192.0.2.7",
    )
    assert told["elevated", "2"].session_ids == (pair.session_id,)
    assert told["elevated", "2"].address == "192.0.2.8"
    assert told["password_changed", None].session_ids == (fresh.session_id,)
    assert told["password_changed", None].address == "192.0.2.12"
    assert told["impersonated", "ticket"].actor == Actor(actor.subject, actor.session_id, "ticket")
    assert told["revoked", "enough"].session_ids == (acting.session_id,)
    replaced = told["replaced", None]
    assert (replaced.session_ids, replaced.device) == ((pair.session_id,), "new")
    assert told["refresh", None].address == "192.0.2.9"
    assert told["reused", "recent"].session_ids == (newer_still.session_id,)
    assert told["reused", "recent"].address == "192.0.2.10"
    assert told["logged_out", None].address == "2001:db8::1"
    assert set(told["banned", "fraud"].session_ids) == {each.session_id for each in several}
    assert told["banned", "comments spam"].session_ids == ()
    assert ("refused", "too_many_sessions") in told
    assert ("refused", "overtaken") in told
    assert ("refused", "banned") in told


def test_a_ban_that_is_lifted_is_told_with_its_scope(own, subject):
    heard = Heard()
    own.on("banned", "unbanned")(heard)
    own.bans.add(subject, scope="comments", reason="spam")
    own.bans.lift(subject, scope="comments")
    own.bans.add(subject)
    own.bans.lift(subject)
    heard.wait_for(["banned", "unbanned", "banned", "unbanned"])
    assert [event.reason for event in heard.events] == ["comments spam", "comments", None, None]


def test_what_changes_nothing_is_not_told(own, subject):
    heard = Heard()
    pair = own.login(subject)
    own.logout(pair.access_token)
    own.on()(heard)
    own.logout(pair.access_token)
    own.revoke(subject, pair.session_id)
    own.revoke_all(subject)
    own.bans.lift(subject)
    own.claims.set(subject, {"plan": "pro"})
    own.sessions(subject)
    last = own.login(subject)
    own.verify(last.access_token)
    own.claims.set(subject, {})
    heard.wait_for(["login"])


def test_equal_claims_are_set_without_a_change(own, subject):
    heard, pair = Heard(), own.login(subject)
    own.on()(heard)
    for plan in ("pro", "pro", "free", "pro", "pro"):
        assert own.claims.set(subject, {"plan": plan}).count == 1
        assert own.verify(pair.access_token).claims == {"plan": plan}
    own.logout(pair.access_token)
    heard.wait_for([*["claims_changed"] * 3, "logged_out"])
    kinds = [entry.kind for entry in reversed(own.history(subject))]
    assert kinds == ["login", *["claims_changed"] * 3, "logged_out"]


def test_a_listener_is_told_the_kinds_it_asked_for(own, subject):
    logins, ends, everything = Heard(), Heard(), Heard()
    assert own.on("login")(logins) is logins, "it decorates"
    own.on("logged_out", "revoked")(ends)
    own.on()(everything)
    pair = own.login(subject)
    own.refresh(pair.refresh_token)
    own.logout(pair.access_token)
    everything.wait_for(["login", "refresh", "logged_out"])
    assert logins.kinds() == ["login"]
    eventually(lambda: ends.events)
    assert ends.kinds() == ["logged_out"]


def test_another_managers_acts_are_not_told(own, manager, subject):
    heard = Heard()
    own.on()(heard)
    pair = manager.login(subject)
    own.logout(pair.access_token)
    heard.wait_for(["logged_out"])


def test_who_wants_to_hear_no_more_hears_no_more(own, subject):
    heard, other = Heard(), Heard()
    own.on("login", "logged_out")(heard)
    own.on("login", "logged_out")(other)
    own.login(subject)
    other.wait_for(["login"])
    own.off(heard)
    own.off(heard)
    own.off(print)
    own.logout(own.login(subject).access_token)
    other.wait_for(["login", "login", "logged_out"])
    assert heard.kinds() == ["login"]


def test_asynchronous_listeners_are_awaited(own, subject):
    heard = Heard()

    @own.on("login", "logged_out")
    async def listener(event):
        import asyncio

        await asyncio.sleep(0)
        heard(event)

    own.logout(own.login(subject).access_token)
    heard.wait_for(["login", "logged_out"])


def test_an_object_with_an_asynchronous_call_is_awaited_too(own, subject):
    heard = Heard()

    class Listener:
        async def __call__(self, event):
            heard(event)

    listener = Listener()
    own.on("login")(listener)

    @own.on("login")
    def plain_that_answers_something_to_await(event):
        return listener(event)

    own.login(subject)
    heard.wait_for(["login", "login"])


@pytest.mark.parametrize("style", ["plain", "asynchronous"])
def test_a_listener_that_raises_harms_neither_verbs_nor_others(own, subject, caplog, style):
    heard = Heard()

    def plain(event):
        raise ValueError(f"secret of {event.subject}")

    async def asynchronous(event):
        raise ValueError(f"secret of {event.subject}")

    own.on("login")({"plain": plain, "asynchronous": asynchronous}[style])
    own.on("login")(heard)
    with caplog.at_level(logging.ERROR, logger="clusterpass.listeners"):
        for _ in range(3):
            own.login(subject)
        heard.wait_for(["login"] * 3)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert all(style in line and line.endswith("failed: ValueError") for line in lines)
    assert "secret" not in "".join(lines), "what an error holds of the event is not logged"


def test_a_slow_listener_does_not_keep_a_verb_waiting(own, subject):
    told, release, heard = threading.Event(), threading.Event(), Heard()

    @own.on("login")
    def slow(event):
        told.set()
        assert release.wait(60)

    own.on()(heard)
    try:
        pair = own.login(subject)
        assert told.wait(30)
        for _ in range(20):
            pair = own.refresh(pair.refresh_token)
        own.logout(pair.access_token)
        assert heard.events == [], "it comes after the slow one"
    finally:
        release.set()
    heard.wait_for(["login", *["refresh"] * 20, "logged_out"])


def test_a_listener_may_call_the_manager(own, subject):
    heard = Heard()
    if isinstance(own, Facade):

        @own.on("login")
        async def end_it_awaited(event):
            await own.manager.revoke(event.subject, event.session_ids[0], reason="not today")

    else:

        @own.on("login")
        def end_it(event):
            own.revoke(event.subject, event.session_ids[0], reason="not today")

    own.on("revoked")(heard)
    own.login(subject)
    heard.wait_for(["revoked"])
    assert own.sessions(subject) == []


def test_close_tells_what_still_waits(engine, config, subject):
    heard, started, release = Heard(), threading.Event(), threading.Event()
    with opened_apart(engine, config, "cp") as manager:

        @manager.on("login")
        def slow(event):
            started.set()
            assert release.wait(60)
            heard(event)

        for _ in range(5):
            manager.login(subject)
        assert started.wait(30)
        assert heard.events == []
        threading.Timer(0.1, release.set).start()
    assert heard.kinds() == ["login"] * 5


def test_close_without_a_listener_or_an_event_returns(engine, config):
    with opened_apart(engine, config, "cp") as manager:
        manager.on()(Heard())
    with opened_apart(engine, config, "cp"):
        pass


def test_too_much_for_a_listener_is_dropped_and_counted(own, subject, caplog):
    told, release, heard = threading.Event(), threading.Event(), Heard()

    @own.on("login")
    def stuck(event):
        told.set()
        assert release.wait(60)

    own.on("refresh")(heard)
    listeners, done = own._listeners, threading.Event()

    def tell_many() -> None:
        for _ in range(MOST_WAITING + 50):
            listeners.tell(SessionEvent("refresh", subject, 0))
        done.set()

    try:
        own.login(subject)
        assert told.wait(30)
        with caplog.at_level(logging.WARNING, logger="clusterpass.listeners"):
            if isinstance(own, Facade):
                own.loop.call_soon_threadsafe(tell_many)
            else:
                tell_many()
            assert done.wait(30)
        assert listeners.subscriptions.dropped == 50
        assert [record.getMessage() for record in caplog.records] == [
            "listeners are too slow: 1 events dropped"
        ]
        assert own.login(subject), "the verbs go on"
    finally:
        release.set()
    heard.wait_for(["refresh"] * MOST_WAITING)


@pytest.mark.parametrize(
    "kind",
    ["nonsense", "", "LOGIN", None, 7, ["login"], Heard()],
    ids=["nonsense", "empty", "capitals", "none", "number", "list", "listener"],
)
def test_a_kind_that_is_none_is_refused(own, kind):
    with pytest.raises(InvalidInput):
        own.on(kind)
    with pytest.raises(InvalidInput):
        own.on("login", kind)


def test_what_cannot_be_called_is_no_listener(own):
    for nonsense in (None, "login", 7):
        with pytest.raises(InvalidInput):
            own.on("login")(nonsense)


def test_a_forked_process_tells_its_own_events(cluster_url, tmp_path: Path, subject):
    """The child has a thread of its own, and nothing of what its parent still had to tell."""
    script = tmp_path / "forks.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys, threading
            from clusterpass import Config, KeyRing, SessionManager

            url, subject = sys.argv[1:]
            config = Config(issuer="https://auth.example", keys=KeyRing.generate())
            manager = SessionManager.from_url(url, config)
            release, told, heard = threading.Event(), threading.Event(), []

            @manager.on()
            def listener(event):
                told.set()
                assert release.wait(60)
                heard.append((os.getpid(), event.kind, event.device))

            for number in range(3):
                manager.login(subject, device=f"parent {number}")
            assert told.wait(30)
            # One event is being told, two wait: the child must tell none of them.
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    release.set()
                    pair = manager.login(subject, device="child")
                    manager.logout(pair.access_token)
                    manager.close()
                    me = os.getpid()
                    assert heard == [(me, "login", "child"), (me, "logged_out", None)], heard
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            release.set()
            manager.login(subject, device="parent 3")
            manager.close()
            assert heard == [(os.getpid(), "login", f"parent {n}") for n in range(4)], heard
            print("all right")
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script), cluster_url, subject],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ},
    )
    assert (done.returncode, done.stdout.strip()) == (0, "all right"), done.stderr
