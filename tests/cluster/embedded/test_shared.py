"""Processes that open the same data folder share one cluster; the last one stops it."""

import multiprocessing
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clusterpass import ConfigurationError, EmbeddedClusterError, SessionManager
from clusterpass.embedded import SharedCluster, read_state, start_detached, stop_detached
from clusterpass.embedded.state import is_locked
from clusterpass.managers import development

pytestmark = pytest.mark.timeout(120)
HANGING = 40.0
PROGRAM = Path(__file__).with_name("open_embedded.py")


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HANGING
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


class Process:
    """A process that opens the manager at a URL, and obeys orders."""

    def __init__(self, url: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, str(PROGRAM), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def answer(self) -> str:
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        assert line, self.popen.stderr and self.popen.stderr.read()
        return line.strip()

    def order(self, *words: str) -> str:
        assert self.popen.stdin is not None
        self.popen.stdin.write(" ".join(words) + "\n")
        self.popen.stdin.flush()
        return self.answer()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate(timeout=HANGING)

    def close(self) -> str:
        """Close the manager and end; returns what the process has warned of."""
        assert self.order("close") == "closed"
        return self.popen.communicate(timeout=HANGING)[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start_one(url: str = f"embedded://?nodes=1&data={folder}") -> Process:
        started.append(Process(url))
        return started[-1]

    yield start_one
    for process in started:
        if process.popen.returncode is None:
            process.kill()
    stop_detached(folder)


@pytest.mark.alternating
def test_who_starts_at_once_shares_one_cluster(start, folder):
    processes = [start() for _ in range(4)]
    assert len({process.answer() for process in processes}) == 1
    token = processes[0].order("login", "alice")
    assert [each.order("verify", token) for each in processes[1:]] == ["alice"] * 3
    processes[0].kill()  # the one that started it, perhaps
    assert processes[1].order("verify", token) == "alice"
    for process in processes[1:3]:
        process.close()
    assert processes[3].order("verify", token) == "alice"
    processes[3].close()
    assert not is_locked(folder), "the last one has stopped it"


def test_the_next_run_has_the_sessions_and_the_keys(start, folder):
    first = start()
    first.answer()
    token = first.order("login", "alice")
    first.close()
    second = start()
    second.answer()
    assert second.order("verify", token) == "alice"
    mode = stat.S_IMODE((folder / "keys.json").stat().st_mode)
    assert mode == 0o600
    assert [path.name for path in folder.glob("keys.json*")] == ["keys.json"]


def test_it_stops_after_the_last_process_was_killed(start, folder):
    processes = [start(), start()]
    for process in processes:
        process.answer()
    for process in processes:
        process.kill()
    state = read_state(folder)
    assert state is None or state.is_shared
    eventually(lambda: not is_locked(folder), "it stops")


def test_a_process_that_comes_soon_after_finds_it(start):
    """A reloader ends a process and starts the next one."""
    first = start()
    where = first.answer()
    token = first.order("login", "alice")
    first.kill()
    second = start()
    assert second.answer() == where
    assert second.order("verify", token) == "alice"


def test_a_forked_child_uses_it_and_does_not_stop_it(folder):
    shared = SharedCluster(folder, nodes=1)
    child = multiprocessing.get_context("fork").Process(target=shared.close)
    child.start()
    child.join(HANGING)
    assert child.exitcode == 0
    assert read_state(folder) is not None
    shared.close()
    shared.close()
    assert not is_locked(folder)


def test_a_cluster_that_was_started_to_stay_is_joined_and_left(folder):
    state = start_detached(folder, nodes=1)
    try:
        shared = SharedCluster(folder)
        assert shared.url == state.url
        shared.close()
        assert read_state(folder) is not None
        assert not state.is_shared
    finally:
        stop_detached(folder)


def test_another_number_of_nodes_is_refused(folder):
    shared = SharedCluster(folder, nodes=1)
    try:
        with pytest.raises(ConfigurationError, match="has 1 nodes, not 3"):
            SharedCluster(folder, nodes=3)
        again = SharedCluster(folder)
        assert again.url == shared.url
        again.close()
        assert read_state(folder) is not None
    finally:
        shared.close()


def test_a_folder_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedClusterError, match="file"):
        SharedCluster(tmp_path / "file", nodes=1)


def test_without_a_config_the_developer_is_told(start):
    process = start()
    process.answer()
    warned = process.close()
    assert warned.count("No Config was given") == 1
    assert "Config.from_env()" in warned


def test_two_throwaway_clusters_of_one_program_are_told(start):
    processes = [start("embedded://?nodes=1"), start("embedded://?nodes=1")]
    assert len({process.answer() for process in processes}) == 2
    warned = [process.close() for process in processes]
    told = ["throwaway cluster of its own" in text for text in warned]
    assert sorted(told) == [False, True]
    assert sum("embedded://?data=FOLDER" in text for text in warned) == 1


def test_only_an_embedded_cluster_needs_no_config():
    with pytest.raises(ConfigurationError, match=r"Config\.from_env"):
        SessionManager.from_url("redis://127.0.0.1:1")


def test_tests_may_have_a_throwaway_cluster_each(recwarn, monkeypatch):
    monkeypatch.setattr(development, "_given", set())  # other tests of this process were warned
    with (
        pytest.warns(UserWarning, match="No Config"),
        SessionManager.from_url("embedded://?nodes=1") as manager,
    ):
        assert manager.verify(manager.login("alice").access_token).subject == "alice"
    assert os.getpid()
    assert not [each for each in recwarn if "throwaway" in str(each.message)]
