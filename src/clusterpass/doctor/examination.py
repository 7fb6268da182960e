"""From a store URL to a report: look, judge, sort."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from clusterpass.doctor.checks import (  # noqa: F401 - each adds its checks to the list
    access,
    clients,
    memory,
    operation,
    replication,
    shape,
)
from clusterpass.doctor.collect import Wishes, look_at
from clusterpass.doctor.findings import CHECKS, SEVERITIES, Finding, Severity
from clusterpass.doctor.snapshot import Snapshot
from clusterpass.model.errors import InvalidInput
from clusterpass.store.location import parse_store_url

_DEFAULT: Final = Wishes()


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, the worst first."""

    seen: Snapshot
    findings: tuple[Finding, ...]
    checks: int
    """How many checks were carried out."""

    def count(self, severity: Severity) -> int:
        """How many findings are of this kind."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def is_good(self) -> bool:
        """Whether there is no problem; warnings and notes are none."""
        return self.count("problem") == 0

    def as_json(self) -> Mapping[str, Any]:
        """All of it, for programs; the names are stable."""
        return {
            "good": self.is_good,
            "counts": {severity: self.count(severity) for severity in SEVERITIES},
            "checks": self.checks,
            "nodes": [
                {
                    "address": str(node.address),
                    "role": node.role,
                    "answered": node.answered,
                    "version": node.version,
                }
                for node in self.seen.nodes
            ],
            "findings": [
                {**asdict(finding), "reference": finding.reference} for finding in self.findings
            ],
        }


def examine(
    store_url: str,
    wishes: Wishes = _DEFAULT,
    *,
    only: Collection[str] = (),
    ignore: Collection[str] = (),
) -> Report:
    """Look at the deployment behind ``store_url`` and judge it.

    ``only``, ``ignore``: ids of checks to carry out, or to leave out. Blocks for as long as the
    slowest node takes: some round trips, or the store URL's ``timeout``.

    Raises ConfigurationError for a URL that is not understood, InvalidInput for an unknown check,
    and StoreUnavailable or StoreDenied when there is nothing to be seen.
    """
    _refuse_unknown({*only, *ignore})
    return judge(look_at(parse_store_url(store_url), wishes), only=only, ignore=ignore)


def judge(seen: Snapshot, *, only: Collection[str] = (), ignore: Collection[str] = ()) -> Report:
    """The same of what was seen already. Raises InvalidInput for an unknown check."""
    _refuse_unknown({*only, *ignore})
    chosen = [
        check for name, check in CHECKS.items() if name not in ignore and (not only or name in only)
    ]
    found = [finding for check in chosen for finding in check.judge(seen)]
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Report(seen, tuple(found), len(chosen))


def _refuse_unknown(names: Collection[str]) -> None:
    unknown = sorted(set(names) - CHECKS.keys())
    if unknown:
        raise InvalidInput(f"there is no check {unknown[0]!r}; there are: {', '.join(CHECKS)}")
