"""The clock of a running server jumps by hours."""

import logging
import time
from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import RevocationPending, StoreUnavailable, SubjectBanned
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.calls.call_time import CallTime
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.records import LiveRecord
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.tokens.identifiers import decode_session_id

from .servers import HANGING, eventually, set_clock
from .test_promoted_clocks import answered, ended, key_of, stored

pytestmark = pytest.mark.timeout(240)
HOURS = 3 * 3600


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seconds", [HOURS, -HOURS])
def test_a_running_primary_that_jumps_ends_nothing_and_is_reported(
    fragile: EmbeddedCluster, open_one: Any, subject: str, seconds: int, caplog: Any
) -> None:
    manager = open_one(fragile, "sync", "cached")
    kept, leaving = manager.login(subject), manager.login(subject)
    primary = fragile.primary_of(key_of(subject))
    with caplog.at_level(logging.WARNING, "clusterpass.clocks"):
        set_clock(fragile, primary, seconds)
        fragile.wait_until_healthy(HANGING)
        eventually(lambda: "10800 s" in caplog.text, "the clock is reported")
    assert str(primary.port) in caplog.text
    assert answered(lambda: manager.verify(kept.access_token, verification="strict"))
    renewed = answered(lambda: manager.refresh(kept.refresh_token))
    opened = answered(lambda: manager.login(subject, lifetime=60, idle_lifetime=0))
    ended(manager, leaving.access_token)
    set_clock(fragile, primary, 0)
    fragile.wait_until_healthy(HANGING)
    for pair in (renewed, opened):
        assert answered(lambda pair=pair: manager.verify(pair.access_token, verification="strict"))
    with pytest.raises(SessionRevoked):
        answered(lambda: manager.verify(leaving.access_token, verification="strict"))
    assert isinstance(stored(fragile, kept), LiveRecord)


@pytest.mark.parametrize("scope", ["", "chat"])
def test_a_ban_is_not_lost_with_sessions_that_are_deleted_too_early(
    fragile: EmbeddedCluster, open_one: Any, subject: str, scope: str
) -> None:
    """The server deletes keys by its own clock."""
    manager = open_one(fragile)
    manager.login(subject, lifetime=60, idle_lifetime=0)
    manager.bans.add(subject, scope=scope, reason="spam", for_seconds=600)
    set_clock(fragile, fragile.primary_of(key_of(subject)), HOURS)
    fragile.wait_until_healthy(HANGING)
    assert [ban.scope for ban in answered(lambda: manager.bans.list(subject))] == [scope]
    if scope:
        pair = answered(lambda: manager.login(subject))
        found = answered(lambda: manager.verify(pair.access_token, verification="strict"))
        assert [ban.scope for ban in found.bans] == [scope]
    else:
        with pytest.raises(SubjectBanned):
            answered(lambda: manager.login(subject))


def subject_elsewhere(fragile: EmbeddedCluster, slot: int, new_subject: Any) -> str:
    """A subject of another shard than ``slot``."""
    owner = fragile.primary_of(Keyspace().not_before(slot))
    while True:
        subject: str = new_subject()
        if fragile.primary_of(key_of(subject)) != owner:
            return subject


@pytest.mark.sampled(2)
@pytest.mark.parametrize("seconds", [HOURS, -HOURS])
@pytest.mark.parametrize("is_elsewhere", [True, False])
def test_revoke_before_ends_what_is_older_and_nothing_else(
    fragile: EmbeddedCluster, open_one: Any, new_subject: Any, seconds: int, is_elsewhere: bool
) -> None:
    """The clock of the first copy, which tells the others the time, is wrong."""
    first = SLOTS_WITH_CUTOFF[0]
    subject = subject_elsewhere(fragile, first, new_subject)
    wrong = fragile.primary_of(Keyspace().not_before(first) if is_elsewhere else key_of(subject))
    manager, other = open_one(fragile), open_one(fragile)
    older = manager.login(subject)
    assert other.verify(older.access_token)
    set_clock(fragile, wrong, seconds)
    fragile.wait_until_healthy(HANGING)
    # Whole seconds and the tolerance: what is older by more than that has to end.
    opened_at = time.monotonic()
    eventually(lambda: time.monotonic() - opened_at > 6, "the session is older than the tolerance")
    done = answered(manager.revoke_before)
    assert abs(done.time - time.time()) < 30
    newer = answered(lambda: manager.login(subject))
    set_clock(fragile, wrong, 0)
    fragile.wait_until_healthy(HANGING)
    late = open_one(fragile)
    for each in (manager, other, late):
        with pytest.raises(SessionRevoked):
            answered(lambda each=each: each.verify(older.access_token))
        assert answered(lambda each=each: each.verify(newer.access_token))


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seconds", [HOURS, -HOURS])
def test_who_cannot_tell_which_clock_is_wrong_changes_nothing(
    alone: EmbeddedCluster, open_one: Any, subject: str, seconds: int
) -> None:
    """A single server: there is no majority."""
    before = open_one(alone)
    pair = before.login(subject)
    eventually(lambda: before.verify(pair.access_token), "it verifies")
    set_clock(alone, alone.nodes[0], seconds)
    # A process that knew the time before goes on by it.
    assert before.verify(pair.access_token)
    renewed = before.refresh(pair.refresh_token)
    late = open_one(alone)
    for call in (
        lambda: late.verify(pair.access_token),
        lambda: late.refresh(renewed.refresh_token),
        lambda: late.login(subject),
        lambda: late.sessions(subject),
        lambda: late.claims.set(subject, {"a": 1}),
    ):
        with pytest.raises(StoreUnavailable) as caught:
            call()
        assert caught.value.reason == "clock"
        assert "10,800 s" in str(caught.value) or "10,799 s" in str(caught.value)
    with pytest.raises(RevocationPending) as pending:
        late.logout(pair.access_token)
    assert pending.value.reason == "clock"
    with pytest.raises(SessionRevoked):
        late.verify(pair.access_token)
    assert isinstance(stored(alone, pair), LiveRecord)
    set_clock(alone, alone.nodes[0], 0)
    eventually(lambda: not late.stats().pending.waiting, "the logout is carried out")
    with pytest.raises(SessionRevoked):
        before.verify(renewed.access_token)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seconds", [HOURS, -HOURS])
def test_a_caller_with_a_wrong_clock_ends_nothing(
    fragile: EmbeddedCluster, open_one: Any, subject: str, seconds: int
) -> None:
    """A process that has heard no other clock says what time it is."""
    manager = open_one(fragile)
    pair = manager.login(subject)
    session_id = decode_session_id(pair.session_id)
    assert session_id is not None
    wrong = CallTime(int((time.time() + seconds) * 1000), is_agreed=False)
    keeping = Housekeeping(960, time=wrong)
    call = session_calls.rotate(
        Keyspace(),
        keeping,
        subject,
        session_id=bytes(16),
        presented_digest=bytes(16),
        rotation=0,
        successor_digest=bytes(16),
    )

    def flow() -> Any:
        return (yield call)

    store = SyncStore.from_url(fragile.url)
    try:
        with pytest.raises(StoreUnavailable) as caught:
            store.run(flow())
        assert caught.value.reason == "clock"
    finally:
        store.close()
    assert isinstance(stored(fragile, pair), LiveRecord)
    assert manager.refresh(pair.refresh_token)
