"""The rules of the protocol, each a switch: with one off, a search must find a violation.

Checked in every state:

- ``strict``: a believed read of the owner that begins after the acknowledgement accepts s0, or
  what else the ending ends, as s1 where that was durable before the ending began.
- ``cached``: what is in memory under evidence accepts s0 more than T after the acknowledgement.
- ``refused``: s1, opened after the acknowledgement of all that would end it and durable, is refused
  by a believed read.
- ``banned``: a login that begins after a ban's acknowledgement, with no lift begun, succeeds.
- ``lifted``: a login is refused as banned after the lift is durable.
"""

from dataclasses import dataclass, fields, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that are in force."""

    heads: bool = True
    two_heads: bool = True
    majority: bool = True
    wait_out: bool = True
    wait_met: bool = True
    wait_all: bool = True
    count_failed: bool = True
    journal_wait: bool = True
    trim_all: bool = True
    operation: bool = True
    apply_first: bool = True
    login_evidence: bool = True
    at_start: bool = True
    mark_run: bool = True
    mark_epoch: bool = True
    refill: bool = True
    fill_set: bool = True
    electable: bool = True
    asked_knowing: bool = True
    lift_evidence: bool = True
    head_mark: bool = True
    trim_own: bool = True
    forget_one: bool = True
    fill_last: bool = True
    ahead_all: bool = True
    asked_each: bool = True
    own_id: bool = True
    ids_move: bool = True
    declared: bool = True

    def without(self, *names: str) -> "Rules":
        return replace(self, **dict.fromkeys(names, False))


WORDS: Final = {
    "heads": "a verify needs heads of journals, not the owner alone",
    "two_heads": "heads of two journals, not of one",
    "majority": "a majority of primaries tells the owner's epoch, within L",
    "wait_out": "who was acknowledged by journals waits L first",
    "wait_met": "an owner first met less than L ago: the acknowledgement waits for L",
    "wait_all": "WAIT for every replica, not for one",
    "count_failed": "a failed replica counts as one that must confirm",
    "journal_wait": "a journal confirms with its replica",
    "trim_all": "trimmed when all replicas of the owner have it, not when the owner has it",
    "operation": "a repeated operation changes nothing that came after its first time",
    "apply_first": "who knows an entry carries it out in the script that reads or logs in",
    "login_evidence": "a login needs the same evidence as a verify",
    "at_start": "a process that starts reads the entries, not only the head's number",
    "mark_run": "a journal counts if its mark names the run id of its primary",
    "mark_epoch": "... and the config epoch of its primary, not the run id alone",
    "refill": "a promotion does not make a journal count; it is filled anew",
    "fill_set": "a mark is written if the old mark and the run id are those that were read",
    "electable": "a restarted replica is not promoted before it has synced",
    "asked_knowing": "an answer counts if its request carried all entries known by now",
    "lift_evidence": "a ban is lifted with the same evidence as a verify, entries first",
    "head_mark": "entries are read again when a head's number or its mark differs, not the number",
    "trim_own": "whoever trims an entry leaves those of other endings in the journal",
    "forget_one": "whoever reads that an entry was trimmed forgets that one alone",
    "fill_last": "the mark of a filled journal is written with the last of the entries",
    "ahead_all": "all known entries of a subject are carried out in front, not the latest alone",
    "asked_each": "an answer counts if its request carried each known entry, not any of them",
    "own_id": "a repetition is told by the id of its operation, not by what it does",
    "ids_move": "the ids of operations move along with the subject",
    "declared": "who has given a slot away executes nothing there: scripts declare their keys",
}
assert list(WORDS) == [field.name for field in fields(Rules)]
