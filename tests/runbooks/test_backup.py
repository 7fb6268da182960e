"""The procedures of docs/howto/backup.md for backup and restore, on real clusters."""

import json
import os
import re
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from clusterpass import (
    Config,
    InvalidRefreshToken,
    KeyRing,
    SessionManager,
    TokenKeyUnknown,
    UserDirectory,
)
from clusterpass.embedded.binary import find_server
from clusterpass.tokens.key_encryption import new_encryption_key
from tests.deploy.three_hosts import blocks
from tests.ports import free_port

from .conftest import eventually, refused, server_cli, server_cli_path

pytestmark = pytest.mark.timeout(240)


def back_up(cluster, folder: Path) -> list[Path]:
    """Copy each primary to a file, while it works."""
    files = [folder / f"backup-{node.port}.rdb" for node in cluster.nodes]
    for node, file in zip(cluster.nodes, files, strict=True):
        server_cli("-p", node.port, "--rdb", file)
    return files


@pytest.mark.alternating
def test_a_backup_is_restored_into_another_cluster(cluster_of, open_manager, command, tmp_path):
    old = cluster_of(3)
    manager = open_manager(old.url)
    UserDirectory(manager).add("alice", "correct horse battery")
    manager.bans.add("mallory", reason="fraud")
    kept, ended = manager.login("alice"), manager.login("alice")
    files = back_up(old, tmp_path)
    manager.logout(ended.access_token)  # after the backup
    new = cluster_of(3)
    for file in files:
        restore(file, new.nodes[0].port, find_server(), free_port())
    restored = open_manager(new.url)
    assert restored.verify(kept.access_token).subject == "alice"
    # A backup does not know what was revoked since.
    assert restored.verify(ended.access_token).subject == "alice"
    assert command(new.url, "sessions", "revoke-before", "--yes").returncode == 0
    for pair in (kept, ended):
        eventually(lambda p=pair: refused(restored, p), "nobody is logged in by the backup")
        with pytest.raises(InvalidRefreshToken):
            restored.refresh(pair.refresh_token)
    assert restored.sessions("alice") == []
    # Nor by a server that starts later, or that asks the store for each request.
    later = open_manager(new.url)
    for pair in (kept, ended):
        assert refused(later, pair)
        assert refused(restored, pair, verification="strict")
    assert [ban.reason for ban in restored.bans.list("mallory")] == ["fraud"]
    assert UserDirectory(restored).login("alice", "correct horse battery").session_id


@pytest.mark.alternating
def test_a_cutoff_of_after_the_backup_is_not_in_it(cluster_of, open_manager, command, tmp_path):
    """So the restore asks for another one, whatever was revoked before."""
    old = cluster_of(3)
    manager = open_manager(old.url)
    pair = manager.login("alice")
    files = back_up(old, tmp_path)
    assert command(old.url, "sessions", "revoke-before", "--yes").returncode == 0
    eventually(lambda: refused(manager, pair), "the cutoff is in force")
    new = cluster_of(3)
    for file in files:
        restore(file, new.nodes[0].port, find_server(), free_port())
    restored = open_manager(new.url)
    assert restored.verify(pair.access_token).subject == "alice"
    assert command(new.url, "sessions", "revoke-before", "--yes").returncode == 0
    eventually(lambda: refused(restored, pair), "the cutoff is in force again")
    assert restored.login("alice").session_id


