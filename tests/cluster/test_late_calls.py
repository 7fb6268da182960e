"""Calls that are carried out late or again, as after a failover: bans, and ends of all sessions."""

import time
from typing import Any

import pytest

from clusterpass import EmbeddedCluster, SessionRevoked
from clusterpass.protocol.calls import (
    end as end_calls,
    subject as subject_calls,
)
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import parse_record
from clusterpass.tokens.identifiers import decode_session_id

KEEPING = Housekeeping(60)


@pytest.fixture
def key(subject: str) -> bytes:
    return Keyspace().sessions(subject)


@pytest.fixture
def node(cluster: EmbeddedCluster, key: bytes):
    with cluster.client(cluster.primary_of(key)) as client:
        yield client


def login_after(sessions, subject, second: int, **options: Any):
    """Log in; the session is opened in a later second than ``second``."""
    while True:
        pair = sessions.login(subject, **options)
        if sessions.verify(pair.access_token, verification="strict").created_at > second:
            return pair
        sessions.logout(pair.access_token)
        time.sleep(0.02)


def test_a_ban_that_is_over_when_it_is_carried_out_ends_what_it_would_have_ended(
    sessions, key, node, subject
):
    """A failover may take longer than a short ban, which the journals carried over it."""
    before = sessions.login(subject)
    stored = node.hget(key, decode_session_id(before.session_id))
    began = parse_record(stored).created_milliseconds
    later = login_after(sessions, subject, began // 1000)

    def flow():
        answer = yield subject_calls.ban(
            Keyspace(),
            KEEPING,
            subject,
            scope="",
            level=1,
            seconds=1,
            reason="spam",
            operation=b"o" * 8,
            begins=began,
        )
        return answer.reply

    banned = sessions.store.run(flow())
    assert (banned.status, banned.ended, banned.bans) == (
        "OK",
        (decode_session_id(before.session_id),),
        (),
    )
    assert sessions.store.run(flow()).ended == banned.ended, "a repetition answers the same"
    with pytest.raises(SessionRevoked) as caught:
        sessions.verify(before.access_token, verification="strict")
    assert (caught.value.reason, caught.value.note) == ("banned", "spam")
    assert sessions.verify(later.access_token, verification="strict")


@pytest.mark.parametrize("kind", [None, "phone"])
def test_an_end_of_all_that_is_carried_out_again_spares_later_logins(sessions, subject, kind):
    """A failover may have lost its first run, after which the subject has logged in again."""
    before = sessions.login(subject, device_type="phone")
    began = sessions.verify(before.access_token, verification="strict").created_at
    later = login_after(sessions, subject, began, device_type="phone")

    def flow():
        answer = yield end_calls.end_all(
            Keyspace(),
            KEEPING,
            subject,
            keep=None,
            reason="revoked",
            device_type=kind,
            operation=b"e" * 8,
            up_to=began * 1000 + 999,
        )
        return answer.reply

    ended = sessions.store.run(flow())
    assert ended.ended == (decode_session_id(before.session_id),)
    assert sessions.verify(later.access_token, verification="strict")
    with pytest.raises(SessionRevoked):
        sessions.verify(before.access_token, verification="strict")


def test_a_ban_that_is_over_and_ends_nothing_is_no_line_of_the_history(sessions, subject):
    sessions.login(subject)
    began = int(time.time() - 3600) * 1000

    def flow():
        answer = yield subject_calls.ban(
            Keyspace(),
            Housekeeping(60, history_entries=10),
            subject,
            scope="",
            level=1,
            seconds=1,
            reason="spam",
            begins=began,
        )
        return answer.reply

    assert sessions.store.run(flow()).ended == ()
    assert [line.kind for line in sessions.history(subject)] == ["login"]
