"""Faults of connections, access and callers: each tells what it is, none mixes up answers."""

import asyncio
import contextlib
import dataclasses
import datetime
import ipaddress
import os
import random
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, SessionManager
from clusterpass.embedded import TlsFiles
from clusterpass.model.authentication_errors import SessionRevoked, SessionUnknown
from clusterpass.model.errors import (
    ConfigurationError,
    StoreDenied,
    StoreFailed,
    StoreUnavailable,
)

from .conftest import REDIS_SERVER, Facade

HANGING = 30.0
"""Seconds that nothing here comes near to unless it hangs."""
PASSWORD = "p@ss:/?#[]%, w0rd"

Opener = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def open_url(request: pytest.FixtureRequest, config: Config) -> Iterator[Opener]:
    """Opens managers of either style, with the same blocking verbs; closes them at the end."""
    kind: Any = SessionManager.from_url if request.param == "sync" else Facade
    # Longer than any deadline here.
    config = dataclasses.replace(config, refresh_grace=120)
    with contextlib.ExitStack() as stack:

        def open_one(url: str, **changes: Any) -> Any:
            manager = kind(url, dataclasses.replace(config, **changes))
            stack.callback(manager.close)
            return manager

        yield open_one


@pytest.fixture(scope="module")
def victim() -> Iterator[EmbeddedCluster]:
    """A cluster whose connections and scripts may be taken away."""
    with EmbeddedCluster(nodes=6, node_timeout=5.0) as running:
        yield running


@pytest.fixture(scope="module")
def guarded() -> Iterator[EmbeddedCluster]:
    """One server that asks for a user and a password."""
    with EmbeddedCluster(nodes=1, username="app", password=PASSWORD) as running:
        yield running


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def on_every_node(cluster: EmbeddedCluster, *command: str) -> None:
    for node in cluster.nodes:
        with cluster.client(node) as client:
            client.execute_command(*command)


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HANGING
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


# Who does not answer


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "rediss", "rediss+cluster"])
def test_nobody_listens(open_url: Opener, scheme: str, subject: str) -> None:
    manager = open_url(f"{scheme}://127.0.0.1:{free_port()}?timeout=0.3&deadline=0.5")
    begin = time.monotonic()
    for verb in (lambda: manager.login(subject), manager.ping, lambda: manager.sessions(subject)):
        with pytest.raises(StoreUnavailable) as refusal:
            verb()
        # Once it has been silent for a whole deadline, nobody waits for it any more.
        assert refusal.value.reason in {"connection", "circuit_open"}
        assert refusal.value.retry_after >= 1
        assert not isinstance(refusal.value, StoreDenied)
    assert time.monotonic() - begin < HANGING / 3


def test_many_seeds_that_are_silent_keep_to_the_deadline(open_url: Opener, subject: str) -> None:
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            for _ in range(60)
        ]
        seeds = ",".join(f"127.0.0.1:{port}" for port in silent)
        manager = open_url(f"redis+cluster://{seeds}?timeout=0.5&deadline=1")

        def one(number: int) -> None:
            with pytest.raises(StoreUnavailable):
                manager.login(f"{subject}-{number}")

        begin = time.monotonic()
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(one, range(8)))
        with pytest.raises(StoreUnavailable):
            manager.ping()
        assert time.monotonic() - begin < HANGING / 2


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        # Of a server that has no room, when the greeting reaches it before it has said so.
        b"-ERR max number of clients reached\r\n",
    ],
    ids=["another protocol", "no room"],
)
def test_whoever_does_not_let_us_in_is_no_store(
    open_url: Opener, listener: socket.socket, scheme: str, answer: bytes, subject: str
) -> None:
    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

    server = threading.Thread(target=serve)
    server.start()
    try:
        port = listener.getsockname()[1]
        url = f"{scheme}://127.0.0.1:{port}?timeout=0.3&deadline=0.5"
        # Who verifies from memory asks for more at once, and hears of the connection's end instead.
        for mode in ("cached", "strict"):
            manager = open_url(url, verification=mode)
            with pytest.raises(StoreUnavailable):
                manager.login(subject)
            with pytest.raises(StoreUnavailable):
                manager.ping()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        server.join()


def test_a_single_server_is_no_cluster(
    open_url: Opener, single_server: EmbeddedCluster, subject: str
) -> None:
    manager = open_url(single_server.url.replace("redis://", "redis+cluster://"))
    for verb in (lambda: manager.login(subject), manager.ping):
        with pytest.raises(StoreFailed, match=r"is a single server: use redis://"):
            verb()


