"""Session policies: limits for each subject and kind of device, enforced by the scripts."""

import dataclasses
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from clusterpass import SessionNotFound, SessionPolicy, SessionRevoked, TooManySessions
from tests.cluster.stored import let_age, let_expire, rewrite

STRICT = SessionPolicy(max_sessions=2, overflow="refuse")


def devices(manager, subject) -> list[str | None]:
    return [session.device for session in manager.sessions(subject)]


def is_alive(manager, pair) -> bool:
    try:
        manager.verify(pair.access_token)
    except SessionRevoked as end:
        assert end.reason == "replaced"
        return False
    return True


def test_the_oldest_leaves_for_the_newest(manager, subject):
    policy = SessionPolicy(max_sessions=3)
    pairs = [manager.login(subject, device=str(number), policy=policy) for number in range(6)]
    assert devices(manager, subject) == ["5", "4", "3"]
    assert [is_alive(manager, pair) for pair in pairs] == [False] * 3 + [True] * 3


def test_a_login_may_bring_its_own_policy(open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, policy=SessionPolicy(max_sessions=2)))
    for number in range(3):
        manager.login(subject, device=str(number))
    assert devices(manager, subject) == ["2", "1"]
    for number in range(3, 6):
        manager.login(subject, device=str(number), policy=SessionPolicy(max_sessions=4))
    assert devices(manager, subject) == ["5", "4", "3", "2"]
    manager.login(subject, device="6")
    assert devices(manager, subject) == ["6", "5"], "the configuration's holds for this one again"


def test_one_session_for_each_kind_of_device(manager, subject):
    policy = SessionPolicy.one_per_device()
    for kind in ["phone", "web", None, "phone", "phone", None, "web"]:
        manager.login(subject, device_type=kind, policy=policy)
        kinds = [session.device_type for session in manager.sessions(subject)]
        assert kinds[0] == kind
        assert len(kinds) == len(set(kinds))
    assert kinds == ["web", None, "phone"]


def test_the_limit_of_a_kind_is_met_within_the_kind_and_the_other_by_the_oldest(manager, subject):
    policy = SessionPolicy(max_sessions=3, max_per_device=2)
    for device, kind in [("w1", "web"), ("p1", "phone"), ("p2", "phone"), ("p3", "phone")]:
        manager.login(subject, device=device, device_type=kind, policy=policy)
    assert devices(manager, subject) == ["p3", "p2", "w1"], "a phone left, not the older browser"
    manager.login(subject, device="t1", device_type="tablet", policy=policy)
    assert devices(manager, subject) == ["t1", "p3", "p2"], "now the browser left, as the oldest"


def test_a_stricter_policy_ends_as_many_as_it_takes(manager, subject):
    for number in range(5):
        manager.login(subject, device=str(number), device_type="web")
    manager.login(subject, device="t", device_type="tablet")
    policy = SessionPolicy(max_sessions=50, max_per_device=2)
    manager.login(subject, device="5", device_type="web", policy=policy)
    assert devices(manager, subject) == ["5", "t", "4"]


@pytest.mark.parametrize("use", [None, "verify", "refresh"])
def test_the_least_recently_used_leaves(engine, manager, subject, use):
    policy = SessionPolicy(max_sessions=2, overflow="least_recently_used")
    older = manager.login(subject, device="older", policy=policy)
    newer = manager.login(subject, device="newer", policy=policy)
    let_age(engine, older, 4000)
    let_age(engine, newer, 2000)
    if use == "verify":
        manager.verify(older.access_token)
    elif use == "refresh":
        manager.refresh(older.refresh_token)
    manager.login(subject, device="newest", policy=policy)
    staying = "older" if use else "newer"
    assert devices(manager, subject) == ["newest", staying]


