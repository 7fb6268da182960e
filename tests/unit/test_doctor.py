"""The doctor's checks on made-up snapshots, without a cluster, and the report's JSON."""

import importlib
import pkgutil
import time

import pytest
from hypothesis import given, settings, strategies as st

from clusterpass.doctor import CHECKS, Check, checks, judge
from clusterpass.doctor.checks import access
from clusterpass.doctor.collect import SETTINGS
from clusterpass.doctor.findings import SEVERITIES
from clusterpass.doctor.snapshot import Clock, Trial, is_loopback
from clusterpass.doctor.stored_secrets import SecretSettings, StoredSecret
from clusterpass.model.errors import InvalidInput
from clusterpass.store.patience import Patience
from clusterpass.store.topology.cluster_nodes import parse_members

from .doctor_snapshots import CONFIG, INFO, changed, members, seen_by, sound, told


def test_a_sound_deployment():
    assert told(sound()) == set()


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        # The shape.
        (sound(members("abcabc")), ("hosts", "problem")),
        (sound(members("aabbbc")), ("majority", "problem")),
        (sound(changed(3, flags=frozenset({"slave", "fail"}))), ("replicas", "problem")),
        (sound(changed(3, flags=frozenset({"slave", "fail"}))), ("node-failed", "problem")),
        (sound(changed(4, flags=frozenset({"slave", "fail?"}))), ("node-failed", "warning")),
        (sound(changed(4, flags=frozenset({"handshake"}))), ("node-failed", "warning")),
        (sound(changed(1, slots=((5461, 10000),))), ("slots-uncovered", "problem")),
        (sound(changed(1, slots=())), ("majority", "problem")),
        (sound(changed(1, epoch=1)), ("views", "warning")),
        (sound(changed(0, slots=((0, 12000),))), ("skew", "warning")),
        (sound(node={"cluster_info": {"cluster_state": "fail"}}), ("slots-uncovered", "problem")),
        (sound(node={"refusal": "Connection refused"}), ("node-unreachable", "problem")),
        (sound(is_cluster=False, members=()), ("kind-of-deployment", "problem")),
        (sound(asked_for_cluster=False), ("kind-of-deployment", "problem")),
        # Memory.
        (sound(node={"info": INFO | {"evicted_keys": "3"}}), ("eviction", "problem")),
        (sound(node={"info": INFO | {"used_memory": "7900000"}}), ("memory", "problem")),
        (
            sound(node={"info": INFO | {"maxmemory_policy": "allkeys-lru"}, "settings": None}),
            ("eviction", "problem"),
        ),
        (
            sound(node={"info": INFO | {"maxmemory": "0"}, "settings": None}),
            ("memory", "warning"),
        ),
        # Replication and files.
        (
            sound(node={"info": INFO | {"slave0": "ip=x,port=1,state=wait_bgsave,offset=0,lag=0"}}),
            ("replication", "warning"),
        ),
        (
            sound(node={"info": INFO | {"slave0": "ip=x,port=1,state=online,offset=1,lag=0"}}),
            ("replication", "warning"),
        ),
        (
            sound(
                node={"info": INFO | {"slave0": "ip=x,port=1,state=online,offset=5000000,lag=9"}}
            ),
            ("replication", "warning"),
        ),
        (sound(node={"info": INFO | {"aof_last_write_status": "err"}}), ("persistence", "problem")),
        (
            sound(node={"info": INFO | {"rdb_last_bgsave_status": "err"}}),
            ("persistence", "problem"),
        ),
        (sound(node={"info": INFO | {"aof_enabled": "0"}}), ("persistence", "warning")),
        (sound(node={"trial": Trial(replicas=0)}), ("confirmation", "problem")),
        (sound(node={"trial": Trial(refusal="OOM no room")}), ("confirmation", "problem")),
        (sound(node={"trial": Trial(replicas=1, asked=2)}), ("confirmation", "problem")),
        (
            sound(node={"trial": Trial(replicas=1, was_pushed=False)}),
            ("pushes", "problem"),
        ),
        # Operation.
        (sound(node={"info": INFO | {"redis_version": "6.2.1"}}), ("versions", "problem")),
        (sound(node={"info": INFO | {"valkey_version": "8.0.1"}}), ("versions", "warning")),
        (sound(node={"clock": Clock(1.5, 0.01)}), ("clocks", "problem")),
        (sound(node={"round_trip": 0.2}), ("round-trip", "warning")),
        # Secrets.
        (
            sound(
                node={"secrets": (StoredSecret(name="x", is_key=False, why_closed="no key"),)},
                secret_settings=SecretSettings(),
            ),
            ("secrets", "problem"),
        ),
        (
            sound(
                node={"secrets": (StoredSecret(name="x", is_key=True, why_closed="no key"),)},
                secret_settings=SecretSettings(is_managed=True),
            ),
            ("secrets", "warning"),
        ),
        # Clients and access.
        (
            sound(node={"info": INFO | {"client_output_buffer_limit_disconnections": "2"}}),
            ("output-buffers", "warning"),
        ),
        (sound(node={"info": INFO | {"rejected_connections": "2"}}), ("connections", "warning")),
        (
            sound(
                node={
                    "info": INFO | {"tracking_total_keys": "900"},
                    "settings": CONFIG | {"tracking-table-max-keys": "1000"},
                }
            ),
            ("tracked-keys", "warning"),
        ),
        (
            sound(node={"settings": CONFIG | {"client-output-buffer-limit": "pubsub 0 0 0"}}),
            ("output-buffers", "warning"),
        ),
        (
            sound(node={"settings": CONFIG | {"client-output-buffer-limit": "pubsub 0 9000 1"}}),
            ("output-buffers", "warning"),
        ),
        (sound(durability="fsync", patience=Patience(replica_wait=0.3)), ("fsync", "problem")),
        (sound(node={"denied": ("subscribe",)}), ("rights", "warning")),
        (sound(node={"denied": ("scan",)}), ("rights", "warning")),
        (sound(node={"denied": ("scan", "hset")}), ("rights", "problem")),
        (sound(node={"denied": ("hello", "client|tracking")}), ("rights", "warning")),
        (sound(node={"denied": ("info",)}), ("rights", "problem")),
        (sound(node={"denied": ("wait",)}), ("rights", "problem")),
        (sound(node={"denied": ("wait",)}, durability="primary"), ("rights", "warning")),
        (sound(has_password=False), ("password", "problem")),
        (sound(node={"is_open": True}), ("password", "problem")),
        (sound(has_tls=False), ("tls", "warning")),
        (sound(node={"settings": CONFIG | {"tls-cluster": "no"}}), ("tls", "warning")),
        (
            sound(node={"certificate_expires_at": time.time() + 86_400}),
            ("certificates", "problem"),
        ),
        (
            sound(node={"certificate_expires_at": time.time() + 20 * 86_400}),
            ("certificates", "warning"),
        ),
        (sound(node={"info": None}), ("unseen", "unseen")),
        (sound(node={"settings": None}), ("unseen", "unseen")),
        (sound(node={"denied": None}), ("unseen", "unseen")),
        (sound(has_tried=False), ("unseen", "unseen")),
    ],
)
def test_what_is_wrong_is_found(seen, expected):
    assert expected in told(seen)


