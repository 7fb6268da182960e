"""The commands of the page about upgrades, in order, on two services of the release before.

``systemctl restart`` is played by a script that starts the service which ``/opt/clusterpass`` leads
to; a user is logged in all the time, and asks whichever server is there after each step.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusterpass import Config, KeyRing, PasswordHasher, SessionManager, UserDirectory
from tests.ports import free_port

PAGE = Path(__file__).parents[2] / "docs/howto/upgrade.md"
PASSWORD = "correct horse battery"
ISSUER = "https://auth.example"
pytestmark = pytest.mark.timeout(300)

RESTART = """#!/bin/sh
set -e
port=${2#clusterpass@}
if [ -e "$HERE/$port.pid" ]; then
  pid=$(cat "$HERE/$port.pid")
  kill "$pid"
  # What is left of an ended process may stay: nobody but its adopter reads that.
  while grep -q "^State:.[^Z]" "/proc/$pid/status" 2>/dev/null; do sleep 0.1; done
fi
"$HERE/opt/clusterpass/bin/clusterpass" serve --port "$port" \\
  --config "$HERE/etc/clusterpass.toml" >> "$HERE/$port.log" 2>&1 &
echo $! > "$HERE/$port.pid"
"""


class Machine:
    """A machine with two services, in a folder."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.folder, self.ports = folder, ports

    def run(self, commands: str) -> str:
        """Run commands of the page; return what they said."""
        text = commands.replace("/opt/", f"{self.folder}/opt/")
        text = text.replace("/etc/clusterpass/", f"{self.folder}/etc/")
        text = text.replace("8000 8001", " ".join(map(str, self.ports)))
        done = subprocess.run(
            ["sh", "-ec", text],
            env={
                "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                "HERE": str(self.folder),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def logs(self) -> str:
        return "".join(path.read_text("utf-8") for path in self.folder.glob("*.log"))

    def program(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        return file

    def release(self, name: str, code: str) -> None:
        """Install a release, whose code is found by ``PYTHONPATH``."""
        main = "from clusterpass.cli import main; main()"
        self.program(
            f"opt/{name}/bin/clusterpass",
            f"#!/bin/sh\nPYTHONPATH={code} exec {sys.executable} -c '{main}' \"$@\"\n",
        )

    def stop(self) -> None:
        for path in self.folder.glob("*.pid"):
            pid = path.read_text().strip()
            subprocess.run(["kill", pid], capture_output=True, check=False)
            give_up_at = time.monotonic() + 30
            while is_running(pid):
                assert time.monotonic() < give_up_at, self.logs()
                time.sleep(0.02)


def is_running(pid: str) -> bool:
    """Whether more is left of a process than the entry that its adopter reads."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text("utf-8")
    except FileNotFoundError:
        return False


@pytest.fixture
def machine(
    tmp_path: Path, cluster_url: str, shared_keys: Path, previous_code: Path
) -> Iterator[Machine]:
    made = Machine(tmp_path, [free_port(), free_port()])
    made.program("bin/systemctl", RESTART)
    made.release("clusterpass-old", str(previous_code))
    (tmp_path / "opt/clusterpass").symlink_to("clusterpass-old")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/clusterpass.toml").write_text(
        f'store_url = "{cluster_url}"\nkeys_file = "{shared_keys}"\nissuer = "{ISSUER}"\n'
        "address_attempts = 1000000\n"
    )
    yield made
    made.stop()


class Client:
    """A user with a session, who calls the servers in turn."""

    def __init__(self, machine: Machine, subject: str) -> None:
        self._urls = [f"http://127.0.0.1:{port}" for port in machine.ports]
        answer = httpx.post(
            f"{self._urls[0]}/login", json={"username": subject, "password": PASSWORD}
        )
        assert answer.status_code == 200, answer.text
        self.tokens: dict[str, Any] = answer.json()

    def go_on(self) -> None:
        """Refresh and verify at each server: nobody was logged out."""
        for url in self._urls:
            answer = httpx.post(
                f"{url}/refresh", json={"refresh_token": self.tokens["refresh_token"]}
            )
            assert answer.status_code == 200, answer.text
            self.tokens = answer.json()
            for each in self._urls:
                headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
                assert httpx.get(f"{each}/verify", headers=headers).status_code == 200


@pytest.fixture
def user(cluster_url: str, shared_keys: Path, subject: str) -> str:
    """A user in the directory."""
    config = Config(issuer=ISSUER, keys=KeyRing.load(shared_keys))
    with SessionManager.from_url(cluster_url, config) as sessions:
        UserDirectory(sessions, hasher=PasswordHasher(memory_kib=32)).add(subject, PASSWORD)
    return subject


def commands(title: str) -> list[str]:
    """The blocks of shell commands in a section of the page."""
    text = PAGE.read_text("utf-8").split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"^( *)```sh\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^   ", "", block, flags=re.M) if indent else block for indent, block in found]


@pytest.mark.alternating
def test_the_steps_there_and_back(machine: Machine, user: str) -> None:
    install, prepare, judge, replace, current, kubernetes = commands("Upgrade")
    (back,) = commands("Go back")
    loop = replace[replace.index("for port") :]
    machine.run(loop)
    client = Client(machine, user)
    client.go_on()

    assert install.startswith("python3 -m venv /opt/clusterpass-new && ")
    machine.release("clusterpass-new", os.pathsep.join(path for path in sys.path if path))
    machine.run(prepare)
    machine.run(judge)
    one = loop.replace("8000 8001", "8000")
    # One server after the other: first the two releases side by side.
    begun = replace.replace(loop, one.replace("8000", str(machine.ports[0])))
    machine.run(begun)
    client.go_on()
    machine.run(loop)
    client.go_on()
    machine.run(back)
    client.go_on()
    machine.run(replace)
    client.go_on()
    machine.run(current)
    client.go_on()
    config = (machine.folder / "etc/clusterpass.toml").read_text()
    assert "compatibility" not in config
    assert "settings.compatibility=previous" in kubernetes


def test_going_back_from_the_last_step_is_by_way_of_the_one_before(
    machine: Machine, user: str
) -> None:
    _, prepare, _, replace, current, _ = commands("Upgrade")
    (back,) = commands("Go back")
    machine.release("clusterpass-new", os.pathsep.join(path for path in sys.path if path))
    machine.run(prepare)
    machine.run(replace)
    machine.run(current)
    client = Client(machine, user)
    client.go_on()
    machine.run(replace.replace("readlink", ": "))  # the release in use is the new one by now
    client.go_on()
    (machine.folder / "etc/release-before").write_text("clusterpass-old\n")
    machine.run(back)
    client.go_on()


def test_the_old_release_passes_over_the_variable(previous_code: Path, tmp_path: Path) -> None:
    """Why pods of both releases may share a ConfigMap."""
    code = "from clusterpass.service.settings.service import load_settings; load_settings(None, {})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(previous_code), "CLUSTERPASS_COMPATIBILITY": "previous"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_the_old_release_refuses_the_setting_by_name(machine: Machine) -> None:
    """Why the page gives the new release a configuration of its own."""
    with (machine.folder / "etc/clusterpass.toml").open("a") as file:
        file.write('compatibility = "previous"\n')
    done = subprocess.run(
        [
            machine.folder / "opt/clusterpass/bin/clusterpass",
            *("serve", "--config", machine.folder / "etc/clusterpass.toml"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "compatibility" in done.stdout + done.stderr
