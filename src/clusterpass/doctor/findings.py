"""What a check is, what it finds, and the list of all checks."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from clusterpass.doctor.snapshot import NodeSeen, Snapshot

Severity = Literal["problem", "warning", "note", "unseen"]
SEVERITIES: Final[tuple[Severity, ...]] = ("problem", "warning", "note", "unseen")
"""The worst first. problem: a promise is broken, or will be by the next fault; warning: it costs
users something, or may grow into a problem; note: good to know; unseen: it could not be looked at.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a check has found."""

    severity: Severity
    found: str
    """A sentence: what is so."""
    remedy: str
    """A sentence: what to do."""
    nodes: tuple[str, ...] = ()
    """The nodes that it is about, as host:port; empty: the deployment as a whole."""
    id: str = ""
    """Of the check, which adds it."""

    @property
    def reference(self) -> str:
        """Where it is explained, within the project's documents."""
        return f"docs/reference/doctor.md#{self.id}"


Judgement = Callable[[Snapshot], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """Looks for one thing; its name is the id of its findings."""

    id: str
    title: str
    """What is looked at."""
    breaks: str
    """What is at stake: a few sentences for the documents."""
    function: Judgement

    def judge(self, seen: Snapshot) -> Iterator[Finding]:
        """What it finds."""
        return (replace(finding, id=self.id) for finding in self.function(seen))


CHECKS: Final[dict[str, Check]] = {}
"""All checks, by id, in the order in which they are carried out."""


def check(identifier: str, title: str) -> Callable[[Judgement], Judgement]:
    """Adds a function to the list; its docstring says what is at stake."""

    def add(function: Judgement) -> Judgement:
        assert identifier not in CHECKS
        CHECKS[identifier] = Check(
            identifier, title, " ".join((function.__doc__ or "").split()), function
        )
        return function

    return add


def about(
    nodes: Collection[NodeSeen], severity: Severity, found: str, remedy: str
) -> Iterator[Finding]:
    """A finding about ``nodes``, if there are any."""
    if nodes:
        yield Finding(severity=severity, found=found, remedy=remedy, nodes=names(nodes))


def names(nodes: Iterable[NodeSeen]) -> tuple[str, ...]:
    """The addresses of ``nodes``."""
    return tuple(str(node.address) for node in nodes)


def shown(count: int, noun: str) -> str:
    """Such as "1 node" and "2 nodes"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
