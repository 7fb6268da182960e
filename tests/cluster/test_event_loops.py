"""Event loops, threads and forks: one manager in several, and what happens when they end."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from clusterpass import AsyncSessionManager, EmbeddedCluster, KeyRing, SessionManager
from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import StoreUnavailable
from tests.cluster.stored import eventually


async def served(manager: AsyncSessionManager, token: str) -> None:
    async with asyncio.timeout(15):
        while manager.recall(token) is None:
            await manager.verify(token)
            await asyncio.sleep(0.02)


def test_one_manager_in_one_loop_after_the_other(cluster, config, subject):
    manager = AsyncSessionManager.from_url(cluster.url, config)
    tokens = []

    async def use() -> None:
        pair = await manager.login(subject)
        tokens.append(pair.access_token)
        for token in tokens:
            await served(manager, token)

    for _ in range(3):
        asyncio.run(use())
    asyncio.run(manager.close())


def test_one_manager_in_several_loops_at_once(cluster, config, subject):
    """One loop watches; the others profit. When it ends, another takes over."""
    manager = AsyncSessionManager.from_url(cluster.url, config)
    first_is_served, second_is_done = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    async def first() -> None:
        pair = await manager.login(subject)
        await served(manager, pair.access_token)
        first_is_served.set()
        await asyncio.to_thread(second_is_done.wait, 60)
        await manager.verify(pair.access_token)

    async def second() -> None:
        await asyncio.to_thread(first_is_served.wait, 60)
        pair = await manager.login(f"{subject}-second")
        await served(manager, pair.access_token)
        await manager.revoke_all(f"{subject}-second")
        with pytest.raises(SessionRevoked):
            await manager.verify(pair.access_token)
        second_is_done.set()
        last = await manager.login(f"{subject}-second")
        await asyncio.to_thread(threads[0].join)
        await served(manager, last.access_token)  # it watches now

    def run(main) -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(each,)) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    asyncio.run(manager.close())


async def test_a_watch_that_was_cancelled_begins_again(cluster, config, subject):
    async with AsyncSessionManager.from_url(cluster.url, config) as manager:
        pair = await manager.login(subject)
        await served(manager, pair.access_token)
        for task in asyncio.all_tasks():
            if task.get_name() == "clusterpass-connections":
                task.cancel()
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while manager.recall(pair.access_token):
                await asyncio.sleep(0.01)
        await served(manager, pair.access_token)


async def test_nothing_is_left_after_close(cluster, config, subject):
    before = asyncio.all_tasks()
    manager = AsyncSessionManager.from_url(cluster.url, config)
    pair = await manager.login(subject)
    await served(manager, pair.access_token)
    await manager.close()
    assert manager.recall(pair.access_token) is None
    assert asyncio.all_tasks() == before
    with pytest.raises(StoreUnavailable):
        await manager.verify(pair.access_token)


def test_no_thread_is_left_after_close(cluster, config, subject):
    before = set(threading.enumerate())
    with SessionManager.from_url(cluster.url, config) as manager:
        pair = manager.login(subject)
        eventually(lambda: manager.verify(pair.access_token) and manager.recall(pair.access_token))
    assert manager.recall(pair.access_token) is None
    assert {thread for thread in threading.enumerate() if "watch" in thread.name} <= before


PROGRAM = """
    import asyncio, os, sys, time
    from clusterpass import AsyncSessionManager, Config, KeyRing, SessionManager
    url, keys_file, subject = sys.argv[1:]
    config = Config(issuer="https://auth.example", keys=KeyRing.load(keys_file))

    def served(manager, token):
        until = time.monotonic() + 15
        while manager.recall(token) is None:
            assert time.monotonic() < until
            manager.verify(token)
            time.sleep(0.02)

    async def aserved(manager, token):
        async with asyncio.timeout(15):
            while manager.recall(token) is None:
                await manager.verify(token)
                await asyncio.sleep(0.02)
