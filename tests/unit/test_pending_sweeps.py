"""Whom a process refuses while a revocation of all, or a ban, is pending."""

from collections.abc import Generator
from typing import Any

import pytest

from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import RevocationPending, StoreUnavailable
from clusterpass.protocol.records import LiveRecord

from .driven_flows import NOW, SESSION_ID, access_token, drive, first_call, life, live, stored

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
