"""The trial write of the doctor: the commands sent to a primary, and its replies."""

from typing import Any

import pytest

from clusterpass.doctor import trial_write
from clusterpass.doctor.snapshot import NodeSnapshot, Snapshot, Trial
from clusterpass.store.address import Address
from clusterpass.store.outcomes import ServerError
from clusterpass.store.store_url import parse_store_url

from .doctor_snapshots import members, seen_by
from .test_doctor_copies import with_replicas

ADDRESS = Address("10.0.0.1", 7000)
DENIED = ServerError("NOPERM", "no permissions")


class Nodes:
    """The two connections of a trial: one that watches, and one that writes."""

    def __init__(self, written: Any = b"OK", replicas: Any = 2) -> None:
        self.answers = [written, replicas]
        self.refusal: ServerError | None = None
        self.was_pushed = True
        self.fails: Exception | None = None
        self.opened: list[tuple[Any, ...]] = []
        self.asked: list[Any] = []
        self.closed = 0

    def __call__(self, _: Any, address: Address, *rest: Any) -> "Nodes":
        self.opened.append((address, *rest))
        return self

    def __enter__(self) -> "Nodes":
        if self.fails is not None:
            raise self.fails
        return self

    def __exit__(self, *_: object) -> None:
        self.closed += 1

    def track(self, key: bytes) -> ServerError | None:
        self.asked.append(("track", key))
        return self.refusal

    def ask_together(self, *commands: Any) -> list[Any]:
        self.asked += commands
        return self.answers

    def wait_for_push(self) -> bool:
        self.asked.append("push")
        return self.was_pushed


def tried(
    monkeypatch: pytest.MonkeyPatch, nodes: Nodes, url: str = "redis://h", seen: Any = None
) -> Trial | None:
    monkeypatch.setattr(trial_write, "NodeConnection", nodes)
    them = with_replicas(0, 0, 1)
    node = seen_by(them[0], them) if seen is None else seen
    return trial_write.write_on_trial(parse_store_url(url), ADDRESS, None, node)


def test_a_write_is_tracked_written_and_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    assert tried(monkeypatch, nodes) == Trial(replicas=2, asked=2, was_pushed=True)
    track, write, wait, push = nodes.asked
    assert track == ("track", write[3])
    assert (write[0], write[2], write[4:]) == (b"EVAL", 1, (b"trial", 10))
    assert b"'EX'" in write[1]
    assert (wait, push) == ((b"WAIT", 2, 250), "push")
    assert nodes.opened == [(ADDRESS, None), (ADDRESS, None, 0.25)]
    assert nodes.closed == 2


@pytest.mark.parametrize(
    ("url", "milliseconds"),
    [
        ("redis://h", 250),
        ("redis://h?replica_wait=0.1", 100),
        ("redis://h?replica_wait=0.001", 1),
        ("redis://h?replica_wait=0.0001", 1),
        ("redis://h?replica_wait=0&timeout=0.2", 100),
        ("redis://h?replica_wait=0&timeout=2&deadline=3", 250),
    ],
)
def test_how_long_it_waits_for_replicas(
    monkeypatch: pytest.MonkeyPatch, url: str, milliseconds: int
) -> None:
    nodes = Nodes()
    tried(monkeypatch, nodes, url)
    assert nodes.asked[2] == (b"WAIT", 2, milliseconds)
    assert nodes.opened[1] == (ADDRESS, None, milliseconds / 1000)


def test_a_node_that_refuses_to_write_or_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(written=ServerError("OOM", "no room"))
    assert tried(monkeypatch, nodes) == Trial(refusal="OOM no room")
    assert "push" not in nodes.asked
    nodes = Nodes(replicas=DENIED)
    assert tried(monkeypatch, nodes) == Trial(
        replicas=None, asked=2, was_pushed=True, refusal="NOPERM no permissions"
    )


def test_a_node_that_tracks_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    nodes.refusal = DENIED
    assert tried(monkeypatch, nodes) == Trial(replicas=2, asked=2, was_pushed=None)
    assert "push" not in nodes.asked
    nodes = Nodes()
    nodes.was_pushed = False
    assert tried(monkeypatch, nodes) == Trial(replicas=2, asked=2, was_pushed=False)


def test_a_node_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    nodes.fails = ConnectionRefusedError(111, "Connection refused")
    assert tried(monkeypatch, nodes) == Trial(refusal="Connection refused.")


def test_where_no_slot_is_owned_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes, them = Nodes(), members()
    assert tried(monkeypatch, nodes, seen=seen_by(them[3], them)) is None
    assert nodes.opened == []


def test_a_member_is_named_as_it_calls_itself_where_no_address_is_known() -> None:
    them = members()
    bare = Snapshot(nodes=(NodeSnapshot(address=ADDRESS),), members=them)
    assert (bare.name_of(them[4]), bare.host_of(them[4])) == ("10.0.0.2:7004", "10.0.0.2")
    known = Snapshot(nodes=(), members=them, addresses={"id4": Address("db.example", 1)})
    assert (known.name_of(them[4]), known.host_of(them[4])) == ("db.example:1", "db.example")
