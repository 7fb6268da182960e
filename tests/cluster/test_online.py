"""Online subjects: the index in each slot that the scripts keep, its pages and its cost."""

import dataclasses
import os
import time

import pytest

from clusterpass import InvalidInput, SessionPolicy
from clusterpass.model.errors import TooManyBans
from clusterpass.protocol.keyspace import SLOTS, Keyspace, slot_of, slot_tags
from clusterpass.protocol.records import parse_record
from clusterpass.tokens.identifiers import decode_session_id
from tests.cluster.stored import (
    commands_of,
    home_of,
    keep_cutoff_known,
    let_expire,
    new_namespace,
    opened_apart,
)

ODD = ["{", "}{", "a{b}c", "😀", "%7B", " ", "*"]


@pytest.fixture
def namespace() -> str:
    return new_namespace()


@pytest.fixture
def apart(engine, config, namespace):
    """A manager in a namespace of its own: nobody else is online there."""
    with opened_apart(engine, config, namespace) as manager:
        yield manager


def in_slot(slot: int, number: int) -> str:
    """A subject of its own for each number, all in one slot."""
    start = f"{number:05}"
    # The checksum is linear: the tag that turns this name's slot into the wanted one.
    turned = slot ^ slot_of(f"{start}@@@@".encode()) ^ slot_of(b"@@@@")
    return start + slot_tags()[turned].decode()


def indexes(engine, namespace) -> list[bytes]:
    """The names of the indexes that there are."""
    running, found = engine[0], set()
    for node in running.nodes:
        with running.client(node) as client:
            if client.role()[0] == b"master":
                found |= set(client.scan_iter(match=f"{namespace}:online:*", count=10_000))
    return sorted(found)


def pages(manager, *, limit):
    """Every page until the last; the sessions on each."""
    cursor = None
    while True:
        page = manager.online.page(cursor, limit=limit)
        yield page.sessions
        cursor = page.next_cursor
        if cursor is None:
            return


def counts(manager) -> tuple[int, int]:
    count = manager.online.count()
    return count.subjects, count.sessions


def test_a_subject_named_so_lies_in_the_slot():
    names = [in_slot(4711, number) for number in range(50)]
    assert len(set(names)) == 50
    assert {slot_of(Keyspace().sessions(name)) for name in names} == {4711}


def test_nobody_is_online_at_first(apart):
    assert counts(apart) == (0, 0)
    page = apart.online.page()
    assert (page.sessions, page.next_cursor) == ((), None)
    assert apart.online.prune() == 0


def test_who_comes_and_goes_is_counted(engine, apart, namespace, subject):
    pairs = [apart.login(subject) for _ in range(3)]
    other = apart.login(f"{subject}-other")
    assert counts(apart) == (2, 4)
    pairs[0] = apart.refresh(pairs[0].refresh_token)
    assert counts(apart) == (2, 4)
    apart.logout(pairs[1].access_token)
    assert counts(apart) == (2, 3)
    apart.revoke_all(subject, keep=pairs[0].session_id)
    assert counts(apart) == (2, 2)
    apart.bans.add(subject)
    assert counts(apart) == (1, 1)
    apart.login(f"{subject}-other", policy=SessionPolicy.single_session())
    assert counts(apart) == (1, 1)
    assert len(indexes(engine, namespace)) == 1
    apart.logout(other.access_token)
    assert counts(apart) == (1, 1)
    apart.revoke_all(f"{subject}-other")
    assert counts(apart) == (0, 0)


def test_an_index_disappears_with_its_subjects(engine, apart, namespace):
    names = [in_slot(100, number) for number in range(5)] + ["elsewhere"]
    for name in names:
        apart.login(name)
    assert len(indexes(engine, namespace)) == 2
    for name in names:
        apart.revoke_all(name)
    assert indexes(engine, namespace) == []


def test_an_index_ends_with_the_last_session_known_to_it(engine, apart, namespace):
    for number, lifetime in enumerate([500, 5000, 50]):
        apart.login(in_slot(100, number), lifetime=lifetime, idle_lifetime=0)
    key = Keyspace(namespace).online(100)
    with home_of(engine, key) as client:
        assert 4900 < client.ttl(key) <= 5000
        apart.revoke_all(in_slot(100, 1))
        assert 400 < client.ttl(key) <= 500


def test_an_index_ends_earlier_when_the_longest_session_of_a_subject_has_ended(
    engine, apart, namespace
):
    name = in_slot(100, 1)
    longest, _ = (apart.login(name, lifetime=ends, idle_lifetime=0) for ends in (5000, 500))
    key = Keyspace(namespace).online(100)
    with home_of(engine, key) as client:
        assert 4900 < client.ttl(key) <= 5000
        apart.logout(longest.access_token)
        assert 400 < client.ttl(key) <= 500


