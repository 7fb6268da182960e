"""The doctor's trial write on a primary, its parsing of replies, and names of failures."""

import dataclasses
import ssl
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass.doctor import collect, judge, trial_write
from clusterpass.doctor.collect import DoctorOptions
from clusterpass.doctor.findings import Finding
from clusterpass.doctor.node_connection import describe_failure
from clusterpass.doctor.see_rights import _JUDGE_RIGHTS, needed_commands, see_rights
from clusterpass.doctor.snapshot import Clock, NodeSnapshot, Snapshot, Trial, whole
from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.acl import TOO_WIDE
from clusterpass.store.address import Address
from clusterpass.store.outcomes import ServerError
from clusterpass.store.wire.resp import ProtocolError

from .doctor_snapshots import members, seen_by, sound
from .test_doctor_copies import with_replicas

KEYSPACE = Keyspace("app")
REFUSED = ServerError("ERR", "no")


def test_a_trial_waits_for_every_replica_that_has_not_failed() -> None:
    them = list(with_replicas(0, 0, 0, 1))
    assert trial_write._replicas(seen_by(them[0], tuple(them))) == 3
    assert trial_write._replicas(seen_by(them[1], tuple(them))) == 1
    assert trial_write._replicas(seen_by(them[2], tuple(them))) == 0
    them[3] = dataclasses.replace(them[3], flags=frozenset({"slave", "fail"}))
    them[4] = dataclasses.replace(them[4], flags=frozenset({"slave", "fail?"}))
    assert trial_write._replicas(seen_by(them[0], tuple(them))) == 2


@pytest.mark.parametrize(("info", "replicas"), [({"connected_slaves": "2"}, 2), ({}, 0), (None, 0)])
def test_a_trial_on_a_single_server_waits_for_its_replicas(info: Any, replicas: int) -> None:
    node = NodeSnapshot(address=Address("10.0.0.1", 7000), info=info)
    assert trial_write._replicas(node) == replicas


def test_a_trial_writes_in_a_slot_of_the_primary() -> None:
    them = members()
    for number, slot in ((0, 0), (1, 5461), (2, 10_923)):
        key = trial_write._key(KEYSPACE, seen_by(them[number], them))
        assert key == KEYSPACE.probe(slot)
    assert trial_write._key(KEYSPACE, seen_by(them[3], them)) is None
    single = NodeSnapshot(address=Address("10.0.0.1", 7000))
    assert trial_write._key(KEYSPACE, single) == KEYSPACE.probe(0)


def tls_error(reason: Any) -> ssl.SSLError:
    error = ssl.SSLError()
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreUnavailable(reason="loading"), "the node is loading its data"),
        (StoreUnavailable(reason="busy"), "the node accepts no more connections (maxclients)"),
        (StoreUnavailable("it is gone"), "it is gone"),
        (StoreDenied("not allowed"), "not allowed"),
        (StoreFailed("it failed"), "it failed"),
        (tls_error(None), "TLS handshake failed: no reason given"),
        (tls_error("WRONG_VERSION_NUMBER"), "TLS handshake failed: WRONG_VERSION_NUMBER"),
        (TimeoutError("timed out"), "no answer within the timeout"),
        (ProtocolError("odd"), "whatever listens there does not speak the Redis protocol"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (OSError("as it says"), "as it says"),
        (OSError(), "OSError"),
        (KeyError("a secret"), "KeyError"),
    ],
)
def test_a_failure_is_named_for_people(error: Exception, said: str) -> None:
    assert describe_failure(error) == said


def test_a_certificate_that_is_not_accepted() -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_message = "it has expired"
    assert describe_failure(error) == "the certificate is not accepted: it has expired"


class Node:
    """A connection that answers from a list; the last answer is repeated."""

    def __init__(self, *replies: Any, certificate: Any = None) -> None:
        self.replies, self.asked = list(replies), []
        self.tls = None if certificate is None else self
        self.certificate = certificate

    def ask(self, *command: Any) -> Any:
        self.asked.append(command)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def ask_together(self, *commands: Any) -> list[Any]:
        return [self.ask(*command) for command in commands]

    def track(self, *prefixes: bytes) -> Any:
        return self.ask("track", *prefixes)

    def getpeercert(self) -> Any:
        return self.certificate


