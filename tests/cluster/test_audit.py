"""The audit trail: what verbs leave there, and that nobody can change it unnoticed."""

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from clusterpass import (
    AuditEntry,
    AuditPolicy,
    InvalidInput,
    OperationMismatch,
    RefreshTokenReused,
    SubjectBanned,
    acting,
)
from clusterpass.model.audit import AuditFault
from clusterpass.protocol.calls.audit import SLOT
from clusterpass.protocol.keyspace import Keyspace
from tests.cluster.stored import eventually, home_of, opened_apart

POLICY = AuditPolicy()


@pytest.fixture
def namespace(subject: str) -> str:
    return f"audit-{subject}"[:32]


@pytest.fixture
def audited(engine, config, namespace):
    """A manager that notes what it does, in a namespace of its own."""
    own = dataclasses.replace(config, audit=POLICY, refresh_grace=0)
    with opened_apart(engine, own, namespace) as manager:
        yield manager


@pytest.fixture
def stream(engine, namespace):
    """Reads and changes the stream as whoever administers the store could."""

    class Stream:
        key = Keyspace(namespace).audit(SLOT)

        def __call__(self, command: str, *arguments: Any) -> Any:
            with home_of(engine, self.key) as client:
                return client.execute_command(command, self.key, *arguments)

    return Stream()


def entries(manager: Any) -> list[AuditEntry]:
    manager.audit.flush()
    return list(manager.audit.page(limit=1000).entries)


def told(manager: Any) -> list[tuple[str, str, str | None, str | None]]:
    """Return the audit entries in the order of the events."""
    found = sorted(entries(manager), key=lambda entry: entry.writer_number)
    return [(each.action, each.outcome, each.actor, each.subject) for each in found]


def test_what_users_do(audited, subject):
    pair = audited.login(subject, address="192.0.2.7")
    audited.refresh(pair.refresh_token)
    audited.logout(pair.access_token)
    login, logout = entries(audited)
    assert (login.action, login.outcome, login.actor, login.subject) == (
        *("login", "done"),
        *(subject, subject),
    )
    assert (login.session_id, login.address) == (pair.session_id, "192.0.2.7")
    assert (logout.action, logout.subject, logout.session_id) == (
        "logout",
        subject,
        pair.session_id,
    )
    assert logout.details == {"count": 1}
    assert audited.audit.check().is_sound


def test_what_administrators_do_is_there_when_they_are_answered(audited, subject):
    pair = audited.login(subject)
    audited.audit.flush()
    with acting("root", via="console", address="2001:db8::1", request_id="r-1"):
        audited.revoke(subject, pair.session_id, reason="lost phone")
        audited.bans.add(subject, reason="fraud", for_seconds=60, scope="comments", level=3)
        audited.bans.lift(subject, scope="comments")
        with acting("second"):
            audited.claims.set(subject, {"plan": "pro"})
        audited.revoke_all(subject)
        audited.erase(subject)
        audited.revoke_before(1)
    page = audited.audit.page(limit=1000).entries[1:]  # without a flush
    assert [each.action for each in page] == [
        *("revoke", "ban", "lift_ban", "set_claims", "revoke_all", "erase", "revoke_before")
    ]
    assert {each.actor for each in page} == {"root", "second"}
    assert page[3].actor == "second"
    assert {(each.via, each.address, each.request_id) for each in page} == {
        ("console", "2001:db8::1", "r-1")
    }
    assert (page[0].reason, page[0].session_id, page[0].subject) == (
        *("lost phone", pair.session_id),
        subject,
    )
    assert page[1].details == {"scope": "comments", "level": 3, "for_seconds": 60, "count": 0}
    assert "before" in page[6].details
    assert page[6].subject is None


def test_what_is_refused(audited, subject):
    audited.bans.add(subject)
    with pytest.raises(SubjectBanned):
        audited.login(subject)
    with pytest.raises(InvalidInput):
        audited.login("")
    other = f"{subject}-2"
    audited.revoke_all(other, operation_id="0123456789abcdef")
    with pytest.raises(OperationMismatch):
        audited.revoke_all(other, reason="x", operation_id="0123456789abcdef")
    found = sorted(entries(audited), key=lambda entry: entry.writer_number)
    assert [(each.action, each.outcome, each.error) for each in found] == [
        ("ban", "done", None),
        ("login", "refused", "subject_banned"),
        ("revoke_all", "done", None),
        ("revoke_all", "refused", "operation_mismatch"),
    ]


