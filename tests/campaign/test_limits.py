"""The checker finds broken lifetimes, limits, graces, lists and explanations, and nothing else."""

from typing import Any

from .checker import check
from .history import History, Operation
from .test_checker import DEAD, KNEW, LOST, operation

CAPPED = {"subject": "bob", "limit": 2}


def promises(*operations: Operation) -> list[str]:
    ordered = sorted(operations, key=lambda each: each.began)
    return [each.promise for each in check(History(ordered, bound=0.5, refresh_grace=5.0))]


def login(session: str, began: float, **more: Any) -> Operation:
    return operation("login", began, began + 0.1, session=session, **more)


def seen(session: str, began: float, **more: Any) -> Operation:
    return operation("verify", began, began + 0.1, session=session, answered=session, **more)


def test_a_lifetime_that_is_over() -> None:
    short = login("s", 1.0, lifetime=10)
    assert not promises(short, seen("s", 12.0))
    assert promises(short, seen("s", 12.2)) == ["accepted past its lifetime"]
    expired = seen("s", 11.0, outcome="session_unknown")
    assert not promises(short, expired)
    early = seen("s", 8.0, outcome="session_expired")
    assert promises(short, early) == [LOST]
    assert promises(login("s", 1.0), seen("s", 8.0, outcome="session_expired")) == [LOST]


def test_more_sessions_than_the_limit() -> None:
    two = [login("a", 1.0, **CAPPED), login("b", 2.0, **CAPPED)]
    third = login("c", 3.0, **CAPPED)
    of_bob = {"subject": "bob", "is_strict": True}
    living = [seen("b", 5.0, **of_bob), seen("c", 5.0, **of_bob)]
    assert not promises(*two, third, *living, seen("a", 3.05, **of_bob))
    assert promises(*two, third, *living, seen("a", 4.0, **of_bob)) == [
        "more sessions than the limit"
    ]
    # From memory it may be seen for a while after it has left.
    from_memory = seen("a", 3.5, subject="bob")
    assert not promises(*two, third, *living, from_memory)
    # A login that was lost brings back who left for it.
    third.durable = False
    assert not promises(*two, third, *living, seen("a", 4.0, **of_bob))


def test_who_left_for_another_is_not_lost() -> None:
    gone = seen("a", 5.0, subject="bob", outcome="session_revoked", reason="replaced")
    first = login("a", 1.0, **CAPPED)
    assert promises(first, gone) == [LOST]
    assert not promises(first, login("b", 2.0, **CAPPED), gone)
    assert promises(first, login("b", 6.0, **CAPPED), gone) == [LOST]


def test_grace_is_for_who_saw_it_alive() -> None:
    opened = login("s", 1.0, process="two")
    grace = {"outage_grace": 2.0, "in_grace": True}
    assert not promises(opened, seen("s", 3.0), seen("s", 5.0, **grace))
    late = seen("s", 5.7, **grace)
    assert promises(opened, seen("s", 3.0), late) == ["grace by who had not seen it alive"]
    refused = seen("s", 5.0, outcome="step_up_required", level="2")
    assert not promises(opened, refused, late), "its level is too low, and it lives"
    elsewhere = seen("s", 4.0, process="two")
    assert promises(opened, elsewhere, seen("s", 5.0, **grace)) == [
        "grace by who had not seen it alive"
    ]
    # What another thread sees while the answer is awaited counts.
    slow = operation("verify", 5.0, 8.0, answered="s", **grace)
    assert promises(opened, slow) == ["grace by who had not seen it alive"]
    assert not promises(opened, slow, seen("s", 7.0))
    # Grace sees nothing: it cannot be prolonged by itself.
    again = seen("s", 6.0, **grace)
    assert len(promises(opened, seen("s", 3.0), seen("s", 5.0, **grace), again)) == 1


def test_grace_covers_an_end_elsewhere_for_its_time_only() -> None:
    opened, alive = login("s", 1.0), seen("s", 3.0)
    end = operation("revoke", 3.2, 3.3, process="two")
    grace = {"outage_grace": 2.0, "in_grace": True}
    assert not promises(opened, alive, end, seen("s", 4.9, **grace))
    assert "accepted after an acknowledged end" in promises(
        opened, alive, end, seen("s", 5.9, **grace)
    )
    own = operation("revoke", 3.2, 3.3)
    assert KNEW in promises(opened, alive, own, seen("s", 4.0, **grace))


def listing(began: float, listed: str) -> Operation:
    return operation("list", began, began + 0.1, session="", listed=listed)