def test_the_clock_is_that_of_the_fastest_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 0.4, 1.0, 1.2, 2.0, 2.3, 3.0, 3.3, 4.0, 4.5])
    walls = iter([100.0, 101.0, 102.0, 103.0, 104.0])
    # A clock for this module alone: other threads of the test run go by the real one.
    clocks = SimpleNamespace(monotonic=lambda: next(ticks), time=lambda: next(walls))
    monkeypatch.setattr(collect, "time", clocks)
    node = Node(*[(b"106", b"500000")] * 5)
    clock, round_trip = collect._clock(node)
    assert node.asked == [("TIME",)] * 5
    assert round_trip == pytest.approx(0.2)
    assert clock.ahead == pytest.approx(106.5 - 101.1)
    assert clock.uncertainty == pytest.approx(0.1)
    assert isinstance(clock, Clock)


def test_a_node_that_does_not_tell_the_time() -> None:
    node = Node(REFUSED)
    assert collect._clock(node) == (None, None)
    assert len(node.asked) == 1


def test_the_lines_of_info() -> None:
    text = "# Server\r\nredis_version:7.0\r\nempty:\r\nnothing\r\n# a:b\r\nmany:a:b\r\n"
    assert collect._pairs(text) == {"redis_version": "7.0", "empty": "", "many": "a:b"}


@pytest.mark.parametrize("reply", [{b"save": b"60 1\xff"}, [b"save", b"60 1\xff"]])
def test_settings_are_asked_for_one_by_one_in_both_protocols(reply: Any) -> None:
    node = Node(REFUSED, reply)
    assert collect._settings(node) == {"save": "60 1\ufffd"}
    assert node.asked == [("CONFIG", "GET", name) for name in collect.SETTINGS]
    assert collect._settings(Node(REFUSED)) is None