def test_a_stolen_token_is_noted_and_nonsense_is_not(audited, subject):
    pair = audited.login(subject)
    audited.refresh(pair.refresh_token)
    with pytest.raises(RefreshTokenReused):
        audited.refresh(pair.refresh_token)
    for token in ("", "x.y.z", "cpr_nothing"):
        with pytest.raises(Exception, match=r"."):
            audited.logout(token)
    assert told(audited) == [
        ("login", "done", subject, subject),
        ("refresh", "refused", None, subject),
    ]


def test_an_entry_of_the_application(audited, subject):
    with acting("carol"):
        audited.audit.note(
            "invoice.approved", subject=subject, reason="agreed", details={"sum": 7.5, "of": [1]}
        )
        audited.audit.note("door.opened", outcome="refused", error="no_key")
    first, second = audited.audit.page().entries
    assert (first.action, first.actor, first.reason) == ("invoice.approved", "carol", "agreed")
    assert first.details == {"sum": 7.5, "of": [1]}
    assert (second.outcome, second.error, second.subject) == ("refused", "no_key", None)
    assert json.loads(json.dumps(first.to_dict()))["details"] == {"sum": 7.5, "of": [1]}


@pytest.mark.parametrize(
    ("action", "options"),
    [
        ("", {}),
        ("Upper", {}),
        ("x" * 65, {}),
        ("a b", {}),
        ("x", {"subject": ""}),
        ("x", {"outcome": "perhaps"}),
        ("x", {"reason": "r" * 201}),
        ("x", {"error": "No Code"}),
        ("x", {"details": {"a": "x" * 2048}}),
        ("x", {"details": {"a": {1, 2}}}),
        ("x", {"details": {"a": "\ud800"}}),
        ("x", {"details": [1]}),
        ("x", {"details": {1: 2}}),
    ],
)
def test_what_is_no_entry_is_refused(audited, action, options):
    with pytest.raises(InvalidInput):
        audited.audit.note(action, **options)
    assert entries(audited) == []


def test_pages_go_forth_and_back(audited):
    for number in range(25):
        audited.audit.note("step", details={"number": number})

    def numbers(page: Any) -> list[int]:
        return [each.details["number"] for each in page.entries]

    first = audited.audit.page(limit=10)
    second = audited.audit.page(after=first.next_cursor, limit=10)
    third = audited.audit.page(after=second.next_cursor, limit=10)
    assert numbers(first) + numbers(second) + numbers(third) == list(range(25))
    assert third.next_cursor is None
    latest = audited.audit.page(before="", limit=10)
    assert numbers(latest) == list(range(15, 25))
    assert numbers(audited.audit.page(before=latest.next_cursor, limit=10)) == list(range(5, 15))
    assert numbers(audited.audit.page(after=latest.entries[-2].id)) == [24]
    for wrong in ({"after": "x"}, {"before": "1"}, {"after": "1-1", "before": ""}):
        with pytest.raises(InvalidInput):
            audited.audit.page(**wrong)
    for limit in (0, 1001, True):
        with pytest.raises(InvalidInput):
            audited.audit.page(limit=limit)


def test_several_processes_write_one_chain(engine, config, namespace, audited):
    own = dataclasses.replace(config, audit=POLICY)
    with (
        opened_apart(engine, own, namespace) as other,
        ThreadPoolExecutor(8) as threads,
    ):
        for manager in (audited, other):
            for number in range(40):
                threads.submit(manager.login, f"{namespace}-{number}")
        threads.shutdown(wait=True)
        other.audit.flush()
        found = entries(audited)
    assert len(found) == 80
    assert [each.number for each in found] == list(range(1, 81))
    assert len({(each.writer, each.writer_number) for each in found}) == 80
    assert len({each.writer for each in found}) == 2
    assert audited.audit.check().is_sound


def faults(manager: Any, head: str | None = None) -> list[tuple[str, int]]:
    found: tuple[AuditFault, ...] = manager.audit.check(head=head).faults
    return [(each.kind, each.number) for each in found]


