"""Servers that lack commands, and users who may not run them: as those of managed services."""

import contextlib
import dataclasses
import itertools
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from clusterpass import (
    AuditPolicy,
    Config,
    EmbeddedCluster,
    KeyRing,
    SessionManager,
    SessionRevoked,
    TokenKeyUnknown,
    UserDirectory,
    acting,
)
from clusterpass.doctor import DoctorOptions, examine
from clusterpass.model.errors import StoreDenied, StoreFailed
from clusterpass.protocol.keyspace import Keyspace, slot_of
from clusterpass.tokens.key_encryption import new_encryption_key
from tests.cluster.stored import eventually
from tests.cluster.test_outdated_primaries import FACES

from .conftest import Opener
from .servers import Servers

pytestmark = [pytest.mark.timeout(120), pytest.mark.sampled(2)]
_names = itertools.count()
SECRET: Final = "a-secret"
MANAGED: Final = {
    "Amazon ElastiCache": "bgrewriteaof bgsave config debug migrate replicaof save slaveof shutdown"
    " sync",
    "Amazon MemoryDB": "acl|deluser acl|load acl|save acl|setuser bgrewriteaof bgsave"
    " cluster|addslots cluster|delslots cluster|setslot config debug migrate module psync replicaof"
    " save shutdown slaveof sync",
}
"""What managed clusters forbid, by their manuals."""
MANAGED_SERVERS: Final = {
    **MANAGED,
    "OCI Cache": "acl bgrewriteaof bgsave cluster config|set debug migrate module psync replicaof"
    " save shutdown sync",
    "Aiven": "acl bgrewriteaof bgsave cluster command config debug failover lastsave migrate"
    " monitor replicaof save shutdown slaveof",
}
"""What managed single servers forbid."""
NOT_USED: Final = (
    *("config", "acl", "function", "fcall", "script", "psync", "sync", "replconf", "command"),
    *("cluster|shards", "client|list", "client|kill", "client|no-evict", "debug", "monitor"),
    *("keys", "flushall", "flushdb", "select", "latency", "memory", "slowlog"),
    *("unsubscribe", "psubscribe", "module", "swapdb", "object", "auth", "readonly"),
)
"""Commands of which ClusterPass needs none."""
RENAMED: Final = (
    *("CONFIG", "ACL", "FUNCTION", "FCALL", "SCRIPT", "COMMAND", "DEBUG", "MONITOR", "KEYS"),
    *("FLUSHALL", "FLUSHDB", "LATENCY", "MEMORY", "SLOWLOG", "MODULE", "SAVE", "BGSAVE"),
    *("SHUTDOWN", "REPLICAOF", "SLAVEOF", "MIGRATE", "CLUSTER"),
)
"""What a server may lack; CLUSTER, as it is no cluster."""
SILENT: Final = (
    "subscribe",
    "publish",
    "multi",
    "exec",
    "client|setname",
    "asking",
    "ping",
    "scan",
)
"""Commands without which sessions work, and of which only the doctor tells."""


def works(manager: Any, subject: str) -> None:
    pair = manager.login(subject, device="phone")
    assert manager.verify(pair.access_token, verification="strict").device == "phone"
    assert manager.verify(pair.access_token).subject == subject
    pair = manager.refresh(pair.refresh_token)
    assert [each.device for each in manager.sessions(subject)] == ["phone"]
    assert manager.logout(pair.access_token).count == 1
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token, verification="strict")
    assert not manager.sessions(subject)


def without(cluster: EmbeddedCluster, *commands: str) -> str:
    """The URL of a new user who may run all but ``commands``."""
    name = f"user-{next(_names)}"
    rules = [f"-{command}" for command in commands]
    for node in cluster.nodes:
        with cluster.client(node) as client:
            rights = ("reset", "on", f">{SECRET}", "~*", "&*", "+@all")
            client.execute_command("ACL", "SETUSER", name, *rights, *rules)
    return cluster.url.replace("://", f"://{name}:{SECRET}@")


@pytest.fixture(params=["cluster", "server"])
def shape(request: pytest.FixtureRequest, server_program: str) -> EmbeddedCluster:
    """Three shards with replicas, and a single server, of each program."""
    found: EmbeddedCluster = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[str], list[str]]]:
    """The lines of the log that name a command."""
    with caplog.at_level(logging.WARNING, "clusterpass"):
        yield lambda command: [
            text for record in caplog.records if f"{command}:" in (text := record.getMessage())
        ]


# What managed services forbid.