def test_of_sessions_used_last_in_the_same_second_the_oldest_leaves(engine, manager, subject):
    policy = SessionPolicy(max_sessions=9, overflow="least_recently_used")
    pairs = [manager.login(subject, device=str(number), policy=policy) for number in range(9)]
    then = int(time.time()) - 1000
    for number, pair in enumerate(pairs):
        # Their logins keep their order; the newest three were used before the others.
        rewrite(
            engine,
            pair,
            created_milliseconds=then * 1000 - 100 + number,
            refreshed_at=then - 500 * (number > 5),
        )
    for number in range(9, 14):
        manager.login(subject, device=str(number), policy=policy)
    staying = ["2", "3", "4", "5", "9", "10", "11", "12", "13"]
    assert sorted(devices(manager, subject), key=int) == staying


def test_the_least_recently_used_of_a_kind_leaves(engine, manager, subject):
    policy = SessionPolicy(max_per_device=2, overflow="least_recently_used")
    pairs = {
        (kind, number): manager.login(subject, device=f"{kind}{number}", device_type=kind)
        for kind in ("web", "phone")
        for number in range(2)
    }
    for age, pair in enumerate(reversed(pairs.values())):
        let_age(engine, pair, 1000 + 1000 * age)
    manager.verify(pairs["phone", 0].access_token)
    manager.login(subject, device="phone2", device_type="phone", policy=policy)
    assert set(devices(manager, subject)) == {"web0", "web1", "phone0", "phone2"}


def test_one_too_many_is_refused_and_told_who_is_there(manager, subject):
    first, second = (
        manager.login(subject, device=device, policy=STRICT) for device in ("old", "new")
    )
    with pytest.raises(TooManySessions) as refusal:
        manager.login(subject, device="newest", policy=STRICT)
    assert refusal.value.sessions == tuple(manager.sessions(subject))
    assert [each.session_id for each in refusal.value.sessions] == [
        second.session_id,
        first.session_id,
    ]
    assert is_alive(manager, first)
    assert is_alive(manager, second)
    manager.logout(first.access_token)
    assert manager.login(subject, device="newest", policy=STRICT)
    assert devices(manager, subject) == ["newest", "new"]


def test_one_too_many_of_a_kind_is_refused(manager, subject):
    policy = SessionPolicy(max_per_device=1, overflow="refuse")
    manager.login(subject, device_type="phone", policy=policy)
    manager.login(subject, device_type="web", policy=policy)
    with pytest.raises(TooManySessions) as refusal:
        manager.login(subject, device_type="phone", policy=policy)
    assert len(refusal.value.sessions) == 2
    assert manager.login(subject, device_type="tablet", policy=policy)


def test_a_session_that_has_ended_takes_no_place(engine, manager, subject):
    over = manager.login(subject, device="over", policy=STRICT)
    manager.login(subject, device="kept", policy=STRICT)
    let_expire(engine, over)
    manager.login(subject, device="new", policy=STRICT)
    assert devices(manager, subject) == ["new", "kept"]
    with pytest.raises(TooManySessions) as refusal:
        manager.login(subject, policy=STRICT)
    assert [each.device for each in refusal.value.sessions] == ["new", "kept"]


@pytest.mark.parametrize("overflow", ["oldest", "least_recently_used", "refuse"])
def test_the_chosen_session_leaves_for_the_new_one(manager, subject, overflow):
    policy = SessionPolicy(max_sessions=3, overflow=overflow)
    pairs = [manager.login(subject, device=str(number), policy=policy) for number in range(3)]
    chosen = pairs[1]
    manager.login(subject, device="new", policy=policy, replace=chosen.session_id)
    assert devices(manager, subject) == ["new", "2", "0"]
    with pytest.raises(SessionRevoked) as end:
        manager.verify(chosen.access_token)
    assert (end.value.reason, end.value.note) == ("replaced", "new")


def test_the_chosen_session_leaves_where_there_is_room_as_well(manager, subject):
    first = manager.login(subject, device="first")
    manager.login(subject, device="second")
    manager.login(subject, device="third", replace=first.session_id)
    assert devices(manager, subject) == ["third", "second"]


