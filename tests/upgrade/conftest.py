"""Servers of the release before and of this one, as processes that share a cluster and keys."""

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from clusterpass import KeyRing

PROGRAM: Final = Path(__file__).with_name("peer.py")
PREVIOUS: Final = Path(__file__).with_name("previous")
BOUND: Final = 0.5
"""``Config.staleness_bound``, which is the same in both releases."""


class Refused(Exception):
    """An error that a server raised."""

    def __init__(self, said: dict[str, str]) -> None:
        super().__init__(f"{said['error']} ({said['reason']}): {said['message']}")
        self.error, self.reason, self.message = said["error"], said["reason"], said["message"]


class Server:
    """A process of either release; its calls are those of :mod:`peer`. Any thread may call."""

    def __init__(self, code: Path | None, url: str, keys: Path, settings: dict[str, Any]) -> None:
        """``code``: the folder of a release; None: today's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CLUSTER")}
        if code is not None:
            kept["PYTHONPATH"] = str(code)
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), url, str(keys), json.dumps(settings)],
            env=kept,
            cwd=keys.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._turn = threading.Lock()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments, **options: self._ask(name, arguments, options)

    def _ask(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps([name, arguments, options]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        assert line, f"the server ended with {self._process.wait(30)}"
        said = json.loads(line)
        if "error" in said:
            raise Refused(said)
        return said["answer"]

    def stop(self) -> None:
        """Let the server end as it does after its last request."""
        with self._process:
            pass


def refused(call: Callable[..., Any], *arguments: Any) -> str | None:
    """The class of the error that a call raises; None when it raises none."""
    try:
        call(*arguments)
    except Refused as error:
        return error.error
    return None


def await_refusal(server: Server, token: str, *, error: str = "SessionRevoked") -> None:
    """Wait until a server that remembers a session has heard of its end.

    An acknowledged ending is heard of within the bound. The call that asks may take a while on a
    machine with other work, so the wait is longer; what fails within it fails for good.
    """
    give_up_at = time.monotonic() + BOUND + 10
    while (found := refused(server.verify, token)) is None:
        assert time.monotonic() < give_up_at, "the end of a session was not heard of"
        time.sleep(0.01)
    assert found == error


@pytest.fixture(scope="session")
def previous_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the code of the release before."""
    (wheel,) = PREVIOUS.glob("*.whl")
    folder = tmp_path_factory.mktemp("previous")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def shared_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key file of the deployment."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    KeyRing.generate().save(path)
    return path


@pytest.fixture(scope="session")
def start(
    cluster_url: str, previous_code: Path, shared_keys: Path
) -> Iterator[Callable[..., Server]]:
    """Starts servers: ``start("previous")``, ``start("today", compatibility="previous")``.

    Tests share the servers that they ask for in the same words; ``number`` tells others apart.
    """
    running: dict[tuple[Any, ...], Server] = {}

    def started(release: str, *, namespace: str = "", number: int = 1, **settings: Any) -> Server:
        wanted = (release, namespace, number, *sorted(settings.items()))
        if wanted not in running:
            code = {"previous": previous_code, "today": None}[release]
            url = f"{cluster_url}?namespace={namespace}" if namespace else cluster_url
            running[wanted] = Server(code, url, shared_keys, settings)
        return running[wanted]

    yield started
    for server in running.values():
        server.stop()


@pytest.fixture(scope="session")
def old(start: Callable[..., Server]) -> Server:
    """A server of the release before."""
    return start("previous")


@pytest.fixture(scope="session")
def new(start: Callable[..., Server]) -> Server:
    """A server of this release, as it runs beside the one before."""
    return start("today", compatibility="previous")


@pytest.fixture(params=["old first", "new first"])
def pair(request: pytest.FixtureRequest, old: Server, new: Server) -> tuple[Server, Server]:
    """Both servers, in either order: what one does, the other sees."""
    return (old, new) if request.param == "old first" else (new, old)
