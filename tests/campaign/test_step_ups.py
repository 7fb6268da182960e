"""The checker finds tokens that rose, levels that were lost, and bans that were not seen."""

from typing import Any

from .history import Operation
from .test_checker import operation
from .test_limits import promises

ROSE = "an older token rose with a step-up"


def login(**more: Any) -> Operation:
    return operation("login", 1.0, 1.1, access="old", successor="r0", **more)


def step_up(began: float = 2.0, **more: Any) -> Operation:
    said: dict[str, Any] = {"access": "new", "successor": "r1", "durable": True, "seconds": 10}
    return operation("elevate", began, began + 0.1, level="2", **{**said, **more})


def shows(token: str, began: float, acr: str = "2", **more: Any) -> Operation:
    return operation("verify", began, began + 0.1, token=token, acr=acr, **more)


def test_an_older_token_never_rises() -> None:
    assert not promises(login(), step_up(), shows("new", 3.0), shows("old", 3.0, acr=""))
    assert promises(login(), step_up(), shows("old", 3.0)) == [ROSE]
    # Where the level is asked for, an answer is as good as one that shows it.
    assert promises(login(), step_up(), shows("old", 3.0, acr="", level="2")) == [ROSE]
    refused = shows("old", 3.0, acr="", level="2", outcome="step_up_required")
    assert not promises(login(), step_up(), refused)


def test_refreshes_hand_a_step_up_on() -> None:
    newer = operation("refresh", 3.0, 3.1, presented="r1", successor="r2", access="newer")
    older = operation("refresh", 3.0, 3.1, presented="r0", successor="r3", access="older")
    assert not promises(login(), step_up(), newer, shows("newer", 4.0))
    assert promises(login(), step_up(), older, shows("older", 4.0)) == [ROSE]
    last = operation("refresh", 4.0, 4.1, presented="r2", successor="r4", access="newest")
    assert not promises(login(), step_up(), newer, last, shows("newest", 5.0))


def test_a_step_up_lasts_as_long_as_it_was_given() -> None:
    assert not promises(login(), step_up(), shows("new", 13.0))
    assert promises(login(), step_up(), shows("new", 14.0)) == ["a step-up outlived its time"]
    refused = {"acr": "", "level": "2", "outcome": "step_up_required"}
    assert promises(login(), step_up(), shows("new", 3.0, **refused)) == ["a step-up was lost"]
    assert not promises(login(), step_up(durable=False), shows("new", 3.0, **refused))
    assert not promises(login(), step_up(), shows("new", 11.5, **refused)), "its time may be over"
    another = step_up(2.5, access="other", successor="r9")
    assert not promises(login(), step_up(), another, shows("new", 3.0, **refused))


def test_who_ends_older_tokens() -> None:
    ends = step_up(ends_older=True)
    superseded = shows("old", 3.0, acr="", outcome="token_superseded")
    assert not promises(login(), ends, superseded, shows("new", 3.0))
    assert promises(login(), step_up(), superseded) == ["superseded without a step-up"]
    assert promises(login(), ends, shows("old", 3.0, acr="")) == [
        "an older token outlived a step-up"
    ]
    assert not promises(login(), ends, shows("old", 2.5, acr="")), "within the bound"


UNSEEN = "a ban from a scope was not seen"


def ban(began: float = 2.0, **more: Any) -> Operation:
    return operation("ban", began, began + 0.1, session="", scope="chat", seconds=10, **more)


def sees(began: float, bans: str = "", **more: Any) -> Operation:
    return operation("verify", began, began + 0.1, bans=bans, process="two", **more)


def test_a_ban_from_a_scope() -> None:
    assert not promises(login(), ban(), sees(3.0, "forum chat"))
    assert promises(login(), ban(), sees(3.0, "forum")) == [UNSEEN]
    assert not promises(login(), ban(), sees(2.5)), "within the bound"
    assert promises(login(), ban(), sees(2.5, is_strict=True)) == [UNSEEN]
    assert not promises(login(), ban(), sees(11.0)), "it may be over"
    lifted = operation("lift", 2.5, 2.6, session="", scope="chat")
    assert not promises(login(), ban(), lifted, sees(3.0))
    assert promises(login(), ban(), lifted, sees(2.2, is_strict=True)) == [UNSEEN]
    elsewhere = operation("lift", 2.5, 2.6, session="", scope="forum")
    assert promises(login(), ban(), elsewhere, sees(3.0)) == [UNSEEN]
    shorter = ban(2.2)
    shorter.seconds = 2
    assert not promises(login(), ban(), shorter, sees(6.0))


def test_who_waits_for_a_ban_from_a_scope_shows_it() -> None:
    pending = ban(outcome="revocation_pending")
    assert not promises(login(), pending, sees(3.0))
    own = operation("verify", 2.2, 2.3)
    assert promises(login(), pending, own) == [UNSEEN]


def test_a_ban_that_is_repeated_lasts_no_longer() -> None:
    said = {"subject": "ids-alice", "operation_id": "1", "request": "ban"}
    opened, first, again = login(subject="ids-alice"), ban(**said), ban(6.0, **said)
    assert promises(opened, first, again, sees(8.0, subject="ids-alice")) == [UNSEEN, UNSEEN]
    assert not promises(opened, first, again, sees(12.0, subject="ids-alice"))


def test_a_ban_from_a_scope_ends_nothing() -> None:
    gone = operation("verify", 3.0, 3.1, outcome="session_revoked")
    assert promises(login(), ban(), gone) == ["lost, or refused for a fault"]