def test_only_a_live_session_of_the_subject_makes_room(manager, new_subject):
    subject, stranger = new_subject(), new_subject()
    theirs = manager.login(stranger)
    gone = manager.login(subject)
    manager.logout(gone.access_token)
    for device in ("first", "second"):
        manager.login(subject, device=device, policy=STRICT)
    for useless in (theirs.session_id, gone.session_id, "A" * 22):
        with pytest.raises(TooManySessions):
            manager.login(subject, policy=STRICT, replace=useless)
    with pytest.raises(SessionNotFound):
        manager.login(subject, policy=STRICT, replace="nonsense")
    assert devices(manager, subject) == ["second", "first"]
    assert manager.verify(theirs.access_token)


def test_impersonations_count_in_no_policy(manager, new_subject):
    subject = new_subject()
    actor = manager.verify(manager.login(new_subject()).access_token)
    own = manager.login(subject, policy=STRICT)
    acting = [manager.impersonate(actor, subject, reason="ticket") for _ in range(3)]
    second = manager.login(subject, policy=STRICT)
    with pytest.raises(TooManySessions) as refusal:
        manager.login(subject, policy=STRICT)
    assert {each.session_id for each in refusal.value.sessions} == {
        own.session_id,
        second.session_id,
    }, "the end of the others would make no room"
    assert manager.impersonate(actor, subject, reason="ticket"), "and are never refused"
    manager.login(subject, policy=SessionPolicy.single_session())
    assert not is_alive(manager, own)
    assert not is_alive(manager, second)
    assert all(is_alive(manager, pair) for pair in acting), "nor do they leave for anyone"


@pytest.mark.parametrize(
    "policy",
    [
        SessionPolicy(max_sessions=3),
        SessionPolicy(max_sessions=3, overflow="least_recently_used"),
        SessionPolicy(max_sessions=3, overflow="refuse"),
        SessionPolicy(max_per_device=2),
        SessionPolicy(max_per_device=2, overflow="least_recently_used"),
        SessionPolicy(max_per_device=2, overflow="refuse"),
    ],
    ids=lambda policy: f"{policy.overflow}-{policy.max_sessions}-{policy.max_per_device}",
)
def test_sixty_four_logins_at_once_never_exceed_a_limit(manager, subject, policy):
    start, finished = threading.Barrier(64), threading.Event()
    watching = threading.Event()

    def watch() -> list[Counter[str | None]]:
        seen = []
        while not finished.is_set():
            seen.append(Counter(each.device_type for each in manager.sessions(subject)))
            watching.set()
        return seen

    def login(number: int):
        start.wait(30)
        try:
            return manager.login(subject, device_type=("web", "phone")[number % 2], policy=policy)
        except TooManySessions as refusal:
            assert policy.overflow == "refuse"
            return refusal

    with ThreadPoolExecutor(65) as pool:
        watcher = pool.submit(watch)
        try:
            assert watching.wait(30)
            outcomes = list(pool.map(login, range(64)))
        finally:
            finished.set()
        seen = watcher.result()

    of_a_kind = policy.max_per_device or policy.max_sessions
    altogether = min(policy.max_sessions, 2 * of_a_kind)
    for kinds in [*seen, Counter(each.device_type for each in manager.sessions(subject))]:
        assert kinds.total() <= altogether
        assert max(kinds.values(), default=0) <= of_a_kind
    refused = [each for each in outcomes if isinstance(each, TooManySessions)]
    admitted = [each for each in outcomes if not isinstance(each, TooManySessions)]
    assert sum(is_alive(manager, pair) for pair in admitted) == altogether
    assert len(refused) == (64 - altogether if policy.overflow == "refuse" else 0)
    assert all(len(refusal.sessions) <= altogether for refusal in refused)