@pytest.mark.parametrize("service", MANAGED)
def test_a_cluster_that_forbids_what_a_service_does(
    opened: Opener, cluster: EmbeddedCluster, service: str, subject: str
):
    manager = opened(without(cluster, *MANAGED[service].split()))
    works(manager, subject)
    assert manager.stats().missing_commands == ()
    eventually(lambda: not manager.stats().refusal and len(manager.stats().nodes) == 3)


@pytest.mark.parametrize("service", MANAGED_SERVERS)
def test_a_server_that_forbids_what_a_service_does(
    opened: Opener, server: EmbeddedCluster, service: str, subject: str
):
    manager = opened(without(server, *MANAGED_SERVERS[service].split()))
    works(manager, subject)
    assert manager.stats().missing_commands == ()
    eventually(lambda: not manager.stats().refusal and len(manager.stats().nodes) == 1)


def test_what_is_not_used_may_be_forbidden(opened: Opener, shape: EmbeddedCluster, subject: str):
    manager = opened(without(shape, *NOT_USED))
    works(manager, subject)
    assert manager.stats().missing_commands == ()


def test_what_is_not_used_may_be_missing(opened: Opener, started: Servers, subject: str):
    options = [part for each in RENAMED for part in ("--rename-command", each, "")]
    url = f"redis://127.0.0.1:{started.start(*options)}"
    manager = opened(url)
    works(manager, subject)
    assert manager.stats().missing_commands == ()
    found = {finding.id for finding in examine(url, DoctorOptions(write=True)).findings}
    assert "unseen" in found
    assert "rights" not in found


def test_without_publish_keys_in_the_store_are_followed_by_asking(
    config: Config, started: Servers, subject: str
):
    url = f"redis://127.0.0.1:{started.start('--rename-command', 'PUBLISH', '')}"
    own = dataclasses.replace(
        config, keys=KeyRing.in_store(), key_encryption_keys=(new_encryption_key(),)
    )
    strict = dataclasses.replace(own, verification="strict")
    with SessionManager.from_url(url, own) as one, SessionManager.from_url(url, strict) as two:
        pair = one.login(subject)
        assert two.verify(pair.access_token).subject == subject
        one.keys.revoke(one.keys.list()[0].kid)

        def is_refused() -> bool:
            with contextlib.suppress(TokenKeyUnknown):
                two.verify(pair.access_token)
                return False
            return True

        eventually(is_refused)
        assert one.refresh(pair.refresh_token).session_id == pair.session_id


@pytest.mark.usefixtures("server_program")
def test_without_xadd_the_log_has_the_audit_trail(
    config: Config, started: Servers, subject: str, caplog: pytest.LogCaptureFixture
):
    url = f"redis://127.0.0.1:{started.start('--rename-command', 'XADD', '')}"
    own = dataclasses.replace(config, audit=AuditPolicy())
    with SessionManager.from_url(url, own) as manager:
        pair = manager.login(subject)
        with acting("carol"):
            manager.revoke(subject, pair.session_id, reason="lost phone")
    said = [each.getMessage() for each in caplog.records if each.name == "clusterpass.audit"]
    stored = [json.loads(text.partition(": ")[2]) for text in said if "not stored" in text]
    assert sorted(each["a"] for each in stored) == ["login", "revoke"]
    (revoked,) = (each for each in stored if each["a"] == "revoke")
    assert (revoked["w"], revoked["r"], revoked["o"]) == ("carol", "lost phone", "done")


# What is left undone without a command: it is told once, by the statistics, and by the doctor.


@pytest.mark.usefixtures("server_program")
@pytest.mark.parametrize(
    ("right", "command", "shapes"),
    [
        ("client|tracking", "CLIENT TRACKING", ("cluster", "server")),
        ("cluster|info", "CLUSTER INFO", ("cluster",)),
        ("role", "ROLE", ("server",)),
    ],
)
def test_what_is_left_undone_is_told_once(
    opened: Opener,
    request: pytest.FixtureRequest,
    subject: str,
    log: Callable[[str], list[str]],
    right: str,
    command: str,
    shapes: tuple[str, ...],
):
    for name in shapes:
        url = without(request.getfixturevalue(name), right)
        manager = opened(url)
        works(manager, f"{subject}-{name}")
        told = eventually(lambda manager=manager: manager.stats().missing_commands)
        assert [text.partition(":")[0] for text in told] == [command]
        works(manager, f"{subject}-{name}")
        assert manager.stats().missing_commands == told
        findings = examine(url, DoctorOptions()).findings
        assert any(right in each.found for each in findings if each.id == "rights")
    assert len(log(command)) == len(shapes)


