"""Counts the commands and packets that each verb sends."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from redis.connection import Connection

from benchmarks.fixtures import ISSUER, server_version
from benchmarks.report import Goal, Report
from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager
from clusterpass.protocol.script import load_script

VERBS = ("login", "verify", "refresh", "logout")
_SCRIPTS = ("login", "verify", "rotate", "end_session")
_INNER = re.compile(r"redis\.call\('(\w+)'")
# What the nodes and this program ask besides: replication, the state of the cluster, the counters.
_BACKGROUND = {"replconf", "psync", "ping", "info", "cluster", "hello", "client", "select"}


def run(*, times: int = 200) -> Report:
    """Count each verb on six nodes, ``times`` users."""
    config = Config(issuer=ISSUER, keys=KeyRing.generate(), verification="strict")
    with (
        EmbeddedCluster(nodes=6) as cluster,
        SessionManager.from_url(cluster.url, config) as manager,
    ):
        server = server_version(cluster)
        users = [f"user-{number}" for number in range(times)]
        for user in users:  # connections are opened and scripts are loaded
            manager.logout(manager.refresh(manager.login(user).refresh_token).access_token)
        pairs = {user: manager.login(user) for user in users}
        for pair in pairs.values():
            manager.verify(pair.access_token)

        def verify(user: str) -> None:
            manager.verify(pairs[user].access_token)

        def refresh(user: str) -> None:
            pairs[user] = manager.refresh(pairs[user].refresh_token)

        def logout(user: str) -> None:
            manager.logout(pairs[user].access_token)

        def login(user: str) -> None:
            pairs[user] = manager.login(user)

        verbs: dict[str, Callable[[str], None]] = {
            "login": login,
            "verify": verify,
            "refresh": refresh,
            "logout": logout,
        }
        rows, goals = [], []
        for name, verb in verbs.items():
            before = _commands(cluster)
            with _count_packets() as packets:
                for user in users:
                    verb(user)
            commands = _commands(cluster) - before
            sent = " + ".join(
                f"{count / times:g} {command.upper()}"
                for command, count in sorted(commands.items())
            )
            rows.append([name, sent, f"{packets[0] / times:g}"])
            goals.append(Goal(f"packets for a {name}", packets[0] / times, at_most=1))
    return Report(
        name="round_trips",
        title="Commands and packets of each verb",
        text=(
            f"`INFO COMMANDSTATS` of all primaries before and after {times} calls of each verb, "
            "without the commands that the scripts themselves call, and what the client wrote "
            "to its sockets meanwhile. A write carries its `WAIT` in the same packet."
        ),
        columns=("verb", "commands for one call", "packets sent for one call"),
        rows=rows,
        goals=goals,
        servers=[server],
    )


def _inner_commands() -> set[str]:
    sources = [load_script(name).source.decode() for name in _SCRIPTS]
    return {name.lower() for source in sources for name in _INNER.findall(source)}


def _commands(cluster: EmbeddedCluster) -> Counter[str]:
    """What all primaries have been asked so far, by command."""
    ignored = _inner_commands() | _BACKGROUND
    counts: Counter[str] = Counter()
    for node in cluster.nodes:
        with cluster.client(node) as client:
            if client.info("replication")["role"] != "master":
                continue
            stats: dict[str, dict[str, int]] = client.info("commandstats")
        for name, numbers in stats.items():
            command = name.removeprefix("cmdstat_").partition("|")[0]
            if command not in ignored:
                counts[command] += numbers["calls"]
    return counts


@contextmanager
def _count_packets() -> Iterator[list[int]]:
    """Counts what redis-py's connections hand to their sockets."""
    counted = [0]
    send: Callable[..., None] = Connection.send_packed_command

    def counting(self: Connection, command: Any, check_health: bool = True) -> None:
        counted[0] += 1 if isinstance(command, str | bytes) else len(command)  # one sendall each
        send(self, command, check_health)

    with mock.patch.object(Connection, "send_packed_command", counting):
        yield counted
