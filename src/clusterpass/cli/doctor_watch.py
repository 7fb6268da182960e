"""``clusterpass doctor --watch``: examines at an interval, and prints what has changed.

- A finding is unchanged if its check, its severity and its nodes are the same. Another figure in
  its text, such as the memory in use, is not a change.
- If the deployment cannot be inspected, that is a change like any other. The watch goes on.
- Ctrl-C and SIGTERM end the watch, between two examinations or during one, with the status of the
  last examination.
"""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Literal

import click

from clusterpass.cli.exit_status import ExitStatus
from clusterpass.cli.output import printable
from clusterpass.doctor import Finding, Report, Severity
from clusterpass.model.errors import ClusterPassError, ConfigurationError, InvalidInput

Kind = Literal["found", "gone", "unreachable", "reachable"]
_Key = tuple[str, Severity, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Change:
    """A difference between two successive examinations."""

    kind: Kind
    finding: Finding | None = None
    """What was found, or is gone."""
    reason: str = ""
    """Why the deployment cannot be inspected."""

    def as_json(self) -> dict[str, Any]:
        """The change as JSON values."""
        members: dict[str, Any] = {"event": self.kind}
        if self.finding is not None:
            members |= {**asdict(self.finding), "reference": self.finding.reference}
        if self.reason:
            members["reason"] = self.reason
        return members

    def as_text(self) -> str:
        """The change as a line for people, without the time."""
        if self.finding is None:
            return f"{self.kind}: {self.reason}" if self.reason else self.kind
        text = f"{self.kind} {self.finding.severity.upper()} {self.finding.id}:"
        text += f" {self.finding.found}"
        if self.finding.nodes:
            text += f" On: {', '.join(self.finding.nodes)}."
        return text if self.kind == "gone" else f"{text} Do: {self.finding.remedy}"


class Memory:
    """The findings of the latest examination, which the next one is compared with."""

    def __init__(self) -> None:
        self._known: dict[_Key, Finding] = {}
        self._is_reachable = True

    def learn(self, findings: tuple[Finding, ...]) -> Iterator[Change]:
        """The changes that an examination shows, what is gone first."""
        if not self._is_reachable:
            self._is_reachable = True
            yield Change("reachable")
        now = {(each.id, each.severity, each.nodes): each for each in findings}
        yield from (Change("gone", each) for key, each in self._known.items() if key not in now)
        yield from (Change("found", each) for key, each in now.items() if key not in self._known)
        self._known = now

    def fail(self, reason: str) -> Iterator[Change]:
        """The change that an examination shows that was not possible: once for each outage."""
        if self._is_reachable:
            self._is_reachable = False
            yield Change("unreachable", reason=reason)


def watch(
    examine: Callable[[], Report],
    status_of: Callable[[Report], int],
    *,
    interval: float,
    as_json: bool,
) -> int:
    """Examine again and again, and print each change, until Ctrl-C or SIGTERM.

    ``status_of``: the exit status for a report. ``interval``: seconds between the end of an
    examination and the next. Returns the exit status for the last examination, 2 if it was not
    possible. Raises ConfigurationError or InvalidInput when no examination can ever succeed.
    """
    memory, status = Memory(), int(ExitStatus.USAGE)
    pause = threading.Event()
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        while True:
            try:
                report = examine()
            except (ConfigurationError, InvalidInput):
                raise
            except ClusterPassError as error:
                status = ExitStatus.USAGE
                changes = memory.fail(error.message)
            else:
                status = status_of(report)
                changes = memory.learn(report.findings)
            for change in changes:
                _print(change, as_json=as_json)
            pause.wait(interval)
    except KeyboardInterrupt:
        return status
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print(change: Change, *, as_json: bool) -> None:
    at = datetime.now(UTC)
    if as_json:
        members = {"at": at.isoformat(timespec="milliseconds"), **change.as_json()}
        click.echo(json.dumps(members))
    else:
        click.echo(f"{at:%Y-%m-%d %H:%M:%S} UTC {printable(change.as_text())}")
