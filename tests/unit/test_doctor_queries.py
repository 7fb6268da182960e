"""Which node the doctor asks what, and what it makes of refusals; the nodes answer from a table."""

from typing import Any, ClassVar, Self

import pytest

from clusterpass import StoreDenied, StoreUnavailable
from clusterpass.doctor import collect, trial_write
from clusterpass.doctor.collect import DoctorOptions, collect_snapshot
from clusterpass.doctor.snapshot import NodeSnapshot, Trial
from clusterpass.store.location import Address, parse_store_url
from clusterpass.store.outcomes import ServerError

REFUSED, NOPERM = ServerError("ERR", "no"), ServerError("NOPERM", "no permission")
SINGLE = "redis://:password@10.0.0.1:7000?timeout=0.4"
ADDRESS = Address("10.0.0.1", 7000)


class Connection:
    """A connection to a node that answers from a table, by the first words of a command."""

    table: ClassVar[dict[str, Any]] = {}
    opened: ClassVar[list[Any]] = []
    refusal: ClassVar[Any] = None
    fails: ClassVar[Any] = None

    def __init__(self, location: Any, address: Address, context: Any, more: float = 0.0) -> None:
        Connection.opened.append((location.password, address, more))
        self.tls = None

    def __enter__(self) -> Self:
        if Connection.fails is not None:
            raise Connection.fails
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnects."""

    def ask(self, *command: Any) -> Any:
        words = [each.decode() if isinstance(each, bytes) else str(each) for each in command]
        return Connection.table.get(" ".join(words[:2]), Connection.table.get(words[0], REFUSED))

    def ask_together(self, *commands: Any) -> list[Any]:
        return [self.ask(*command) for command in commands]

    def text(self, *command: Any) -> Any:
        reply = self.ask(*command)
        return None if isinstance(reply, ServerError) else reply

    def track(self, *_: bytes) -> Any:
        return Connection.refusal

    def wait_for_push(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (collect, trial_write):
        monkeypatch.setattr(module, "NodeConnection", Connection)
    table = {"INFO": "role:master\r\nconnected_slaves:2", "EVAL": b"OK", "WAIT": 2, "PING": b"PONG"}
    monkeypatch.setattr(Connection, "table", table)
    monkeypatch.setattr(Connection, "opened", [])


def snapshot(**options: Any) -> Any:
    return collect_snapshot(parse_store_url(SINGLE), DoctorOptions(**options))


def test_what_a_node_refuses_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    Connection.table.update({"EVAL": REFUSED, "CLUSTER INFO": "cluster_state:ok"})
    (node,) = snapshot().nodes
    assert (node.info, node.settings) == ({"role": "master", "connected_slaves": "2"}, None)
    assert (node.clock, node.denied, node.trial, node.role) == (None, None, None, "primary")
    assert (node.cluster_info, node.tracking) == ({"cluster_state": "ok"}, "")
    assert node.is_open, "it answers without a password too"
    assert Connection.opened[-1][0] is None
    del Connection.table["INFO"], Connection.table["PING"], Connection.table["CLUSTER INFO"]
    (node,) = snapshot().nodes
    assert (node.info, node.cluster_info, node.is_open) == (None, {}, False)


def test_only_a_primary_is_tried() -> None:
    Connection.table["EVAL"] = REFUSED
    (node,) = snapshot(write=True).nodes
    assert node.trial == Trial(refusal="ERR no")
    Connection.table["INFO"] = "role:slave"
    (node,) = snapshot(write=True).nodes
    assert node.trial is None


def test_nodes_that_cannot_be_found() -> None:
    Connection.table["CLUSTER SLOTS"] = NOPERM
    with pytest.raises(StoreDenied, match=r"grant \+cluster\|nodes \+cluster\|slots"):
        snapshot()


@pytest.mark.parametrize(
    ("failure", "kind"), [(TimeoutError(), StoreUnavailable), (StoreDenied("no"), StoreDenied)]
)
def test_no_seed_answers(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, kind: type[Exception]
) -> None:
    monkeypatch.setattr(Connection, "fails", failure)
    with pytest.raises(kind, match=r"10\.0\.0\.1:7000: "):
        snapshot()


@pytest.mark.parametrize(
    ("written", "waited", "refusal", "trial"),
    [
        (b"OK", 2, None, Trial(replicas=2, asked=2, was_pushed=True)),
        (b"OK", 1, REFUSED, Trial(replicas=1, asked=2, was_pushed=None)),
        (b"OK", NOPERM, None, Trial(asked=2, was_pushed=True, refusal="NOPERM no permission")),
        (REFUSED, 2, None, Trial(refusal="ERR no")),
    ],
)
def test_a_trial(
    monkeypatch: pytest.MonkeyPatch, written: Any, waited: Any, refusal: Any, trial: Trial
) -> None:
    Connection.table.update({"EVAL": written, "WAIT": waited})
    monkeypatch.setattr(Connection, "refusal", refusal)
    seen = NodeSnapshot(address=ADDRESS, info={"connected_slaves": "2"})
    assert trial_write.write_on_trial(parse_store_url(SINGLE), ADDRESS, None, seen) == trial
    assert [each[2] for each in Connection.opened] == [0.0, 0.25]