def test_which_commands_a_user_of_the_connection_may_run() -> None:
    needed = needed_commands("replicated")
    names = [*needed, *TOO_WIDE]
    node = Node([1, 0] * (len(names) // 2) + [1] * (len(names) % 2))
    assert see_rights(node, KEYSPACE, needed, None) == set(names[::2])
    ((command, script, keys, *calls),) = node.asked
    assert (command, script, keys, len(calls)) == ("EVAL", _JUDGE_RIGHTS, 0, len(names))
    assert f"get {KEYSPACE.not_before(0).decode()}" in calls
    assert f"subscribe {KEYSPACE.channel().decode()}" in calls
    denied = Node(ServerError("NOPERM", "no"))
    assert see_rights(denied, KEYSPACE, needed, None) == needed.keys() - {"eval"}
    assert see_rights(Node(None), KEYSPACE, needed, None) is None
    lacking = Node(ServerError("ERR", "unknown command 'EVAL', with args beginning with: 'x'"))
    assert see_rights(lacking, KEYSPACE, needed, None) == needed.keys() - {"eval"}
    assert see_rights(Node(REFUSED), KEYSPACE, needed, None) is None


def test_which_commands_another_user_may_run() -> None:
    needed = needed_commands("fsync")
    names = [*needed, *TOO_WIDE]
    node = Node(b"OK", b"no", b"OK")
    assert see_rights(node, KEYSPACE, needed, "app") == set(names) - {names[1]}
    assert {asked[:3] for asked in node.asked} == {("ACL", "DRYRUN", "app")}
    assert ("ACL", "DRYRUN", "app", "waitaof", "1", "0", "1") in node.asked
    unknown = Node(ServerError("ERR", "User 'app' not found"))
    assert see_rights(unknown, KEYSPACE, needed, "app") == set()
    assert see_rights(Node(REFUSED), KEYSPACE, needed, "app") is None


def test_when_a_certificate_expires() -> None:
    certificate = {"notAfter": "Jan  5 09:34:43 2018 GMT"}
    assert collect._expiry(Node(certificate=certificate)) == 1_515_144_883.0
    assert collect._expiry(Node(certificate={})) is None
    assert collect._expiry(Node()) is None


def test_why_a_node_refuses_to_push() -> None:
    node = Node(None)
    assert collect._tracking(node, KEYSPACE) == ""
    assert node.asked == [("track", KEYSPACE.sessions_prefix())]
    assert collect._tracking(Node(REFUSED), KEYSPACE) == "ERR no"


def test_the_addresses_that_clients_use() -> None:
    asked = Address("10.0.0.9", 7000)
    slots = [
        [0, 5, [b"10.0.0.1", 7001, b"a", []], [b"", 7002, b"b"]],
        [6, 9, [None, 7003, b"c", []]],
    ]
    assert collect._addresses(slots, asked) == {
        "a": Address("10.0.0.1", 7001),
        "b": Address("10.0.0.9", 7002),
        "c": Address("10.0.0.9", 7003),
    }
    assert collect._addresses(REFUSED, asked) == {}


def test_what_a_node_says_of_itself() -> None:
    single = NodeSnapshot(address=Address("10.0.0.1", 7000))
    assert (single.answered, single.role, single.version, single.myself) == (
        *(True, "unknown", None),
        None,
    )
    assert not dataclasses.replace(single, refusal="gone").answered
    for told, role in (("master", "primary"), ("slave", "replica"), ("x", "unknown")):
        assert dataclasses.replace(single, info={"role": told}).role == role
    redis = {"redis_version": "7.2.4"}
    assert dataclasses.replace(single, info=redis).version == "Redis 7.2.4"
    valkey = {**redis, "valkey_version": "9.1.2"}
    assert dataclasses.replace(single, info=valkey).version == "Valkey 9.1.2"
    assert single.setting("save") is None
    assert (whole("12"), whole("x"), whole(None)) == (12, None, None)
    seen = sound()
    assert [node.role for node in seen.nodes] == ["primary"] * 3 + ["replica"] * 3
    assert single != dataclasses.replace(single), "equal only to itself"


def test_a_snapshot_of_what_is_not_said() -> None:
    bare = Snapshot(nodes=())
    assert not bare.is_local, "of no node nothing is known"
    found = {each.name: getattr(bare, each.name) for each in dataclasses.fields(bare)}
    assert {name: found[name] for name in ("members", "addresses", "taken_at")} == {
        "members": (),
        "addresses": {},
        "taken_at": 0.0,
    }
    assert (bare.asked_for_cluster, bare.is_cluster, bare.has_tls) == (True, True, False)
    assert (bare.has_password, bare.has_tried, bare.user) == (False, False, "default")
    assert (bare.namespace, bare.durability) == ("cp", "replicated")
    node = NodeSnapshot(address=Address("10.0.0.1", 7000))
    assert (node.is_open, node.denied, node.trial, node.clock) == (False, None, None, None)


@pytest.mark.parametrize("kind", [Finding, Trial, NodeSnapshot, Snapshot, DoctorOptions])
def test_what_the_doctor_holds_is_given_by_name_and_stays(kind: Any) -> None:
    members_ = dataclasses.fields(kind)
    assert all(member.kw_only for member in members_)
    assert kind.__dataclass_params__.frozen
    assert set(kind.__slots__) == {member.name for member in members_}


def test_the_nodes_of_a_report_as_json() -> None:
    them = members()
    silent = NodeSnapshot(address=Address("10.0.0.9", 7009), refusal="gone")
    seen = dataclasses.replace(sound(them), nodes=(seen_by(them[3], them), silent))
    report = judge(seen, only=["node-unreachable"])
    assert report.as_json()["nodes"] == [
        {
            "address": f"10.0.0.1:{them[3].port}",
            "role": "replica",
            "answered": True,
            "version": "Valkey 9.1.2",
        },
        {"address": "10.0.0.9:7009", "role": "unknown", "answered": False, "version": None},
    ]
    assert report.as_json()["checks"] == 1
    (found,) = report.as_json()["findings"]
    assert found == {
        "severity": "problem",
        "found": "The node cannot be queried from here: gone.",
        "remedy": report.findings[0].remedy,
        "nodes": ("10.0.0.9:7009",),
        "id": "node-unreachable",
        "reference": "docs/reference/doctor.md#node-unreachable",
    }