@pytest.mark.parametrize(
    ("node", "identifier", "severity"),
    [
        ({"refusal": "Connection refused"}, "node-unreachable", "problem"),
        ({"info": INFO | {"evicted_keys": "3"}}, "eviction", "problem"),
        ({"info": INFO | {"used_memory": "7900000"}}, "memory", "problem"),
        ({"info": INFO | {"maxmemory": "0"}, "settings": None}, "memory", "warning"),
        ({"info": INFO | {"aof_last_write_status": "err"}}, "persistence", "problem"),
        ({"info": INFO | {"rdb_last_bgsave_status": "err"}}, "persistence", "problem"),
        ({"info": INFO | {"aof_enabled": "0"}}, "persistence", "warning"),
        ({"trial": Trial(replicas=0)}, "confirmation", "problem"),
        ({"info": INFO | {"redis_version": "6.2.1"}}, "versions", "problem"),
        ({"round_trip": 0.2}, "round-trip", "warning"),
        (
            {"info": INFO | {"maxclients": "1000", "connected_clients": "990"}},
            "connections",
            "problem",
        ),
        (
            {"info": INFO | {"maxclients": "100", "connected_clients": "1"}},
            "connections",
            "warning",
        ),
        ({"info": INFO | {"rejected_connections": "2"}}, "connections", "warning"),
        ({"denied": ("scan",)}, "rights", "warning"),
        ({"is_open": True}, "password", "problem"),
        ({"settings": CONFIG | {"tls-cluster": "no"}}, "tls", "warning"),
        ({"certificate_expires_at": time.time() + 86_400}, "certificates", "problem"),
        ({"settings": CONFIG | {"busy-reply-threshold": "99"}}, "scripts", "warning"),
        ({"settings": CONFIG | {"tcp-keepalive": "0"}}, "connections", "note"),
        ({"settings": CONFIG | {"timeout": "30"}}, "connections", "note"),
    ],
)
def test_a_finding_names_the_node_that_it_concerns(node, identifier, severity):
    found = judge(sound(node=node)).findings
    (finding,) = (each for each in found if (each.id, each.severity) == (identifier, severity))
    assert finding.nodes == (str(sound().nodes[0].address),)
    assert finding.found
    assert finding.remedy


