"""The RQ integration without Redis: session metadata, identity of jobs, retries."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import InvalidInput, KeyRing, ScopeMissing, StoreUnavailable, TokenMissing
from clusterpass.integrations import rq
from clusterpass.integrations.jobs import JobSessions
from clusterpass.integrations.rq import ClusterPass, acting_for, current_session, enqueue

from .test_jobs import CARRIED, ID, REFRESH, Sessions, session

FOUND = session(claims={"scope": "orders:read"})


class Shop:
    """An application with jobs, one of which may be running."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sessions: Any = Sessions(FOUND)
        self.job: Any = None
        monkeypatch.setattr(rq, "get_current_job", lambda: self.job)
        cp = ClusterPass(self.sessions)

        @cp.session_required(scope="orders:read")
        def report(month: str) -> str:
            return f"{current_session().subject} {month}"

        @cp.session_required(scope="orders:read")
        async def report_later(month: str) -> str:
            await asyncio.sleep(0)
            return f"{current_session().subject} {month}"

        @cp.session_required(scope="billing")
        def bill() -> str:
            raise AssertionError("it was not admitted")

        self.report, self.report_later, self.bill = report, report_later, bill

    def run(self, meta: Any, identifier: str = "1") -> Any:
        self.job = SimpleNamespace(id=identifier, meta=meta, retries_left=3)
        return self.job


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(monkeypatch)


def test_a_job_is_enqueued_with_a_session_and_never_with_a_token() -> None:
    given: list[Any] = []

    def take(function: Any, *args: Any, **options: Any) -> str:
        given.append((function, args, options))
        return "the job"

    queue: Any = SimpleNamespace(enqueue=take)
    meta = {"mine": "kept"}
    assert enqueue(queue, "shop.report", "May", session=FOUND, meta=meta, retry=3) == "the job"
    assert given == [("shop.report", ("May",), {"meta": {**meta, **CARRIED}, "retry": 3})]
    for args, options in (
        ((REFRESH,), {}),
        ((), {"token": REFRESH}),
        ((), {"meta": {"a": REFRESH}}),
    ):
        with pytest.raises(InvalidInput, match="holds a token"):
            enqueue(queue, "shop.report", *args, session=FOUND, **options)
    assert len(given) == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_a_job_runs_for_the_session_that_it_carries(shop: Shop, is_async: bool) -> None:
    shop.run(CARRIED)
    told = asyncio.run(shop.report_later("May")) if is_async else shop.report("May")
    assert told == "alice May"
    assert shop.sessions.asked == [("alice", ID)]
    with pytest.raises(TokenMissing):
        current_session()


def test_a_job_that_is_refused_is_not_tried_again(shop: Shop) -> None:
    job = shop.run(CARRIED)
    with pytest.raises(ScopeMissing):
        shop.bill()
    assert job.retries_left == 0
    job = shop.run({})
    with pytest.raises(TokenMissing):
        shop.report("May")
    assert job.retries_left == 0


def test_a_job_in_an_outage_is_tried_again(shop: Shop) -> None:
    def get(*_: Any) -> Any:
        raise StoreUnavailable

    shop.sessions.get = get
    job = shop.run(CARRIED)
    with pytest.raises(StoreUnavailable):
        shop.report("May")
    assert job.retries_left == 3


def test_within_a_job_its_caller_acts_and_what_is_refused_ends_no_job(shop: Shop) -> None:
    bob = session(subject="bob")
    job = shop.run({**CARRIED, "clusterpass-subject": "carol"})
    with acting_for(bob):
        shop.report("May")
        assert shop.sessions.asked == [("bob", ID)]
        with pytest.raises(ScopeMissing):
            shop.bill()
    assert job.retries_left == 3
    shop.run({})
    shop.sessions.asked.clear()
    with acting_for(bob):
        shop.report("May")
    shop.job = None
    with acting_for(bob):
        shop.report("May")
    assert shop.sessions.asked == [("bob", ID)] * 2
    with pytest.raises(TokenMissing):
        shop.report("May")


def test_the_manager_that_a_process_has_opened_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    cp, done = ClusterPass(store_url="redis://x", issuer="i", keys=KeyRing.generate()), list[str]()
    monkeypatch.setattr(JobSessions, "open", lambda _: done.append("open"))
    monkeypatch.setattr(JobSessions, "close", lambda _: done.append("close"))
    assert cp.sessions is None
    cp.close()
    assert done == ["open", "close"]