def test_one_node_of_a_cluster_is_no_single_server(
    open_url: Opener, cluster: EmbeddedCluster, new_subject: Callable[[], str]
) -> None:
    """Redirects are followed there too: the slots are all found, one by one."""
    manager = open_url(f"redis://{cluster.nodes[0].address}")
    for _ in range(20):
        subject = new_subject()
        assert manager.verify(manager.login(subject).access_token).subject == subject


def test_a_closed_store_says_so(open_url: Opener, cluster_url: str, config: Config) -> None:
    manager = SessionManager.from_url(cluster_url, config)
    pair = manager.login("closed")
    manager.close()
    manager.close()
    for verb in (lambda: manager.verify(pair.access_token), manager.ping):
        with pytest.raises(StoreUnavailable) as refusal:
            verb()
        assert refusal.value.reason == "closed"


async def test_a_closed_asynchronous_store_says_so(cluster_url: str, config: Config) -> None:
    manager = AsyncSessionManager.from_url(cluster_url, config)
    pair = await manager.login("closed")
    await manager.close()
    await manager.close()
    for verb in (lambda: manager.verify(pair.access_token), manager.ping):
        with pytest.raises(StoreUnavailable) as refusal:
            await verb()
        assert refusal.value.reason == "closed"


async def test_a_store_that_is_closed_under_its_callers(cluster_url: str, config: Config) -> None:
    manager = AsyncSessionManager.from_url(cluster_url, config)
    pair = await manager.login("closing")
    tasks = [asyncio.create_task(manager.verify(pair.access_token)) for _ in range(50)]
    await asyncio.sleep(0)
    await manager.close()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, StoreUnavailable)
        else:
            assert outcome.subject == "closing"


# Who is not let in


def test_user_and_password_of_the_url(
    open_url: Opener, guarded: EmbeddedCluster, subject: str
) -> None:
    assert PASSWORD not in guarded.url
    manager = open_url(guarded.url)
    manager.ping()
    assert manager.verify(manager.login(subject).access_token).subject == subject


@pytest.mark.parametrize("user_info", ["app:wrong%20secret@", "nobody:wrong%20secret@", ""])
def test_a_wrong_password_is_told_at_once(
    open_url: Opener, guarded: EmbeddedCluster, user_info: str, subject: str
) -> None:
    address = guarded.nodes[0].address
    manager = open_url(f"redis://{user_info}{address}?deadline={HANGING * 2}")
    begin = time.monotonic()
    for verb in (lambda: manager.login(subject), manager.ping):
        with pytest.raises(StoreDenied) as refusal:
            verb()
        assert "wrong secret" not in f"{refusal.value!r} {refusal.value}"
    assert time.monotonic() - begin < HANGING


@pytest.mark.parametrize("name", ["evalsha", "hgetall", "hset"])
def test_a_missing_right_is_told_at_once(
    open_url: Opener, guarded: EmbeddedCluster, name: str, subject: str
) -> None:
    """``evalsha`` is refused by itself, the others inside of the script."""
    with guarded.client(guarded.nodes[0]) as client:
        client.execute_command(
            "ACL", "SETUSER", f"without-{name}", "on", ">secret", "~*", "+@all", f"-{name}"
        )
    address = guarded.nodes[0].address
    manager = open_url(f"redis://without-{name}:secret@{address}?deadline={HANGING * 2}")
    begin = time.monotonic()
    with pytest.raises(StoreDenied):
        manager.login(subject)
    assert time.monotonic() - begin < HANGING


def test_keys_that_are_out_of_reach(
    open_url: Opener, guarded: EmbeddedCluster, subject: str
) -> None:
    with guarded.client(guarded.nodes[0]) as client:
        client.execute_command("ACL", "SETUSER", "own", "on", ">secret", "~own:*", "+@all")
    url = f"redis://own:secret@{guarded.nodes[0].address}"
    with pytest.raises(StoreDenied):
        open_url(url).login(subject)
    assert open_url(f"{url}?namespace=own").login(subject).subject == subject


def test_a_user_who_loses_the_right_while_connected(
    open_url: Opener, guarded: EmbeddedCluster, subject: str
) -> None:
    with guarded.client(guarded.nodes[0]) as client:
        client.execute_command("ACL", "SETUSER", "leaving", "on", ">secret", "~*", "+@all")
        manager = open_url(f"redis://leaving:secret@{guarded.nodes[0].address}")
        pair = manager.login(subject)
        client.execute_command("ACL", "DELUSER", "leaving")
    with pytest.raises(StoreDenied):
        manager.verify(pair.access_token)


# Connections


