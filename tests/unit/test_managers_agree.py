"""The synchronous and the asynchronous faces have the same verbs, parameters and docstrings."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import clusterpass
from clusterpass import (
    AsyncLoginThrottle,
    AsyncSessionManager,
    AsyncUserDirectory,
    LoginOptions,
    LoginThrottle,
    SessionManager,
    SessionOptions,
    UserDirectory,
)
from clusterpass.managers.aio.audit import AsyncAudit
from clusterpass.managers.aio.groups import AsyncBans, AsyncClaims, AsyncOnlineSubjects
from clusterpass.managers.sync.audit import Audit
from clusterpass.managers.sync.groups import Bans, Claims, OnlineSubjects

ROOT = Path(__file__).parents[2]
PAIRS = [
    (SessionManager, AsyncSessionManager),
    (UserDirectory, AsyncUserDirectory),
    (LoginThrottle, AsyncLoginThrottle),
    (Audit, AsyncAudit),
    (Bans, AsyncBans),
    (Claims, AsyncClaims),
    (OnlineSubjects, AsyncOnlineSubjects),
]
WAIT_FOR_NOTHING = {"from_url", "off", "on", "prepared_name", "recall", "replace_keys", "stats"} | {
    "watch"
}


def verbs(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def parameters(method: object) -> list[tuple[str, object, object, object]]:
    return [
        (one.name, one.kind, one.default, one.annotation)
        for one in inspect.signature(method).parameters.values()
    ]


def verbs_of_both() -> list[tuple[type, type, str]]:
    return [(sync, aio, name) for sync, aio in PAIRS for name in sorted(verbs(sync))]


@pytest.mark.parametrize(("sync", "aio"), PAIRS)
def test_both_have_the_same_verbs(sync, aio):
    assert verbs(sync) == verbs(aio) != set()


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


@pytest.mark.parametrize(("sync", "aio", "name"), verbs_of_both())
def test_the_manual_is_the_same(sync, aio, name):
    assert getattr(sync, name).__doc__ == getattr(aio, name).__doc__
    assert len(inspect.getdoc(getattr(sync, name)) or "") > 30


@pytest.mark.parametrize(("sync", "aio"), PAIRS)
def test_they_are_made_alike(sync, aio):
    assert sync.__doc__ == aio.__doc__
    assert sync.__init__.__doc__ == aio.__init__.__doc__
    ours, theirs = parameters(sync.__init__), parameters(aio.__init__)
    assert [one[:3] for one in ours] == [one[:3] for one in theirs]


def test_each_option_of_a_login_is_explained() -> None:
    source = inspect.getdoc(SessionManager.login) or ""
    assert LoginOptions.__optional_keys__ > SessionOptions.__optional_keys__
    for name in LoginOptions.__optional_keys__:
        assert f"``{name}``" in source, name


def test_what_is_generated_is_up_to_date() -> None:
    script = ROOT / "scripts" / "generate_sync.py"
    if not script.exists():
        pytest.skip("the script is no part of what is installed")
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_generated_module_mentions_the_event_loop() -> None:
    for package in ("managers", "users"):
        for path in (Path(clusterpass.__file__).parent / package / "sync").glob("*.py"):
            code = "\n".join(
                line for line in path.read_text("utf-8").splitlines() if "``" not in line
            )
            assert "await " not in code
            assert "asyncio" not in code
