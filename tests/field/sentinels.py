"""A primary, two replicas and three Sentinels: real processes."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import redis

from clusterpass.embedded import TlsFiles
from tests.cluster.conftest import REDIS_SERVER
from tests.cluster.stored import eventually
from tests.ports import free_port

SERVICE: Final = "the-shop"
SERVER_PASSWORD: Final = "of-the-servers"
SENTINEL_PASSWORD: Final = "of-the-sentinels"
HANGING: Final = 60.0
"""Seconds that nothing here comes near to unless it hangs."""
_DOWN_AFTER: Final = 700
"""Milliseconds after which a Sentinel holds a server to be down."""


@dataclass
class Process:
    """A server or a Sentinel."""

    port: int
    process: "subprocess.Popen[bytes] | None"
    password: str | None = None
    tls: TlsFiles | None = None
    program: str = REDIS_SERVER

    def ask(self, *command: str | int) -> Any:
        """The reply to ``command``."""
        with redis.Redis(
            host="127.0.0.1",
            port=self.port,
            password=self.password,
            decode_responses=True,
            protocol=2,
            ssl=self.tls is not None,
            ssl_ca_certs=None if self.tls is None else self.tls.ca_file,
        ) as client:
            return client.execute_command(*command)

    @property
    def is_primary(self) -> bool:
        return bool(self.ask("ROLE")[0] == "master")

    def kill(self) -> None:
        """Kill it, as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(HANGING)

    def stop(self) -> None:
        """Have it stand still, without closing its connections."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it go on after :meth:`stop`."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Service:
    """The servers and Sentinels behind one service name."""

    servers: list[Process]
    sentinels: list[Process]
    options: str = ""
    user: str = ""
    scheme: str = "redis+sentinel"
    processes: list[Process] = field(default_factory=list)
    folder: Path = Path()

    def url(self, *sentinels: Process, service: str = SERVICE, options: str = "") -> str:
        """The store URL, by default of all Sentinels."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in sentinels or self.sentinels)
        query = "&".join(part for part in (self.options, options) if part)
        return f"{self.scheme}://{self.user}{hosts}/{service}{'?' if query else ''}{query}"

    def primary(self) -> Process:
        """The server that a majority of the living Sentinels names."""
        named = [each.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE) for each in self.alive()]
        ports = [int(port) for _, port in named]
        port = max(ports, key=ports.count)
        return next(each for each in self.servers if each.port == port)

    def alive(self) -> list[Process]:
        """The Sentinels that run."""
        return [each for each in self.sentinels if each.runs]

    def await_successor(self, former: Process) -> Process:
        """Wait until all living Sentinels name another server, which is a primary."""

        def has_changed() -> Process | None:
            named = {
                int(each.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])
                for each in self.alive()
            }
            if len(named) != 1 or former.port in named:
                return None
            found = next(each for each in self.servers if each.port in named)
            return found if found.is_primary else None

        return eventually(has_changed)  # type: ignore[no-any-return]

    def is_whole(self) -> bool:
        """Whether each Sentinel knows the others, and two replicas that have all data."""
        for each in self.sentinels:
            state = _pairs(each.ask("SENTINEL", "MASTER", SERVICE))
            replicas = [_pairs(one) for one in each.ask("SENTINEL", "REPLICAS", SERVICE)]
            linked = [one for one in replicas if one["master-link-status"] == "ok"]
            if state["num-other-sentinels"] != str(len(self.sentinels) - 1) or len(linked) < 2:
                return False
        return True

    def restart(self, server: Process, *options: str) -> None:
        """Start a server again that was killed, with the data that it has."""
        index = self.servers.index(server)
        self.servers[index] = again = _start(server, self.folder, *options)
        self.processes.append(again)


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


@contextlib.contextmanager
def service(
    folder: Path,
    *,
    has_passwords: bool = False,
    tls: TlsFiles | None = None,
    program: str = REDIS_SERVER,
) -> Iterator[Service]:
    """The service, ready for a failover; ``has_passwords``: servers and Sentinels have one each;
    ``program``: what all of them run."""
    password = SERVER_PASSWORD if has_passwords else None
    own = ("--requirepass", SERVER_PASSWORD, "--masterauth", SERVER_PASSWORD)
    secured = own if has_passwords else ()
    made = Service([], [], folder=folder)
    try:
        follows: tuple[str, ...] = ()
        for _ in range(3):
            made.servers.append(
                _start(
                    Process(free_port(), None, password, tls, program), folder, *secured, *follows
                )
            )
            made.processes.append(made.servers[-1])
            follows = ("--replicaof", f"127.0.0.1 {made.servers[0].port}")
        for number in range(3):
            path = folder / f"sentinel-{number}.conf"
            made.sentinels.append(
                _start_sentinel(path, made.servers[0], has_passwords=has_passwords)
            )
            made.processes.append(made.sentinels[-1])
        if tls is not None:
            made.scheme = "rediss+sentinel"
        if has_passwords:
            made.user = f":{SERVER_PASSWORD}@"
            made.options = f"sentinel_password={SENTINEL_PASSWORD}"
        if tls is not None:
            made.options = "&".join(filter(None, (made.options, f"ca_file={tls.ca_file}")))
        eventually(made.is_whole, seconds=HANGING)
        yield made
    finally:
        for each in made.processes:
            each.kill()


def _start(server: Process, folder: Path, *options: str) -> Process:
    """Start what ``server`` describes; what it writes, as for a replica, lies in ``folder``."""
    own = ("--dir", str(folder), "--dbfilename", f"{server.port}.rdb")
    fixed = (*own, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    quick = ("--repl-diskless-sync-delay", "0", "--loglevel", "warning")
    listens = [part for name, value in _listening(server) for part in (f"--{name}", value)]
    running = _run(server.program, *listens, *fixed, *quick, *options)
    return _await(replace(server, process=running))


def _listening(server: Process) -> list[tuple[str, str]]:
    """The settings of the port, with TLS or without."""
    if server.tls is None:
        return [("port", str(server.port))]
    return [
        ("port", "0"),
        ("tls-port", str(server.port)),
        ("tls-ca-cert-file", str(server.tls.ca_file)),
        ("tls-cert-file", str(server.tls.cert_file)),
        ("tls-key-file", str(server.tls.key_file)),
        ("tls-auth-clients", "no"),
        ("tls-replication", "yes"),
    ]


def _start_sentinel(path: Path, primary: Process, *, has_passwords: bool) -> Process:
    password = SENTINEL_PASSWORD if has_passwords else None
    made = Process(free_port(), None, password, primary.tls, primary.program)
    lines = [
        *(f"{name} {value}" for name, value in _listening(made)),
        "bind 127.0.0.1",
        f"dir {path.parent}",
        f"logfile {path}.log",
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 2",
        f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER}",
        f"sentinel failover-timeout {SERVICE} 5000",
    ]
    if has_passwords:
        lines += [
            f"sentinel auth-pass {SERVICE} {SERVER_PASSWORD}",
            f"requirepass {SENTINEL_PASSWORD}",
            f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
        ]
    path.write_text("\n".join(lines) + "\n")
    made.process = _run(made.program, str(path), "--sentinel")
    return _await(made)


def _run(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL)


def _await(started: Process) -> Process:
    def answers() -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(started.ask("PING"))
        return False

    eventually(answers)
    return started
