"""Jobs of RQ, on a real server: in a worker of this process, and in a forked one."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import redis
from rq import Queue, Retry, SimpleWorker, Worker
from rq.job import Job, JobStatus

from clusterpass import (
    ConfigurationError,
    EmbeddedCluster,
    InvalidInput,
    SessionManager,
    SessionRevoked,
    StoreUnavailable,
    TokenMissing,
    TokenVerifier,
)
from clusterpass.embedded.formation import await_condition
from clusterpass.integrations.rq import (
    ClusterPass,
    acting_for,
    current_session,
    enqueue,
    for_session,
)

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
MODULE = "jobs_of_test"
JOBS = """
import os

from clusterpass.integrations.rq import acting_for, current_session

@cp.session_required()
def who(*args):
    session = current_session()
    return session.subject, dict(session.claims), os.getpid()

@cp.session_required(scope=["reports:write", "reports:read"])
def build(month):
    return month

@cp.session_required()
async def awaited():
    return current_session().subject

@cp.session_required(level="2")
def strong():
    return True

@cp.session_required(max_auth_age=60, not_banned="reports")
def fresh():
    return True

def for_another(subject, session_id):
    with acting_for(cp.sessions.get(subject, session_id)):
        return who()[0]

@cp.session_required()
def nested(subject, session_id):
    return for_another(subject, session_id)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(nodes=1) as running:
        yield running


@pytest.fixture
def queue(server: EmbeddedCluster) -> Iterator[Queue]:
    (node,) = server.nodes
    with redis.Redis(port=node.port) as connection:
        connection.flushall()
        handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
        yield Queue(connection=connection)
        for each, handler in handlers.items():
            signal.signal(each, handler)


@pytest.fixture
def cp(cp_settings: dict[str, Any]) -> Iterator[ClusterPass]:
    made = ClusterPass(**cp_settings)
    yield made
    made.close()


