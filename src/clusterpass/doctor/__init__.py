"""Looks at a real deployment and says what in it would break a promise.

- It looks, it changes nothing; only where a trial write is asked for, it writes one key a node.
- What it may not see it says: a managed cluster that forbids CONFIG is no failure, and no clean
  bill either.
- Looking (:mod:`.collect`, :mod:`.line`) and judging (the modules of checks) are kept apart:
  checks are pure functions of a :class:`~.snapshot.Snapshot`.
- No password and no key material enters a finding.
"""

from clusterpass.doctor.collect import Wishes, look_at
from clusterpass.doctor.examination import Report, examine, judge
from clusterpass.doctor.findings import CHECKS, Check, Finding, Severity

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Report",
    "Severity",
    "Wishes",
    "examine",
    "judge",
    "look_at",
]
