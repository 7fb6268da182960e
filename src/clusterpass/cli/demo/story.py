"""The story that ``clusterpass demo`` tells: each step asks, compares and keeps the figures.

A step holds when the answer is the expected one; the story goes on after one that does not, so
that everything is seen. Nothing here prints.
"""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from clusterpass.cli.local_servers import HttpAnswer, ServerProcess, ask
from clusterpass.embedded import EmbeddedCluster, Node

FAILOVER_LIMIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried."""

    title: str
    asked: str
    expected: str
    answered: str
    seconds: float
    held: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(slots=True)
class Story:
    """Two servers over one cluster, and a user with a password."""

    cluster: EmbeddedCluster
    first: ServerProcess
    second: ServerProcess
    username: str
    password: str
    sessions_key: bytes
    access_token: str = ""
    refresh_token: str = ""
    _killed: Node | None = None

    def steps(self) -> Iterator[Step]:
        """Tell it, a step at a time."""
        yield self._log_in()
        if not self.access_token:
            return
        yield self._verify("Known where it logged in", self.first)
        yield self._verify("Known on the other server", self.second)
        yield self._kill_server()
        yield self._verify("Still known on the other server", self.second)
        yield from self._kill_primary()
        yield self._refresh()
        yield self._log_out()
        yield self._verify_refused("Refused where it logged out", self.second)
        yield self._start_server_again()
        yield self._verify_refused("Refused on the restarted server", self.first)
        yield self._start_node_again()
        yield self._verify_refused("Still refused on one server", self.first)
        yield self._verify_refused("Still refused on the other", self.second)
        yield self._refresh_refused()

    def _log_in(self) -> Step:
        body = {"username": self.username, "password": self.password, "device": "demo"}
        step, answer = self._ask(
            f"Log in on {self.first.name}", self.first, "POST", "/login", "200", body=body
        )
        self.access_token = answer.body.get("access_token", "")
        self.refresh_token = answer.body.get("refresh_token", "")
        return step

    def _verify(self, title: str, server: ServerProcess) -> Step:
        expected = f"200 {self.username}"
        return self._ask(title, server, "GET", "/verify", expected, token=self.access_token)[0]

    def _verify_refused(self, title: str, server: ServerProcess) -> Step:
        expected = "401 session_revoked: logged_out"
        return self._ask(title, server, "GET", "/verify", expected, token=self.access_token)[0]

    def _refresh(self) -> Step:
        body = {"refresh_token": self.refresh_token}
        step, answer = self._ask(
            "Refresh on the survivor", self.second, "POST", "/refresh", "200", body=body
        )
        self.access_token = answer.body.get("access_token", self.access_token)
        self.refresh_token = answer.body.get("refresh_token", self.refresh_token)
        return step

    def _refresh_refused(self) -> Step:
        body = {"refresh_token": self.refresh_token}
        expected = "401 invalid_refresh_token: logged_out"
        title = "The refresh token is dead too"
        return self._ask(title, self.first, "POST", "/refresh", expected, body=body)[0]

    def _log_out(self) -> Step:
        # Only one node has the shard now: it is over at once, but not acknowledged before the
        # killed node is back and has it too.
        title = f"Log out on {self.second.name}"
        expected = "503 revocation_pending"
        return self._ask(title, self.second, "POST", "/logout", expected, token=self.access_token)[
            0
        ]

    def _kill_server(self) -> Step:
        began = time.monotonic()
        self.first.kill()
        gone = not self.first.running
        return Step(
            f"Kill server {self.first.name}",
            f"SIGKILL to server {self.first.name}",
            "gone",
            "gone" if gone else "still running",
            time.monotonic() - began,
            gone,
        )

    def _kill_primary(self) -> Iterator[Step]:
        primary = self.cluster.primary_of(self.sessions_key)
        began = time.monotonic()
        self.cluster.kill(primary, signal.SIGKILL)
        self._killed = primary
        yield Step(
            "Kill the node that holds the session",
            f"SIGKILL to the primary on port {primary.port}",
            "gone",
            "gone",
            time.monotonic() - began,
            True,
        )
        seen: list[str] = []
        while time.monotonic() - began < FAILOVER_LIMIT_SECONDS:
            answer = _describe(lambda: self._request(self.second, "GET", "/verify"))[0]
            if answer not in seen:
                seen.append(answer)
            if answer.startswith("200"):
                break
            time.sleep(0.02)
        gap = time.monotonic() - began
        # 503 asks a client to wait; any other answer would have made it log in again.
        waited = [text for text in seen if not text.startswith(("200", "503"))]
        yield Step(
            "Known again without a new login",
            f"GET /verify on server {self.second.name}, until it is answered",
            f"only 503 and then 200 {self.username}",
            f"{', then '.join(seen)}; a gap of {gap:.1f} s",
            gap,
            seen[-1] == f"200 {self.username}" and not waited,
        )

    def _start_server_again(self) -> Step:
        began = time.monotonic()
        self.first.start()
        title = f"Start server {self.first.name} again"
        return Step(title, title, "running", "running", time.monotonic() - began, True)

    def _start_node_again(self) -> Step:
        killed = self._killed
        if killed is None:
            raise RuntimeError("no node was killed before")
        began = time.monotonic()
        self.cluster.restart(killed)
        self.cluster.wait_until_healthy(timeout=30)
        owner = self.cluster.primary_of(self.sessions_key)
        held = owner.port != killed.port
        return Step(
            "The killed node comes back",
            f"restart the node on port {killed.port}",
            "a replica now",
            "a replica now" if held else "a primary again",
            time.monotonic() - began,
            held,
        )

    def _ask(
        self,
        title: str,
        server: ServerProcess,
        method: str,
        path: str,
        expected: str,
        *,
        token: str | None = None,
        body: dict[str, str] | None = None,
    ) -> tuple[Step, HttpAnswer]:
        answered, answer = _describe(lambda: ask(server.port, method, path, token=token, body=body))
        asked = f"{method} {path} on server {server.name}"
        held = answered == expected
        return Step(title, asked, expected, answered, answer.seconds, held), answer

    def _request(self, server: ServerProcess, method: str, path: str) -> HttpAnswer:
        return ask(server.port, method, path, token=self.access_token)


def _describe(request: Callable[[], HttpAnswer]) -> tuple[str, HttpAnswer]:
    """The answer in a few words: status, then subject, or error and reason."""
    began = time.monotonic()
    try:
        answer = request()
    except OSError as error:
        answer = HttpAnswer(0, {}, time.monotonic() - began)
        return f"no answer ({type(error).__name__})", answer
    words = str(answer.status)
    if "subject" in answer.body:
        words += f" {answer.body['subject']}"
    if "error" in answer.body:
        words += f" {answer.body['error']}"
        if answer.status == 401 and answer.body.get("reason"):
            words += f": {answer.body['reason']}"
    return words, answer