@pytest.fixture
def jobs(cp: ClusterPass, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of an application, which a worker imports by its name."""
    return module_of(cp, monkeypatch)


def module_of(cp: ClusterPass, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType(MODULE)
    vars(module)["cp"] = cp
    exec(JOBS, vars(module))
    monkeypatch.setitem(sys.modules, MODULE, module)
    return module


def work(queue: Queue, kind: type[Worker] = SimpleWorker) -> None:
    kind([queue], connection=queue.connection).work(burst=True)


def refusal(job: Job) -> str:
    """The name of the error with which a job has failed."""
    assert job.get_status() is JobStatus.FAILED
    result = job.latest_result()
    assert result is not None
    return result.exc_string.strip().splitlines()[-1].partition(":")[0].rpartition(".")[2]


@pytest.mark.parametrize("kind", [SimpleWorker, Worker])
def test_jobs_run_for_sessions_that_are_live_when_they_begin(queue, jobs, cp_sessions, kind):
    alice = cp_sessions.login("alice", claims={"scope": "reports:read"})
    gone = cp_sessions.login("alice")
    session = cp_sessions.verify(alice.access_token)
    runs = enqueue(queue, jobs.who, session=session)
    ended = enqueue(queue, jobs.who, session=gone, retry=Retry(max=3))
    cp_sessions.revoke("alice", gone.session_id)
    waits = enqueue(queue, jobs.awaited, session=alice)
    weak = enqueue(queue, jobs.strong, session=alice)
    cp_sessions.claims.set("alice", {"scope": "reports:*"})
    allowed = enqueue(queue, jobs.build, month="May", session=alice, meta={"trace": "7"})
    work(queue, kind)
    subject, claims, process = runs.return_value()
    assert (subject, claims) == ("alice", {"scope": "reports:*"})
    assert (process == os.getpid()) is (kind is SimpleWorker)
    assert allowed.return_value() == "May"
    assert allowed.get_meta()["trace"] == "7"
    assert waits.return_value() == "alice"
    assert (refusal(ended), refusal(weak)) == ("SessionRevoked", "StepUpRequired")
    assert ended.id not in queue.job_ids
    with pytest.raises(TokenMissing):
        current_session()


@pytest.mark.parametrize("kind", [SimpleWorker, Worker])
def test_a_job_that_lacks_a_scope_is_not_retried(queue, jobs, cp_sessions, kind) -> None:
    pair = cp_sessions.login("alice", claims={"scope": "reports:read"})
    refused = enqueue(queue, jobs.build, "May", session=pair, retry=Retry(max=3))
    work(queue, kind)
    assert refusal(refused) == "ScopeMissing"
    assert len(refused.results()) == 1


def test_what_counts_is_how_things_are_when_the_job_begins(
    queue, jobs, cp_sessions, cp_clock, cp_config
) -> None:
    verifier = TokenVerifier(
        cp_config.keys, issuer=cp_config.issuer, audience=cp_config.audience, clock=cp_clock.wall
    )
    old = enqueue(queue, jobs.fresh, session=cp_sessions.login("alice"))
    strong = enqueue(queue, jobs.strong, session=cp_sessions.login("alice", acr="2"))
    cp_clock.advance(minutes=2)
    new = enqueue(queue, jobs.fresh, session=cp_sessions.login("bob"))
    banned = enqueue(queue, jobs.fresh, session=cp_sessions.login("mallory"))
    cp_sessions.bans.add("mallory", scope="reports", for_seconds=60)
    carol = cp_sessions.login("carol")
    by_claims = enqueue(queue, jobs.who, session=verifier.verify(carol.access_token))
    work(queue)
    assert new.return_value() is strong.return_value() is True
    assert (refusal(old), refusal(banned)) == ("StepUpRequired", "SubjectBanned")
    assert by_claims.return_value()[0] == "carol"
    late = enqueue(queue, jobs.who, session=carol)
    cp_clock.advance(days=31)
    work(queue)
    assert refusal(late) in {"SessionExpired", "SessionUnknown"}


def test_a_job_without_a_session_is_refused(queue, jobs, cp_sessions) -> None:
    pair, other = cp_sessions.login("alice"), cp_sessions.login("mallory")
    missing = queue.enqueue(jobs.who)
    mixed = for_session(pair) | {"clusterpass-session": other.session_id}
    mixed_up = queue.enqueue(jobs.who, meta=mixed)
    malformed = queue.enqueue(
        jobs.who, meta={"clusterpass-subject": 7, "clusterpass-session": ["alice"]}
    )
    plain = queue.enqueue(jobs.who, meta=for_session(pair))
    work(queue)
    assert [refusal(each) for each in (missing, mixed_up, malformed)] == [
        "TokenMissing",
        "SessionUnknown",
        "InvalidInput",
    ]
    assert plain.return_value()[0] == "alice"


def test_a_function_that_is_called_asks_the_store_too(jobs, cp_sessions) -> None:
    pair = cp_sessions.login("alice")
    session = cp_sessions.verify(pair.access_token)
    with pytest.raises(TokenMissing):
        jobs.who()
    with acting_for(session):
        assert jobs.who()[0] == "alice"
        cp_sessions.revoke("alice", pair.session_id)
        with pytest.raises(SessionRevoked):
            jobs.who()


def test_a_job_that_acts_for_another_session_is_of_that_one_meanwhile(
    queue, jobs, cp_sessions
) -> None:
    alice, bob = (cp_sessions.login(name) for name in ("alice", "bob"))
    runs = enqueue(queue, jobs.nested, "bob", bob.session_id, session=alice)
    plain = enqueue(queue, jobs.for_another, "bob", bob.session_id, session=alice)
    without = queue.enqueue(jobs.for_another, "bob", bob.session_id)
    work(queue)
    assert [each.return_value() for each in (runs, plain, without)] == ["bob", "bob", "bob"]
    session = cp_sessions.verify(bob.access_token)
    at_once = Queue(connection=queue.connection, is_async=False)
    with acting_for(session):
        assert enqueue(at_once, jobs.who, session=alice).return_value()[0] == "alice"


def test_what_the_queue_stores_holds_no_token(queue, jobs, cp_sessions) -> None:
    pair = cp_sessions.login("alice")
    enqueue(queue, jobs.build, "May", session=pair)
    stored = b""
    for key in queue.connection.keys("rq:*"):
        if queue.connection.type(key) == b"hash":
            stored += b"".join(queue.connection.hgetall(key).values())
    assert pair.session_id.encode() in stored
    for token in (pair.access_token, pair.refresh_token):
        assert token.encode() not in stored


def test_a_token_is_refused_before_it_is_enqueued(queue, jobs, cp_sessions) -> None:
    pair = cp_sessions.login("alice")
    for value in (pair, pair.access_token, {"of": pair.refresh_token}):
        with pytest.raises(InvalidInput, match="argument number 1 of the job"):
            enqueue(queue, jobs.build, value, session=pair)
        with pytest.raises(InvalidInput, match="argument month of the job"):
            enqueue(queue, jobs.build, month=value, session=pair)
        with pytest.raises(InvalidInput, match="argument meta of the job"):
            enqueue(queue, jobs.build, "May", session=pair, meta={"by": value})
    assert queue.job_ids == []
    parts = pair.access_token.split(".")
    harmless = [
        "cpr_report",
        "eyJ.a.b",
        ".".join(["e30", *parts[1:]]),
        ".".join(parts[:2]),
        7,
        None,
    ]
    assert enqueue(queue, jobs.build, harmless, session=pair).id in queue.job_ids


def test_in_an_outage_the_retries_of_the_job_apply(queue, config, monkeypatch) -> None:
    with EmbeddedCluster(nodes=1, persistent=True) as store:
        with SessionManager.from_url(store.url, config) as own:
            pair = own.login("alice")
        (node,) = store.nodes
        cp = ClusterPass(
            store_url=store.url, issuer=config.issuer, audience=config.audience, keys=config.keys
        )
        jobs = module_of(cp, monkeypatch)
        store.kill(node)
        hasty = enqueue(queue, jobs.who, session=pair)
        patient = enqueue(queue, jobs.who, session=pair, retry=Retry(max=1))
        worker = SimpleWorker([queue], connection=queue.connection)
        worker.work(burst=True, max_jobs=2)
        assert refusal(hasty) == "StoreUnavailable"
        assert patient.id in queue.job_ids
        store.restart(node)

        def lack() -> str | None:
            """The manager fails at once for a moment after an outage."""
            try:
                cp.sessions.sessions("alice")
            except StoreUnavailable as error:
                return str(error.reason)
            return None

        await_condition(lack, time.monotonic() + 30, "the store is back")
        work(queue)
        assert patient.return_value()[0] == "alice"
        cp.close()


def test_a_manager_of_ones_own_is_used_and_not_closed(queue, cp_sessions, monkeypatch) -> None:
    own = ClusterPass(cp_sessions)
    jobs = module_of(own, monkeypatch)
    job = enqueue(queue, jobs.who, session=cp_sessions.login("alice"))
    work(queue)
    own.close()
    assert job.return_value()[0] == "alice"
    assert own.sessions is cp_sessions
    cp_sessions.sessions("alice")
    with pytest.raises(ConfigurationError, match="either"):
        ClusterPass(cp_sessions, store_url="redis://127.0.0.1")


def test_what_names_no_session_is_refused(queue, jobs, cp_sessions) -> None:
    pair = cp_sessions.login("alice")
    for subject, session_id in [("", pair.session_id), ("alice", "none")]:
        named = ModuleType("named")
        named.subject, named.session_id = subject, session_id  # type: ignore[attr-defined]
        with pytest.raises(InvalidInput):
            enqueue(queue, jobs.who, session=named)
    assert queue.job_ids == []
