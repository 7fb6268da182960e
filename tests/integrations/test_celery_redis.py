"""Tasks of Celery over a broker and results in Redis: also chords, which need such results."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chord

from clusterpass import EmbeddedCluster, SessionManager
from clusterpass.integrations.celery import ClusterPass, for_session

from .celery_app import make_app
from .celery_worker import HANGING, worker

pytestmark = [
    pytest.mark.timeout(120),
    # Celery calls it.
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with EmbeddedCluster(nodes=1) as server:
        yield f"redis://{server.nodes[0].address}"


@pytest.fixture
def app(broker: str, tmp_path: Path) -> Iterator[Celery]:
    made = make_app(tmp_path, broker)
    yield made
    made.close()


@pytest.fixture
def cp(app: Celery, cp_settings: dict[str, Any]) -> Iterator[ClusterPass]:
    made = ClusterPass(app, **cp_settings)
    yield made
    made.close()


def test_all_parts_of_a_chord_run_for_the_session(
    app: Celery, cp: ClusterPass, cp_sessions: SessionManager, subject: str
) -> None:
    headers = for_session(cp_sessions.login(subject))
    who = app.tasks["who"]
    header = [who.si().set(headers=headers) for _ in range(3)]
    joined = chord(header, app.tasks["joined"].s().set(headers=headers)).apply_async()
    with worker(app):
        assert joined.get(timeout=HANGING) == [subject, [subject] * 3]


def test_no_part_of_a_chord_runs_for_a_session_that_has_ended(
    app: Celery, cp: ClusterPass, cp_sessions: SessionManager, subject: str
) -> None:
    live, gone = cp_sessions.login(subject), cp_sessions.login(subject)
    who = app.tasks["who"]
    header = [who.si().set(headers=for_session(each)) for each in (live, gone)]
    callback = app.tasks["joined"].s().set(headers=for_session(live))
    joined = chord(header, callback).apply_async()
    of_header = joined.parent
    cp_sessions.revoke(subject, gone.session_id)
    with worker(app):
        error = joined.get(timeout=HANGING, propagate=False)
    assert joined.state == "FAILURE", error
    assert sorted(each.state for each in of_header.results) == ["FAILURE", "SUCCESS"]