def test_lists() -> None:
    first, second = login("a", 1.0), login("b", 2.0)
    assert not promises(first, second, listing(3.0, "b a"))
    assert promises(first, second, listing(3.0, "b")) == ["missing in a list"]
    assert not promises(first, second, listing(1.5, "a"))
    end = operation("revoke", 4.0, 4.1, session="a")
    assert promises(first, end, listing(5.0, "a")) == ["listed after its end"]
    assert not promises(first, end, listing(4.05, "a")), "meanwhile"
    maybe = operation("revoke", 4.0, None, session="a", process="two")
    assert not promises(first, maybe, listing(5.0, "a"), listing(6.0, ""))
    assert not promises(login("a", 1.0, durable=False), listing(3.0, ""))


def test_an_end_is_explained() -> None:
    opened = login("s", 1.0)
    end = operation("revoke", 2.0, 2.1)
    assert not promises(opened, end, operation("verify", 3.0, 3.1, **DEAD))
    unknown = seen("s", 3.0, outcome="session_unknown")
    assert promises(opened, end, unknown) == ["an end that is not explained"]
    cutoff = operation("revoke_before", 2.5, 2.6, session="", subject="", before=1.5)
    assert not promises(opened, end, cutoff, unknown)
    cutoff.began, cutoff.ended = 3.5, 3.6
    assert promises(opened, end, cutoff, unknown) == ["an end that is not explained"]
    many = [login(f"other-{number}", 1.5) for number in range(60)]
    assert not promises(opened, *many, end, unknown)


def test_a_used_token() -> None:
    opened = login("s", 1.0)
    first = operation("refresh", 2.0, 2.1, presented="a", successor="b")
    assert not promises(opened, first, operation("refresh", 7.0, 7.1, presented="a", successor="b"))
    late = operation("refresh", 9.0, 9.1, presented="a", successor="b")
    assert not promises(opened, first, late), "its successor was not used"
    after = operation("refresh", 8.0, 8.1, presented="b", successor="c")
    assert promises(opened, first, after, late) == ["a used token was accepted"]
    anew = operation("refresh", 7.5, 7.6, presented="a", successor="b")
    assert not promises(opened, first, anew, after, late), "the grace began again"
    too_late = operation("refresh", 14.0, 14.1, presented="a", successor="b")
    assert promises(opened, first, anew, after, too_late) == ["a used token was accepted"]
    refused = operation("refresh", 9.0, 9.1, presented="a", outcome="refresh_token_reused")
    assert not promises(opened, first, refused)
    assert not promises(opened, first, refused, seen("s", 9.2, outcome="session_revoked"))
    gone = seen("s", 9.2, outcome="session_revoked", reason="reused")
    for unheard in (
        operation("refresh", 9.0, None, presented="a", outcome=None),
        operation("refresh", 9.0, 9.1, presented="a", outcome="store_unavailable"),
    ):
        assert not promises(opened, first, unheard, gone)
    unused = operation("refresh", 9.0, None, presented="b", outcome=None)
    assert promises(opened, first, unused, gone) == [LOST]


def test_who_waits_for_a_ban_refuses_everybody() -> None:
    ban = operation("ban", 0.5, 1.4, session="", outcome="revocation_pending")
    opened = login("s", 1.0, process="two")
    refused = seen("s", 2.0, outcome="session_revoked", reason="banned")
    assert not promises(ban, opened, refused, seen("s", 3.0))
    assert promises(opened, refused, seen("s", 3.0)) == [LOST, KNEW]
    confirmed = operation("ban", 0.5, 1.4, session="")
    assert KNEW in promises(confirmed, opened, refused, seen("s", 3.0))
    elsewhere = seen("s", 2.0, outcome="session_revoked", reason="banned", process="two")
    assert KNEW in promises(ban, opened, elsewhere, seen("s", 3.0, process="two"))


def test_who_saw_a_sweep_knows_of_all() -> None:
    first, second = login("a", 1.0), login("b", 1.5)
    sweep = operation("revoke_all", 2.0, None, session="", process="three")
    saw = seen("a", 3.0, outcome="session_revoked", reason="revoked")
    assert promises(first, second, sweep, saw, seen("b", 4.0)) == [KNEW]
    assert not promises(first, second, sweep, saw, seen("b", 4.0, process="two"))
    assert not promises(first, second, sweep, saw, seen("b", 2.9))
    assert not promises(first, second, sweep, saw, login("c", 2.5), seen("c", 4.0))
    # It may have been ended otherwise: then nothing is known of the others.
    alone = operation("revoke", 2.5, None, session="a", process="three")
    assert not promises(first, second, sweep, alone, saw, seen("b", 4.0))
    # Of several sweeps one was carried out; all of them are about who was there before the first.
    later = operation("ban", 2.6, None, session="", process="three")
    assert promises(first, second, sweep, later, saw, seen("b", 4.0)) == [KNEW]
    between = login("d", 2.2)
    assert not promises(first, between, sweep, later, saw, seen("d", 4.0))