@pytest.mark.parametrize("mode", ["cluster", "single"])
def test_idle_connections_that_were_closed_are_replaced(
    open_url: Opener, request: pytest.FixtureRequest, mode: str, subject: str
) -> None:
    server = request.getfixturevalue("victim" if mode == "cluster" else "guarded")
    manager = open_url(server.url)
    pairs = {name: manager.login(name) for name in (f"{subject}-{n}" for n in range(12))}

    def check(name: str) -> None:
        assert manager.verify(pairs[name].access_token).subject == name

    for _ in range(3):
        with ThreadPoolExecutor(12) as threads:  # several idle connections to each node
            list(threads.map(check, pairs))
        on_every_node(server, "CLIENT", "KILL", "TYPE", "normal")
        manager.ping()
        on_every_node(server, "CLIENT", "KILL", "TYPE", "normal")
        with ThreadPoolExecutor(12) as threads:
            list(threads.map(check, pairs))
        on_every_node(server, "CLIENT", "KILL", "TYPE", "normal")
        pair = manager.login(subject)
        on_every_node(server, "CLIENT", "KILL", "TYPE", "normal")
        assert manager.logout(pair.access_token).count == 1


def test_scripts_that_were_forgotten_are_sent_again(
    open_url: Opener, victim: EmbeddedCluster, subject: str
) -> None:
    manager = open_url(victim.url)
    pair = manager.login(subject, claims={"a": 1})
    for _ in range(2):
        on_every_node(victim, "SCRIPT", "FLUSH")
        assert manager.verify(pair.access_token).subject == subject
        on_every_node(victim, "SCRIPT", "FLUSH")
        pair = manager.refresh(pair.refresh_token)
        assert pair.durable
        on_every_node(victim, "SCRIPT", "FLUSH")
        assert len(manager.sessions(subject)) == 1
    on_every_node(victim, "SCRIPT", "FLUSH")
    ended = manager.logout(pair.access_token)
    assert (ended.count, ended.durable) == (1, True)
    on_every_node(victim, "SCRIPT", "FLUSH")
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


def life_of(manager: Any, subject: str) -> None:
    """All that happens to a session, each answer compared."""
    first = manager.login(subject, device=subject[:60], claims={"me": subject})
    assert first.subject == subject
    session = manager.verify(first.access_token)
    assert (session.subject, session.session_id) == (subject, first.session_id)
    assert session.claims == {"me": subject}
    second = manager.refresh(first.refresh_token)
    assert (second.subject, second.session_id) == (subject, first.session_id)
    assert [one.session_id for one in manager.sessions(subject)] == [first.session_id]
    assert manager.logout(second.access_token).count == 1
    with pytest.raises(SessionRevoked):
        manager.verify(second.access_token)


@pytest.mark.parametrize("most", [1, 64])
def test_many_threads_share_a_manager(
    open_url: Opener, cluster_url: str, most: int, subject: str
) -> None:
    manager = open_url(f"{cluster_url}?max_connections={most}&deadline={HANGING}")
    start = threading.Barrier(12)

    def hammer(number: int) -> None:
        start.wait(HANGING)
        for turn in range(15):
            life_of(manager, f"{subject}-{number}-{turn}")

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(hammer, range(12)))


async def test_many_tasks_share_one_connection(
    cluster_url: str, config: Config, subject: str
) -> None:
    patient = dataclasses.replace(config, refresh_grace=120)
    async with AsyncSessionManager.from_url(
        f"{cluster_url}?max_connections=1&deadline={HANGING}", patient
    ) as manager:

        async def one(number: int) -> None:
            name = f"{subject}-{number}"
            pair = await manager.login(name)
            assert (await manager.verify(pair.access_token)).subject == name
            assert (await manager.refresh(pair.refresh_token)).subject == name

        await asyncio.gather(*(one(number) for number in range(100)))


