"""The page about Sentinel: its files start servers and Sentinels, and its program runs on them."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from clusterpass.embedded.binary import find_server
from tests.cluster.stored import eventually
from tests.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "sentinel.md"
HOSTS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
SERVER, SENTINEL = 6379, 26379


class Places:
    """The addresses on this machine that stand for the hosts of the page."""

    def __init__(self) -> None:
        self._ports = {(host, port): free_port() for host in HOSTS for port in (SERVER, SENTINEL)}

    def port(self, host: str, port: int) -> int:
        return self._ports[host, port]

    def translate(self, text: str) -> str:
        """``text`` with the addresses of this machine."""
        for (host, port), here in self._ports.items():
            text = re.sub(rf"{re.escape(host)}([ :]){port}\b", rf"127.0.0.1\g<1>{here}", text)
        assert not any(host in text for host in HOSTS)
        return text


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


@contextlib.contextmanager
def started(folder: Path, places: Places) -> Iterator[None]:
    of_server, of_sentinel = blocks("conf")
    replica_of = re.findall(r"`(replicaof [^`]*)`", PAGE.read_text("utf-8"))
    assert len(replica_of) == 1
    with contextlib.ExitStack() as stack:
        for kind, text, port in (
            ("server", of_server, SERVER),
            ("sentinel", of_sentinel, SENTINEL),
        ):
            for host in HOSTS:
                lines = places.translate(text).splitlines()
                own = f"port {places.port(host, port)}"
                lines = [own if line == f"port {port}" else line for line in lines]
                assert own in lines
                lines += ["bind 127.0.0.1", f"dir {folder}", "loglevel warning"]
                if kind == "server":
                    lines += [f"appenddirname append-{host}", f"dbfilename {host}.rdb"]
                    lines += [places.translate(line) for line in replica_of if host != HOSTS[0]]
                path = folder / f"{kind}-{host}.conf"
                path.write_text("\n".join(lines) + "\n")
                arguments = ["--sentinel"] if kind == "sentinel" else []
                process = subprocess.Popen(
                    [str(find_server()), str(path), *arguments], stdout=subprocess.DEVNULL
                )
                stack.callback(process.wait, 60)
                stack.callback(process.kill)
        yield


def is_whole(places: Places) -> bool:
    """Whether the Sentinel of each host knows the others, and two replicas with all data."""
    for host in HOSTS:
        port = places.port(host, SENTINEL)
        with (
            contextlib.suppress(redis.RedisError),
            redis.Redis(port=port, password="of-the-sentinels") as client,
        ):
            primary = client.sentinel_master("sessions")
            replicas = client.sentinel_slaves("sessions")
            linked = [each for each in replicas if each["master-link-status"] == "ok"]
            if primary["num-other-sentinels"] == 2 and len(linked) == 2:
                continue
        return False
    return True


@pytest.mark.timeout(120)
def test_the_files_and_the_program_of_the_page(tmp_path: Path) -> None:
    places = Places()
    (program,) = blocks("python")
    with started(tmp_path, places):
        eventually(lambda: is_whole(places), seconds=60)
        names: dict[str, object] = {}
        exec(compile(places.translate(program), str(PAGE), "exec"), names)
        sessions = names["sessions"]
        assert sessions.stats().durability == "replicated"  # type: ignore[attr-defined]
        sessions.close()  # type: ignore[attr-defined]
