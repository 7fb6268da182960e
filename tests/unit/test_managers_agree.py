"""The synchronous and the asynchronous faces have the same verbs with the same parameters."""

import inspect

import pytest

from clusterpass import AsyncSessionManager, AsyncUserDirectory, SessionManager, UserDirectory
from clusterpass.managers.aio_groups import AsyncBans, AsyncClaims, AsyncOnlineSubjects
from clusterpass.managers.groups import Bans, Claims, OnlineSubjects
from clusterpass.users.aio import AsyncLoginThrottle
from clusterpass.users.sync import LoginThrottle

PAIRS = [
    (SessionManager, AsyncSessionManager),
    (LoginThrottle, AsyncLoginThrottle),
    (Bans, AsyncBans),
    (Claims, AsyncClaims),
    (OnlineSubjects, AsyncOnlineSubjects),
]
WAIT_FOR_NOTHING = {"from_url", "off", "on", "recall", "stats"}
NOT_IN_BOTH = {
    "list",  # administration visits every key and has no asynchronous form
    "close",  # only the asynchronous directory has threads to end
}


def verbs(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def parameters(method: object) -> list[tuple[str, object, object, object]]:
    return [
        (one.name, one.kind, one.default, one.annotation)
        for one in inspect.signature(method).parameters.values()
    ]


def verbs_of_both() -> list[tuple[type, type, str]]:
    both = [*PAIRS, (UserDirectory, AsyncUserDirectory)]
    return [(sync, aio, name) for sync, aio in both for name in sorted(verbs(sync) & verbs(aio))]


@pytest.mark.parametrize(("sync", "aio"), PAIRS)
def test_both_have_the_same_verbs(sync, aio):
    assert verbs(sync) == verbs(aio) != set()


def test_both_directories_have_the_same_verbs():
    assert verbs(UserDirectory) ^ verbs(AsyncUserDirectory) <= NOT_IN_BOTH
    assert {"add", "authenticate", "login"} <= verbs(UserDirectory)


@pytest.mark.parametrize(("sync", "aio", "name"), verbs_of_both())
def test_parameters_and_results_are_the_same(sync, aio, name):
    ours, theirs = getattr(sync, name), getattr(aio, name)
    assert parameters(ours) == parameters(theirs)
    if name in WAIT_FOR_NOTHING:
        assert not inspect.iscoroutinefunction(theirs)
        return
    assert inspect.signature(ours).return_annotation == inspect.signature(theirs).return_annotation
    assert not inspect.iscoroutinefunction(ours)
    assert inspect.iscoroutinefunction(theirs)
    assert ours.__doc__
    assert theirs.__doc__


@pytest.mark.parametrize(("sync", "aio"), PAIRS)
def test_they_are_made_alike(sync, aio):
    ours, theirs = parameters(sync.__init__), parameters(aio.__init__)
    assert [one[:3] for one in ours] == [one[:3] for one in theirs]
