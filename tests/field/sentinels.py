"""A primary, two replicas and three Sentinels: real processes, of Debian's redis-server."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

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
    process: "subprocess.Popen[bytes]"
    password: str | None = None

    def ask(self, *command: str | int) -> Any:
        """The reply to ``command``."""
        with redis.Redis(
            port=self.port, password=self.password, decode_responses=True, protocol=2
        ) as client:
            return client.execute_command(*command)

    @property
    def is_primary(self) -> bool:
        return bool(self.ask("ROLE")[0] == "master")

    def kill(self) -> None:
        """Kill it, as a crash does."""
        self.process.kill()
        self.process.wait(HANGING)

    def stop(self) -> None:
        """Have it stand still, without closing its connections."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it go on after :meth:`stop`."""
        os.kill(self.process.pid, signal.SIGCONT)


@dataclass
class Service:
    """What stands behind one name."""

    servers: list[Process]
    sentinels: list[Process]
    options: str = ""
    user: str = ""
    processes: list[Process] = field(default_factory=list)

    def url(self, *sentinels: Process, service: str = SERVICE, options: str = "") -> str:
        """The store URL, by default of all Sentinels."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in sentinels or self.sentinels)
        query = "&".join(part for part in (self.options, options) if part)
        return f"redis+sentinel://{self.user}{hosts}/{service}{'?' if query else ''}{query}"

    def primary(self) -> Process:
        """The server that a majority of the living Sentinels names."""
        named = [each.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE) for each in self.alive()]
        ports = [int(port) for _, port in named]
        port = max(ports, key=ports.count)
        return next(each for each in self.servers if each.port == port)

    def alive(self) -> list[Process]:
        """The Sentinels that run."""
        return [each for each in self.sentinels if each.process.poll() is None]

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
        self.servers[index] = again = _start(server.port, *options, password=server.password)
        self.processes.append(again)


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


@contextlib.contextmanager
def service(folder: Path, *, has_passwords: bool = False) -> Iterator[Service]:
    """The service, ready for a failover; ``has_passwords``: servers and Sentinels have one each."""
    password = SERVER_PASSWORD if has_passwords else None
    own = ("--requirepass", SERVER_PASSWORD, "--masterauth", SERVER_PASSWORD)
    secured = own if has_passwords else ()
    made = Service([], [])
    try:
        first = _start(free_port(), *secured, password=password)
        made.processes.append(first)
        made.servers.append(first)
        for _ in range(2):
            follows = ("--replicaof", f"127.0.0.1 {first.port}")
            made.servers.append(_start(free_port(), *secured, *follows, password=password))
            made.processes.append(made.servers[-1])
        for number in range(3):
            path = folder / f"sentinel-{number}.conf"
            made.sentinels.append(_start_sentinel(path, first.port, has_passwords=has_passwords))
            made.processes.append(made.sentinels[-1])
        if has_passwords:
            made.user = f":{SERVER_PASSWORD}@"
            made.options = f"sentinel_password={SENTINEL_PASSWORD}"
        eventually(made.is_whole, seconds=HANGING)
        yield made
    finally:
        for each in made.processes:
            each.process.kill()
            each.process.wait(HANGING)


def _start(port: int, *options: str, password: str | None) -> Process:
    fixed = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    quick = ("--repl-diskless-sync-delay", "0", "--loglevel", "warning")
    return _await(Process(port, _run(*fixed, *quick, *options), password))


def _start_sentinel(path: Path, primary: int, *, has_passwords: bool) -> Process:
    port = free_port()
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f"dir {path.parent}",
        f"logfile {path}.log",
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2",
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
    password = SENTINEL_PASSWORD if has_passwords else None
    return _await(Process(port, _run(str(path), "--sentinel"), password))


def _run(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([REDIS_SERVER, *arguments], stdout=subprocess.DEVNULL)


def _await(started: Process) -> Process:
    def answers() -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(started.ask("PING"))
        return False

    eventually(answers)
    return started
