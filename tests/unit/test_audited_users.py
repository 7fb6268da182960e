"""The audit trail of the user directory: results and failures, each noted once."""

from collections.abc import Generator
from typing import Any

import pytest

from clusterpass import InvalidCredentials, InvalidInput, TooManyAttempts, UserNotFound
from clusterpass.model.refusals import open_refusal
from clusterpass.users.audited import audited

ABOUT = {"subject": "alice", "actor": "helen"}


class Trail:
    """An audit trail that says what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def note_error(self, *given: Any) -> Any:
        return ("error", *given)

    def note_result(self, *given: Any) -> Any:
        return ("result", *given)

    def note_end(self, *given: Any) -> None:
        self.told.append(("end", *given))


def procedure(outcome: Any) -> Generator[Any, Any, Any]:
    """Ask for one thing, and return what comes of it, or raise it."""
    answer = yield "a step"
    assert answer == "answer"
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def steps(outcome: Any, action: str = "add_user", trail: Any = None, **options: Any) -> list[Any]:
    """Return the requests besides the procedure's own step."""
    made: Any = audited(trail or Trail(), action, procedure(outcome), **options, **ABOUT)  # type: ignore[arg-type]
    asked = [next(made)]
    try:
        while True:
            asked.append(made.send("answer"))
    except StopIteration as stop:
        assert stop.value is outcome
    except BaseException as error:
        assert error is outcome
    assert asked[0] == "a step"
    return asked[1:]


@pytest.mark.parametrize("success", [True, False])
def test_a_result_is_noted_where_it_is_wanted(success: bool) -> None:
    noted = [("result", "add_user", "result", ABOUT)] if success else []
    assert steps("result", success=success) == noted


@pytest.mark.parametrize("failure", [True, False])
def test_a_failure_is_noted_where_it_is_wanted_and_raised(failure: bool) -> None:
    error = UserNotFound()
    assert steps(error, failure=failure) == [("error", "add_user", error, ABOUT)] * failure


def test_what_was_not_begun_is_not_noted() -> None:
    assert steps(InvalidInput("no name")) == []


def test_a_caller_that_did_not_wait_is_noted() -> None:
    trail = Trail()
    assert steps(KeyboardInterrupt(), trail=trail) == []
    assert trail.told == [("end", "add_user", ABOUT)]


@pytest.mark.parametrize(
    ("action", "error", "is_told"),
    [
        ("authenticate", InvalidCredentials(), True),
        ("authenticate", TooManyAttempts(retry_after=1), True),
        ("authenticate", UserNotFound(), False),
        ("change_password", InvalidCredentials(), False),
    ],
)
def test_a_refused_password_is_noted_once(action: str, error: Any, is_told: bool) -> None:
    with open_refusal() as refusal:
        assert steps(error, action) == [("error", action, error, ABOUT)]
        assert refusal.tell() is is_told


def test_without_a_trail_nothing_is_noted() -> None:
    made: Any = audited(None, "add_user", procedure("result"), **ABOUT)
    assert next(made) == "a step"
    with pytest.raises(StopIteration) as stop:
        made.send("answer")
    assert stop.value.value == "result"
