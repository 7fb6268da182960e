"""The image is built and run, where Buildah and mmdebstrap are installed.

``apt-get install buildah mmdebstrap`` brings them; the tests need root, and minutes.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ports import free_port

from .built_image import Images, container
from .programs import program

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="building an image needs root"),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    for name in ("buildah", "mmdebstrap"):
        program(name)
    made = Images(tmp_path_factory.mktemp("images"))
    made.make_base()
    made.build()
    return made


@pytest.fixture(scope="module")
def files(images: Images) -> Iterator[Path]:
    with images.mounted() as found:
        yield found


@pytest.fixture
def keys(tmp_path: Path, keys_file: Path, images: Images) -> Path:
    """The volume with the keys, which belongs to the user of the image."""
    user, group = map(int, images.configuration()["User"].split(":"))
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    shutil.copy(keys_file, folder / "keys.json")
    (folder / "keys.json").chmod(0o600)
    for path in (folder, folder / "keys.json"):
        os.chown(path, user, group)
    return folder


Starter = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(images: Images, files: Path, keys: Path) -> Iterator[Starter]:
    """Starts containers; they are ended with the test."""
    running: list[subprocess.Popen[str]] = []
    configuration = images.configuration()

    def started(*arguments: str, **env: str) -> subprocess.Popen[str]:
        command, environment = container(files, configuration, keys, *arguments, **env)
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        running.append(process)
        return process

    yield started
    for process in running:
        process.kill()  # and with it what it has started
        process.communicate(timeout=60)


def test_any_command_runs(start: Starter) -> None:
    process = start("config", "show", "--json", CLUSTERPASS_ISSUER="https://auth.example")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    shown: Any = json.loads(said)
    assert "https://auth.example" in json.dumps(shown)


def test_the_service_is_ready_as_nobody_on_a_file_system_that_is_read_only(
    start: Starter, cluster_url: str
) -> None:
    port = free_port()
    process = start(
        CLUSTERPASS_STORE_URL=cluster_url,
        CLUSTERPASS_ISSUER="https://auth.example",
        CLUSTERPASS_HOST="127.0.0.1",
        CLUSTERPASS_PORT=str(port),
    )
    await_ready(process, port)
    (server,) = children(process.pid)
    status = Path(f"/proc/{server}/status").read_text("utf-8")
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert lines["Uid"].split() == ["10001"] * 4
    assert int(lines["CapEff"], 16) == int(lines["CapBnd"], 16) == 0
    assert lines["NoNewPrivs"] == "1"
    mounts = Path(f"/proc/{server}/mountinfo").read_text("utf-8").splitlines()
    (root,) = [line.split() for line in mounts if line.split()[4] == "/"]
    assert "ro" in root[5].split(",")
    os.kill(server, signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said


def await_ready(process: subprocess.Popen[str], port: int) -> None:
    give_up_at = time.monotonic() + 120
    while True:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < give_up_at
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/readyz")
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        assert answer.status_code == 200, answer.text
        return


def children(pid: int) -> list[int]:
    """The processes that another has started, as this machine numbers them."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_neither_pip_nor_a_compiler_nor_a_key_is_in_it(files: Path) -> None:
    programs = {
        path.name
        for folder in ("opt/clusterpass/bin", "usr/bin")
        for path in (files / folder).iterdir()
    }
    assert "clusterpass" in programs
    assert not programs & {"pip", "pip3", "gcc", "cc", "make"}
    assert list((files / "var/lib/clusterpass").iterdir()) == []
    assert not (files / "build").exists()
