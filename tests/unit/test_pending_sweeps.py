"""Sessions that a process refuses while its revocation of all sessions or its ban is pending."""

from collections.abc import Generator
from typing import Any

import pytest

from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import RevocationPending, StoreUnavailable, SubjectBanned
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.script import Answer

from .driven_flows import (
    NOW,
    SESSION_ID,
    access_token,
    drive,
    first_call,
    life,
    live,
    opened,
    stored,
)

BEFORE = live(created_milliseconds=NOW * 1000 + 123)
LATER = live(created_milliseconds=NOW * 1000 + 1001)
"""After the millisecond of the store's answer and the next one, which had begun at most."""


def listing(record: LiveRecord) -> list[Any]:
    return [NOW * 1000 + 999, [SESSION_ID, record.pack()], []]


def pending(flow: Generator[Any, Any, Any]) -> None:
    first_call(flow)
    with pytest.raises(RevocationPending):
        flow.throw(StoreUnavailable())


def test_who_waits_for_a_revocation_of_all_refuses_nobody_who_came_later() -> None:
    """Also while the store has not told when it carried it out."""
    own = life()
    pending(own.revoke_all("alice"))
    session, _ = drive(own.verify(access_token()), stored(LATER))
    assert session.subject == "alice"
    with pytest.raises(SessionRevoked):
        drive(own.verify(access_token()), stored(BEFORE))
    listed, _ = drive(own.sessions("alice"), listing(LATER))
    assert len(listed) == 1
    listed, _ = drive(own.sessions("alice"), listing(BEFORE))
    assert listed == []


def test_who_waits_for_a_ban_refuses_everybody() -> None:
    own = life()
    pending(own.flows.subject.ban("alice", reason="", for_seconds=None, scope="", level=1))
    for record in (BEFORE, LATER):
        with pytest.raises(SessionRevoked):
            drive(own.verify(access_token()), stored(record))


def test_a_pending_ban_from_a_scope_is_told_by_every_answer() -> None:
    own = life()
    pending(own.flows.subject.ban("alice", reason="spam", for_seconds=60, scope="chat", level=2))
    session, _ = drive(own.verify(access_token()), stored(BEFORE))
    (listed,), _ = drive(own.sessions("alice"), listing(BEFORE))
    bans, _ = drive(own.flows.subject.bans("alice"), [NOW * 1000, b""])
    for told in (session.bans, listed.bans, bans):
        assert [(ban.scope, ban.level, ban.reason, ban.until) for ban in told] == [
            ("chat", 2, "spam", NOW + 60)
        ]
    with pytest.raises(SubjectBanned):
        drive(own.flows.subject.check_ban("alice", "chat", 1), [NOW * 1000, b""])
    drive(own.flows.subject.check_ban("alice", "mail", 1), [NOW * 1000, b""])
    drive(own.login("alice"), opened(BEFORE))


def test_who_is_banned_from_everything_cannot_log_in_while_the_ban_is_pending() -> None:
    own = life()
    pending(own.flows.subject.ban("alice", reason="fraud", for_seconds=None, scope="", level=1))
    with pytest.raises(SubjectBanned, match="fraud"):
        drive(own.login("alice"), opened(BEFORE))
    (refused,) = [event for event in own.told if event.kind == "refused"]
    assert (refused.subject, refused.reason, refused.at) == ("alice", "banned", NOW)
    with pytest.raises(SubjectBanned):
        drive(own.flows.subject.check_ban("alice", "", 1), [NOW * 1000, b""])
    drive(own.login("bob"), opened(BEFORE))
    pending(own.flows.subject.ban("carol", reason="", for_seconds=None, scope="chat", level=1))
    drive(own.login("carol"), opened(BEFORE))


def test_a_ban_that_the_store_has_carried_out_is_left_to_it() -> None:
    """No replica has confirmed it yet, and another process may have lifted it since."""
    own = life()
    flow = own.flows.subject.ban("alice", reason="fraud", for_seconds=None, scope="", level=1)
    call = first_call(flow)
    with pytest.raises(RevocationPending):
        reply = call.read([b"OK", NOW * 1000, [SESSION_ID], b""])
        flow.send(Answer(reply, False, "node", False))
    drive(own.login("alice"), opened(LATER))
    bans, _ = drive(own.flows.subject.bans("alice"), [NOW * 1000, b""])
    assert bans == ()
    with pytest.raises(SessionRevoked):
        drive(own.verify(access_token()), stored(BEFORE))


def test_a_ban_from_a_scope_is_left_to_the_store_once_it_is_confirmed() -> None:
    own = life()
    pending(own.flows.subject.ban("alice", reason="spam", for_seconds=None, scope="chat", level=2))
    (waiting,) = own.flows.memory.pending.all()
    flow = waiting.attempt()
    call = next(flow)
    with pytest.raises(StopIteration):
        flow.send(Answer(call.read([b"OK", NOW * 1000, [], b""]), True, "node", True))
    bans, _ = drive(own.flows.subject.bans("alice"), [NOW * 1000, b""])
    assert bans == (), "somebody has lifted it since"
