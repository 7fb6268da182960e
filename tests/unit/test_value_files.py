"""The files in which workers tell each other what they have counted."""

import asyncio
import errno
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from clusterpass import ConfigurationError
from clusterpass.metrics import families as of
from clusterpass.metrics.families import Durations, Sample
from clusterpass.service.monitoring import address, value_files
from clusterpass.service.monitoring.address import AllWorkers, WorkerMetrics
from clusterpass.service.monitoring.value_files import WorkerFiles, folder_of

_WORKER = """
import os, signal, sys
from pathlib import Path
from clusterpass.metrics import families as of
from clusterpass.metrics.families import Durations, Sample
from clusterpass.service.monitoring.value_files import WorkerFiles

durations = Durations()
durations.note(0.002)
files = WorkerFiles(Path(sys.argv[1]))
samples = [
    Sample(of.EVENTS, ("login",), int(sys.argv[2])),
    Sample(of.PROCESSES, (), 1),
    Sample(of.SIGHTS, (), durations),
]
files.write(samples)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_worker(folder: Path, logins: int) -> None:
    command = [sys.executable, "-c", _WORKER, str(folder), str(logins)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr


def value(folder: Path, sample: str, **labels: str) -> float | None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AllWorkers(folder))
    return registry.get_sample_value(sample, labels)


def test_what_dead_workers_have_counted_stays_and_their_gauges_go(tmp_path: Path) -> None:
    files = WorkerFiles(tmp_path)
    files.write([Sample(of.EVENTS, ("login",), 10), Sample(of.PROCESSES, (), 1)])
    for dead, logins, total in ((1, 2, 12), (2, 3, 15)):
        killed_worker(tmp_path, logins)
        for _ in range(2):
            assert value(tmp_path, "clusterpass_events_total", kind="login") == total
            assert value(tmp_path, "clusterpass_processes") == 1
            assert value(tmp_path, "clusterpass_revocation_sight_seconds_count") == dead
        assert len(list(tmp_path.glob("*_ended.db"))) == 2
        assert len(list(tmp_path.glob("counter_*.db"))) == 2
    files.close()


def test_what_has_not_changed_stays_as_it_was_written(tmp_path: Path) -> None:
    files, durations = WorkerFiles(tmp_path), Durations()
    for count in (1, 2, 3):
        durations.note(0.002)
        files.write(
            [
                Sample(of.EVENTS, ("login",), count),
                Sample(of.EVENTS, ("refresh",), 7),
                Sample(of.SIGHTS, (), durations),
            ]
        )
        assert value(tmp_path, "clusterpass_events_total", kind="login") == count
        assert value(tmp_path, "clusterpass_events_total", kind="refresh") == 7
        bucket = "clusterpass_revocation_sight_seconds_bucket"
        assert value(tmp_path, bucket, le="0.0025") == count
        assert value(tmp_path, bucket, le="0.001") == 0
    files.close()


def test_a_gauge_that_is_gone_is_not_exported_any_more(tmp_path: Path) -> None:
    files = WorkerFiles(tmp_path)
    up = [Sample(of.NODE_UP, (node,), 1) for node in ("a:1", "b:1")]
    files.write([*up, Sample(of.NODE_BEAT_AGE, ("a:1",), 0.5), Sample(of.PROCESSES, (), 1)])
    files.write([up[1], Sample(of.NODE_BEAT_AGE, ("a:1",), 0.5), Sample(of.PROCESSES, (), 1)])
    assert value(tmp_path, "clusterpass_store_node_up", node="a:1") is None
    assert value(tmp_path, "clusterpass_store_node_up", node="b:1") == 1
    assert value(tmp_path, "clusterpass_node_beat_age_seconds", node="a:1") == 0.5
    assert value(tmp_path, "clusterpass_processes") == 1
    files.close()


def test_the_last_worker_removes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    files = WorkerFiles(folder)
    files.write([Sample(of.PROCESSES, (), 1)])
    files.close()
    assert not folder.exists()


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(value_files, "_IN_MEMORY", tmp_path)
    return tmp_path


def test_a_folder_is_private_and_that_of_one_process(base: Path) -> None:
    folder = folder_of(os.getpid())
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder_of(os.getpid()) == folder
    assert folder_of(os.getppid()) != folder


def as_link(folder: Path) -> Any:
    folder.rename(folder.with_name("other"))
    folder.symlink_to(folder.with_name("other"))


@pytest.mark.parametrize("spoil", [as_link, lambda folder: folder.chmod(0o755)])
def test_what_others_may_have_made_is_refused(base: Path, spoil: Any) -> None:
    spoil(folder_of(os.getpid()))
    with pytest.raises(ConfigurationError, match="is not a private folder"):
        folder_of(os.getpid())


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, str]]] = []

    def error(self, event: str, **fields: str) -> None:
        self.lines.append((event, fields))


async def test_without_room_for_files_the_log_says_so_once_and_it_is_tried_again(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = asyncio.Queue[None]()

    def no_room(*_: object) -> None:
        tries.put_nowait(None)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    monkeypatch.setattr(address, "_SECONDS", 0.01)
    log = Log()
    samples = [Sample(of.PROCESSES, (), 1)]
    metrics = WorkerMetrics("127.0.0.1", 1, os.getpid(), lambda: samples, log)
    task = asyncio.create_task(metrics.run())
    for _ in range(3):
        await asyncio.wait_for(tries.get(), 20)
    task.cancel()
    await asyncio.wait([task])
    assert log.lines == [("metrics_unavailable", {"detail": "No space left on device"})]
    assert not list(base.iterdir())


async def test_who_listens_makes_way_for_the_next_worker(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[Any] = []
    is_up = asyncio.Event()

    def listen(port: int, host: str, registry: CollectorRegistry) -> Any:
        did.append((host, port, registry.get_sample_value("clusterpass_processes")))
        is_up.set()
        verbs = ("shutdown", "server_close")
        return SimpleNamespace(**{verb: partial(did.append, verb) for verb in verbs}), None

    monkeypatch.setattr(address, "start_http_server", listen)
    samples = [Sample(of.PROCESSES, (), 1)]
    metrics = WorkerMetrics("127.0.0.1", 9464, os.getpid(), lambda: samples, Log())
    task = asyncio.create_task(metrics.run())
    await asyncio.wait_for(is_up.wait(), 20)
    task.cancel()
    await asyncio.wait([task])
    assert did == [("127.0.0.1", 9464, 1), "shutdown", "server_close"]