@pytest.mark.parametrize("most", [1, 4])
async def test_cancelled_calls_leave_no_answer_behind(
    cluster_url: str, config: Config, most: int, subject: str
) -> None:
    chance = random.Random(most)
    # From memory nothing would be under way, and the bystanders would never let others run.
    patient = dataclasses.replace(config, refresh_grace=120, verification="strict")
    async with AsyncSessionManager.from_url(
        f"{cluster_url}?max_connections={most}&deadline={HANGING}", patient
    ) as manager:
        pairs = {
            name: await manager.login(name, claims={"me": name})
            for name in (f"{subject}-{number}" for number in range(12))
        }
        finished = asyncio.Event()

        async def verify_own(name: str) -> str:
            session = await manager.verify(pairs[name].access_token)
            assert (session.subject, session.claims["me"]) == (name, name)
            assert session.session_id == pairs[name].session_id
            return name

        async def bystander(name: str) -> int:
            count = 0
            while not finished.is_set():
                await verify_own(name)
                count += 1
            return count

        bystanders = [asyncio.create_task(bystander(name)) for name in list(pairs)[:4]]
        begin = asyncio.get_running_loop().time()
        await verify_own(next(iter(pairs)))
        usual = asyncio.get_running_loop().time() - begin
        cancelled = tries = 0
        while cancelled < 500 and tries < 20_000:
            name = chance.choice(list(pairs))
            task = asyncio.create_task(verify_own(name))
            tries += 1
            if chance.random() < 0.5:  # some turns of the loop, or some part of the usual time
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
            else:
                await asyncio.sleep(chance.uniform(0, usual))
            task.cancel()
            try:
                assert await task == name
            except asyncio.CancelledError:
                cancelled += 1
        finished.set()
        assert cancelled == 500
        assert all(count > 0 for count in await asyncio.gather(*bystanders))
        for name in pairs:
            await verify_own(name)


def test_a_fork_shares_nothing_with_its_parent(
    cluster_url: str, tmp_path: Path, subject: str
) -> None:
    script = tmp_path / "forks.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys, threading
            from concurrent.futures import ThreadPoolExecutor
            from clusterpass import Config, KeyRing, SessionManager

            url, subject = sys.argv[1:]
            config = Config(issuer="https://auth.example", keys=KeyRing.generate())
            manager = SessionManager.from_url(url, config)
            unused = SessionManager.from_url(url, config)
            names = [f"{subject}-{number}" for number in range(6)]
            pairs = {name: manager.login(name) for name in names}

            def check(name):
                for _ in range(60):
                    assert manager.verify(pairs[name].access_token).subject == name

            with ThreadPoolExecutor(6) as threads:
                list(threads.map(check, names))
            children = []
            for number in range(2):
                child = os.fork()
                if child == 0:
                    status = 1
                    try:
                        unused.ping()
                        with ThreadPoolExecutor(6) as threads:
                            list(threads.map(check, names))
                        own = manager.login(f"{subject}-child-{number}")
                        assert manager.verify(own.access_token).subject == own.subject
                        manager.close()
                        status = 0
                    finally:
                        os._exit(status)
                children.append(child)
            with ThreadPoolExecutor(6) as threads:
                list(threads.map(check, names))
            for child in children:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            for name in names:
                check(name)
            for number in range(2):
                assert len(unused.sessions(f"{subject}-child-{number}")) == 1
            print("all right")
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script), cluster_url, subject],
        capture_output=True,
        text=True,
        timeout=HANGING * 3,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "all right"), done.stderr


def test_namespaces_keep_apart(open_url: Opener, cluster_url: str, subject: str) -> None:
    ours, theirs = open_url(f"{cluster_url}?namespace=a"), open_url(f"{cluster_url}?namespace=b")
    pair = ours.login(subject)
    with pytest.raises(SessionUnknown):
        theirs.verify(pair.access_token)
    assert theirs.sessions(subject) == []
    assert theirs.revoke_all(subject).count == 0
    other = theirs.login(subject)
    assert ours.verify(pair.access_token).session_id == pair.session_id
    assert ours.revoke_all(subject).count == 1
    assert theirs.verify(other.access_token).session_id == other.session_id


# TLS


