"""Threads, tasks and forks that share a store never get each other's answers."""

import asyncio
import dataclasses
import random
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clusterpass import AsyncSessionManager, Config
from clusterpass.model.authentication_errors import SessionUnknown

from .conftest import HANGING, Opener
from .lives import life_of


@pytest.mark.sampled(2)
@pytest.mark.parametrize("most", [1, 64])
def test_many_threads_share_a_manager(
    open_url: Opener, cluster_url: str, most: int, subject: str
) -> None:
    manager = open_url(f"{cluster_url}?max_connections={most}&deadline={HANGING}")
    start = threading.Barrier(12)

    def hammer(number: int) -> None:
        start.wait(HANGING)
        for turn in range(15):
            life_of(manager, f"{subject}-{number}-{turn}")

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(hammer, range(12)))


async def test_many_tasks_share_one_connection(
    cluster_url: str, config: Config, subject: str
) -> None:
    patient = dataclasses.replace(config, refresh_grace=120)
    async with AsyncSessionManager.from_url(
        f"{cluster_url}?max_connections=1&deadline={HANGING}", patient
    ) as manager:

        async def one(number: int) -> None:
            name = f"{subject}-{number}"
            pair = await manager.login(name)
            assert (await manager.verify(pair.access_token)).subject == name
            assert (await manager.refresh(pair.refresh_token)).subject == name

        await asyncio.gather(*(one(number) for number in range(100)))


@pytest.mark.parametrize("most", [1, 4])
async def test_cancelled_calls_leave_no_answer_behind(
    cluster_url: str, config: Config, most: int, subject: str
) -> None:
    chance = random.Random(most)
    # From memory nothing would be under way, and the bystanders would never let others run.
    patient = dataclasses.replace(config, refresh_grace=120, verification="strict")
    async with AsyncSessionManager.from_url(
        f"{cluster_url}?max_connections={most}&deadline={HANGING}", patient
    ) as manager:
        pairs = {
            name: await manager.login(name, claims={"me": name})
            for name in (f"{subject}-{number}" for number in range(12))
        }
        finished = asyncio.Event()

        async def verify_own(name: str) -> str:
            session = await manager.verify(pairs[name].access_token)
            assert (session.subject, session.claims["me"]) == (name, name)
            assert session.session_id == pairs[name].session_id
            return name

        async def bystander(name: str) -> int:
            count = 0
            while not finished.is_set():
                await verify_own(name)
                count += 1
            return count

        bystanders = [asyncio.create_task(bystander(name)) for name in list(pairs)[:4]]
        begin = asyncio.get_running_loop().time()
        await verify_own(next(iter(pairs)))
        usual = asyncio.get_running_loop().time() - begin
        cancelled = tries = 0
        while cancelled < 500 and tries < 20_000:
            name = chance.choice(list(pairs))
            task = asyncio.create_task(verify_own(name))
            tries += 1
            if chance.random() < 0.5:  # some turns of the loop, or some part of the usual time
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
            else:
                await asyncio.sleep(chance.uniform(0, usual))
            task.cancel()
            try:
                assert await task == name
            except asyncio.CancelledError:
                cancelled += 1
        finished.set()
        assert cancelled == 500
        assert all(count > 0 for count in await asyncio.gather(*bystanders))
        for name in pairs:
            await verify_own(name)


def test_a_fork_shares_nothing_with_its_parent(
    cluster_url: str, tmp_path: Path, subject: str
) -> None:
    script = tmp_path / "forks.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys, threading
            from concurrent.futures import ThreadPoolExecutor
            from clusterpass import Config, KeyRing, SessionManager

            url, subject = sys.argv[1:]
            config = Config(issuer="https://auth.example", keys=KeyRing.generate())
            manager = SessionManager.from_url(url, config)
            unused = SessionManager.from_url(url, config)
            names = [f"{subject}-{number}" for number in range(6)]
            pairs = {name: manager.login(name) for name in names}

            def check(name):
                for _ in range(60):
                    assert manager.verify(pairs[name].access_token).subject == name

            with ThreadPoolExecutor(6) as threads:
                list(threads.map(check, names))
            children = []
            for number in range(2):
                child = os.fork()
                if child == 0:
                    status = 1
                    try:
                        unused.ping()
                        with ThreadPoolExecutor(6) as threads:
                            list(threads.map(check, names))
                        own = manager.login(f"{subject}-child-{number}")
                        assert manager.verify(own.access_token).subject == own.subject
                        manager.close()
                        status = 0
                    finally:
                        os._exit(status)
                children.append(child)
            with ThreadPoolExecutor(6) as threads:
                list(threads.map(check, names))
            for child in children:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            for name in names:
                check(name)
            for number in range(2):
                assert len(unused.sessions(f"{subject}-child-{number}")) == 1
            print("all right")
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script), cluster_url, subject],
        capture_output=True,
        text=True,
        timeout=HANGING * 3,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "all right"), done.stderr


def test_namespaces_keep_apart(open_url: Opener, cluster_url: str, subject: str) -> None:
    ours, theirs = open_url(f"{cluster_url}?namespace=a"), open_url(f"{cluster_url}?namespace=b")
    pair = ours.login(subject)
    with pytest.raises(SessionUnknown):
        theirs.verify(pair.access_token)
    assert theirs.sessions(subject) == []
    assert theirs.revoke_all(subject).count == 0
    other = theirs.login(subject)
    assert ours.verify(pair.access_token).session_id == pair.session_id
    assert ours.revoke_all(subject).count == 1
    assert theirs.verify(other.access_token).session_id == other.session_id
