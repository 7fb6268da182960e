"""The doctor checks a deployment for anything that breaks a guarantee of ClusterPass.

- The doctor only reads. The one exception is the trial write, which is off unless asked for and
  leaves one key per primary for ten seconds.
- Whatever the servers refuse to tell becomes a finding of severity ``unseen``. A managed cluster
  that forbids CONFIG neither fails the examination nor passes it unnoticed.
- Queries and judgement are separate: ``collect``, ``node_connection`` and ``trial_write`` query the
  nodes, and the checks are pure functions of the resulting ``snapshot``.
- ``checks`` lists all checks; ``findings`` defines checks and findings;
  ``examination`` runs the checks and sorts their findings.
- No password and no key material enters a finding.
"""

from clusterpass.doctor.collect import DoctorOptions, collect_snapshot
from clusterpass.doctor.examination import CHECKS, Report, examine, judge
from clusterpass.doctor.findings import Check, Finding, Severity

__all__ = [
    "CHECKS",
    "Check",
    "DoctorOptions",
    "Finding",
    "Report",
    "Severity",
    "collect_snapshot",
    "examine",
    "judge",
]
