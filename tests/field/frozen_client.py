"""A process with a manager, which can be frozen: it notices nothing until it is thawed.

The program reads commands, one a line, and answers each with one line of JSON. Its names lead where
a file says: ``NAME ADDRESS`` in each line.
"""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

from clusterpass import AsyncSessionManager, Config, KeyRing, SessionManager
from clusterpass.model.errors import ClusterPassError, StoreUnavailable

FACES: Final = ("sync", "async")
_SECONDS: Final = 60


class FrozenClient:
    """The process, as a test sees it."""

    def __init__(self, face: str, url: str, names: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, face, url, str(names)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.thaw()
        self._process.kill()
        self._process.communicate()


class _Commands:
    """What the process does; ``done`` gives the result of a verb of either face."""

    def __init__(self, manager: Any, done: Any) -> None:
        self._manager, self._done = manager, done
        self._token = ""

    def login(self) -> str:
        self._token = self._done(lambda: self._manager.login("alice")).access_token
        return "in"

    def verify(self) -> str:
        token = self._token
        return str(self._done(lambda: self._manager.verify(token, verification="strict")).subject)

    def logout(self) -> int:
        token = self._token
        return int(self._done(lambda: self._manager.logout(token)).count)

    def pending(self) -> int:
        """Return the number of endings that are not confirmed yet."""
        return int(self._manager.stats().pending.waiting)

    def leases(self) -> list[str]:
        """The nodes whose sessions are served from memory."""
        token = self._token
        self._done(lambda: self._manager.verify(token))
        return sorted(node.address for node in self._manager.stats().nodes if node.has_lease)


def _lead_names(names: Path) -> None:
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        led = {name: to for name, *to in map(str.split, names.read_text().splitlines())}
        found = [real(each, port, *args, **options) for each in led.get(host, [host])]
        return [info for each in found for info in each]

    socket.getaddrinfo = look_up


def _open(face: str, url: str, config: Config) -> tuple[Any, Any]:
    if face == "sync":
        return SessionManager.from_url(url, config), lambda verb: verb()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def done(verb: Any) -> Any:
        async def run() -> Any:
            return await verb()

        return asyncio.run_coroutine_threadsafe(run(), loop).result(_SECONDS)

    async def opened() -> AsyncSessionManager:
        return AsyncSessionManager.from_url(url, config)

    return asyncio.run_coroutine_threadsafe(opened(), loop).result(_SECONDS), done


def main(face: str, url: str, names: str) -> None:
    _lead_names(Path(names))
    keys = KeyRing.generate()
    commands = _Commands(*_open(face, url, Config(issuer="i", audience="a", keys=keys)))
    for line in sys.stdin:
        try:
            answer = getattr(commands, line.strip())()
        except StoreUnavailable as error:
            answer = {**error.to_dict(), "described": error.describe()}
        except ClusterPassError as error:
            answer = error.to_dict()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
