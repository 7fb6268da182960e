"""The topology of an embedded cluster: nodes, URL, primaries and private files."""

import stat

import pytest

from clusterpass.embedded import EmbeddedCluster
from clusterpass.model.errors import EmbeddedClusterError
from clusterpass.store.store_url import parse_store_url

from .processes import info, pids_of


def test_six_nodes_are_healthy(six: EmbeddedCluster) -> None:
    assert six.running
    assert len(pids_of(six)) == 6
    for node in six.nodes:
        with six.client(node) as client:
            state = client.execute_command("CLUSTER", "INFO").decode()
            assert "cluster_state:ok" in state
            assert "cluster_slots_ok:16384" in state
            assert "cluster_known_nodes:6" in state
            assert client.config_get("bind")["bind"] == "127.0.0.1"
    roles = [info(six, node, "replication") for node in six.nodes]
    assert [role["role"] for role in roles] == ["master"] * 3 + ["slave"] * 3
    assert all(role["connected_slaves"] == 1 for role in roles[:3])
    assert all(role["master_link_status"] == "up" for role in roles[3:])


def test_url_names_every_node_and_parses(six: EmbeddedCluster) -> None:
    location = parse_store_url(six.url)
    assert location.is_cluster
    assert [str(seed) for seed in location.seeds] == [node.address for node in six.nodes]


def test_primary_of_agrees_with_the_servers(six: EmbeddedCluster) -> None:
    for key in ("a", b"user:{42}:x", "{}", "zz{tag}", "\u00e4"):
        with six.client(six.nodes[0]) as client:
            slot = client.execute_command("CLUSTER", "KEYSLOT", key)
        owner = six.primary_of(key)
        with six.client(owner) as client:
            ranges = client.execute_command("CLUSTER", "SLOTS")
        entry = next(entry for entry in ranges if entry[0] <= slot <= entry[1])
        assert entry[2][1] == owner.port
        assert [replica[1] for replica in entry[3:]] == [one.port for one in six.replicas_of(key)]


def test_private_files(six: EmbeddedCluster) -> None:
    assert stat.S_IMODE(six.data_folder.stat().st_mode) == 0o700
    for node in six.nodes:
        assert stat.S_IMODE((node.folder / "server.conf").stat().st_mode) == 0o600


def test_starting_twice_is_refused(six: EmbeddedCluster) -> None:
    with pytest.raises(EmbeddedClusterError, match="already running"):
        six.start()