def test_namespaces_are_counted_apart(apart, manager, subject):
    manager.login(subject)
    assert counts(apart) == (0, 0)
    apart.login(subject)
    assert counts(apart) == (1, 1)
    assert [each.subject for page in pages(apart, limit=200) for each in page] == [subject]


def test_a_page_shows_sessions_as_a_list_does(apart, new_subject):
    names = [new_subject(), *ODD]
    for name in names:
        apart.login(name, device="first", claims={"of": name})
        apart.login(name, device="second", device_type="phone")
    shown = [each for page in pages(apart, limit=200) for each in page]
    assert {each.subject for each in shown} == set(names)
    for name in names:
        assert [each for each in shown if each.subject == name] == apart.sessions(name)


@pytest.mark.parametrize("limit", [7, 200])
@pytest.mark.parametrize("where", ["everywhere", "one slot"])
def test_every_subject_is_on_a_page(apart, where, limit):
    names = [in_slot(9000, n) if where == "one slot" else f"subject-{n}" for n in range(40)]
    for name in names:
        apart.login(name)
    shown = [each.subject for page in pages(apart, limit=limit) for each in page]
    assert sorted(shown) == sorted(names), "each exactly once, as nobody came or went"


@pytest.mark.parametrize("where", ["everywhere", "one slot"])
def test_who_stays_is_shown_whoever_comes_and_goes_meanwhile(apart, where):
    def name(number: int) -> str:
        return in_slot(9000, number) if where == "one slot" else f"subject-{number}"

    staying = [name(number) for number in range(200)]
    for each in staying:
        apart.login(each)
    leaving = [apart.login(name(number)) for number in range(200, 260)]
    coming = iter(range(10_000, 20_000))
    shown: list[str] = []
    for turn, sessions in enumerate(pages(apart, limit=50)):
        shown += [each.subject for each in sessions]
        for pair in leaving[turn * 10 : turn * 10 + 10]:
            apart.logout(pair.access_token)
            apart.login(name(next(coming)))
        assert turn < 100
    assert set(staying) <= set(shown)
    if where == "everywhere":
        assert all(shown.count(each) == 1 for each in staying)


def test_the_cost_of_a_count_and_a_page_does_not_depend_on_how_many_there_are(engine, apart):
    def calls_of(act) -> int:
        keep_cutoff_known(apart)
        before = commands_of(engine, "evalsha")["evalsha"]
        act()
        return commands_of(engine, "evalsha")["evalsha"] - before

    def page():
        shown = apart.online.page(limit=5)
        assert len({each.subject for each in shown.sessions}) == 5

    for number in range(10):
        apart.login(f"subject-{number}")
    count_few, page_few = calls_of(apart.online.count), calls_of(page)
    for number in range(10, 250):
        apart.login(f"subject-{number}")
    count_many, page_many = calls_of(apart.online.count), calls_of(page)
    assert counts(apart) == (250, 250)
    assert count_many == count_few
    # One for each thousand slots, and one more for each node that the slots lie on.
    assert SLOTS // 1024 <= count_many <= SLOTS // 1024 + len(engine[0].nodes)
    assert 5 < page_many <= page_few <= 5 + count_few


def test_sessions_do_not_cost_a_page_more(engine, apart, subject):
    for _ in range(40):
        apart.login(subject)
    keep_cutoff_known(apart)
    before = commands_of(engine, "evalsha")["evalsha"]
    page = apart.online.page(limit=1)
    assert commands_of(engine, "evalsha")["evalsha"] - before <= 1 + 16 + len(engine[0].nodes)
    assert len(page.sessions) == 40


def test_who_ended_by_itself_is_not_shown_and_pruned(engine, apart, namespace):
    keyspace = Keyspace(namespace)
    pairs = [apart.login(f"subject-{number}") for number in range(6)]
    apart.login("subject-0")
    for pair in pairs[:3]:
        let_expire(engine, pair, keyspace)
    assert counts(apart) == (6, 7), "nobody has looked at them since"
    shown = sorted(each.subject for page in pages(apart, limit=200) for each in page)
    assert shown == ["subject-0", "subject-3", "subject-4", "subject-5"]
    assert apart.online.prune() == 4
    assert counts(apart) == (4, 4)
    assert apart.online.prune() == 4


def test_who_ended_by_itself_is_taken_out_by_a_ban_that_finds_no_room(
    engine, apart, namespace, subject
):
    _, ended = apart.login(subject), apart.login(subject)
    for number in range(32):
        apart.bans.add(subject, scope=f"scope-{number}")
    let_expire(engine, ended, Keyspace(namespace))
    assert counts(apart) == (1, 2)
    with pytest.raises(TooManyBans):
        apart.bans.add(subject, scope="one-more")
    assert counts(apart) == (1, 1)


