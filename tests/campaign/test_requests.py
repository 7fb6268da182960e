"""The checker finds ids that answered for others, actors that had ended, and missed cutoffs."""

from typing import Any

import pytest

from .history import IDS, Operation
from .test_checker import AFTER, DEAD, KNEW, LOST, PENDING, operation
from .test_limits import login, promises, seen

ALICE = f"{IDS}alice"
OTHER = "another request under a used operation id"


def asked(request: str, began: float, verb: str = "revoke", **more: Any) -> Operation:
    said: dict[str, Any] = {"subject": ALICE, "request": request, "operation_id": "1"}
    return operation(verb, began, began + 0.1, **{**said, **more})


def of_alice(one: Operation) -> Operation:
    one.subject = ALICE
    return one


def two() -> list[Operation]:
    return [of_alice(login("s", 1.0)), of_alice(login("t", 1.2))]


def test_an_id_belongs_to_its_first_request() -> None:
    first = asked("revoke s", 2.0)
    mismatch = asked("revoke t", 3.0, session="t", outcome="operation_mismatch")
    assert not promises(*two(), first, mismatch, of_alice(seen("t", 4.0)))
    assert promises(*two(), first, asked("revoke t", 3.0, session="t")) == [OTHER]
    elsewhere = asked("revoke t", 3.0, session="t", operation_id="2")
    assert not promises(*two(), first, elsewhere)
    late = asked("revoke t", 90.0, session="t")
    assert not promises(*two(), first, late), "the id may have been forgotten"
    unsure = asked("revoke s", 2.0, **PENDING)
    assert not promises(*two(), unsure, asked("revoke t", 3.0, session="t"))


def test_what_was_refused_has_ended_nothing() -> None:
    first = asked("revoke s", 2.0)
    mismatch = asked("revoke t", 3.0, session="t", outcome="operation_mismatch")
    gone = of_alice(seen("t", 4.0, **DEAD))
    assert promises(*two(), first, mismatch, gone) == [LOST]
    # Of the first one nothing is certain, nor therefore of what the other came to.
    assert not promises(*two(), asked("revoke s", 2.0, **PENDING), mismatch, gone)


def test_who_waits_for_what_was_refused_gives_it_up() -> None:
    first = asked("revoke s", 2.0)
    moot = asked("revoke t", 3.0, session="t", **PENDING)
    assert not promises(*two(), first, moot, of_alice(seen("t", 4.0)))
    refused = of_alice(seen("t", 3.5, **DEAD))
    assert not promises(*two(), first, moot, refused, of_alice(seen("t", 4.0)))
    alone = asked("revoke t", 3.0, session="t", operation_id="2", **PENDING)
    assert promises(*two(), first, alone, of_alice(seen("t", 4.0))) == [KNEW]


def test_a_request_may_be_repeated() -> None:
    first, again = asked("revoke s", 2.0), asked("revoke s", 3.0)
    assert not promises(*two(), first, again)
    again.outcome = "operation_mismatch"
    assert promises(*two(), first, again) == ["a repeated request was refused"]


@pytest.mark.parametrize("outcome", ["ok", "revocation_pending"])
def test_a_repetition_does_not_end_what_came_later(outcome: str) -> None:
    first = asked("all", 2.0, "revoke_all", session="")
    later = of_alice(login("u", 3.0))
    again = asked("all", 4.0, "revoke_all", session="", outcome=outcome)
    assert not promises(*two(), first, later, again, of_alice(seen("u", 5.0)))
    gone = of_alice(seen("u", 5.0, process="two", **DEAD))
    assert promises(*two(), first, later, again, gone) == ([LOST] if outcome == "ok" else [])
    assert AFTER in promises(*two(), first, later, again, of_alice(seen("t", 5.0)))