def note_some(manager: Any, count: int = 6) -> list[AuditEntry]:
    for number in range(count):
        manager.audit.note("step", details={"number": number})
    return list(manager.audit.page().entries)


def test_an_entry_that_was_taken_away_is_missed(audited, stream):
    noted = note_some(audited)
    stream("XDEL", noted[2].id)
    assert ("missing", 4) in faults(audited)


def test_an_entry_that_was_changed_is_noticed(audited, stream):
    noted = note_some(audited)
    (_, fields), *_ = stream("XRANGE", noted[5].id, noted[5].id)
    stream("XDEL", noted[5].id)
    text = fields[b"e"].replace(b"step", b"stop")
    behind = f"{noted[5].id.partition('-')[0]}-99"
    stream("XADD", behind, "n", fields[b"n"], "e", text, "h", fields[b"h"])
    assert faults(audited) == [("changed", 6)]


def test_an_entry_with_a_number_of_nonsense_stops_nobody(audited, stream):
    stream("XADD", "*", "n", "-500", "e", "{}", "h", "0" * 40)
    audited.login("alice")
    assert [each.subject for each in entries(audited)] == ["alice"]
    audited.login("bob")
    assert [each.subject for each in entries(audited)] == ["alice", "bob"]
    assert audited.stats().audit.written == 2
    assert ("unreadable", 0) in faults(audited)


def test_a_trail_that_was_begun_anew_does_not_have_the_head(audited, stream):
    note_some(audited)
    head = audited.audit.check().head
    assert faults(audited, head) == []
    audited.audit.note("later")
    assert faults(audited, head) == []
    stream("DEL")
    note_some(audited)
    assert ("other_head", 6) in faults(audited, head)


@pytest.mark.parametrize("head", ["", "x", "1", "1:zz", "0:" + "0" * 40, 7])
def test_what_is_no_head(audited, head):
    with pytest.raises(InvalidInput):
        audited.audit.check(head=head)


@pytest.mark.sampled(1)
def test_only_so_many_entries_are_kept(engine, config, namespace, stream):
    policy = AuditPolicy(most_entries=1000)
    own = dataclasses.replace(config, audit=policy)
    with opened_apart(engine, own, namespace) as manager:
        for number in range(1300):
            manager.login(f"{namespace}-{number % 5}")
        manager.audit.flush()
        # The store removes whole nodes of about a hundred entries.
        assert 1000 <= stream("XLEN") < 1200
        report = manager.audit.check()
        assert report.is_sound
        assert (report.last, report.count) == (1300, stream("XLEN"))
        assert report.first == 1301 - report.count


def test_entries_are_kept_for_so_long(audited, stream):
    # As if it had been written long ago.
    stream("XADD", "1000-1", "n", "1", "e", "{}", "h", "0" * 40)
    note_some(audited, 2)
    assert [each.number for each in entries(audited)] == [2, 3]
    assert audited.audit.check().is_sound


def test_nothing_is_noted_without_a_policy(engine, config, namespace, stream, subject):
    with opened_apart(engine, config, namespace) as manager:
        manager.login(subject)
        manager.revoke_all(subject)
        assert manager.stats().audit is None
    assert stream("EXISTS") == 0


def test_closing_writes_what_waits(engine, config, namespace, stream):
    own = dataclasses.replace(config, audit=POLICY)
    with opened_apart(engine, own, namespace) as manager:
        for number in range(30):
            manager.login(f"{namespace}-{number}")
    assert stream("XLEN") == 30


def test_the_worker_writes_what_nobody_waits_for(audited, subject, stream):
    audited.login(subject)
    eventually(lambda: audited.stats().audit.written == 1)
    assert stream("XLEN") == 1
    stats = audited.stats().audit
    assert (stats.written, stats.waiting, stats.logged) == (1, 0, 0)


def test_who_acts_is_known_in_the_thread_that_says_so_alone(audited, subject):
    barrier = threading.Barrier(2)

    def act(actor: str) -> None:
        with acting(actor):
            barrier.wait()
            audited.audit.note("acted", subject=actor)

    threads = [threading.Thread(target=act, args=(f"{subject}-{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each.actor == each.subject for each in entries(audited))