@pytest.mark.parametrize(("used", "crowded"), [(800, False), (801, True)])
def test_room_for_connections(used, crowded):
    facts = {"maxclients": "1000", "connected_clients": str(used), "cluster_connections": "0"}
    found = told(sound(node={"info": INFO | facts}))
    assert (("connections", "problem") in found) is crowded


def test_keys_that_lie_on_one_node():
    few = INFO | {"db0": "keys=10"}
    them = members()
    nodes = [
        seen_by(each, them, info=INFO if number == 0 else few) for number, each in enumerate(them)
    ]
    (finding,) = judge(sound(nodes=tuple(nodes)), only=["skew"]).findings
    assert (finding.severity, finding.nodes) == ("warning", (str(nodes[0].address),))


def test_views_that_differ():
    other = changed(5, primary_id="id0")
    them = members()
    nodes = [seen_by(each, other if number == 4 else them) for number, each in enumerate(them)]
    report = judge(sound(nodes=tuple(nodes)), only=["views"])
    assert [each.nodes for each in report.findings] == [("10.0.0.2:7004",)]


def test_a_clock_that_differs_by_less_than_it_is_sure_of():
    assert told(sound(node={"clock": Clock(1.5, 0.6)})) == set()


def test_this_machine_s_clock():
    them = members()
    nodes = tuple(seen_by(each, them, clock=Clock(-9.0, 0.01)) for each in them)
    (finding,) = judge(sound(nodes=nodes)).findings
    assert (finding.id, finding.severity) == ("clocks", "warning")
    assert "9.0 s ahead of" in finding.found


@pytest.mark.parametrize(
    ("apart", "ours", "bounds"),
    [(4.0, 0.0, []), (8.0, 0.0, ["more than 5 s"]), (0.0, 700.0, ["more than 600 s"])],
)
def test_clocks_beyond_a_bound_say_what_follows(apart: float, ours: float, bounds: list[str]):
    them = members()
    nodes = tuple(
        seen_by(each, them, clock=Clock(ours + (apart if number == 0 else 0), 0.01))
        for number, each in enumerate(them)
    )
    found = " ".join(each.found for each in judge(sound(nodes=nodes), only=["clocks"]).findings)
    assert found
    for bound in ("more than 5 s", "more than 600 s"):
        assert (bound in found) == (bound in bounds)


def test_what_cannot_be_seen_is_not_claimed():
    for settings_, said in (
        (None, "whether there are snapshots is unknown"),
        (CONFIG | {"save": ""}, "comes back empty, unless a replica takes over first."),
        (CONFIG | {"save": "3600 1"}, "only a snapshot"),
    ):
        node = {"info": INFO | {"aof_enabled": "0"}, "settings": settings_}
        (finding,) = judge(sound(node=node), only=["persistence"]).findings
        assert said in finding.found


def test_the_worst_comes_first():
    seen = sound(members("abcabc"), has_tried=False, has_tls=False)
    severities = [each.severity for each in judge(seen).findings]
    assert severities == sorted(severities, key=SEVERITIES.index)
    assert severities[0] == "problem"


def test_only_and_ignore():
    seen = sound(members("abcabc"), has_tls=False)
    assert {each.id for each in judge(seen, only=["tls"]).findings} == {"tls"}
    assert {each.id for each in judge(seen, ignore=["tls"]).findings} == {"hosts"}
    assert judge(seen, ignore=["hosts"]).is_good
    with pytest.raises(InvalidInput, match="there is no check 'tsl'"):
        judge(seen, only=["tsl"])


