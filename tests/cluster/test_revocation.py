"""Revocation: of one session, of all sessions of a subject, and of the whole namespace."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from clusterpass import (
    InvalidInput,
    InvalidRefreshToken,
    LoginOvertaken,
    SessionRevoked,
)
from clusterpass.protocol.keyspace import Keyspace
from tests.cluster.stored import (
    eventually,
    fields_of,
    keep_cutoff_known,
    new_namespace,
    opened_apart,
    rewrite,
    seconds_left,
)


@pytest.fixture
def namespace() -> str:
    return new_namespace()


@pytest.fixture
def apart(engine, config, namespace):
    """A manager in a namespace of its own."""
    with opened_apart(engine, config, namespace) as manager:
        yield manager


@pytest.fixture
def neighbour(engine, config, namespace):
    """Another manager in the same one."""
    with opened_apart(engine, config, namespace) as manager:
        yield manager


def is_alive(manager, pair) -> bool:
    try:
        manager.verify(pair.access_token)
    except SessionRevoked:
        return False
    return True


def let_milliseconds_pass() -> None:
    """Logins in one millisecond are stamped with the ones that follow: let those be over."""
    until = time.time() + 0.02
    eventually(lambda: time.time() > until)


def test_one_session_of_many(manager, subject):
    pairs = [manager.login(subject) for _ in range(4)]
    ended = manager.revoke(subject, pairs[2].session_id, reason="lost")
    assert ended.count == 1
    assert [is_alive(manager, pair) for pair in pairs] == [True, True, False, True]


def test_all_others(manager, subject):
    pairs = [manager.login(subject) for _ in range(4)]
    assert manager.revoke_all(subject, keep=pairs[2].session_id, reason="all others").count == 3
    assert [is_alive(manager, pair) for pair in pairs] == [False, False, True, False]
    assert manager.refresh(pairs[2].refresh_token)


def test_keeping_a_session_that_is_not_there_keeps_none(manager, subject):
    pairs = [manager.login(subject) for _ in range(2)]
    assert manager.revoke_all(subject, keep="A" * 22).count == 2
    assert not any(is_alive(manager, pair) for pair in pairs)


def test_all_of_a_subject_has_those_that_a_clock_far_ahead_has_stamped(engine, manager, subject):
    pair = manager.login(subject)
    rewrite(engine, pair, created_milliseconds=int(time.time() + 86_400) * 1000)
    assert manager.revoke_all(subject).count == 1
    assert not is_alive(manager, pair)


def test_those_of_one_kind_of_device(manager, subject):
    kinds = ["phone", "web", None, "phone"]
    pairs = [manager.login(subject, device_type=kind) for kind in kinds]
    assert manager.revoke_all(subject, device_type="tablet").count == 0
    assert manager.revoke_all(subject, device_type="phone").count == 2
    assert [is_alive(manager, pair) for pair in pairs] == [False, True, True, False]
    assert manager.revoke_all(subject, device_type="phone").count == 0


def test_those_of_one_kind_but_one(manager, subject):
    pairs = [manager.login(subject, device_type=kind) for kind in ("phone", "phone", "web")]
    kept = pairs[0].session_id
    assert manager.revoke_all(subject, device_type="phone", keep=kept).count == 1
    assert [is_alive(manager, pair) for pair in pairs] == [True, False, True]


def test_a_device_named_like_a_kind_is_of_no_kind(manager, subject):
    pair = manager.login(subject, device="phone")
    assert manager.revoke_all(subject, device_type="phone").count == 0
    assert is_alive(manager, pair)


def test_all_of_a_subject_and_nobody_elses(manager, new_subject):
    subject, other = new_subject(), new_subject()
    pairs = [manager.login(subject) for _ in range(5)]
    theirs = manager.login(other)
    assert manager.revoke_all(subject, reason="password changed").count == 5
    assert manager.sessions(subject) == []
    for pair in pairs:
        with pytest.raises(InvalidRefreshToken) as refusal:
            manager.refresh(pair.refresh_token)
        assert (refusal.value.reason, refusal.value.note) == ("revoked", "password changed")
    assert is_alive(manager, theirs)
    assert manager.revoke_all(subject).count == 0


def test_revocations_tell_whether_a_replica_knows(engine, manager, apart, subject):
    has_replicas = len(engine[0].nodes) > 1
    pair = manager.login(subject)
    manager.login(subject, device_type="phone")
    assert manager.revoke(subject, pair.session_id).durable is has_replicas
    assert manager.revoke(subject, pair.session_id).durable is has_replicas, "asked again as well"
    assert manager.revoke_all(subject, device_type="phone").durable is has_replicas
    assert manager.revoke_all(subject, device_type="phone").durable is has_replicas
    assert manager.revoke_all(subject).durable is has_replicas
    assert manager.revoke_all(subject).durable is has_replicas
    assert apart.revoke_before().durable is has_replicas
    assert apart.revoke_before(1).durable is has_replicas


def test_each_revocation_of_all_raises_the_generation(manager, subject):
    assert manager.generation(subject) == 0
    seen = [0]
    for _ in range(3):
        manager.revoke_all(subject)
        seen.append(manager.generation(subject))
    kept = manager.login(subject)
    manager.revoke_all(subject, keep=kept.session_id)
    seen.append(manager.generation(subject))
    assert seen == sorted(set(seen))
    manager.bans.add(subject)
    seen.append(manager.generation(subject))
    assert seen[-1] > seen[-2]
    manager.bans.lift(subject)
    manager.bans.add(subject, scope="comments")
    manager.revoke_all(subject, device_type="phone")
    kept = manager.login(subject)
    manager.revoke(subject, kept.session_id)
    manager.logout(manager.login(subject).access_token)
    assert manager.generation(subject) == seen[-1]


def test_a_login_that_was_overtaken_opens_nothing(manager, subject):
    before = manager.generation(subject)
    manager.revoke_all(subject)
    with pytest.raises(LoginOvertaken):
        manager.login(subject, generation=before)
    assert manager.sessions(subject) == []
    pair = manager.login(subject, generation=manager.generation(subject))
    assert is_alive(manager, pair)
    assert manager.login(subject), "who brings no generation is not asked"
    with pytest.raises(LoginOvertaken):
        manager.login(subject, generation=0)


def test_a_generation_outlives_the_logins_that_may_be_under_way(engine, manager, subject):
    manager.revoke_all(subject)
    assert seconds_left(engine, subject) >= 900


def test_no_login_slips_through_a_revocation_it_was_begun_before(manager, subject):
    generation = manager.generation(subject)
    start = threading.Barrier(33)

    def login(_: int):
        start.wait(30)
        try:
            return manager.login(subject, generation=generation)
        except LoginOvertaken:
            return None

    def revoke(_: int) -> None:
        start.wait(30)
        manager.revoke_all(subject)

    with ThreadPoolExecutor(33) as pool:
        revoking = pool.submit(revoke, 0)
        pairs = [pair for pair in pool.map(login, range(32)) if pair]
        revoking.result()
    assert manager.sessions(subject) == []
    assert not any(is_alive(manager, pair) for pair in pairs)


def test_everything_opened_before_now(apart, new_subject):
    pairs = [apart.login(new_subject()) for _ in range(5)]
    let_milliseconds_pass()
    before = int(time.time())
    revoked = apart.revoke_before()
    assert before <= revoked.time <= time.time() + 1
    for pair in pairs:
        with pytest.raises(SessionRevoked) as end:
            apart.verify(pair.access_token)
        assert (end.value.reason, end.value.ended_at) == ("revoked", revoked.time)
        assert apart.sessions(pair.subject) == []
        with pytest.raises(InvalidRefreshToken) as refusal:
            apart.refresh(pair.refresh_token)
        assert refusal.value.reason == "revoked"
        assert not is_alive(apart, pair), "as a tombstone too"


def test_everything_opened_before_a_time_and_nothing_later(
    engine, apart, namespace, subject, config
):
    keyspace = Keyspace(namespace)
    older, newer = apart.login(subject), apart.login(subject)
    an_hour_ago = int(time.time()) - 3600
    rewrite(engine, older, keyspace, created_milliseconds=an_hour_ago * 1000 - 1)
    rewrite(engine, newer, keyspace, created_milliseconds=an_hour_ago * 1000)
    assert apart.revoke_before(an_hour_ago).time == an_hour_ago
    assert not is_alive(apart, older)
    assert is_alive(apart, newer), "it was opened at that time, not before it"
    assert [each.session_id for each in apart.sessions(subject)] == [newer.session_id]
    assert apart.refresh(newer.refresh_token)


def test_a_time_that_was_revoked_is_never_taken_back(apart, subject):
    pair = apart.login(subject)
    let_milliseconds_pass()
    revoked = apart.revoke_before()
    assert apart.revoke_before(1).time == revoked.time
    assert apart.revoke_before(revoked.time - 100).time == revoked.time
    assert not is_alive(apart, pair)


def test_a_time_in_the_future_means_now(apart, subject):
    old = apart.login(subject)
    let_milliseconds_pass()
    revoked = apart.revoke_before(int(time.time()) + 3000)
    assert revoked.time <= time.time() + 1
    assert not is_alive(apart, old)
    assert is_alive(apart, apart.login(subject)), "who comes afterwards may come in"


@pytest.mark.sampled(1)
def test_who_logs_in_after_it_stays_even_in_the_same_millisecond(apart, new_subject):
    for _ in range(25):
        apart.revoke_before()
        pair = apart.login(new_subject())
        assert is_alive(apart, pair)
        assert apart.refresh(pair.refresh_token)
        assert len(apart.sessions(pair.subject)) == 1


@pytest.mark.sampled(2)
@pytest.mark.parametrize("time_given", [None, 2**32 - 1], ids=["now", "future"])
def test_who_logged_in_before_it_is_out_even_in_the_same_millisecond(
    apart, new_subject, time_given
):
    for _ in range(25):
        pair = apart.login(new_subject())
        apart.revoke_before(time_given)
        assert not is_alive(apart, pair)


def test_who_logged_in_several_times_in_that_millisecond_is_out_of_all(apart, new_subject):
    for _ in range(10):
        subject = new_subject()
        pairs = [apart.login(subject) for _ in range(5)]
        apart.revoke_before()
        assert apart.sessions(subject) == []
        assert not any(is_alive(apart, pair) for pair in pairs)


def test_another_namespace_is_not_concerned(manager, apart, subject):
    pair = manager.login(subject)
    apart.revoke_before()
    assert is_alive(manager, pair)


@pytest.mark.parametrize("verb", ["verify", "sessions", "refresh"])
def test_every_other_server_knows_within_a_second(apart, neighbour, subject, verb):
    pair = neighbour.login(subject)
    acts = {
        "verify": lambda: is_alive(neighbour, pair),
        "sessions": lambda: bool(neighbour.sessions(subject)),
        "refresh": lambda: _refreshes(neighbour, pair),
    }
    assert acts[verb]()
    let_milliseconds_pass()
    apart.revoke_before()
    revoked = time.monotonic()
    while True:
        asked = time.monotonic()
        if not acts[verb]():
            break
        assert asked - revoked < 1.0, "asked a second after the revocation, and still alive"


def _refreshes(manager, pair) -> bool:
    try:
        manager.refresh(pair.refresh_token)
    except InvalidRefreshToken as refusal:
        assert refusal.reason == "revoked"
        return False
    return True


def test_a_server_that_starts_later_knows_it(engine, config, apart, namespace, subject):
    pair = apart.login(subject)
    let_milliseconds_pass()
    apart.revoke_before()
    with opened_apart(engine, config, namespace) as later:
        assert not is_alive(later, pair)
    with opened_apart(engine, config, namespace) as later:
        assert later.sessions(subject) == []


def test_three_copies_are_kept_and_one_is_enough(engine, config, apart, namespace, subject):
    from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF
    from tests.cluster.stored import home_of

    pair = apart.login(subject)
    let_milliseconds_pass()
    apart.revoke_before()
    keys = [Keyspace(namespace).not_before(slot) for slot in SLOTS_WITH_CUTOFF]
    values = []
    for key in keys:
        with home_of(engine, key) as client:
            values.append(client.get(key))
            assert client.ttl(key) == -1
    assert len(set(values)) == 1
    # What a process knows it keeps, whatever a store says that was rolled back.
    for key in keys:
        with home_of(engine, key) as client:
            client.delete(key)
    apart._flows.memory.cutoff.known_at = None
    assert not is_alive(apart, pair)


def test_a_revoked_time_is_brought_to_the_records_by_the_next_change(
    engine, apart, namespace, subject
):
    pairs = [apart.login(subject) for _ in range(3)]
    let_milliseconds_pass()
    apart.revoke_before()
    keep_cutoff_known(apart)
    apart.login(subject)
    names = [name for name in fields_of(engine, subject, Keyspace(namespace)) if len(name) == 16]
    assert len(names) == 4
    assert apart.revoke_all(subject).count == 1, "the others had ended"
    assert [entry.kind for entry in apart.history(subject)][:5] == [
        "revoked",
        "login",
        "revoked",
        "revoked",
        "revoked",
    ]
    assert not any(is_alive(apart, pair) for pair in pairs)


@pytest.mark.parametrize("nonsense", [0, -1, True, 2**32, 1.5, "now", b"1"], ids=repr)
def test_a_time_that_is_none_revokes_nothing(apart, subject, nonsense):
    pair = apart.login(subject)
    with pytest.raises(InvalidInput):
        apart.revoke_before(nonsense)
    assert is_alive(apart, pair)
