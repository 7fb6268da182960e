"""What ``dev`` and ``demo`` share: free ports, a demo user, servers as processes of their own."""

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from clusterpass.cli.keys import write_secret
from clusterpass.model.errors import LocalServerFailed
from clusterpass.tokens.keyring import KeyRing

_PASSWORD_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # noqa: S105 (no look-alikes)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered, and how long it took in seconds."""

    status: int
    body: dict[str, Any]
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)


def generate_password() -> str:
    """A password of 16 letters and digits (80 bits)."""
    return "".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(16))


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_keys(path: Path) -> None:
    """Write a new signing key to ``path``, readable by the owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    write_secret(path, KeyRing.generate().private_jwks_text())


def ask(
    port: int,
    method: str,
    path: str,
    *,
    token: str | None = None,
    body: Mapping[str, Any] | None = None,
    timeout: float = 10.0,
) -> HttpAnswer:
    """Ask a server on 127.0.0.1; OSError when it does not answer. ``timeout`` in seconds."""
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
    """Return once ``condition`` holds; LocalServerFailed(``failure``) after so many seconds."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            raise LocalServerFailed(failure)
        time.sleep(pause)


def is_healthy(port: int) -> bool:
    """Whether a service answers on ``port``."""
    try:
        return ask(port, "GET", "/healthz", timeout=1.0).status == 200
    except OSError:
        return False


class ServerProcess:
    """A ``clusterpass serve`` of its own process group on 127.0.0.1."""

    def __init__(self, name: str, port: int, settings: Mapping[str, str], log: Path) -> None:
        """``settings``: CLUSTERPASS_* variables; ``log``: where its output goes."""
        self.name = name
        self.port = port
        self._settings = settings
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; LocalServerFailed with the end of its log when it does not answer in 20 s."""
        with self._log.open("ab") as output:
            self._process = self._spawn(output)
        await_condition(
            lambda: is_healthy(self.port) or not self.running,
            seconds=20,
            failure=f"Server {self.name} did not start; see {self._log}",
        )
        if not self.running:
            raise LocalServerFailed(f"Server {self.name} did not start: {self._last_line()}")

    def kill(self) -> None:
        """SIGKILL, for it and its workers: no goodbye of any kind."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left after 5 seconds."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGKILL)

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def _spawn(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("CLUSTERPASS_")
        }
        environment |= self._settings
        command = [sys.executable, "-m", "clusterpass", "serve"]
        return subprocess.Popen(  # noqa: S603 (our own program)
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
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return  # the caller goes on to SIGKILL

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no output"
