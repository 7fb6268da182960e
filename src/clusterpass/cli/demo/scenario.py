"""The steps of ``clusterpass demo``: each performs an action and times the answer.

Each compares its answer with the expected one. An unexpected answer does not stop the scenario.
Nothing here prints.
"""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from clusterpass.cli.service_child import HttpAnswer, ServerProcess, ask
from clusterpass.embedded import EmbeddedCluster, Node

FAILOVER_LIMIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what was done, what was expected, and what the answer was.

    ``seconds``: how long it took. ``held``: whether the answer was the expected one.
    """

    title: str
    asked: str
    expected: str
    answered: str
    seconds: float
    held: bool

    def as_dict(self) -> dict[str, Any]:
        """The fields of the step by name, for JSON."""
        return asdict(self)


@dataclass(slots=True)
class Scenario:
    """Two servers on one cluster, and a user who logs in.

    ``sessions_key``: the key of the user's sessions; its slot decides which node is killed.
    """

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
        """Carry out the scenario, one step at a time."""
        yield self._log_in()
        if not self.access_token:
            return
        yield self._verify("is accepted", self.first)
        yield self._verify("is accepted", self.second)
        yield self._kill_server()
        yield self._verify("is still accepted", self.second)
        yield from self._kill_primary()
        yield self._refresh()
        yield self._log_out()
        yield self._verify_refused("is refused", self.second)
        yield self._start_server_again()
        yield self._verify_refused("is refused", self.first)
        yield self._start_node_again()
        yield self._verify_refused("is still refused", self.first)
        yield self._verify_refused("is still refused", self.second)
        yield self._refresh_refused()

    def _log_in(self) -> Step:
        body = {"username": self.username, "password": self.password, "device": "demo"}
        step, answer = self._ask(
            f"Log in on server {self.first.name}", self.first, "POST", "/login", "200", body=body
        )
        self.access_token = answer.body.get("access_token", "")
        self.refresh_token = answer.body.get("refresh_token", "")
        return step

    def _verify(self, outcome: str, server: ServerProcess) -> Step:
        title = f"The session {outcome} by server {server.name}"
        expected = f"200 {self.username}"
        return self._ask(title, server, "GET", "/verify", expected, token=self.access_token)[0]

    def _verify_refused(self, outcome: str, server: ServerProcess) -> Step:
        title = f"The session {outcome} by server {server.name}"
        expected = "401 session_revoked: logged_out"
        return self._ask(title, server, "GET", "/verify", expected, token=self.access_token)[0]

    def _refresh(self) -> Step:
        body = {"refresh_token": self.refresh_token}
        step, answer = self._ask(
            f"Refresh the tokens on server {self.second.name}",
            self.second,
            "POST",
            "/refresh",
            "200",
            body=body,
        )
        self.access_token = answer.body.get("access_token", self.access_token)
        self.refresh_token = answer.body.get("refresh_token", self.refresh_token)
        return step

    def _refresh_refused(self) -> Step:
        body = {"refresh_token": self.refresh_token}
        expected = "401 invalid_refresh_token: logged_out"
        title = "The refresh token is refused as well"
        return self._ask(title, self.first, "POST", "/refresh", expected, body=body)[0]

    def _log_out(self) -> Step:
        # Only one node of the shard is left: the journals of two other shards confirm the logout.
        title = f"Log out on server {self.second.name}: confirmed, with that node still dead"
        expected = "204"
        return self._ask(title, self.second, "POST", "/logout", expected, token=self.access_token)[
            0
        ]

    def _kill_server(self) -> Step:
        began = time.monotonic()
        self.first.kill()
        ended = not self.first.running
        return Step(
            f"Kill server {self.first.name}",
            f"SIGKILL to server {self.first.name}",
            "ended",
            "ended" if ended else "still running",
            time.monotonic() - began,
            ended,
        )

    def _kill_primary(self) -> Iterator[Step]:
        primary = self.cluster.primary_of(self.sessions_key)
        began = time.monotonic()
        self.cluster.kill(primary, signal.SIGKILL)
        self._killed = primary
        yield Step(
            "Kill the database node that holds the session",
            f"SIGKILL to the primary on port {primary.port}",
            "ended",
            "ended",
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
        # A client retries after a 503; any other error would make it log in again.
        wrong = [text for text in seen if not text.startswith(("200", "503"))]
        yield Step(
            "The session is accepted again after the failover, without a new login",
            f"GET /verify on server {self.second.name}, until it answers 200",
            f"200 {self.username}, after nothing but 503",
            f"{', then '.join(seen)}, after {gap:.1f} s",
            gap,
            seen[-1] == f"200 {self.username}" and not wrong,
        )

    def _start_server_again(self) -> Step:
        began = time.monotonic()
        self.first.start()
        title = f"Start server {self.first.name} again"
        command = f"clusterpass serve --port {self.first.port}"
        return Step(title, command, "running", "running", time.monotonic() - began, True)

    def _start_node_again(self) -> Step:
        killed = self._killed
        if killed is None:
            raise RuntimeError("no node has been killed")
        began = time.monotonic()
        self.cluster.restart(killed)
        self.cluster.wait_until_healthy(timeout=30)
        owner = self.cluster.primary_of(self.sessions_key)
        held = owner.port != killed.port
        return Step(
            "The killed node comes back as a replica",
            f"start of the node on port {killed.port}",
            "a replica",
            "a replica" if held else "the primary again",
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
    """Send ``request``; the answer in a few words, and the answer itself.

    The words are the status and the subject, or the status, the error and its reason.
    """
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
