"""Every error is built again from its ``args``, as result backends of Celery do it."""

import copy
import json
import pickle
from typing import Any

import pytest
from celery import Celery

from clusterpass import (
    Actor,
    Ban,
    ClusterPassError,
    InvalidInput,
    InvalidRefreshToken,
    RevocationPending,
    Session,
    SessionExpired,
    SessionRevoked,
    StepUpRequired,
    StoreUnavailable,
    TooManySessions,
)

from .test_errors import OWN, make

BAN = Ban("chat", 3, 99, "spam", 5)
SESSION = Session(
    "alice",
    "s" * 22,
    "phone",
    1,
    2,
    3,
    {"scope": ["orders:read"], "plan": {"name": "pro"}},
    amr=("pwd", "otp"),
    act=Actor("bob", "t" * 22, "support"),
    bans=(BAN,),
)
FULL: list[ClusterPassError] = [
    *(make(kind) for kind in OWN),
    *(make(kind, message="In other words.") for kind in OWN),
    InvalidInput(reason="of the caller"),
    InvalidRefreshToken(reason="replaced", note="Firefox", ended_at=5),
    RevocationPending(reason="timeout", retry_after=3, operation_id="op", is_retried=False),
    SessionExpired(is_idle=True, ended_at=7),
    SessionRevoked(reason="revoked", ended_at=5, note="stolen"),
    StepUpRequired(acr_values=("2", "3"), max_age=60),
    StoreUnavailable(reason="busy", retry_after=9),
    TooManySessions(sessions=[SESSION, SESSION]),
]


def assert_same(twin: Any, error: ClusterPassError) -> None:
    assert type(twin) is type(error)
    assert vars(twin) == vars(error)
    assert (str(twin), repr(twin)) == (str(error), repr(error))
    assert twin.args == error.args


@pytest.mark.parametrize("error", FULL, ids=repr)
@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_the_caller_of_a_task_gets_the_error_that_the_task_raised(
    error: ClusterPassError, serializer: str
) -> None:
    app = Celery("jobs", backend="cache+memory://", set_as_current=False)
    app.conf.update(result_serializer=serializer, accept_content=[serializer])
    kept = app.backend.encode(app.backend.prepare_exception(error))
    assert_same(app.backend.exception_to_python(app.backend.decode(kept)), error)


@pytest.mark.parametrize("error", FULL, ids=repr)
def test_an_error_that_was_built_again_is_as_good_as_the_first(error: ClusterPassError) -> None:
    again: Any = type(error)(*json.loads(json.dumps(error.args)))
    assert_same(again, error)
    for twin in (copy.copy(again), pickle.loads(pickle.dumps(again))):
        assert_same(twin, error)
    assert_same(type(error)(*again.args), error)
    assert getattr(again, "challenge", None) == getattr(error, "challenge", None)


def test_the_message_is_what_is_shown() -> None:
    error = SessionRevoked(reason="revoked", ended_at=5, note="stolen")
    assert error.args == (error.message, {"reason": "revoked", "ended_at": 5, "note": "stolen"})
    assert str(error) == error.message
    assert repr(error) == f"SessionRevoked({error.message!r})"


def test_what_is_assigned_to_args_is_kept() -> None:
    error = SessionRevoked(reason="revoked", ended_at=5)
    error.args = ("Another text.", 7)
    assert error.args == ("Another text.", 7)
    assert pickle.loads(pickle.dumps(error)).args == ("Another text.", 7)


@pytest.mark.parametrize("attributes", [{}, {"reason": None}, [], "text"])
def test_attributes_that_are_incomplete_make_no_error(attributes: Any) -> None:
    with pytest.raises((KeyError, TypeError)):
        SessionRevoked("The session has ended.", attributes)


def test_an_error_of_an_application_may_have_a_constructor_of_its_own() -> None:
    class OrderRefused(InvalidInput):
        """The order was refused."""

        def __init__(self, order: int) -> None:
            super().__init__(f"The order {order} was refused.")
            self.order = order

    error = OrderRefused(7)
    assert (error.message, error.reason, error.order) == ("The order 7 was refused.", None, 7)
    with pytest.raises(TypeError):  # rather than an error without its order
        OrderRefused(*error.args)