def test_a_server_without_hello_is_told_of_once(
    opened: Opener, started: Servers, subject: str, log: Callable[[str], list[str]]
):
    manager = opened(f"redis://127.0.0.1:{started.start('--rename-command', 'HELLO', '')}")
    works(manager, subject)
    (told,) = eventually(lambda: manager.stats().missing_commands)
    assert told.startswith("HELLO: without RESP3")
    assert len(log("HELLO")) == 1


def test_a_right_that_is_granted_later_is_no_longer_missing(
    opened: Opener, server: EmbeddedCluster, subject: str
):
    url = without(server, "client|tracking")
    manager = opened(url)
    works(manager, subject)
    eventually(lambda: manager.stats().missing_commands)
    name = url.partition("://")[2].partition(":")[0]
    with server.client(server.nodes[0]) as client:
        client.execute_command("ACL", "SETUSER", name, "+client|tracking")
        client.execute_command("CLIENT", "KILL", "USER", name)
    eventually(lambda: works(manager, subject) is None and not manager.stats().missing_commands)


@pytest.mark.parametrize("right", SILENT)
def test_what_only_the_doctor_tells_of(
    opened: Opener, shape: EmbeddedCluster, subject: str, right: str
):
    url = without(shape, right)
    manager = opened(url)
    works(manager, subject)
    assert manager.stats().missing_commands == ()
    found = [each for each in examine(url, DoctorOptions()).findings if each.id == "rights"]
    is_of_no_use = right == "asking" and len(shape.nodes) == 1
    assert [right in each.found for each in found] == ([] if is_of_no_use else [True])


# What cannot be done without a command is refused by an error that names it.


def named(right: str) -> str:
    """What the message says of a missing right; Redis 7.0 does not name it in a script."""
    of_script = "a command that the scripts of ClusterPass call: clusterpass doctor"
    return f"may not run ({right.upper()}|{of_script})"


def test_one_server_without_info_works(opened: Opener, server: EmbeddedCluster, subject: str):
    url = without(server, "info")
    manager = opened(url)
    works(manager, subject)
    assert manager.stats().missing_commands == ()
    found = [each for each in examine(url, DoctorOptions()).findings if each.id == "rights"]
    assert [each.severity for each in found] == ["warning"]


def test_a_cluster_without_info_is_refused_as_its_journals_cannot_be_read(
    opened: Opener, cluster: EmbeddedCluster, subject: str
):
    url = without(cluster, "info")
    with pytest.raises(StoreDenied, match=named("info")) as caught:
        opened(url).login(subject)
    assert caught.value.cause == "rights"
    found = [each for each in examine(url, DoctorOptions()).findings if each.id == "rights"]
    assert [each.severity for each in found] == ["problem"]


@pytest.mark.parametrize("right", ["evalsha", "hset", "time", "hgetall", "zadd"])
def test_a_right_without_which_nothing_works_is_named(
    opened: Opener, shape: EmbeddedCluster, subject: str, right: str
):
    url = without(shape, right)
    with pytest.raises(StoreDenied, match=named(right)) as caught:
        opened(url).login(subject)
    assert "may not run" in caught.value.describe()
    assert caught.value.cause == "rights"
    found = [each for each in examine(url, DoctorOptions()).findings if each.id == "rights"]
    assert [each.severity for each in found] == ["problem"]
    assert right in found[0].found


@pytest.mark.parametrize("right", ["cluster|slots", "cluster|nodes", "cluster"])
def test_a_right_without_which_no_node_is_found_is_named(
    opened: Opener, cluster: EmbeddedCluster, subject: str, right: str
):
    command = right.upper().replace("|", " ")
    with pytest.raises(StoreDenied, match=f"may not run {command}.*finds the nodes"):
        opened(without(cluster, right)).login(subject)


@pytest.mark.parametrize("name", ["EVAL", "EVALSHA"])
def test_a_server_without_scripts_is_told_as_such(
    opened: Opener, started: Servers, subject: str, name: str
):
    url = f"redis://127.0.0.1:{started.start('--rename-command', name, '')}"
    with pytest.raises(StoreFailed, match=f"lacks {name}, .*a script") as caught:
        opened(url).login(subject)
    assert subject not in caught.value.message
    assert caught.value.code == "store_failed"
    if name == "EVAL":
        found = [each for each in examine(url, DoctorOptions()).findings if each.id == "rights"]
        assert ["eval" in each.found for each in found] == [True]