def test_a_revocation_of_all_is_pruned(apart):
    for number in range(30):
        apart.login(f"subject-{number}")
    until = time.time() + 0.02
    while time.time() < until:
        apart.ping()
    apart.revoke_before()
    apart.login("later")
    assert [each.subject for page in pages(apart, limit=200) for each in page] == ["later"]
    assert apart.online.prune() == 1
    assert counts(apart) == (1, 1)


def test_a_slot_in_which_all_have_ended_by_themselves_counts_nobody(apart, engine, namespace):
    key = Keyspace(namespace).online(100)
    apart.login(in_slot(100, 1))
    with home_of(engine, key) as client:
        client.zadd(key, {in_slot(100, 1): (int(time.time()) - 10) * 512 + 1})
    assert counts(apart) == (0, 0)


def test_ended_entries_are_taken_out_by_a_neighbours_change(engine, apart, namespace):
    key = Keyspace(namespace).online(100)
    for number in range(150):
        apart.login(in_slot(100, number))
    over = int(time.time()) - 10
    with home_of(engine, key) as client:
        for number in range(140):
            client.zadd(key, {in_slot(100, number): over * 512 + 1})
        assert counts(apart)[0] == 10
        shown = [each.subject for page in pages(apart, limit=200) for each in page]
        assert len(shown) == 10, "what has ended as far as the index knows is not shown"
        apart.login(in_slot(100, 149))
        assert client.zcard(key) == 51, "a hundred at a time"
        apart.login(in_slot(100, 149))
        assert client.zcard(key) == 11
    assert counts(apart) == (10, 12)


def test_hundreds_of_sessions_of_one_subject_do_not_spoil_the_index(
    engine, apart, namespace, subject
):
    """More sessions than an entry can say, as impersonations come on top of the policy's 500."""
    many, neighbour = in_slot(100, 1), in_slot(100, 2)
    pair = apart.login(many)
    apart.login(neighbour)
    key = Keyspace(namespace).sessions(many)
    with home_of(engine, key) as client:
        value = client.hget(key, decode_session_id(pair.session_id))
        assert parse_record(value).rotation == 0
        client.hset(key, mapping={os.urandom(16): value for _ in range(519)})
    assert apart.claims.set(many, {"plan": "pro"}).count == 520
    assert counts(apart) == (2, 512), "an entry tells up to 511"
    assert {each.subject for page in pages(apart, limit=1) for each in page} == {many, neighbour}
    assert len(apart.sessions(many)) == 520
    index = Keyspace(namespace).online(100)
    with home_of(engine, index) as client:
        assert client.zscore(index, many) // 512 <= time.time() + 8 * 86_400
    assert apart.revoke_all(many).count == 520
    assert counts(apart) == (1, 1)
    apart.revoke_all(neighbour)
    assert counts(apart) == (0, 0)
    assert indexes(engine, namespace) == []


def test_an_impersonation_is_online_too(apart, new_subject):
    actor = apart.verify(apart.login(new_subject()).access_token)
    apart.impersonate(actor, new_subject(), reason="ticket")
    assert counts(apart) == (2, 2)


def test_without_the_index_nothing_is_kept_and_nobody_asked(engine, config, namespace, subject):
    unindexed = dataclasses.replace(config, index_online=False)
    with opened_apart(engine, unindexed, namespace) as manager:
        pair = manager.login(subject)
        assert indexes(engine, namespace) == []
        for act in (manager.online.count, manager.online.page, manager.online.prune):
            with pytest.raises(InvalidInput):
                act()
        assert manager.verify(pair.access_token)
        manager.revoke_all(subject)
    assert indexes(engine, namespace) == []


@pytest.mark.parametrize(
    "cursor",
    ["", "0", "nonsense", "1.x", "16384.0", "-1.0", "0.-1", f"0.{2**64}", "0.0 ", "٣.0", 7, b"0.0"],
    ids=repr,
)
def test_a_cursor_that_is_none_is_refused(apart, cursor):
    with pytest.raises(InvalidInput):
        apart.online.page(cursor)


@pytest.mark.parametrize("limit", [0, 201, -1, True, 1.0, "5", None], ids=repr)
def test_a_limit_out_of_range_is_refused(apart, limit):
    with pytest.raises(InvalidInput):
        apart.online.page(limit=limit)


@pytest.mark.parametrize("cursor", ["0.0", "16383.0", f"0.{2**64 - 1}", "5000.12345"])
def test_any_cursor_of_the_right_form_is_answered(apart, subject, cursor):
    apart.login(subject)
    page = apart.online.page(cursor)
    assert page.next_cursor is None
    assert {each.subject for each in page.sessions} <= {subject}