"""


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    KeyRing.generate("HS256").save(path)
    return path


@pytest.fixture
def run_program(cluster: EmbeddedCluster, keys_file: Path, subject: str):
    """Runs a program in a process of its own, where warnings are errors; what it prints."""

    def run(program: str, *, before: str = "", options: tuple[str, ...] = ("-W", "error")) -> str:
        text = before + textwrap.dedent(PROGRAM) + textwrap.dedent(program)
        done = subprocess.run(
            [sys.executable, *options, "-c", text, cluster.url, str(keys_file), subject],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr[-3000:]
        return done.stdout

    return run


def test_a_forked_child_begins_anew(run_program):
    """As gunicorn does with --preload, here at its worst: the parent watches already."""
    answer = run_program("""
        manager = SessionManager.from_url(url, config)
        token = manager.login(subject).access_token
        served(manager, token)
        child = os.fork()
        if child == 0:
            assert manager.recall(token) is None
            assert manager.stats().nodes == ()
            served(manager, token)
            manager.revoke_all(subject)
            manager.close()
            print("child done", flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0
        until = time.monotonic() + 10
        try:
            while time.monotonic() < until:
                manager.verify(token)
        except Exception as error:
            print(type(error).__name__)
        manager.close()
    """)
    assert answer.split("\n")[:2] == ["child done", "SessionRevoked"]


def test_a_child_that_is_forked_from_a_running_loop_begins_anew(run_program):
    answer = run_program("""
        manager = AsyncSessionManager.from_url(url, config)

        async def in_child(token):
            assert manager.recall(token) is None
            await aserved(manager, token)
            await manager.close()
            print("child done", flush=True)

        async def main():
            token = (await manager.login(subject)).access_token
            await aserved(manager, token)
            child = os.fork()
            if child == 0:
                import threading
                failures = []
                def work():
                    try:
                        asyncio.run(in_child(token))
                    except BaseException as error:
                        failures.append(error)
                        print(repr(error))
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
                os._exit(len(failures))
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            assert status == 0
            await aserved(manager, token)
            await manager.close()
            print("parent done")

        asyncio.run(main())
    """)
    assert answer == "child done\nparent done\n"


def test_an_event_loop_that_breaks_is_replaced(run_program):
    """As in a program that closes descriptors that it did not open, to become a daemon.

    In a process of its own: whenever the broken loop is collected there, its tasks complain.
    """
    answer = run_program(
        """
        import io, logging
        from clusterpass.model.authentication_errors import SessionRevoked

        sys.unraisablehook = lambda _: None
        told = io.StringIO()
        logging.basicConfig(stream=told)
        with SessionManager.from_url(url, config) as manager:
            served(manager, manager.login(subject).access_token)
            watch = manager.store._watch
            broken = watch._loop
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, broken._selector.fileno())
            os.close(null)
            until = time.monotonic() + 30
            while watch._loop in {broken, None} or "OSError" not in told.getvalue():
                assert time.monotonic() < until
                time.sleep(0.02)
            pair = manager.login(subject)
            served(manager, pair.access_token)
            print("refused:", manager.stats().refusal)
            with SessionManager.from_url(url, config) as other:
                other.logout(pair.access_token)
            while manager.recall(pair.access_token) is not None:
                assert time.monotonic() < until
                time.sleep(0.02)
            try:
                manager.verify(pair.access_token)
            except SessionRevoked as error:
                print(type(error).__name__)
            assert manager.store._watch is watch
        assert not watch._thread.is_alive()
        """,
        options=(),
    )
    assert answer == "refused: \nSessionRevoked\n"


def test_uvloop_serves_as_well(run_program):
    answer = run_program("""
        import uvloop

        async def main():
            async with AsyncSessionManager.from_url(url, config) as manager:
                pairs = await asyncio.gather(*(manager.login(f"{subject}-{n}") for n in range(50)))
                assert all(pair.durable for pair in pairs)
                for pair in pairs:
                    await aserved(manager, pair.access_token)
                await manager.revoke_all(f"{subject}-7")
                try:
                    await manager.verify(pairs[7].access_token)
                except Exception as error:
                    print(type(error).__name__)

        uvloop.run(main())
    """)
    assert answer == "SessionRevoked\n"


def test_green_threads_are_refused_clearly(run_program):
    answer = run_program(
        """
        import dataclasses
        import gevent
        from clusterpass.model.errors import ConfigurationError
        try:
            SessionManager.from_url(url, config)
        except ConfigurationError as error:
            print("verification='strict'" in str(error), "gevent" in str(error))
        strict = dataclasses.replace(config, verification="strict")
        with SessionManager.from_url(url, strict) as manager:
            token = manager.login(subject).access_token
            jobs = [gevent.spawn(manager.verify, token) for _ in range(20)]
            gevent.joinall(jobs, raise_error=True)
            print(len({job.value.session_id for job in jobs}))
        """,
        before="from gevent import monkey\nmonkey.patch_all()\n",
        options=(),
    )
    assert answer == "True True\n1\n"


def test_a_manager_that_nobody_closed_lets_the_program_end(run_program):
    assert (
        run_program("""
        manager = SessionManager.from_url(url, config)
        served(manager, manager.login(subject).access_token)
        print("end")
    """)
        == "end\n"
    )
