"""The types ``Check`` and ``Finding`` of the doctor, and helpers to define checks and findings."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from clusterpass.doctor.snapshot import NodeSnapshot, Snapshot

Severity = Literal["problem", "warning", "note", "unseen"]
SEVERITIES: Final[tuple[Severity, ...]] = ("problem", "warning", "note", "unseen")
"""All severities, the worst first.

problem: a guarantee is broken, or the next fault will break it. warning: users are affected, or it
may become a problem. note: worth knowing. unseen: the doctor could not inspect it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of a check."""

    severity: Severity
    found: str
    """What the check found, in a sentence."""
    remedy: str
    """What to do about the finding, in a sentence."""
    nodes: tuple[str, ...] = ()
    """The nodes concerned, as host:port; empty for the deployment as a whole."""
    id: str = ""
    """The id of the check; :meth:`Check.judge` fills it in."""

    @property
    def reference(self) -> str:
        """The section of the documentation that explains the check."""
        return f"docs/reference/doctor.md#{self.id}"


Judgement = Callable[[Snapshot], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """A named question about a deployment, and the function that answers it."""

    id: str
    title: str
    """The question, as a phrase that begins with Whether, How or What."""
    breaks: str
    """Why the question matters, for the documentation."""
    function: Judgement

    def judge(self, seen: Snapshot) -> Iterator[Finding]:
        """The findings of this check in ``seen``, each with the id of the check."""
        return (replace(finding, id=self.id) for finding in self.function(seen))


def check(identifier: str, title: str) -> Callable[[Judgement], Check]:
    """A decorator that turns a function into a :class:`Check`.

    The docstring of the function becomes :attr:`Check.breaks`.
    """

    def make(function: Judgement) -> Check:
        return Check(identifier, title, " ".join((function.__doc__ or "").split()), function)

    return make


def about(
    nodes: Collection[NodeSnapshot], severity: Severity, found: str, remedy: str
) -> Iterator[Finding]:
    """One finding about ``nodes``; none if ``nodes`` is empty."""
    if nodes:
        yield Finding(severity=severity, found=found, remedy=remedy, nodes=names(nodes))


def names(nodes: Iterable[NodeSnapshot]) -> tuple[str, ...]:
    """The addresses of ``nodes``, as host:port."""
    return tuple(str(node.address) for node in nodes)


def shown(count: int, noun: str) -> str:
    """A number with its noun, for example "1 node" or "2,000 nodes"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
