"""Makes the pictures of operations in docs/images: results of the steps on the deployment pages.

Run ``python -m scripts.take_operations`` from the root of the repository, with the environment of
``make setup`` and ``.venv/bin/pip install -e '.[bench]'``; Prometheus and ``valkey-cli`` or
``redis-cli`` are needed. The commands of the pages are run on three addresses of this machine, as
the tests do.
"""

import os
import re
import shutil
import tempfile
import threading
import time
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from scripts.take_pictures import IMAGES, draw_terminal, wrapped
from tests.deploy.dashboard import Query, panels
from tests.deploy.three_hosts import Host, Hosts, blocks, eventually, log_in, refresh, runbook
from tests.service.prometheus import Prometheus, prometheus

PANELS = ("Primaries", "Workers", "Requests by status", "Duration of calls by shard")
BEFORE, AFTER = 10, 20
PREVIOUS = next((Path(__file__).parents[1] / "tests/upgrade/previous").glob("*.whl"))


class Terminal:
    """The commands typed on a host and their output, with fixed addresses and times."""

    def __init__(self, host: Host) -> None:
        self._host, self._text = host, ""

    def run(self, commands: str, shown: str | None = None, **options: Any) -> str:
        said = self._host.run(commands, **options)
        self._text += f"$ {shown or commands.strip()}\n" + (
            f"{said.rstrip()}\n" if said.strip() else ""
        )
        return said

    def draw(self, name: str) -> None:
        network = self._host.address.rpartition(".")[0]
        text = self._text.replace(f"{network}.", "10.0.0.").replace("127.0.0.1", "192.0.2.7")
        text = text.replace(f"{self._host.folder}/", "/")
        text = re.sub(r"\d{4}-\d\d-\d\d", "2026-05-24", text)
        text = re.sub(r"\d\d:\d\d:\d\dZ", "09:12:00Z", text)
        first, _, rest = text.partition("\n")
        draw_terminal(first.removeprefix("$ "), wrapped(rest), IMAGES / f"{name}.svg")


def take_doctor(hosts: Hosts) -> None:
    shown = "clusterpass doctor --user auth --write"
    terminal = Terminal(hosts.first)
    environment = {"CLUSTERPASS_STORE_URL": hosts.store_url}
    terminal.run(f"{shown} --ignore hosts", shown, **environment)
    terminal.run("curl -sf http://10.0.0.2:8000/readyz")
    terminal.draw("three-hosts")


def take_dashboard(hosts: Hosts, folder: Path) -> None:
    """The panels of the dashboard while the third host is lost."""
    done = threading.Event()

    def visit(host: Host) -> None:
        tokens = log_in(host, "root")
        while not done.wait(0.05):
            hosts.ask("/verify", tokens, host)
            answer = refresh(host, tokens)
            tokens = answer.json() if answer.status_code == 200 else tokens

    with prometheus([f"{host.address}:9464" for host in hosts], folder) as watching:
        visitors = [threading.Thread(target=visit, args=(host,)) for host in hosts.all[:2]]
        for visitor in visitors:
            visitor.start()
        time.sleep(BEFORE + 5)
        lost_at = time.time()
        hosts.all[2].kill()
        time.sleep(AFTER)
        done.set()
        for visitor in visitors:
            visitor.join()
        network = hosts.first.address.rpartition(".")[0]
        found = {
            query: lines_of(watching, query, lost_at, network)
            for query in panels(PANELS, window="3s")
        }
    draw_panels(found, IMAGES / "failover-dashboard.svg")
    start_again(hosts)


def start_again(hosts: Hosts) -> None:
    again = "for port in 6379 6380; do valkey-server /etc/valkey/$port.conf; done\n"
    hosts.all[2].run(f"{again}systemctl start clusterpass@8000")
    eventually(hosts.is_well, "all is well")


Lines = dict[str, list[tuple[float, float]]]