def test_who_is_kept_lives_on() -> None:
    all_but = asked("all but t", 2.0, "revoke_all", session="", keep="t")
    assert not promises(*two(), all_but, of_alice(seen("t", 5.0)))
    assert promises(*two(), all_but, of_alice(seen("t", 5.0, **DEAD))) == [LOST]
    assert AFTER in promises(*two(), all_but, of_alice(seen("s", 5.0, process="two")))


def acting(began: float = 2.0, **more: Any) -> Operation:
    said: dict[str, Any] = {"session": "i", "subject": "bob", "actor": "s", "lifetime": 600}
    return operation("impersonate", began, began + 0.1, durable=True, **{**said, **more})


def as_bob(began: float, **more: Any) -> Operation:
    return seen("i", began, subject="bob", **more)


def test_an_impersonation_ends_with_its_actor() -> None:
    opened, end = login("s", 1.0), operation("logout", 3.0, 3.1, process="two")
    assert not promises(opened, acting(), as_bob(2.5), end, as_bob(4.0, **DEAD))
    assert promises(opened, acting(), end, as_bob(4.0)) == [AFTER]
    assert not promises(opened, acting(), end, as_bob(3.4)), "within the bound"
    assert promises(opened, acting(), end, as_bob(3.4, is_strict=True)) == [AFTER]
    assert promises(opened, acting(), as_bob(4.0, **DEAD)) == [LOST], "nothing has ended"


def test_the_eleventh_impersonation_of_a_subject_ends_the_oldest() -> None:
    opened = [login("s", 1.0), acting()]
    others = [acting(2.0 + number / 10, session=f"i-{number}") for number in range(1, 11)]
    assert not promises(*opened, *others, as_bob(4.0, **DEAD))
    assert promises(*opened, *others[:9], as_bob(4.0, **DEAD)) == [LOST], "there was room"


def test_who_knows_of_the_actors_end_refuses_both() -> None:
    opened = login("s", 1.0)
    pending = operation("logout", 3.0, 3.1, **PENDING)
    assert promises(opened, acting(), pending, as_bob(3.2)) == [KNEW]
    assert not promises(opened, acting(), pending, as_bob(3.2, process="two"))
    assert promises(opened, pending, acting(3.2)) == ["acts although the process knew of the end"]
    refused = acting(3.2, outcome="session_revoked", session="")
    assert not promises(opened, pending, refused)


def test_nobody_begins_to_act_after_the_own_end() -> None:
    opened, end = login("s", 1.0), operation("logout", 2.0, 2.1, process="two")
    assert promises(opened, end, acting(2.2)) == ["acts after an acknowledged end"]
    assert not promises(opened, end, acting(2.05)), "meanwhile"


def test_grace_is_not_for_impersonations() -> None:
    in_grace = as_bob(3.0, outage_grace=2.0, in_grace=True)
    assert promises(login("s", 1.0), acting(), in_grace) == ["grace for an impersonation"]


def cutoff(began: float, before: float | None = None, **more: Any) -> Operation:
    said: dict[str, Any] = {"subject": "", "session": "", "before": before}
    return operation("revoke_before", began, began + 0.1, **{**said, **more})


def test_all_sessions_of_the_namespace() -> None:
    opened = login("s", 1.0)
    late = seen("s", 7.0, process="two")
    assert promises(opened, cutoff(5.0), late) == [AFTER]
    assert not promises(opened, cutoff(5.0), seen("s", 6.0, process="two")), "within its second"
    assert promises(opened, cutoff(5.0), seen("s", 5.2)) == [KNEW]
    assert promises(opened, cutoff(5.0, before=3.0), late) == [AFTER]
    assert not promises(login("s", 4.0), cutoff(5.0, before=3.0), late), "it was opened later"
    gone = seen("s", 7.0, **DEAD)
    assert not promises(opened, cutoff(5.0), gone)
    assert promises(login("s", 4.5), cutoff(5.0, before=3.0), gone) == [LOST]
    assert promises(login("s", 5.5), cutoff(5.0), gone) == [LOST]
    assert not promises(login("s", 5.5), cutoff(5.0, **PENDING), gone), "it is retried"
