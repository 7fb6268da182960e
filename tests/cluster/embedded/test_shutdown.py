"""The shutdown of an embedded cluster, in any way: no process or file is left over."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusterpass.embedded import EmbeddedCluster, Node
from clusterpass.model.errors import EmbeddedClusterError

from .processes import all_gone, eventually, pids_of

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_stop_leaves_nothing_and_start_works_again() -> None:
    cluster = EmbeddedCluster(nodes=3)
    cluster.stop()
    for _ in range(2):
        with cluster:
            pids, folder = pids_of(cluster), cluster.data_folder
            assert len(pids) == 3
            cluster.pause(cluster.nodes[0])  # also one that cannot hear
        assert all_gone(pids)
        assert not folder.exists()
        assert not cluster.running
        cluster.stop()
    with pytest.raises(EmbeddedClusterError, match="not running"):
        cluster.primary_of("a")


def test_start_from_a_thread_that_ends() -> None:
    cluster = EmbeddedCluster(nodes=1)
    thread = threading.Thread(target=cluster.start)
    thread.start()
    thread.join()
    try:
        with cluster.client(cluster.nodes[0]) as client:
            assert client.ping()
        assert not all_gone(pids_of(cluster))
    finally:
        cluster.stop()


def test_children_do_not_end_the_cluster() -> None:
    program = """
        import json, os, sys
        from clusterpass.embedded import EmbeddedCluster
        cluster = EmbeddedCluster(nodes=3).start()
        child = os.fork()
        if child == 0:
            assert cluster.primary_of("a") == cluster.nodes[2]
            cluster.stop()
            sys.exit(0)  # with all exit handlers
        assert os.waitpid(child, 0)[1] == 0
        answered = cluster.client(cluster.nodes[0]).ping()
        cluster.stop()
        print(json.dumps(answered))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert json.loads(done.stdout) is True, done.stderr


@contextlib.contextmanager
def program_with_cluster(extra: str = "") -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """A program that starts a cluster, tells about it and waits."""
    program = """
        import json, os, sys, time
        from clusterpass.embedded import EmbeddedCluster
        cluster = EmbeddedCluster(nodes=3).start()
        facts = {"pids": [node.pid for node in cluster.nodes], "folder": str(cluster.data_folder)}
        facts["supervisor"] = cluster._run.supervisor.pid
    """
    program = textwrap.dedent(program) + textwrap.dedent(extra)
    program += "print(json.dumps(facts), flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize("whom", ["program", "program with forked child"])
def test_killed_program_leaves_nothing(whom: str) -> None:
    fork = """
        facts["child"] = os.fork()
        if facts["child"] == 0:
            time.sleep(60)  # and holds copies of all descriptors
            os._exit(0)
    """
    with program_with_cluster(fork if "child" in whom else "") as (process, facts):
        assert not all_gone(facts["pids"])
        process.kill()
        process.wait()
        try:
            eventually(lambda: all_gone([*facts["pids"], facts["supervisor"]]), "servers ended")
            assert not Path(facts["folder"]).exists()
        finally:
            if "child" in facts:
                os.kill(facts["child"], signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_group_of_the_program_leave_nothing(number: signal.Signals) -> None:
    with program_with_cluster() as (process, facts):
        os.killpg(process.pid, number)  # as the terminal does for Ctrl-C
        process.wait(30)
        eventually(lambda: all_gone([*facts["pids"], facts["supervisor"]]), "servers ended")
        assert not Path(facts["folder"]).exists()


@linux_only
def test_killed_supervisor_takes_the_servers_along() -> None:
    cluster = EmbeddedCluster(nodes=3).start()
    pids, folder = pids_of(cluster), cluster.data_folder
    assert cluster._run is not None
    os.kill(cluster._run.supervisor.pid, signal.SIGKILL)
    eventually(lambda: all_gone(pids), "servers ended")
    assert not cluster.running
    with pytest.raises(EmbeddedClusterError, match="supervisor has exited"):
        cluster.kill(cluster.nodes[0] if cluster.running else Node(0, "", 0, 0, folder))
    cluster.stop()
    assert not folder.exists()


def test_terminated_supervisor_ends_the_servers() -> None:
    cluster = EmbeddedCluster(nodes=1).start()
    pids = pids_of(cluster)
    assert cluster._run is not None
    os.kill(cluster._run.supervisor.pid, signal.SIGTERM)
    eventually(lambda: all_gone(pids), "servers ended")
    with cluster.start():  # what is dead may be started anew
        assert not all_gone(pids_of(cluster))
