"""The checker on hand-written histories: it finds each broken promise, and nothing else."""

from typing import Any

import pytest

from .checker import check
from .history import History, Operation, Recorder, read_history

_numbers = iter(range(1_000_000))


def operation(verb: str, began: float, ended: float | None, **more: Any) -> Operation:
    said: dict[str, Any] = {
        "process": "one",
        "number": next(_numbers),
        "subject": "alice",
        "session": "s",
        "outcome": "ok" if ended is not None else None,
    }
    if verb in {"verify", "refresh"}:
        said["answered"] = "s"
    if verb in {"login", "refresh"}:
        said["durable"] = True
    return Operation(verb=verb, began=began, ended=ended, **{**said, **more})


LOGIN = operation("login", 1.0, 1.1)
DEAD = {"outcome": "session_revoked", "reason": "revoked"}
PENDING = {"outcome": "revocation_pending", "reason": "unconfirmed"}


def promises(*operations: Operation) -> list[str]:
    found = check(History([LOGIN, *operations], bound=0.5))
    assert all(each.session == "s" for each in found)
    assert all(str(each) for each in found)
    return [each.promise for each in found]


def test_a_quiet_life_breaks_nothing() -> None:
    assert not promises(
        operation("verify", 2.0, 2.1),
        operation("refresh", 3.0, 3.1, presented="a", successor="b"),
        operation("refresh", 3.2, 3.3, presented="a", successor="b", process="two"),
        operation("verify", 4.0, 4.1, outcome="store_unavailable"),
        operation("revoke", 5.0, 5.1),
        operation("verify", 6.0, 6.1, **DEAD),
        operation("verify", 6.0, 6.1, process="two", **DEAD),
    )


AFTER = "accepted after an acknowledged end"
KNEW = "accepted by who knew of the end"
LOST = "lost, or refused for a fault"


@pytest.mark.parametrize("end", ["revoke", "logout", "revoke_all", "ban"])
def test_accepted_after_an_end(end: str) -> None:
    ending = operation(end, 2.0, 2.1, session="" if end in {"revoke_all", "ban"} else "s")
    late = operation("verify", 2.7, 2.8, process="two")
    assert promises(ending, late) == [AFTER]
    assert not promises(ending, operation("verify", 2.5, 2.6, process="two")), "within the bound"
    strict = operation("verify", 2.2, 2.3, process="two", is_strict=True)
    assert promises(ending, strict) == [AFTER]
    meanwhile = operation("verify", 2.05, 9.0, process="two", is_strict=True)
    assert not promises(ending, meanwhile), "it began before the acknowledgement"
    refreshed = operation("refresh", 2.2, 2.3, process="two", presented="a", successor="b")
    assert promises(ending, refreshed) == [AFTER]


def test_who_made_an_end_keeps_to_it_at_once() -> None:
    for outcome in ("revocation_pending", "store_unavailable"):
        pending = operation("revoke", 2.0, 2.1, outcome=outcome)
        assert promises(pending, operation("verify", 2.2, 2.3)) == [KNEW]
        assert not promises(pending, operation("verify", 2.2, 2.3, process="two"))
        assert not promises(pending, operation("verify", 2.05, 2.3))


def test_who_saw_an_end_keeps_to_it() -> None:
    maybe = operation("revoke", 2.0, None, process="three")
    seen = operation("verify", 3.0, 3.1, **DEAD)
    assert promises(maybe, seen, operation("verify", 3.2, 3.3)) == [KNEW]
    assert not promises(maybe, seen, operation("verify", 3.2, 3.3, process="two"))


@pytest.mark.parametrize("outcome", ["session_unknown", "session_revoked", "invalid_token"])
def test_what_was_durable_is_not_lost(outcome: str) -> None:
    gone = operation("verify", 3.0, 3.1, outcome=outcome)
    assert promises(gone) == [LOST]
    for explanation in (
        operation("revoke", 2.0, None, process="two"),
        operation("revoke", 3.05, 3.2, process="two"),
        operation("ban", 2.0, 2.1, session="", process="two", **PENDING),
        operation("revoke_all", 0.5, 1.05, session="", process="two"),
    ):
        assert LOST not in promises(explanation, gone)
    before = operation("revoke_all", 0.1, 0.2, session="", process="two")
    assert promises(before, gone) == [LOST], "it was opened later"


def test_what_was_not_durable_may_be_lost() -> None:
    login = operation("login", 1.0, 1.1, durable=False)
    gone = operation("verify", 3.0, 3.1, outcome="session_unknown")
    assert not check(History([login, gone]))
    refresh = operation("refresh", 2.0, 2.1, presented="a", successor="b", durable=False)
    assert not promises(refresh, gone)


def test_a_refresh_that_is_lost() -> None:
    refused = operation("refresh", 3.0, 3.1, outcome="invalid_refresh_token", presented="a")
    assert promises(refused) == ["refresh lost, or refused for a fault"]
    assert not promises(operation("logout", 2.0, None, process="two"), refused)


def test_a_refresh_token_has_one_successor() -> None:
    first = operation("refresh", 2.0, 2.1, presented="a", successor="b")
    second = operation("refresh", 2.0, 2.2, presented="a", successor="c", process="two")
    assert promises(first, second) == ["two successors"]


def test_an_answer_is_for_who_asked() -> None:
    assert promises(operation("verify", 2.0, 2.1, answered="t")) == ["an answer that was another's"]


def test_what_is_recorded_is_read_back(tmp_path: Any) -> None:
    recorder = Recorder(tmp_path / "one.operations", "one")
    begun = operation("revoke", 2.0, None, outcome=None)
    recorder.begin(begun)
    ended = operation("verify", 3.0, 3.1, **DEAD)
    recorder.end(ended)
    recorder.begin(LOGIN)
    recorder.end(LOGIN)
    recorder.flush()
    with (tmp_path / "one.operations").open("a") as file:
        file.write('{"torn')
    (tmp_path / "meta.json").write_text('{"bound": 0.25}')
    (tmp_path / "faults").write_text('{"name":"kill","detail":"x","began":1.0,"ended":2.0}\n')
    history = read_history(tmp_path)
    assert history.operations == [LOGIN, begun, ended]
    assert history.bound == 0.25
    assert history.faults[0].name == "kill"