@pytest.mark.alternating
def test_a_key_that_was_revoked_after_the_backup_counts_again(cluster_of, command, tmp_path):
    """Until it is revoked anew, by the command that the page names."""
    wrapping = new_encryption_key()
    secret = tmp_path / "encryption-key"
    secret.write_text(wrapping)
    secret.chmod(0o600)
    managed = {
        "CLUSTERPASS_MANAGED_KEYS": "true",
        "CLUSTERPASS_KEY_ENCRYPTION_KEYS_FILE": str(secret),
    }
    config = Config(
        issuer="https://auth.example", keys=KeyRing.in_store(), key_encryption_keys=(wrapping,)
    )
    old, new = cluster_of(3), cluster_of(3)
    with SessionManager.from_url(old.url, config) as manager:
        pair = manager.login("alice")
        files = back_up(old, tmp_path)
        (leaked,) = [each.kid for each in manager.keys.list() if each.state == "active"]
        manager.keys.revoke(leaked)
        with pytest.raises(TokenKeyUnknown):
            manager.verify(pair.access_token)
    for file in files:
        restore(file, new.nodes[0].port, find_server(), free_port())
    with SessionManager.from_url(new.url, config) as restored:
        assert restored.verify(pair.access_token).subject == "alice"
        done = command(new.url, "keys", "revoke", leaked, "--yes", **managed)
        assert done.returncode == 0, done.stderr
        listed = json.loads(command(new.url, "keys", "list", "--json", **managed).stdout)
        assert {each["kid"]: each["state"] for each in listed}[leaked] == "revoked"

        def is_refused() -> bool:
            try:
                restored.verify(pair.access_token)
            except TokenKeyUnknown:
                return True
            return False

        eventually(is_refused, "tokens of the leaked key are refused")


