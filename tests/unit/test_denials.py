"""The denials cache: a session that a process has seen end stays ended, whatever the store says."""

import itertools
import math
import threading
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from clusterpass.model.authentication_errors import SessionExpired, SessionRevoked
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Stored, StoredBan
from clusterpass.sessions.memory import denials as module
from clusterpass.sessions.memory.denial import Denial, Sweep, denial_of
from clusterpass.sessions.memory.denials import Denials

KEY, OTHER = b"cp:{alice}", b"cp:{bob}"
ONE, TWO = b"1" * 16, b"2" * 16
NOW = 1_800_000_000_000
REVOKED = Denial("revoked", NOW // 1000, "stolen")
KNOWN = replace(REVOKED, known_at=5.0)
AHEAD = NOW / 1000 + 1 - 6.0


def shown(created: int = NOW, generation: int = 0, now: int = NOW + 1000, device: str = "") -> Any:
    record = LiveRecord(
        created_milliseconds=created,
        absolute_end=created // 1000 + 86_400,
        refreshed_at=created // 1000,
        idle_seconds=0,
        rotation=0,
        refresh_digest=b"d" * 16,
        device=device,
    )
    return Stored(now, record, generation=generation)


@pytest.fixture
def denials() -> Denials:
    return Denials(threading.RLock, lambda: 5.0)


def test_nothing_is_over_unless_it_was_seen(denials):
    assert denials.judge(KEY, ONE, shown(), 6.0) is None
    assert denials.of_session(ONE) is None
    assert not denials.concerns(KEY, ONE)


def test_a_session_that_ended_stays_so(denials):
    denials.add(ONE, REVOKED)
    assert denials.judge(KEY, ONE, shown(), 6.0) == KNOWN
    assert denials.judge(KEY, TWO, shown(), 6.0) is None
    assert denials.concerns(KEY, ONE)
    assert denials.without_store(KEY, ONE, shown().record, AHEAD) == KNOWN


def test_what_is_certain_is_not_replaced_by_what_is_pending(denials):
    denials.add(ONE, replace(REVOKED, is_pending=True))
    denials.add(ONE, REVOKED)
    denials.add(ONE, replace(REVOKED, is_pending=True))
    assert denials.of_session(ONE) == KNOWN
    denials.lift(ONE, b"request")
    assert denials.of_session(ONE) == KNOWN


def test_a_pending_end_that_came_to_nothing_is_lifted(denials):
    denials.add(ONE, replace(REVOKED, is_pending=True))
    denials.lift(ONE, b"request")
    assert denials.judge(KEY, ONE, shown(), 6.0) is None


def test_sessions_are_bounded_and_the_oldest_leave(denials, monkeypatch):
    monkeypatch.setattr(module, "MOST_SESSIONS", 3)
    for number in range(5):
        denials.add(bytes([number]) * 16, REVOKED)
    known = [denials.of_session(bytes([number]) * 16) is not None for number in range(5)]
    assert known == [False, False, True, True, True]


def test_a_sweep_is_about_those_opened_before(denials):
    denials.sweep(KEY, b"operation", Sweep(REVOKED, until=NOW))
    assert denials.judge(KEY, ONE, shown(created=NOW), 6.0) == KNOWN
    assert denials.judge(KEY, ONE, shown(created=NOW + 1), 6.0) is None
    assert denials.judge(OTHER, ONE, shown(), 6.0) is None


def test_a_pending_sweep_is_about_all_until_it_is_carried_out(denials):
    denials.sweep(KEY, b"operation", Sweep(REVOKED))
    assert denials.judge(KEY, ONE, shown(created=NOW + 10**9), 6.0)
    denials.sweep(KEY, b"operation", Sweep(REVOKED, until=NOW))
    assert denials.judge(KEY, ONE, shown(created=NOW + 1), 6.0) is None
    denials.forget_sweep(KEY, b"operation")
    assert denials.judge(KEY, ONE, shown(created=NOW), 6.0) is None
    assert not denials.concerns(KEY, ONE)


def test_a_pending_sweep_spares_who_logged_in_after_it_was_asked_for(denials):
    denials.sweep(KEY, b"operation", Sweep(REVOKED, since=4.0))
    # The clock said NOW + 1000 after 6.0, so it had not reached NOW - 998 at 4.0.
    assert denials.judge(KEY, ONE, shown(created=NOW - 1000), 6.0) == KNOWN
    assert denials.judge(KEY, ONE, shown(created=NOW - 998), 6.0) is None
    # Asked before: then nothing is known to be later.
    assert denials.judge(KEY, ONE, shown(created=NOW + 1000), 4.0)
    assert denials.without_store(KEY, ONE, shown(created=NOW - 1000).record, AHEAD) == KNOWN
    assert denials.without_store(KEY, ONE, shown(created=NOW - 999).record, AHEAD) is None


def test_a_generation_is_learnt_from_any_answer(denials):
    raised: list[bytes] = []
    denials.on_generation = raised.append
    for key, generation in ((KEY, NOW), (KEY, NOW), (KEY, NOW - 1), (OTHER, 0)):
        denials.learn_generation(key, generation)
    assert raised == [KEY]
    denial = denials.judge(KEY, ONE, shown(NOW - 5000, generation=0), 6.0)
    assert (denial.reason, denial.ended_at) == ("revoked", NOW // 1000)
    assert denials.judge(KEY, ONE, shown(NOW + 1, generation=0), 6.0) is None
    assert denials.judge(OTHER, ONE, shown(NOW + 1, generation=NOW), 6.0) is None
    assert raised == [KEY, OTHER]


def test_a_sweep_spares_one_and_other_devices(denials):
    denials.sweep(KEY, b"keep", Sweep(REVOKED, until=NOW, keep=ONE))
    assert denials.judge(KEY, ONE, shown(), 6.0) is None
    assert denials.judge(KEY, TWO, shown(), 6.0) == KNOWN
    denials.sweep(OTHER, b"kind", Sweep(REVOKED, until=NOW, device_type="phone"))
    assert denials.judge(OTHER, ONE, shown(device="web\0x"), 6.0) is None
    assert denials.judge(OTHER, ONE, shown(device="phone\0x"), 6.0) == KNOWN


def test_a_ban_from_a_scope_ends_nothing_but_is_told(denials):
    ban = StoredBan("comments", 1, 0, "spam", 1)
    denials.sweep(KEY, b"operation", Sweep(REVOKED, bans=(ban,)))
    assert denials.judge(KEY, ONE, shown(), 6.0) is None
    assert denials.pending_bans(KEY) == (ban,)
    assert denials.pending_bans(OTHER) == ()


def test_a_ban_that_is_settled_concerns_what_was_asked_before(denials):
    """The answer was given before the store had the ban, and is read after that."""
    ban = StoredBan("comments", 1, 0, "spam", 1)
    denials.sweep(KEY, b"operation", Sweep(REVOKED, bans=(ban,)))
    denials.settle_ban(KEY, b"operation")
    assert denials.pending_bans(KEY, asked_at=4.9) == (ban,)
    assert denials.pending_bans(KEY, asked_at=5.1) == ()
    assert denials.pending_bans(KEY) == (), "the next login asks the store"
    assert denials.concerns(KEY, ONE)
    assert denials.judge(KEY, ONE, shown(), 4.9) is None
    denials.settle_ban(KEY, b"of nobody")
    denials.settle_ban(OTHER, b"operation")
    assert not denials.concerns(OTHER, ONE)


def test_a_ban_that_took_long_to_settle_concerns_what_was_asked_while_it_was_pending():
    now = [5.0]
    denials = Denials(threading.RLock, lambda: now[0])
    ban = StoredBan("comments", 1, 0, "spam", 1)
    denials.sweep(KEY, b"operation", Sweep(REVOKED, bans=(ban,)))
    now[0] = 9.0
    denials.settle_ban(KEY, b"operation")
    assert denials.pending_bans(KEY, asked_at=8.9) == (ban,)
    assert denials.pending_bans(KEY, asked_at=9.1) == ()


def test_subjects_are_bounded_but_what_is_pending_stays(denials, monkeypatch):
    monkeypatch.setattr(module, "MOST_SUBJECTS", 3)
    denials.sweep(b"pending", b"operation", Sweep(REVOKED))
    for number in range(6):
        denials.sweep(b"%d" % number, b"operation", Sweep(REVOKED, until=NOW))
    assert denials.judge(b"pending", ONE, shown(), 6.0)
    kept = [bool(denials.judge(b"%d" % number, ONE, shown(), 6.0)) for number in range(6)]
    assert kept == [False] * 3 + [True] * 3


def test_operations_of_a_subject_are_bounded_but_what_is_pending_stays(denials):
    denials.sweep(KEY, b"pending", Sweep(REVOKED))
    for number in range(50):
        denials.sweep(KEY, b"%d" % number, Sweep(REVOKED, until=NOW))
    assert denials.judge(KEY, ONE, shown(created=NOW + 1), 6.0)


def test_a_lower_generation_is_a_rollback(denials):
    """What revoke_all ended, and spared, and what was opened after it."""
    ended, spared, later = b"e" * 16, b"s" * 16, b"l" * 16
    assert denials.judge(KEY, spared, shown(NOW - 5000, generation=0), 6.0) is None
    assert denials.judge(KEY, spared, shown(NOW - 5000, generation=NOW), 6.0) is None
    assert denials.judge(KEY, ended, shown(NOW - 5000, generation=0), 6.0).reason == "revoked"
    assert denials.judge(KEY, spared, shown(NOW - 5000, generation=0), 6.0) is None
    assert denials.judge(KEY, later, shown(NOW + 1, generation=0), 6.0) is None


def test_an_answer_that_a_higher_generation_has_overtaken_proves_nothing(denials):
    """Asked before, answered before, read after: the session may be the one that is kept."""
    overtaken = []
    denials.on_overtaken = overtaken.append
    denials.learn_generation(KEY, NOW)  # at 5.0
    assert denials.judge(KEY, ONE, shown(NOW - 5000, generation=0), 4.9) is None
    assert denials.judge(KEY, ONE, shown(NOW - 5000, generation=0), 5.0) is None
    assert overtaken == [KEY, KEY], "nothing of the subject is kept that was loaded meanwhile"
    assert denials.judge(KEY, ONE, shown(NOW - 5000, generation=0), 5.1).reason == "revoked"
    assert overtaken == [KEY, KEY]


def test_a_generation_that_the_store_forgets_in_time_means_nothing(denials):
    assert denials.judge(KEY, ONE, shown(NOW + 1, generation=NOW), 6.0) is None
    assert denials.judge(KEY, TWO, shown(NOW - 5000, now=NOW + 3_700_000), 6.0) is None
    assert not denials.concerns(KEY, TWO)


def test_a_child_of_a_fork_keeps_what_is_certain(denials):
    denials.add(ONE, REVOKED)
    denials.add(TWO, replace(REVOKED, is_pending=True))
    denials.sweep(KEY, b"operation", Sweep(REVOKED))
    denials.begin_anew()
    assert denials.of_session(ONE) == KNOWN
    assert denials.of_session(TWO) is None
    assert denials.judge(KEY, b"3" * 16, shown(), 6.0) is None


@pytest.mark.parametrize(
    "end",
    [
        SessionRevoked(reason="banned", ended_at=5, note="spam"),
        SessionExpired(is_idle=True, ended_at=5),
        SessionExpired(is_idle=False, ended_at=5),
    ],
)
def test_an_end_is_told_as_it_was_seen(end):
    told = denial_of(end).error()
    assert type(told) is type(end)
    assert (told.reason, told.message, told.ended_at) == (end.reason, end.message, end.ended_at)


operations = st.lists(
    st.tuples(
        st.sampled_from(["end", "end_all", "login", "roll back", "verify"]),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(operations)
def test_who_saw_the_end_never_accepts_again(steps):
    """A store that loses a suffix of its history at any time, and one process that watches it."""
    denials, now = Denials(threading.RLock, lambda: 5.0), NOW
    history: list[dict[str, Any]] = [{"live": {}, "generation": 0}]
    seen_dead: set[bytes] = set()
    ids = (number.to_bytes(16, "big") for number in itertools.count())  # none is given twice
    for step, number in steps:
        now += 1000
        state = history[-1]
        if step == "login":
            history.append({**state, "live": {**state["live"], next(ids): now}})
        elif step == "end" and state["live"]:
            session_id = sorted(state["live"])[number % len(state["live"])]
            left = {each: at for each, at in state["live"].items() if each != session_id}
            history.append({**state, "live": left})
            denials.add(session_id, REVOKED)
            seen_dead.add(session_id)
        elif step == "end_all":
            history.append({"live": {}, "generation": now})
            denials.sweep(KEY, b"%d" % now, Sweep(REVOKED, until=now))
            seen_dead |= state["live"].keys()
        elif step == "roll back":
            del history[max(1, len(history) - number) :]
        elif step == "verify":
            for each, created in history[-1]["live"].items():
                stored = shown(created, history[-1]["generation"], now)
                verdict = denials.judge(KEY, each, stored, 6.0)
                assert (verdict is None) == (each not in seen_dead), each
    assert math.isfinite(now)


def test_an_answer_that_is_older_than_what_is_known_is_no_rollback(denials):
    """The store was asked before the end became known: no wonder that it says otherwise."""
    denials.add(ONE, REVOKED)
    assert denials.judge(KEY, ONE, shown(), 6.0).is_pending is False
    assert denials.judge(KEY, ONE, shown(), 4.0).is_pending is True
    denials.sweep(OTHER, b"operation", Sweep(REVOKED, until=NOW))
    assert denials.judge(OTHER, TWO, shown(), 4.0).is_pending is True


def test_what_became_known_when_the_store_was_asked_may_be_news_to_it() -> None:
    denials = Denials(threading.Lock, lambda: 5.0)
    denials.add(ONE, REVOKED)
    for asked_at, is_pending in ((4.9, True), (5.0, True), (5.1, False)):
        denial = denials.judge(KEY, ONE, shown(), asked_at)
        assert denial is not None
        assert denial.is_pending is is_pending


def test_the_generation_that_was_learnt_first_is_forgotten_first(
    monkeypatch: pytest.MonkeyPatch, denials: Denials
) -> None:
    monkeypatch.setattr(module, "MOST_SUBJECTS", 2)
    for key in (b"1", b"2", b"3"):
        denials.learn_generation(key, NOW)
    assert [denials.concerns(key, ONE) for key in (b"1", b"2", b"3")] == [False, True, True]
