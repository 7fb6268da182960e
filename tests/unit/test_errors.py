"""The tree of errors is the one that is drawn, and each of them can be told apart."""

import copy
import importlib
import pickle
import pkgutil
import re
from typing import Any, get_args

import pytest

import clusterpass
from clusterpass.model import errors
from clusterpass.model.bans import Ban
from clusterpass.model.errors import ClusterPassError

MODULES = [
    module.name
    for module in pkgutil.walk_packages(clusterpass.__path__, "clusterpass.")
    if module.name.startswith(
        (
            "clusterpass.model",
            "clusterpass.tokens",
            "clusterpass.protocol",
            "clusterpass.sessions",
            "clusterpass.store",
            "clusterpass.managers",
            "clusterpass.users",
        )
    )
]
ARGUMENTS: dict[str, dict[str, Any]] = {
    "SessionRevoked": {"reason": "replaced", "ended_at": 5},
    "TooManyAttempts": {"retry_after": 7},
    "SubjectBanned": {"ban": Ban("", 1, None, "spam", 5)},
    "ScopeMissing": {"scope": "orders:write"},
    "TooManySessions": {"sessions": []},
}
REASONS: dict[str, str] = {
    "SubjectBanned": "banned",
    "ScopeMissing": "insufficient_scope",
    "StepUpRequired": "insufficient_user_authentication",
}


def below(kind: type[ClusterPassError]) -> list[type[ClusterPassError]]:
    return [kind, *(other for direct in kind.__subclasses__() for other in below(direct))]


def all_errors() -> list[type[ClusterPassError]]:
    for module in MODULES:
        importlib.import_module(module)
    return [kind for kind in below(ClusterPassError) if kind.__module__.startswith("clusterpass.")]


OWN = [kind for kind in all_errors() if kind.__module__.startswith("clusterpass.model.")]