def lines_of(watching: Prometheus, query: Query, lost_at: float, network: str) -> Lines:
    """The lines of a query: seconds since the loss, and values."""
    asked = {"start": str(lost_at - BEFORE), "end": str(lost_at + AFTER), "step": "0.5"}
    found = watching.ask("query_range", query=query.asked, **asked)["result"]
    return {
        query.name(each["metric"]).replace(f"{network}.", "10.0.0."): [
            (float(at) - lost_at, float(value)) for at, value in each["values"]
        ]
        for each in found
    }


def draw_panels(found: dict[Query, Lines], path: Path) -> None:
    pyplot = plots()
    figure, places = pyplot.subplots(2, 2, figsize=(10, 6), layout="constrained")
    for query, axes in zip(found, places.flat, strict=True):
        for place, (name, measured) in enumerate(sorted(found[query].items())):
            # Lines that are equal would hide each other.
            lower = place / 50 if query.title == "Primaries" else 0
            points = [(at, value - lower) for at, value in measured]
            axes.plot(*zip(*points, strict=True), drawstyle="steps-post", label=name)
        axes.axvline(0, color="#c44e52", linestyle=":")
        axes.set_title(query.title)
        axes.set_xlim(-BEFORE, AFTER)
        axes.set_ylim(bottom=-0.1 if query.title == "Primaries" else 0)
        axes.set_xlabel("seconds since the host was lost")
        axes.legend(fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    print(f"{path}: {path.stat().st_size} bytes")


def take_leak(hosts: Hosts) -> None:
    first = hosts.first
    tokens = log_in(first, "root")
    make, replace, restart = runbook("key-leaked.md")[:3]
    ask = (
        f"token={tokens['access_token']}\nfor host in 10.0.0.1 10.0.0.2 10.0.0.3; do\n"
        '  curl -s http://$host:8000/verify -H "Authorization: Bearer $token"'
        " | python3 -c 'import json, sys; said = json.load(sys.stdin);"
        ' print("200" if "subject" in said else str(said["status"]) + " " + said["error"])\'\ndone'
    )
    shown = 'for host in 10.0.0.{1,2,3}; do curl http://$host:8000/verify ... "$token"; done'
    terminal = Terminal(first)
    terminal.run(ask, shown)
    terminal.run(make)
    hosts.share("/etc/clusterpass/keys-new.json")
    for host in hosts:
        (terminal.run if host is first else host.run)(replace)
        (terminal.run if host is first else host.run)(restart)
        eventually(lambda h=host: hosts.answers("/readyz", h), "serves")
    terminal.run(ask, shown)
    renewed = refresh(first, tokens).json()
    terminal.run(
        ask.replace(tokens["access_token"], renewed["access_token"]), f"{shown}  # refreshed"
    )
    terminal.draw("key-leaked")


def take_deletion(hosts: Hosts) -> None:
    log_in(hosts.first), log_in(hosts.all[1])
    terminal = Terminal(hosts.first)
    for section in ("Hand out what is known", "Delete", "Check"):
        for command in blocks("delete-user.md", section)[0].splitlines():
            if command != "umask 077":
                terminal.run(command)
    terminal.draw("delete-user")


def take_backup(hosts: Hosts, folder: Path) -> None:
    others, first = Hosts(folder), hosts.first
    try:
        others.form_cluster()
        first.run(blocks("backup.md", "Back up")[0])
        for file in first.folder.glob("shard-*.rdb"):
            number = {f"{host.address}": host.number for host in hosts}[
                file.name.split("-")[1].split(":")[0]
            ]
            port = file.stem.rpartition(":")[2]
            shutil.copy(file, others.first.folder / f"shard-10.0.0.{number}:{port}.rdb")
        shutil.copy(
            first.here("/etc/clusterpass/keys.json"), others.first.here("/etc/clusterpass/")
        )
        restore, revoke = blocks("backup.md", "Restore")
        terminal = Terminal(others.first)
        terminal.run(restore.replace("10.0.1.1", others.first.address), "sh restore.sh")
        others.start_service(is_new=False)
        for command in revoke.replace(
            "--write", "--write --ignore hosts --ignore unseen"
        ).splitlines():
            terminal.run(command, command.split(" --ignore")[0])
        terminal.draw("backup")
    finally:
        others.stop()


def take_upgrade(hosts: Hosts) -> None:
    """When which release serves on each host, and how a user's requests are answered meanwhile."""
    with zipfile.ZipFile(PREVIOUS) as wheel:
        wheel.extractall(hosts.folder / "previous")
    changes: list[tuple[float, int, str]] = []
    for host in hosts:
        host.install("clusterpass-0.0", str(hosts.folder / "previous"))
        # That release knows no metrics.
        host.run("sed -i /metrics_address/d /etc/clusterpass/clusterpass.toml")
        host.run("ln -sfn /opt/clusterpass-0.0 /opt/clusterpass")
        host.run("systemctl restart clusterpass@8000")
        eventually(lambda h=host: hosts.answers("/readyz", h), "serves")
    answers: list[tuple[float, int, int]] = []
    done = threading.Event()
    visitor = threading.Thread(target=go_on, args=(hosts, answers, done))
    visitor.start()
    start = time.time()
    _, prepare, judge, replace, current = blocks("upgrade.md", "Upgrade")[:5]
    for host in hosts:
        host.install("clusterpass-new")
        host.run(prepare + judge)
    for step, name in ((replace, "new, writes for both"), (current, "new")):
        for host in hosts:
            changes.append((time.time(), host.number, ""))
            host.run(step.replace("8000 8001", "8000").replace("127.0.0.1:$", f"{host.address}:$"))
            changes.append((time.time(), host.number, name))
        time.sleep(2)
    done.set()
    visitor.join()
    draw_upgrade(start, changes, answers, IMAGES / "upgrade.svg")


def go_on(hosts: Hosts, answers: list[tuple[float, int, int]], done: threading.Event) -> None:
    """Refresh and verify at each server in turn, and where one is not there, at the next one."""
    tokens = log_in(hosts.first, "root")
    while not done.wait(0.05):
        for host in hosts:
            try:
                answer = refresh(host, tokens)
                tokens = answer.json() if answer.status_code == 200 else tokens
                statuses = answer.status_code, hosts.ask("/verify", tokens, host)
            except httpx.TransportError:
                continue
            answers += [(time.time(), host.number, status) for status in statuses]


def draw_upgrade(
    start: float,
    changes: list[tuple[float, int, str]],
    answers: list[tuple[float, int, int]],
    path: Path,
) -> None:
    pyplot = plots()
    figure, axes = pyplot.subplots(figsize=(10, 3.2), layout="constrained")
    end = answers[-1][0]
    colours = {"the release before": "#8c8c8c", "new, writes for both": "#dd8452", "new": "#4c72b0"}
    for number in (1, 2, 3):
        told = [
            (start, "the release before"),
            *((at, name) for at, n, name in changes if n == number),
        ]
        for (at, name), (until, _) in zip(told, [*told[1:], (end, "")], strict=True):
            if name:
                axes.barh(number, until - at, 0.6, at - start, color=colours[name], alpha=0.5)
    for status in sorted({each[2] for each in answers}):
        points = [(at - start, number) for at, number, each in answers if each == status]
        marker = "|" if status == 200 else "x"
        colour = "black" if status == 200 else "#c44e52"
        label = f"{len(points)} answers {status}"
        axes.plot(*zip(*points, strict=True), marker, color=colour, markersize=4, label=label)
    for name, colour in colours.items():
        axes.barh(2, 0, color=colour, alpha=0.5, label=name)
    axes.set_yticks([1, 2, 3], ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=5, fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    print(f"{path}: {path.stat().st_size} bytes")


def plots() -> Any:
    os.environ.setdefault("MPLBACKEND", "svg")
    import matplotlib as mpl  # noqa: PLC0415 - of the extra bench
    from matplotlib import pyplot  # noqa: PLC0415

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "clusterpass", "font.size": 9})
    return pyplot


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        hosts = Hosts(folder / "hosts")
        stack.callback(hosts.stop)
        hosts.form_cluster()
        hosts.start_service()
        take_doctor(hosts)
        take_dashboard(hosts, folder)
        take_leak(hosts)
        take_upgrade(hosts)
        take_deletion(hosts)
        take_backup(hosts, folder / "others")


if __name__ == "__main__":
    main()
