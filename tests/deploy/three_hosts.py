"""Three hosts, played by three addresses of this machine, on which the commands of pages are run.

Each host has its own ``/etc``, ``/opt`` and ``/var/lib``, in a folder; the addresses ``10.0.0.x``
of the pages become three of the loopback interface. ``systemctl`` is a script that starts the
service as the unit does, with copies of the keys and the settings. Nothing but commands of the
pages starts servers.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx

from clusterpass.doctor import DoctorOptions, examine
from clusterpass.embedded.binary import find_server

from .programs import program

HOWTO: Final = Path(__file__).parents[2] / "docs/howto"
UNIT: Final = Path(__file__).parents[2] / "deploy/systemd/clusterpass@.service"
COUNT: Final = 3
PASSWORD: Final = "correct horse battery"
_SYSTEMCTL: Final = """#!/bin/sh
set -e
[ "$1" = daemon-reload ] && exit
for name; do :; done
port=${name#clusterpass@}
if [ "$1" = restart ] || [ "$1" = stop ]; then
  pid=$(cat "$HERE/$port.pid" 2>/dev/null || echo 0)
  if [ "$pid" != 0 ] && kill -0 "$pid" 2>/dev/null; then kill "$pid"; fi
  # What is left of an ended process may stay: nobody but its adopter reads that.
  while grep -q "^State:.[^Z]" "/proc/$pid/status" 2>/dev/null; do sleep 0.1; done
  [ "$1" = restart ] || exit 0
fi
copies="$HERE/run/$port"
mkdir -p "$copies"
cp "$HERE/etc/clusterpass/clusterpass.toml" "$HERE/etc/clusterpass/keys.json" "$copies"
CLUSTERPASS_CONFIG="$copies/clusterpass.toml" CLUSTERPASS_KEYS_FILE="$copies/keys.json" \\
  "$HERE/opt/clusterpass/bin/clusterpass" serve --port "$port" >> "$HERE/$port.log" 2>&1 &
echo $! > "$HERE/$port.pid"
"""


def blocks(page: str, title: str) -> list[str]:
    """The blocks of shell commands in a section of a page of ``docs/howto``."""
    text = (HOWTO / page).read_text("utf-8").split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"^( *)```sh\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    assert found, (page, title)
    return [re.sub(r"^   ", "", block, flags=re.M) if indent else block for indent, block in found]


def runbook(page: str) -> list[str]:
    """The commands of a runbook, each of which stands by itself."""
    text = (HOWTO / "runbooks" / page).read_text("utf-8")
    return re.findall(r"^ {7}(\S.*\n)", text, re.MULTILINE)


class Host:
    """One simulated host; ``address`` is what the pages call ``10.0.0.NUMBER``."""

    def __init__(self, folder: Path, network: str, number: int) -> None:
        self.folder, self._network, self.number = folder, network, number
        self.address = f"{network}.{number}"
        self._exports = ""
        for name in ("bin", "etc/systemd/system", "opt", "var/lib", "deploy/systemd"):
            (folder / name).mkdir(parents=True)
        self.program("bin/systemctl", _SYSTEMCTL)
        (folder / "bin/valkey-server").symlink_to(find_server())
        (folder / "bin/valkey-cli").symlink_to(shutil.which("valkey-cli") or program("redis-cli"))
        shutil.copy(UNIT, folder / "deploy/systemd")

    @property
    def url(self) -> str:
        return f"http://{self.address}:8000"

    def program(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def install(self, name: str, code: str | None = None) -> None:
        """Install a release as ``/opt/NAME``, by default the one that is tested."""
        code = code or os.pathsep.join(path for path in sys.path if path)
        main = "from clusterpass.cli import main; main()"
        text = f"#!/bin/sh\nPYTHONPATH={code} exec {sys.executable} -c '{main}' \"$@\"\n"
        self.program(f"opt/{name}/bin/clusterpass", text)

    def here(self, text: str) -> str:
        """Text of a page, with the places and the addresses of this host."""
        text = re.sub(r"^HOST=\S+", f"HOST={self.address}", text, flags=re.M)
        text = re.sub(r"(?<![\w.])/(etc|opt|var/lib)/", rf"{self.folder}/\1/", text)
        return text.replace("10.0.0.", f"{self._network}.")

    def run(self, commands: str, *, status: int = 0, **environment: str) -> str:
        """Run commands of a page, and return what they said."""
        done = subprocess.run(
            ["sh", "-ec", self._exports + self.here(commands)],
            cwd=self.folder,
            env={
                "PATH": f"{self.folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HERE": str(self.folder),
                "HOME": str(self.folder),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == status, f"{commands}\n{done.stdout}{done.stderr}{self.log()}"
        exports = re.findall(r"^export .*\n", commands, re.MULTILINE)
        self._exports += self.here("".join(exports))
        return done.stdout

    def log(self) -> str:
        """Return the log of the servers of this host."""
        return "".join(path.read_text("utf-8") for path in self.folder.glob("*.log"))

    def pids(self) -> list[int]:
        """The processes that run here, of the store and of the service."""
        found = [int(path.read_text()) for path in self.folder.glob("*.pid")]
        for path in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if path.readlink().is_relative_to(self.folder / "var/lib/valkey"):
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return [pid for pid in found if is_running(pid)]

    def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """Lose the host: nothing on it says farewell."""
        for pid in self.pids():
            os.kill(pid, signal_number)
        give_up_at = time.monotonic() + 30
        while self.pids():
            assert time.monotonic() < give_up_at, self.pids()
            time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether more is left of a process than the entry that its adopter reads."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text("utf-8")
    except FileNotFoundError:
        return False


class Hosts:
    """All three, as somebody has set them up who follows ``three-hosts.md``."""

    def __init__(self, folder: Path) -> None:
        network = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"
        self.folder = folder
        self.all = [Host(folder / f"host-{n}", network, n) for n in range(1, COUNT + 1)]

    def __iter__(self) -> Iterator[Host]:
        return iter(self.all)

    @property
    def first(self) -> Host:
        return self.all[0]

    def share(self, name: str) -> None:
        """Copy a file of the first host to the others."""
        for host in self.all[1:]:
            shutil.copy(self.first.here(name), host.here(name))

    def form_cluster(self) -> None:
        """Do what the page says of the cluster."""
        passwords, nodes, cluster = blocks("three-hosts.md", "The cluster")
        for host in self:
            host.run("mkdir -p /etc/clusterpass")
        self.first.run(passwords)
        for name in ("operator-password", "store-password"):
            self.share(f"/etc/clusterpass/{name}")
        for host in self:
            host.run(nodes)
        self.first.run(cluster)

    def start_service(self, *, is_new: bool = True, revoke: str = "") -> None:
        """Do what the page says of the service.

        ``is_new``: make the keys and add users; otherwise the keys are on the first host.
        ``revoke``: what to do before the first server starts.
        """
        install, keys, settings, users = blocks("three-hosts.md", "The service")
        assert install.startswith("python3 -m venv /opt/clusterpass-0.1 && ")
        for host in self:
            host.install("clusterpass-0.1")
            host.run(install.split("\n", 1)[1])
        if is_new:
            self.first.run(keys)
        self.share("/etc/clusterpass/keys.json")
        prepare, start = settings.split("systemctl", 1)
        self.first.run(prepare + revoke)
        for host in self:
            host.run(f"{prepare}systemctl{start}")
        if not is_new:
            return
        for name in ("root", "alice"):
            (self.first.folder / f"{name}-password.txt").write_text(f"{PASSWORD}\n")
        self.first.run(users)

    def ask(self, path: str, tokens: dict[str, str], host: Host | None = None) -> int:
        """The status of a call with an access token."""
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        return httpx.get(f"{(host or self.first).url}{path}", headers=headers).status_code

    def error(self, path: str, tokens: dict[str, str], host: Host) -> str | None:
        """The code of the error of a call with an access token."""
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        code: str | None = httpx.get(f"{host.url}{path}", headers=headers).json().get("error")
        return code

    def answers(self, path: str, host: Host) -> bool:
        """Whether a call without a token succeeds."""
        try:
            return httpx.get(f"{host.url}{path}").status_code == 200
        except httpx.TransportError:
            return False

    def is_well(self) -> bool:
        """Whether the doctor finds no problem."""
        report = examine(self.store_url, DoctorOptions(write=True, user="auth"))
        return report.is_good and not any(each.severity == "unseen" for each in report.findings)

    @property
    def store_url(self) -> str:
        """The store, for an operator."""
        file = Path(self.first.here("/etc/clusterpass/operator-password"))
        nodes = ",".join(f"{host.address}:6379" for host in self)
        return f"redis+cluster://:{file.read_text().strip()}@{nodes}"

    def stop(self) -> None:
        for host in self:
            host.kill(signal.SIGTERM)


def attempt(host: Host, name: str) -> httpx.Response:
    """The answer to a login with the right password."""
    return httpx.post(f"{host.url}/login", json={"username": name, "password": PASSWORD})


def log_in(host: Host, name: str = "alice") -> dict[str, str]:
    """The tokens of a new session."""
    answer = attempt(host, name)
    assert answer.status_code == 200, answer.text
    tokens: dict[str, str] = answer.json()
    return tokens


def refresh(host: Host, tokens: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{host.url}/refresh", json={"refresh_token": tokens["refresh_token"]})


def eventually(condition, what: str, seconds: float = 40.0) -> None:
    """Wait until ``condition`` holds."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, f"not in time: {what}"
        time.sleep(0.05)
