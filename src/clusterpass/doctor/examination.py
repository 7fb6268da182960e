"""Examine a deployment: collect a snapshot, run the checks, sort the findings."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

from clusterpass.doctor.checks import ALL_CHECKS
from clusterpass.doctor.checks.access import blind_spots
from clusterpass.doctor.collect import DoctorOptions, collect_snapshot
from clusterpass.doctor.findings import SEVERITIES, Check, Finding, Severity
from clusterpass.doctor.snapshot import Snapshot
from clusterpass.model.errors import InvalidInput
from clusterpass.store.complete_location import located
from clusterpass.store.store_url import parse_store_url

CHECKS: Final[Mapping[str, Check]] = MappingProxyType({check.id: check for check in ALL_CHECKS})
"""All checks by id, in the order in which they run."""
_DEFAULT: Final = DoctorOptions()


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of an examination, the worst first."""

    seen: Snapshot
    findings: tuple[Finding, ...]
    checks: int
    """How many checks ran."""

    def count(self, severity: Severity) -> int:
        """The number of findings with this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def is_good(self) -> bool:
        """Whether no finding is a problem. Warnings, notes and unseen findings do not count."""
        return self.count("problem") == 0

    def as_json(self) -> Mapping[str, Any]:
        """The report as JSON values. The names of its members are stable."""
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
    options: DoctorOptions = _DEFAULT,
    *,
    only: Collection[str] = (),
    ignore: Collection[str] = (),
) -> Report:
    """Query every node of the deployment at ``store_url`` and run the checks.

    ``only``: ids of the checks to run; empty for all. ``ignore``: ids of checks to skip. Blocks
    until the slowest node has answered: a few round trips, or the ``timeout`` of the store URL.

    Raises ConfigurationError if the URL is invalid or a key of it does not open, InvalidInput if a
    check does not exist or none is left, StoreUnavailable if no node answers, and StoreDenied if
    the servers refuse the user.
    """
    _choose(only, ignore)
    location = located(parse_store_url(store_url))
    return judge(collect_snapshot(location, options), only=only, ignore=ignore)


def judge(seen: Snapshot, *, only: Collection[str] = (), ignore: Collection[str] = ()) -> Report:
    """Run the checks on a snapshot, without any I/O.

    ``only``: ids of the checks to run; empty for all. What these could not inspect is reported all
    the same. ``ignore``: ids of checks to skip. Raises InvalidInput if a check does not exist, or
    none is left.
    """
    chosen = _choose(only, ignore)
    found = [finding for check in chosen for finding in check.judge(seen)]
    if only and not {"unseen"} & {*only, *ignore}:
        found += blind_spots(seen, only)
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Report(seen, tuple(found), len(chosen))


def _choose(only: Collection[str], ignore: Collection[str]) -> list[Check]:
    unknown = sorted({*only, *ignore} - CHECKS.keys())
    if unknown:
        raise InvalidInput(f"there is no check {unknown[0]!r}; the checks are: {', '.join(CHECKS)}")
    chosen = [
        check for name, check in CHECKS.items() if name not in ignore and (not only or name in only)
    ]
    if not chosen:
        raise InvalidInput("no check is left: every one that should run is to be ignored, too")
    return chosen
