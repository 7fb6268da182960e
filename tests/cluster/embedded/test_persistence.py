"""The start of an embedded cluster: its own data, foreign data, and ports that are taken."""

import socket
from pathlib import Path

import pytest

from clusterpass.embedded import EmbeddedCluster, read_state
from clusterpass.embedded.conf import free_ports
from clusterpass.model.errors import ConfigurationError, EmbeddedClusterError

from .processes import pids_of


def test_persistent_cluster_is_resumed(tmp_path: Path) -> None:
    folder = tmp_path / 'with space and "quote"'
    with EmbeddedCluster(nodes=6, data_folder=folder, persistent=True) as cluster:
        owner, url = cluster.primary_of("kept"), cluster.url
        with cluster.client(owner) as client:
            client.set("kept", "value")
        with pytest.raises(EmbeddedClusterError, match="already running in"):
            EmbeddedCluster(nodes=6, data_folder=folder, persistent=True).start()
    with pytest.raises(EmbeddedClusterError, match="contains a persistent cluster"):
        EmbeddedCluster(nodes=6, data_folder=folder).start()
    with pytest.raises(ConfigurationError, match="has 6 nodes, not 3"):
        EmbeddedCluster(nodes=3, data_folder=folder, persistent=True).start()
    with EmbeddedCluster(nodes=6, data_folder=folder, persistent=True) as cluster:
        assert cluster.url == url
        assert cluster.primary_of("kept") == owner
        with cluster.client(owner) as client:
            assert client.get("kept") == b"value"
    assert read_state(folder) is None


def test_port_taken_on_resume_is_named(tmp_path: Path) -> None:
    with EmbeddedCluster(nodes=1, data_folder=tmp_path, persistent=True) as cluster:
        node = cluster.nodes[0]
        with cluster.client(node) as client:
            client.set("kept", "value")
    with socket.create_server((node.host, node.port)):
        with pytest.raises(EmbeddedClusterError, match=f"Port {node.port}, "):
            EmbeddedCluster(nodes=1, data_folder=tmp_path, persistent=True).start()
    with EmbeddedCluster(nodes=1, data_folder=tmp_path, persistent=True) as cluster:
        with cluster.client(cluster.nodes[0]) as client:
            assert client.get("kept") == b"value"


def test_port_taken_on_first_start_is_avoided(monkeypatch: pytest.MonkeyPatch) -> None:
    from clusterpass.embedded import startup

    with socket.create_server(("127.0.0.1", 0)) as taken:
        answers = [[taken.getsockname()[1], *free_ports(5)], free_ports(6)]
        monkeypatch.setattr(startup, "free_ports", lambda _: answers.pop(0))
        with EmbeddedCluster(nodes=3) as cluster:
            assert not answers
            assert len(pids_of(cluster)) == 3


def test_foreign_server_on_the_port_is_not_taken_for_ours(
    monkeypatch: pytest.MonkeyPatch, six: EmbeddedCluster
) -> None:
    from clusterpass.embedded import startup

    answers = [[six.nodes[0].port, *free_ports(5)], free_ports(6)]
    monkeypatch.setattr(startup, "free_ports", lambda _: answers.pop(0))
    with EmbeddedCluster(nodes=3) as cluster:
        assert not answers
        assert not {node.port for node in cluster.nodes} & {node.port for node in six.nodes}
    six.wait_until_healthy(timeout=20)


def test_leftovers_of_a_cluster_without_persistence_are_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        with EmbeddedCluster(nodes=1, data_folder=tmp_path) as cluster:
            with cluster.client(cluster.nodes[0]) as client:
                assert client.set("a", "1", nx=True)
        assert (tmp_path / "node-0" / "server.log").exists()


def test_foreign_data_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "node-0").mkdir()
    with pytest.raises(EmbeddedClusterError, match="no record"):
        EmbeddedCluster(nodes=1, data_folder=tmp_path).start()
    (tmp_path / "cluster.json").write_text("{")
    with pytest.raises(EmbeddedClusterError, match="cannot be read"):
        EmbeddedCluster(nodes=1, data_folder=tmp_path).start()
    assert (tmp_path / "node-0").is_dir()
