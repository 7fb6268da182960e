"""The checker allows what a wrong clock of a server may change, while it is wrong, and no more."""

from typing import Any

from .checker import check
from .history import Fault, History, Operation
from .test_checker import LOST, operation
from .test_limits import login, seen

AHEAD = Fault("jump_server_clock", "7000 by +3600 s for 2.0 s", 2.0, 4.0)
BEHIND = Fault("jump_server_clock", "7000 by -3600 s for 2.0 s", 2.0, 4.0)
LATER = Fault("jump_server_clock", "7000 by +3600 s for 2.0 s", 50.0, 52.0)
OTHER = Fault("kill_primary", "7000", 2.0, 4.0)
GONE: dict[str, Any] = {"outcome": "session_unknown"}


def promises(fault: Fault, *operations: Operation) -> list[str]:
    ordered = sorted(operations, key=lambda each: each.began)
    history = History(ordered, [fault], bound=0.5, refresh_grace=5.0)
    return [each.promise for each in check(history)]


def test_a_lifetime_may_be_off_by_the_tolerance() -> None:
    short = login("s", 1.0, lifetime=20)
    for fault in (AHEAD, BEHIND):
        assert not promises(fault, short, seen("s", 27.0))
        assert promises(fault, short, seen("s", 27.2)) == ["accepted past its lifetime"]
    for fault in (LATER, OTHER):
        assert promises(fault, short, seen("s", 22.2)) == ["accepted past its lifetime"]
    assert not promises(BEHIND, short, seen("s", 15.5, **GONE))
    assert promises(BEHIND, short, seen("s", 14.5, **GONE)) == [LOST]


def test_a_time_may_be_written_behind_and_judged_ahead() -> None:
    def together(*faults: Fault) -> list[str]:
        short, late = login("s", 1.0, lifetime=60), seen("s", 71.0)
        history = History([short, late], list(faults), bound=0.5, refresh_grace=5.0)
        return [each.promise for each in check(history)]

    assert together(BEHIND) == together(AHEAD) == ["accepted past its lifetime"]
    assert together(AHEAD, LATER) == ["accepted past its lifetime"], "both are ahead"
    assert not together(BEHIND, LATER)


def test_a_server_that_is_ahead_deletes_early_what_had_less_time_left() -> None:
    assert not promises(AHEAD, login("s", 1.0, lifetime=20), seen("s", 3.0, **GONE))
    assert promises(AHEAD, login("s", 1.0, lifetime=20), seen("s", 1.5, **GONE)) == [LOST]
    assert promises(AHEAD, login("s", 1.0, lifetime=9000), seen("s", 3.0, **GONE)) == [LOST]
    assert promises(AHEAD, login("s", 1.0), seen("s", 3.0, **GONE)) == [LOST]
    assert promises(AHEAD, login("s", 20.0, lifetime=20), seen("s", 22.0, **GONE)) == [LOST]


def test_a_cutoff_may_be_off_by_the_tolerance() -> None:
    def cutoff(before: float) -> Operation:
        return operation("revoke_before", 10.0, 10.1, session="", subject="", before=before)

    after = "accepted after an acknowledged end"
    assert promises(OTHER, login("s", 1.0), cutoff(5.0), seen("s", 12.0))[0] == after
    assert not promises(AHEAD, login("s", 1.0), cutoff(5.0), seen("s", 12.0))
    assert promises(AHEAD, login("s", 1.0), cutoff(8.0), seen("s", 12.0))[0] == after
    revoked: dict[str, Any] = {"outcome": "session_revoked", "reason": "cutoff"}
    assert promises(OTHER, login("s", 9.5), cutoff(5.0), seen("s", 12.0, **revoked)) == [LOST]
    assert not promises(AHEAD, login("s", 9.5), cutoff(5.0), seen("s", 12.0, **revoked))


def test_a_used_token_may_be_accepted_for_longer() -> None:
    used = operation("refresh", 3.0, 3.1, presented="a", successor="b")
    after = operation("refresh", 4.0, 4.1, presented="b", successor="c")
    again = operation("refresh", 13.0, 13.1, presented="a", successor="b")
    late = operation("refresh", 15.0, 15.1, presented="a", successor="b")
    assert not promises(AHEAD, login("s", 1.0), used, after, again)
    for fault, each in ((AHEAD, late), (OTHER, again)):
        assert promises(fault, login("s", 1.0), used, after, each) == ["a used token was accepted"]