def test_that_nothing_was_checked_is_no_good_report():
    seen = sound(members("abcabc"))
    for ignored in (["tls"], list(CHECKS)):
        with pytest.raises(InvalidInput, match="no check is left"):
            judge(seen, only=["tls"], ignore=ignored)


def test_what_only_some_checks_could_not_inspect_is_reported():
    """A report about these alone would be good because nothing was seen."""
    assert frozenset().union(*access._NEED.values(), access._NEED_TRIAL) <= set(CHECKS)
    untried = sound(members("abcabc"), has_tried=False)
    for needs_it in ("confirmation", "pushes"):
        (finding,) = judge(untried, only=[needs_it]).findings
        assert (finding.severity, finding.id) == ("unseen", "unseen")
        assert judge(untried, only=[needs_it], ignore=["unseen"]).findings == ()
    assert judge(untried, only=["eviction"]).findings == ()
    for reply, needs_it, other in (
        ("settings", "output-buffers", "clocks"),
        ("clock", "clocks", "rights"),
        ("denied", "rights", "versions"),
        ("info", "versions", "output-buffers"),
    ):
        blind = sound(members("abcabc"), {reply: None})
        assert "unseen" in {each.id for each in judge(blind, only=[needs_it]).findings}
        assert "unseen" not in {each.id for each in judge(blind, only=[other]).findings}


def test_the_json_holds_what_people_read():
    report = judge(sound(members("abcabc"), has_tried=False))
    said = report.as_json()
    assert said["good"] is False
    assert said["counts"] == {"problem": 3, "warning": 0, "note": 0, "unseen": 1}
    assert said["findings"][0]["reference"] == "docs/reference/doctor.md#hosts"
    assert {node["version"] for node in said["nodes"]} == {"Valkey 9.1.2"}


def test_every_check_is_listed_once():
    defined = [
        each
        for module in pkgutil.iter_modules(checks.__path__, f"{checks.__name__}.")
        for each in vars(importlib.import_module(module.name)).values()
        if isinstance(each, Check)
    ]
    assert sorted(map(id, defined)) == sorted(map(id, checks.ALL_CHECKS))
    assert tuple(CHECKS.values()) == checks.ALL_CHECKS


def test_every_check_says_what_is_at_stake():
    for check in CHECKS.values():
        assert check.title.startswith(("Whether", "How", "What")), check.id
        assert len(check.breaks) > 60, check.id


odd = st.one_of(
    st.text(max_size=12),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["yes", "no", "", "ip=1,port=,state=,offset=x,lag=y", "normal 1 2 3", "a b"]),
)


@settings(max_examples=300)
@given(
    info=st.dictionaries(st.sampled_from([*INFO, "slave1", "role", "evicted_keys"]), odd),
    config=st.dictionaries(st.sampled_from(SETTINGS), odd),
    flags=st.frozensets(st.sampled_from(["master", "slave", "fail", "fail?", "noaddr", "noflags"])),
    primary=st.sampled_from([None, "id0", "id1", "gone"]),
)
def test_odd_answers_upset_no_check(info, config, flags, primary):
    them = changed(2, flags=flags, primary_id=primary)
    seen = sound(them, node={"info": info, "settings": config})
    for finding in judge(seen).findings:
        assert finding.id in CHECKS
        assert finding.severity in SEVERITIES
        assert finding.found
        assert finding.remedy


def test_lines_of_a_cluster():
    text = (
        "a1 10.0.0.1:7000@17000,node-1,shard-id=x myself,master - 0 0 7 connected 0-5 9"
        " [12->-b2] [13-<-c3]\n"
        "b2 :0@0 slave,noaddr a1 1 2 7 disconnected\n"
        "c3 2001:db8::1:7001@17001 master,fail - 1 2 8 connected 10-16383\n"
    )
    first, second, third = parse_members(text)
    assert (first.host, first.port, first.slots) == ("10.0.0.1", 7000, ((0, 5), (9, 9)))
    assert first.moving == ("[12->-b2]", "[13-<-c3]")
    assert first.is_myself
    assert first.slot_count == 7
    assert (second.host, second.primary_id, second.failing) == ("", "a1", True)
    assert (third.host, third.port, third.has_failed) == ("2001:db8::1", 7001, True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.3.4.5"])
def test_this_machine(host):
    assert is_loopback(host)
    assert not is_loopback("10.0.0.1")
    assert not is_loopback("cache.example")
