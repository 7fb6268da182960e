"""Runs ``clusterpass serve`` as a child process on 127.0.0.1, and sends requests to it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from clusterpass.model.errors import LocalServerFailed

_START_SECONDS: Final = 20
_STOP_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The answer to an HTTP request, and how many seconds it took.

    ``body`` is the JSON object of the answer; empty if the answer is not one.
    """

    status: int
    body: dict[str, Any]
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)


def ask(
    port: int,
    method: str,
    path: str,
    *,
    token: str | None = None,
    body: Mapping[str, Any] | None = None,
    timeout: float = 10.0,
) -> HttpAnswer:
    """Send one HTTP request to the server on ``port`` of 127.0.0.1.

    ``token``: sent as a bearer token. ``body``: sent as JSON. ``timeout``: in seconds. Raises
    OSError when the server does not answer with HTTP in time.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    payload = None
    if body is not None:
        payload = json.dumps(body)
        headers["Content-Type"] = "application/json"
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, payload, headers)
        response = connection.getresponse()
        text = response.read()
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer ({type(error).__name__})") from None
    finally:
        connection.close()
    is_json = text and "json" in response.headers.get("Content-Type", "")
    parsed = json.loads(text) if is_json else None
    body_read = parsed if isinstance(parsed, dict) else {}
    return HttpAnswer(response.status, body_read, time.monotonic() - began, dict(response.headers))


def await_condition(
    condition: Callable[[], bool], *, seconds: float, failure: str, pause: float = 0.05
) -> None:
    """Wait until ``condition`` holds, asking again after every ``pause`` seconds.

    Raises LocalServerFailed with the message ``failure`` after ``seconds``.
    """
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            raise LocalServerFailed(failure)
        time.sleep(pause)


def is_healthy(port: int) -> bool:
    """Whether the service on ``port`` of 127.0.0.1 answers its health check."""
    try:
        return ask(port, "GET", "/healthz", timeout=1.0).status == 200
    except OSError:
        return False


class ServerProcess:
    """A ``clusterpass serve`` on 127.0.0.1, in a process group of its own."""

    def __init__(self, name: str, port: int, settings: Mapping[str, str], log: Path) -> None:
        """``settings``: its CLUSTERPASS_* variables; ``log``: the file that receives its output."""
        self.name = name
        self.port = port
        self._settings = settings
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it is healthy.

        Raises LocalServerFailed, with the last line of the log if the process has exited, when
        that takes more than 20 s.
        """
        with self._log.open("ab") as output:
            self._process = self._spawn(output)
        await_condition(
            lambda: is_healthy(self.port) or not self.running,
            seconds=_START_SECONDS,
            failure=f"server {self.name} did not start within {_START_SECONDS} s; see {self._log}",
        )
        if not self.running:
            raise LocalServerFailed(f"server {self.name} did not start: {self._last_line()}")

    def kill(self) -> None:
        """Send SIGKILL to the server and its workers, so that they cannot shut down in order."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL to whatever is left after 5 s."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGKILL)

    @property
    def running(self) -> bool:
        """Whether the server process is running."""
        return self._process is not None and self._process.poll() is None

    def _spawn(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("CLUSTERPASS_")
        }
        environment |= self._settings
        command = [sys.executable, "-m", "clusterpass", "serve"]
        return subprocess.Popen(  # noqa: S603 - the program that runs now
            [*command, "--host", "127.0.0.1", "--port", str(self.port)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            self._process.poll()
            return
        try:
            self._process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return  # the caller goes on to SIGKILL

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no output"