def restore(file: Path, port: int, server: Path, temporary: int) -> None:
    """Load a backup into a server of its own, and copy its keys into the cluster at ``port``."""
    process = subprocess.Popen(
        [
            *(server, "--port", str(temporary), "--bind", "127.0.0.1", "--save", ""),
            *("--dir", str(file.parent), "--dbfilename", file.name),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(port=temporary) as client:
            eventually(lambda: answers(client), "the backup is loaded")
            count = client.dbsize()
        said = server_cli(
            *("--cluster", "import", f"127.0.0.1:{port}"),
            *("--cluster-from", f"127.0.0.1:{temporary}", "--cluster-copy", "--cluster-replace"),
        )
        assert len(re.findall(r"Migrating .*OK", said)) == count, said
    finally:
        process.terminate()
        process.wait(30)


def answers(client) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


@pytest.mark.parametrize("what", ["nothing", "shard", "disk"])
def test_a_backup_says_when_something_is_missing(cluster_of, tmp_path, what):
    cluster = cluster_of(3)
    (commands,) = blocks("backup.md", "Back up")
    first, programs = cluster.nodes[-1], tmp_path / "bin"
    programs.mkdir()
    (programs / "valkey-cli").symlink_to(server_cli_path())
    lines = commands.replace("10.0.0.1", f"127.0.0.1 -p {first.port}").splitlines()
    text = "\n".join(line for line in lines if "REDISCLI_AUTH" not in line)
    if what == "shard":
        cluster.kill(cluster.nodes[0])
        with cluster.client(first) as client:
            eventually(lambda: "fail" in str(client.execute_command("CLUSTER NODES")), "seen")
    # No file may get any content, as on a disk that is full.
    limit = "ulimit -f 0\n" if what == "disk" else ""
    done = subprocess.run(
        ["sh", "-c", limit + text],
        cwd=tmp_path,
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode == 0) == (what == "nothing"), done.stdout + done.stderr
    assert len(list(tmp_path.glob("*.rdb"))) == (3 if what == "nothing" else 0)


def test_a_backup_of_one_server_is_restored(open_manager, command, tmp_path):
    copy, restore = blocks("backup.md", "One server, or Sentinel")
    port, programs = free_port(), tmp_path / "bin"
    programs.mkdir()
    (programs / "valkey-server").symlink_to(find_server())
    (programs / "valkey-cli").symlink_to(server_cli_path())

    def run(commands: str, folder: Path) -> None:
        here = commands.replace("/etc/valkey", str(folder)).replace("/var/lib/valkey", str(folder))
        subprocess.run(
            ["sh", "-ec", here.replace("10.0.0.1", "127.0.0.1").replace("6379", str(port))],
            cwd=tmp_path,
            env={"PATH": f"{programs}:{os.environ['PATH']}"},
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )

    def prepared(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        lines = f"port {port}\nbind 127.0.0.1\ndir {folder}\nappendonly yes\nlogfile log\n"
        (folder / "valkey.conf").write_text(lines)
        return folder

    url = f"redis://127.0.0.1:{port}"
    with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client:

        def stop() -> None:
            with suppress(RedisError):
                client.shutdown(nosave=True)
            eventually(lambda: not answers(client), "the server is gone")

        run("valkey-server /etc/valkey/valkey.conf --daemonize yes", prepared("old"))
        try:
            eventually(lambda: answers(client), "the server is there")
            manager = open_manager(url)
            kept, ended = manager.login("alice"), manager.login("alice")
            run(copy, tmp_path)
            manager.logout(ended.access_token)
            stop()
            new = prepared("new")
            run(restore, new)
            restored = open_manager(url)
            assert restored.verify(ended.access_token).subject == "alice"
            assert command(url, "sessions", "revoke-before", "--yes").returncode == 0
            for pair in (kept, ended):
                eventually(lambda p=pair: refused(restored, p), "nobody is logged in by it")
            stop()
            run("valkey-server /etc/valkey/valkey.conf --daemonize yes", new)
            eventually(lambda: answers(client), "the server is there again")
            for pair in (kept, ended):
                assert refused(open_manager(url), pair), "nor after a restart"
        finally:
            stop()


@pytest.fixture
def run_restore(tmp_path: Path):
    """Runs the commands of the page against the cluster with a node at a port."""

    def ran(target: int, temporary: int) -> subprocess.CompletedProcess[str]:
        (commands, _) = blocks("backup.md", "Restore")
        lines = commands.replace("10.0.1.1:6379", f"127.0.0.1:{target}").splitlines()
        kept = [line for line in lines if "REDISCLI_AUTH" not in line]
        assert len(kept) == len(lines) - 1
        programs = tmp_path / "bin"
        programs.mkdir()
        (programs / "valkey-server").symlink_to(find_server())
        (programs / "valkey-cli").symlink_to(server_cli_path())
        return subprocess.run(
            ["sh", "-c", "\n".join(kept).replace("7999", str(temporary))],
            cwd=tmp_path,
            env={"PATH": f"{programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return ran


@pytest.mark.parametrize("what", ["broken", "cut", "port", "full", "nothing"])
def test_a_restore_says_when_something_is_missing(cluster_of, run_restore, tmp_path, what):
    """By its status, and by the last line that is not there."""
    cluster = cluster_of(3)
    with cluster.client(cluster.nodes[0]) as client:
        client.execute_command("SET", "{06S}key", "value")  # slot 0
    (file, *_) = back_up(cluster, tmp_path)
    file.rename(tmp_path / "shard-1.rdb")
    for each in tmp_path.glob("backup-*"):
        each.unlink()
    file = tmp_path / "shard-1.rdb"
    temporary = free_port()
    with ExitStack() as stack:
        if what == "broken":
            file.write_bytes(b"no backup")
        elif what == "cut":
            file.write_bytes(file.read_bytes()[:-12])
        elif what == "full":
            for node in cluster.nodes:
                client = stack.enter_context(cluster.client(node))
                client.config_set("maxmemory", 1)
        elif what == "port":
            other = subprocess.Popen(
                [find_server(), "--port", str(temporary), "--bind", "127.0.0.1", "--save", ""],
                stdout=subprocess.DEVNULL,
                cwd=tmp_path,
            )
            stack.callback(other.wait, 30)
            stack.callback(other.terminate)
            with redis.Redis(port=temporary) as client:
                eventually(lambda: answers(client), "the other server is there")
        done = run_restore(cluster.nodes[0].port, temporary)
    said = done.stdout + done.stderr
    if what == "nothing":
        assert done.returncode == 0 and "1 keys\nAll files were copied." in said, said
    else:
        assert done.returncode != 0 and "All files were copied." not in said, said