def write_authority(folder: Path, name: str) -> TlsFiles:
    """A new authority and a certificate of it for 127.0.0.1."""
    folder.mkdir()
    now = datetime.datetime.now(datetime.UTC)

    def subject_of(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def build(subject: str, key: Any, *, authority: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject_of(subject))
            .issuer_name(subject_of(name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = build(name, authority_key, authority=True).sign(authority_key, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        build("node", key, authority=False)
        .add_extension(names, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")


@pytest.fixture(scope="module")
def tls_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def tls_cluster(tls_folder: Path) -> Iterator[EmbeddedCluster]:
    if not Path(REDIS_SERVER).exists():
        pytest.skip("needs redis-server")
    with EmbeddedCluster(
        nodes=6, server=REDIS_SERVER, tls=write_authority(tls_folder / "right", "right")
    ) as running:
        yield running


def test_tls(open_url: Opener, tls_cluster: EmbeddedCluster, subject: str) -> None:
    assert tls_cluster.url.startswith("rediss+cluster://")
    assert "ca_file=" in tls_cluster.url
    manager = open_url(tls_cluster.url)
    manager.ping()
    for number in range(6):
        life_of(manager, f"{subject}-{number}")
    pair = manager.login(subject)
    assert pair.durable
    on_every_node(tls_cluster, "CLIENT", "KILL", "TYPE", "normal")
    assert manager.verify(pair.access_token).subject == subject


@pytest.mark.parametrize("authority", ["wrong", "none", "no certificate"])
def test_a_certificate_of_another_authority_is_refused(
    open_url: Opener, tls_cluster: EmbeddedCluster, tmp_path: Path, authority: str, subject: str
) -> None:
    seeds = tls_cluster.url.partition("?")[0]
    options = "timeout=0.3&deadline=0.5"
    if authority == "wrong":
        options += f"&ca_file={write_authority(tmp_path / 'wrong', 'wrong').ca_file}"
    elif authority == "no certificate":
        (tmp_path / "empty.pem").write_text("nothing in here")
        options += f"&ca_file={tmp_path / 'empty.pem'}"
    manager = open_url(f"{seeds}?{options}")
    for verb in (lambda: manager.login(subject), manager.ping):
        with pytest.raises(StoreUnavailable) as refusal:
            verb()
        if authority != "no certificate":
            assert (refusal.value.code, refusal.value.reason) == ("store_denied", "certificate")


def test_no_tls_where_tls_is_asked_for(
    open_url: Opener, tls_cluster: EmbeddedCluster, subject: str
) -> None:
    seeds = tls_cluster.url.partition("?")[0].replace("rediss", "redis")
    with pytest.raises(StoreUnavailable):
        open_url(f"{seeds}?timeout=0.3&deadline=0.5").login(subject)


# embedded://


@pytest.mark.parametrize(("url", "count"), [("embedded://", 6), ("embedded://?nodes=1", 1)])
def test_an_embedded_cluster_ends_with_its_store(
    open_url: Opener, url: str, count: int, subject: str
) -> None:
    manager = open_url(f"{url}{'&' if '?' in url else '?'}namespace=mine")
    store = manager.store if isinstance(manager, SessionManager) else manager.manager.store
    seeds = store.location.seeds
    assert len(seeds) == count
    assert store.keyspace.namespace == "mine"
    servers = set()
    for seed in seeds:
        with redis.Redis(host=seed.host, port=seed.port) as client:
            servers.add(client.info("server")["process_id"])
    supervisors = {parent_of(pid) for pid in servers}
    assert os.getpid() not in supervisors
    life_of(manager, subject)
    assert manager.login(subject).durable is (count > 1)
    if isinstance(manager, SessionManager):
        manager.close()
    else:
        asyncio.run_coroutine_threadsafe(manager.manager.close(), manager.loop).result(HANGING)
    eventually(
        lambda: not any(lives(pid) for pid in servers | supervisors), "the servers have ended"
    )
    with pytest.raises(StoreUnavailable):
        manager.ping()


def test_an_embedded_cluster_with_a_folder_keeps_its_sessions(
    tmp_path: Any, config: Config, subject: str
) -> None:
    url = f"embedded://?nodes=1&data={tmp_path / 'data'}"
    with SessionManager.from_url(url, config) as manager:
        pair = manager.login(subject)
    with SessionManager.from_url(url, config) as again:
        assert again.verify(pair.access_token).session_id == pair.session_id


@pytest.mark.parametrize("nodes", ["0", "2", "x", "-1", "", "100"])
def test_an_embedded_cluster_that_cannot_be(nodes: str, config: Config) -> None:
    with pytest.raises(ConfigurationError, match="nodes"):
        SessionManager.from_url(f"embedded://?nodes={nodes}", config)


def test_a_server_without_room_for_connections_is_a_passing_fault(open_url, subject):
    with EmbeddedCluster(nodes=1) as full, contextlib.ExitStack() as stack:
        node = full.nodes[0]
        operator = stack.enter_context(full.client(node))
        before = operator.config_get("maxclients")["maxclients"]
        operator.config_set("maxclients", operator.info("clients")["connected_clients"])
        manager = open_url(f"{full.url}?timeout=0.2&deadline=0.4&replica_wait=0.1")
        with pytest.raises(StoreUnavailable) as refused:
            manager.login(subject)
        assert refused.value.status == 503
        assert refused.value.reason in {"busy", "connection", "circuit_open"}
        operator.config_set("maxclients", before)
        assert eventually_logs_in(manager, subject)


def eventually_logs_in(manager: Any, subject: str) -> bool:
    deadline = time.monotonic() + HANGING
    while time.monotonic() < deadline:
        with contextlib.suppress(StoreUnavailable):
            return bool(manager.login(subject))
        time.sleep(0.02)
    return False