def test_a_command_that_only_scripts_miss(opened: Opener, started: Servers, subject: str):
    url = f"redis://127.0.0.1:{started.start('--rename-command', 'HSET', '')}"
    with pytest.raises(StoreFailed, match="clusterpass doctor names it"):
        opened(url).login(subject)
    (finding,) = [each for each in examine(url, DoctorOptions()).findings if each.id == "rights"]
    assert "hset" in finding.found


# Nothing is promised that the servers cannot keep.


@pytest.mark.parametrize("face", ["sync", "async"])
def test_without_wait_nothing_is_called_replicated(
    cluster: EmbeddedCluster, config: Config, subject: str, face: str
):
    url = without(cluster, "wait")
    manager: Any = FACES[face](url, config)
    plain: Any = FACES[face](cluster.url, config)
    try:
        refusing = pytest.raises(StoreDenied, match=r"'replicated' needs the command WAIT")
        with refusing:
            manager.login(subject)
        pair = plain.login(subject)
        with refusing:
            manager.logout(pair.access_token)
        with pytest.raises(SessionRevoked):
            plain.verify(pair.access_token, verification="strict")
    finally:
        manager.close()
        plain.close()
    primary: Any = FACES[face](url, dataclasses.replace(config, durability="primary"))
    try:
        works(primary, f"{subject}-primary")
        assert primary.stats().durability == "primary"
    finally:
        primary.close()
    severities = {
        each.severity
        for durability in ("replicated", "primary")
        for each in examine(url, DoctorOptions(durability=durability)).findings
        if each.id == "rights"
    }
    assert severities == {"problem", "warning"}


def test_a_server_without_wait_that_has_a_replica(opened: Opener, started: Servers, subject: str):
    primary, replica = started.start("--rename-command", "WAIT", ""), started.start()
    started.ask(replica, "REPLICAOF", "127.0.0.1", str(primary))
    eventually(lambda: started.replicas(primary) == 1)
    with pytest.raises(StoreFailed, match=r"'replicated' needs the command WAIT"):
        opened(f"redis://127.0.0.1:{primary}").login(subject)


@pytest.mark.parametrize("missing", [("role",), ("role", "info")])
def test_replicas_are_counted_by_info_where_role_is_missing(
    opened: Opener, started: Servers, subject: str, missing: tuple[str, ...]
):
    rules = [f"-{each}" for each in missing]
    user = ("--user", "app", "on", f">{SECRET}", "~*", "&*", "+@all", *rules)
    primary, replica = started.start(*user), started.start()
    started.ask(replica, "REPLICAOF", "127.0.0.1", str(primary))
    eventually(lambda: started.replicas(primary) == 1)
    manager = opened(f"redis://app:{SECRET}@127.0.0.1:{primary}")
    if len(missing) == 1:
        assert eventually(lambda: manager.login(subject).durable)
        assert manager.stats().durability == "replicated"
        return
    works(manager, subject)
    assert not manager.login(subject).durable
    assert "does not tell how many replicas" in manager.stats().durability
    assert any(text.startswith("INFO:") for text in manager.stats().missing_commands)


# What only some calls need is missed by these alone.


def test_without_asking_what_is_moving_cannot_be_reached(
    opened: Opener, cluster: EmbeddedCluster, subject: str
):
    slot = str(slot_of(Keyspace().sessions(subject)))
    owner = cluster.primary_of(Keyspace().sessions(subject))
    primaries = {cluster.primary_of(Keyspace().probe(each)).port for each in range(0, 16_384, 500)}
    heir = next(node for node in cluster.nodes if node.port in primaries - {owner.port})
    manager = opened(without(cluster, "asking"))
    with cluster.client(owner) as old, cluster.client(heir) as new:
        names = [client.execute_command("CLUSTER", "MYID").decode() for client in (old, new)]
        try:
            new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
            old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
            with pytest.raises(StoreDenied, match=r"may not run ASKING.*slots are moving"):
                manager.login(subject)
        finally:
            old.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
            new.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
    works(manager, subject)


def test_without_ping_and_scan_these_say_so(config: Config, server: EmbeddedCluster):
    with SessionManager.from_url(without(server, "ping", "scan"), config) as manager:
        with pytest.raises(StoreDenied, match=r"may not run PING.*ping\(\)"):
            manager.ping()
    with SessionManager.from_url(without(server, "scan"), config) as manager:
        with pytest.raises(StoreDenied, match=r"may not run SCAN.*lists users"):
            UserDirectory(manager).list()
