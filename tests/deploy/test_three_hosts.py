"""The page ``three-hosts.md`` from its first to its last command, and what it leads to."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port
from tests.proxies.programs import require
from tests.service.prometheus import prometheus

from .dashboard import panels
from .three_hosts import Hosts, attempt, blocks, eventually, log_in, refresh, runbook

START_AGAIN = """
for port in 6379 6380; do valkey-server /etc/valkey/$port.conf; done
systemctl start clusterpass@8000
"""
PROCESSES = 3  # two servers of the store, one of the service
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    hosts = Hosts(tmp_path_factory.mktemp("hosts"))
    try:
        hosts.form_cluster()
        hosts.start_service()
        yield hosts
    finally:
        hosts.stop()


@pytest.fixture
def hosts(made: Hosts) -> Iterator[Hosts]:
    """All three, which run again afterwards, also when a test has failed that had lost one."""
    yield made
    lost = [host for host in made if len(host.pids()) < PROCESSES]
    for host in lost:
        host.kill()
        host.run(START_AGAIN)
    if lost:
        eventually(made.is_well, "all is well")
        eventually(lambda: all(made.answers("/readyz", host) for host in made), "all serve")


@pytest.mark.alternating
def test_a_failover_is_seen_on_the_dashboard(hosts: Hosts, tmp_path: Path) -> None:
    require("prometheus")
    third = hosts.all[2]
    with prometheus([f"{host.address}:9464" for host in hosts], tmp_path) as watching:

        def shown(title: str, label: str) -> dict[str, float]:
            (expression,) = {each.asked for each in panels([title], window="4s")}
            found = watching.ask("query", query=expression)["result"]
            return {each["metric"].get(label, ""): float(each["value"][1]) for each in found}

        def primaries() -> dict[str, float]:
            return shown("Primaries", "node")

        before = {f"{host.address}:6379": 1.0 for host in hosts}
        eventually(lambda: primaries() == before, "all primaries answer")
        third.kill()
        lost = f"{third.address}:6379"
        eventually(lambda: primaries().get(lost) != 1, "it does not answer")
        eventually(lambda: len(primaries()) == 3 and lost not in primaries(), "its replica does")
        assert set(primaries().values()) == {1}
        assert any(node.endswith(":6380") for node in primaries())
        eventually(lambda: shown("Workers", "") == {"": 2}, "a host is missing")
        alerts = {each["labels"]["alertname"] for each in watching.ask("alerts")["alerts"]}
        assert alerts == {"ClusterPassDown"}
        third.run(START_AGAIN)
        eventually(hosts.is_well, "all is well")
        eventually(lambda: shown("Workers", "") == {"": 3}, "it is there again")


def test_a_host_is_lost_and_nobody_is_logged_out(hosts: Hosts) -> None:
    try_it, lose = blocks("three-hosts.md", "Try it")
    assert '"subject":"alice"' in hosts.first.run(try_it)
    first, second, third = hosts
    tokens = log_in(third)
    assert [hosts.ask("/verify", tokens, host) for host in hosts] == [200, 200, 200]
    third.run(lose)
    eventually(lambda: not third.pids(), "the host is gone")
    said = first.run("clusterpass doctor --write --ignore hosts", status=1)
    # Whichever comes first: the doctor, or the moment at which the others give the nodes up.
    assert "node-unreachable" in said or "node-failed" in said
    assert f"{third.address}:6379" in said and f"{third.address}:6380" in said
    for host in (first, second):
        eventually(lambda h=host: hosts.ask("/verify", tokens, h) == 200, "goes on")
        eventually(lambda h=host: refresh(h, tokens).status_code == 200, "goes on")
    log_in(second)
    page = (Path(__file__).parents[2] / "docs/howto/three-hosts.md").read_text("utf-8")
    assert (
        "(`valkey-server /etc/valkey/6379.conf`, `6380.conf`, `systemctl start clusterpass@8000`)"
        in page
    )
    third.run(START_AGAIN)
    eventually(hosts.is_well, "all is well")
    eventually(lambda: hosts.answers("/readyz", third), "it serves again")
    assert hosts.ask("/verify", tokens, third) == 200


@pytest.mark.alternating
def test_a_deleted_user_is_gone_from_three_hosts(hosts: Hosts) -> None:
    first, second, third = hosts
    tokens = log_in(third)
    assert [hosts.ask("/verify", tokens, host) for host in hosts] == [200, 200, 200]
    (export,) = blocks("delete-user.md", "Hand out what is known")
    (delete,) = blocks("delete-user.md", "Delete")
    (check,) = blocks("delete-user.md", "Check")
    first.run(export)
    held = json.loads((first.folder / "alice.json").read_text())
    assert held["subject"] == "alice" and held["sessions"]
    assert (first.folder / "alice-audit.jsonl").read_text()
    assert "deleted alice, ended" in first.run(delete)
    for host in hosts:
        eventually(lambda h=host: hosts.ask("/verify", tokens, h) == 401, "refused")
        assert refresh(host, tokens).status_code == 401
        assert attempt(host, "alice").status_code == 401
    said = first.run(check)
    assert "root\tenabled" in said and "alice\tenabled" not in said
    assert "delete_user" in said
    left = json.loads(second.run("clusterpass users export alice"))
    assert left["sessions"] == left["bans"] == [] and left["claims"] == {}
    # Of before nothing; the attempts above came later.
    assert {entry["kind"] for entry in left["history"]} <= {"refused"}


@pytest.mark.alternating
def test_the_leaked_key_goes_on_three_hosts(hosts: Hosts) -> None:
    first = hosts.first
    tokens = log_in(first, "root")
    keys = Path(first.here("/etc/clusterpass/keys.json"))
    leaked = keys.read_text()
    make, replace, restart, revoke, published, _ = runbook("key-leaked.md")
    assert revoke.startswith("clusterpass sessions revoke-before")
    first.run(make)
    hosts.share("/etc/clusterpass/keys-new.json")
    for host in hosts:
        host.run(replace)
        host.run(restart)
        eventually(lambda h=host: hosts.answers("/readyz", h), "serves")
    (new,) = json.loads(first.run(published))["keys"]
    assert new["kid"] not in leaked
    renewed = refresh(first, tokens).json()
    for host in hosts:
        assert hosts.error("/verify", tokens, host) == "token_key_unknown"
        assert hosts.ask("/verify", renewed, host) == 200, "nobody is logged out"


@pytest.mark.alternating
def test_a_backup_of_three_hosts_is_restored_into_others(hosts: Hosts, tmp_path: Path) -> None:
    first = hosts.first
    kept, ended = log_in(first, "root"), log_in(first, "root")
    (back_up,) = blocks("backup.md", "Back up")
    restore, revoke = blocks("backup.md", "Restore")
    first.run(back_up)
    files = sorted(first.folder.glob("shard-*"))
    assert len(files) == 3 and {file.suffix for file in files} == {".rdb"}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}, "nobody else reads them"
    headers = {"Authorization": f"Bearer {ended['access_token']}"}
    assert httpx.post(f"{first.url}/logout", headers=headers).status_code == 204
    others = Hosts(tmp_path)
    try:
        others.form_cluster()
        for file in files:
            shutil.copy(file, others.first.folder)
        restore = restore.replace("10.0.1.1", others.first.address)
        restore = restore.replace("7999", str(free_port()))
        assert others.first.run(restore).endswith("All files were copied.\n")
        shutil.copy(
            first.here("/etc/clusterpass/keys.json"), others.first.here("/etc/clusterpass/")
        )
        others.start_service(is_new=False, revoke=revoke)
        for tokens in (kept, ended):
            assert others.error("/verify", tokens, others.first) == "session_revoked"
            assert refresh(others.first, tokens).status_code == 401
        assert log_in(others.first, "root")
    finally:
        others.stop()
