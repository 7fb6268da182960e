"""Tasks of Celery, on a broker in a folder: in a worker of this process, and in a real one."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, group, signals

from clusterpass import (
    Config,
    ConfigurationError,
    EmbeddedCluster,
    InvalidInput,
    ScopeMissing,
    SessionManager,
    SessionRevoked,
    StepUpRequired,
    StoreUnavailable,
    TokenMissing,
)
from clusterpass.cli.local_setup import write_keys
from clusterpass.integrations import celery as integration
from clusterpass.integrations.celery import (
    ClusterPass,
    acting_for,
    current_session,
    for_session,
    session_required,
)

from .celery_app import make_app
from .celery_worker import HANGING, worker

ROOT = Path(__file__).parents[2]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Celery]:
    made = make_app(tmp_path)
    yield made
    made.close()


@pytest.fixture
def cp(app: Celery, cp_settings: dict[str, Any]) -> Iterator[ClusterPass]:
    made = ClusterPass(app, **cp_settings)
    yield made
    made.close()


def refusal(result: Any) -> str:
    """The name of the error with which a task has failed."""
    error = result.get(timeout=HANGING, propagate=False)
    assert result.state == "FAILURE", error
    return type(error).__name__


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_tasks_run_for_sessions_that_are_live_when_they_begin(
    app, cp, cp_sessions, pool, caplog
) -> None:
    alice = cp_sessions.login("alice", claims={"scope": "reports:read"})
    gone = cp_sessions.login("alice")
    session = cp_sessions.verify(alice.access_token)
    tasks = app.tasks
    runs = tasks["who"].apply_async(headers=for_session(alice))
    ended = tasks["who"].apply_async(headers=for_session(gone))
    refused = tasks["build"].apply_async(("May",), headers=for_session(gone))
    cp_sessions.revoke("alice", gone.session_id, reason="stolen")
    allowed = tasks["build"].apply_async(("May",), headers=for_session(session))
    missing = tasks["who"].delay()
    weak = tasks["strong"].apply_async(headers=for_session(alice))
    noted = tasks["noted"].apply_async(headers=for_session(alice))
    cp_sessions.claims.set("alice", {"scope": "reports:*"})
    by_name = app.send_task("who", headers=for_session(alice))
    with worker(app, pool):
        assert runs.get(timeout=HANGING)[:2] == ["alice", {"scope": "reports:*"}]
        assert refusal(ended) == refusal(refused) == "SessionRevoked"
        with pytest.raises(SessionRevoked) as caught:
            ended.get()
        assert (caught.value.reason, caught.value.note) == ("revoked", "stolen")
        assert caught.value.ended_at > 0
        # It was retried after an error of its own, with the same session.
        assert allowed.get(timeout=HANGING) == ["May", allowed.id, 1]
        assert refusal(missing) == "TokenMissing"
        assert refusal(weak) == "StepUpRequired"
        assert noted.get(timeout=HANGING) == ["noted", "alice"]
        assert by_name.get(timeout=HANGING)[0] == "alice"
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def test_a_task_that_lacks_a_scope_is_not_retried(app, cp, cp_sessions) -> None:
    retried = []
    with contextlib.ExitStack() as stack:
        signals.task_retry.connect(note := lambda **told: retried.append(told))
        stack.callback(signals.task_retry.disconnect, note)
        pair = cp_sessions.login("alice", claims={"scope": "reports:read"})
        result = app.tasks["build"].apply_async(("May",), headers=for_session(pair))
        with worker(app):
            assert refusal(result) == "ScopeMissing"
    assert retried == []


def test_what_a_task_sends_carries_its_session(app, cp, cp_sessions) -> None:
    session = cp_sessions.verify(cp_sessions.login("alice").access_token)
    with acting_for(session):
        outer = app.tasks["outer"].delay()
    with pytest.raises(TokenMissing):
        current_session()
    with worker(app):
        inner = app.AsyncResult(outer.get(timeout=HANGING))
        assert inner.get(timeout=HANGING)[0] == "alice"


def test_a_task_that_acts_for_another_session_is_of_that_one_meanwhile(
    app, cp, cp_sessions
) -> None:
    bob = cp_sessions.verify(cp_sessions.login("bob").access_token)

    @app.task(shared=False, name="nested", base=session_required())
    def nested(times: int) -> list[str]:
        if not times:
            return [current_session().subject]
        with acting_for(bob):
            return [current_session().subject, *nested(times - 1), app.tasks["who"]()[0]]

    result = nested.apply_async((1,), headers=for_session(cp_sessions.login("alice")))
    with worker(app):
        assert result.get(timeout=HANGING) == ["bob", "bob", "bob"]


def test_each_task_of_a_chain_or_a_group_is_given_the_session(app, cp, cp_sessions) -> None:
    headers = for_session(cp_sessions.login("alice"))
    who = app.tasks["who"]
    first, second = (who.si().set(headers=headers) for _ in range(2))
    linked, grouped = chain(first, second).apply_async(), group(first, second).apply_async()
    with worker(app):
        assert linked.get(timeout=HANGING)[0] == "alice"
        assert [each[0] for each in grouped.get(timeout=HANGING)] == ["alice", "alice"]


def test_a_message_holds_no_token(app, cp, cp_sessions, tmp_path) -> None:
    pair = cp_sessions.login("alice")
    app.tasks["build"].apply_async(("May",), headers=for_session(pair))
    (message,) = (tmp_path / "queue").iterdir()
    raw = message.read_text()
    assert pair.session_id in raw
    assert pair.access_token not in raw
    assert "cpr_" not in raw
    assert "eyJ0eXAi" not in raw


@pytest.mark.parametrize("wrapped", [lambda token: token, lambda token: {"of": [token]}])
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_token_is_refused_before_it_is_sent(
    app, cp, cp_sessions, tmp_path, kind, wrapped
) -> None:
    pair = cp_sessions.login("alice")
    token = getattr(pair, kind)
    build, headers = app.tasks["build"], for_session(pair)
    with pytest.raises(InvalidInput, match="argument number 2 of the job") as told:
        build.apply_async(("May", wrapped(token)), headers=headers)
    assert token not in str(told.value)
    with pytest.raises(InvalidInput, match="argument month of the job"):
        build.apply_async(kwargs={"month": wrapped(f"Bearer {token}".encode())}, headers=headers)
    with pytest.raises(InvalidInput, match="argument Authorization of the job"):
        build.apply_async(("May",), headers={**headers, "Authorization": token})
    assert list((tmp_path / "queue").iterdir()) == []


def test_a_task_that_is_called_or_eager_asks_the_store_too(app, cp, cp_sessions) -> None:
    pair = cp_sessions.login("alice")
    session = cp_sessions.verify(pair.access_token)
    who = app.tasks["who"]
    with pytest.raises(TokenMissing):
        who()
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    with acting_for(session):
        assert who()[0] == who.delay().get()[0] == "alice"
        with pytest.raises(ScopeMissing):
            app.tasks["build"].delay("May")
        with pytest.raises(StepUpRequired):
            app.tasks["strong"].delay()
    assert who.apply_async(headers=for_session(pair)).get()[0] == "alice"
    cp_sessions.revoke("alice", pair.session_id)
    with pytest.raises(SessionRevoked):
        who.apply_async(headers=for_session(pair))


def test_headers_that_are_made_up_admit_nobody(app, cp, cp_sessions) -> None:
    pair, other = cp_sessions.login("alice"), cp_sessions.login("mallory")
    mixed = for_session(pair) | {"clusterpass-session": other.session_id}
    half = {"clusterpass-subject": "alice"}
    malformed = {"clusterpass-subject": 7, "clusterpass-session": ["alice"]}
    found = [app.tasks["who"].apply_async(headers=each) for each in (mixed, half, malformed)]
    with worker(app):
        assert [refusal(each) for each in found] == [
            "SessionUnknown",
            "TokenMissing",
            "InvalidInput",
        ]


def test_in_an_outage_a_task_is_retried_up_to_its_limit(app, config, monkeypatch) -> None:
    monkeypatch.setattr(integration, "_pause", lambda retries: 0.05)
    retried = []
    with EmbeddedCluster(nodes=1, persistent=True) as server:
        with SessionManager.from_url(server.url, config) as own:
            headers = for_session(own.login("alice"))
        (node,) = server.nodes
        server.kill(node)
        cp = ClusterPass(
            app,
            store_url=server.url,
            issuer=config.issuer,
            audience=config.audience,
            keys=config.keys,
        )

        def note(**told: Any) -> None:
            retried.append(told["reason"])
            if len(retried) == 1:
                server.restart(node)

        signals.task_retry.connect(note)
        try:
            hasty = app.tasks["hasty"].apply_async(headers=headers)
            with worker(app):
                assert refusal(hasty) == "StoreUnavailable"
                assert retried == []
                patient = app.tasks["patient"].apply_async(headers=headers)
                assert patient.get(timeout=HANGING) == "alice"
        finally:
            signals.task_retry.disconnect(note)
            cp.close()
    assert retried
    assert all(isinstance(each.exc, StoreUnavailable) for each in retried)


def test_pauses_double_and_differ() -> None:
    for retries in range(12):
        longest = min(2**retries, 600)
        assert longest / 2 <= integration._pause(retries) <= longest
    assert len({integration._pause(5) for _ in range(10)}) > 1


def test_what_is_set_up_wrongly_is_told(app, cp_sessions, cp_settings) -> None:
    with pytest.raises(ConfigurationError, match="either"):
        ClusterPass(app, cp_sessions, **cp_settings)
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    headers = for_session(cp_sessions.login("alice"))
    with pytest.raises(ConfigurationError, match=r"call ClusterPass\(app\)"):
        app.tasks["who"].apply_async(headers=headers)
    own = ClusterPass(app, cp_sessions)
    assert app.tasks["who"].apply_async(headers=headers).get()[0] == "alice"
    own.close()
    assert own.sessions is cp_sessions


@pytest.mark.sampled(2)
@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_processes_of_a_real_worker_have_a_manager_each(
    cluster_url: str, tmp_path: Path, subject: str, pool: str
) -> None:
    issuer, keys = "https://auth.example", tmp_path / "keys.json"
    write_keys(keys)
    config = Config.from_settings({"issuer": issuer, "keys_file": str(keys)})
    app = make_app(tmp_path)
    settings = {"STORE_URL": cluster_url, "ISSUER": issuer, "KEYS_FILE": str(keys)}
    environ = {
        **os.environ,
        **{f"CLUSTERPASS_{name}": value for name, value in settings.items()},
        "JOBS_FOLDER": str(tmp_path),
    }
    command = [sys.executable, "-m", "celery", "-A", "tests.integrations.celery_app", "worker"]
    with (
        SessionManager.from_url(cluster_url, config) as sessions,
        (tmp_path / "log").open("w") as log,
    ):
        live, gone = sessions.login(subject), sessions.login(subject)
        who = app.tasks["who"]
        runs = [who.apply_async(headers=for_session(live)) for _ in range(4)]
        ended = who.apply_async(headers=for_session(gone))
        sessions.revoke(subject, gone.session_id)
        options = ["--pool", pool, "--concurrency", "2", "--without-gossip"]
        running = subprocess.Popen(
            [*command, *options], cwd=ROOT, env=environ, stdout=log, stderr=log
        )
        try:
            found = [each.get(timeout=HANGING) for each in runs]
            assert {each[0] for each in found} == {subject}
            assert refusal(ended) == "SessionRevoked"
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(HANGING)
            finally:
                running.kill()
    processes = {each[2] for each in found}
    assert (running.pid in processes) is (pool != "prefork")
    if pool != "threads":  # whose processes do not tell when they start
        assert {(tmp_path / f"started-{pid}").read_text() for pid in processes} == {"True"}
    assert {(tmp_path / f"ended-{pid}").read_text() for pid in processes} == {"False"}
    app.close()