def drawn_tree() -> dict[str, tuple[str | None, str | None, int | None]]:
    """name -> (parent, code, status), as the module's docstring draws it."""
    found: dict[str, tuple[str | None, str | None, int | None]] = {}
    path: list[str] = []
    pattern = re.compile(r"^    ([│├└─ ]*)(\w+)(?: +([a-z_]+) +(\d{3}))?$")
    for line in (errors.__doc__ or "").split("Rules of this module")[0].splitlines():
        match = pattern.match(line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        del path[depth:]
        found[match[2]] = (
            path[-1] if path else None,
            match[3],
            int(match[4]) if match[4] else None,
        )
        path.append(match[2])
    return found


def make(kind: type[ClusterPassError], **more: Any) -> ClusterPassError:
    return kind(**{**ARGUMENTS.get(kind.__name__, {}), **more})


def test_tree_is_the_one_that_is_drawn() -> None:
    real = {
        kind.__name__: (
            None if kind is ClusterPassError else kind.__bases__[0].__name__,
            None if kind is ClusterPassError else kind.code,
            None if kind is ClusterPassError else kind.status,
        )
        for kind in OWN
    }
    drawn = drawn_tree()
    assert len(drawn) > 20
    assert drawn == real


def test_no_other_module_adds_a_code() -> None:
    # Elsewhere a class may refine one of the tree for its own use; callers see the tree alone.
    codes = {kind.code for kind in OWN}
    strangers = [kind.__name__ for kind in all_errors() if kind.code not in codes]
    assert strangers == []


def test_codes_are_unique_and_plain() -> None:
    codes = [kind.code for kind in OWN]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_each_error_says_what_it_is(kind: type[ClusterPassError]) -> None:
    error = make(kind)
    assert error.status in {400, 401, 403, 404, 409, 422, 429, 500, 502, 503}
    assert str(error) == error.message
    assert error.message.endswith((".", ").", "try again."))
    assert "\n" not in error.message
    assert kind.__doc__
    assert kind.__doc__.strip()
    # Its own code and its own words, not those of the class above.
    for parent in kind.__mro__[1:]:
        if issubclass(parent, ClusterPassError):
            assert kind.code != parent.code
            assert kind.__doc__ != parent.__doc__


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_message_and_reason_can_be_given(kind: type[ClusterPassError]) -> None:
    error = make(kind, message="Something else.")
    assert error.message == str(error) == "Something else."
    assert error.reason == ARGUMENTS.get(kind.__name__, {}).get(
        "reason", REASONS.get(kind.__name__, kind.default_reason)
    )


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_each_error_can_be_copied_and_sent_to_another_process(
    kind: type[ClusterPassError],
) -> None:
    error = make(kind)
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is kind
        assert twin.args == error.args
        assert vars(twin) == vars(error)


def test_every_invalid_token_is_an_authentication_error_of_401() -> None:
    for kind in set(below(clusterpass.AuthenticationError)) & set(OWN):
        assert kind.status == 401


def test_every_invalid_token_has_a_reason_of_its_own() -> None:
    kinds = [
        kind for kind in below(clusterpass.InvalidToken) if kind is not clusterpass.InvalidToken
    ]
    reasons = [kind.default_reason for kind in kinds]
    assert None not in reasons
    assert len(set(reasons)) == len(reasons)


@pytest.mark.parametrize("reason", get_args(clusterpass.RevocationReason))
def test_revocation_tells_its_reason(reason: Any) -> None:
    error = clusterpass.SessionRevoked(reason=reason, ended_at=5)
    assert (error.reason, error.ended_at) == (reason, 5)
    assert error.message.endswith("; log in again.")
    other = clusterpass.SessionRevoked(reason=reason, ended_at=5, note="Firefox on Linux")
    assert ("Firefox on Linux" in other.message) == (reason in {"replaced", "revoked", "banned"})
    with pytest.raises(TypeError):
        clusterpass.SessionRevoked()  # type: ignore[call-arg]


def test_faults_of_the_store_are_never_faults_of_the_token() -> None:
    for kind in below(clusterpass.StoreUnavailable):
        assert not issubclass(kind, clusterpass.AuthenticationError)
        assert kind.status == 503
    assert clusterpass.StoreUnavailable(reason="timeout").retry_after == 1
    assert clusterpass.StoreUnavailable(retry_after=9).retry_after == 9
    assert clusterpass.RevocationPending().retry_after == 1
    assert clusterpass.TooManyAttempts(retry_after=3).retry_after == 3


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ({}, "the store: store_unavailable"),
        ({"reason": "timeout"}, "the store: timeout"),
        ({"cause": "refused"}, "the store: the connection was refused"),
        ({"node": "a:1", "address": "a:1", "cause": "refused"}, "a:1: the connection was refused"),
        (
            {"node": "a:1", "address": "b:2", "cause": "refused"},
            "a:1 (reached at b:2): the connection was refused",
        ),
        ({"message": "no right to GET", "node": "a:1", "cause": "rights"}, "a:1: no right to GET"),
        (
            {"node": "a:1", "reason": "timeout", "tried": ("b:2", "c:3")},
            "a:1: timeout; asked in vain who owns the slots: b:2, c:3",
        ),
    ],
)
def test_an_operator_is_told_what_has_happened_where(details: dict[str, Any], told: str) -> None:
    assert clusterpass.StoreUnavailable(**details).describe() == told


def test_mistakes_of_the_caller_are_value_errors() -> None:
    for kind in (clusterpass.ConfigurationError, clusterpass.KeyRejected, clusterpass.InvalidInput):
        assert issubclass(kind, ValueError)


def test_challenges_are_those_of_the_standards() -> None:
    error = clusterpass.StepUpRequired(acr_values=("2", "3"), max_age=60)
    assert error.challenge == (
        'Bearer error="insufficient_user_authentication",'
        ' error_description="A stronger or more recent authentication is required.",'
        ' acr_values="2 3", max_age=60'
    )
    assert "acr_values" not in clusterpass.StepUpRequired().challenge
    assert clusterpass.ScopeMissing(scope="a:b").challenge.endswith('scope="a:b"')
    assert clusterpass.ScopeMissing(scope="a:b").challenge.startswith(
        'Bearer error="insufficient_scope"'
    )


@pytest.mark.parametrize(
    "kind",
    [clusterpass.InvalidRefreshToken, clusterpass.RefreshTokenReused, clusterpass.SessionExpired],
)
def test_the_time_of_an_end_that_nobody_knows_is_zero(kind: type[Any]) -> None:
    assert kind().ended_at == 0
