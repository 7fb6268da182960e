"""A store with the URL ``embedded://`` brings its own servers, and takes them along."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from clusterpass import Config, SessionManager
from clusterpass.model.errors import ConfigurationError, StoreUnavailable

from .conftest import HANGING, Opener
from .lives import life_of


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HANGING
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize(("url", "count"), [("embedded://", 6), ("embedded://?nodes=1", 1)])
def test_an_embedded_cluster_ends_with_its_store(
    open_url: Opener, url: str, count: int, subject: str
) -> None:
    manager = open_url(f"{url}{'&' if '?' in url else '?'}namespace=mine")
    store = manager.store if isinstance(manager, SessionManager) else manager.manager.store
    seeds = store.location.seeds
    assert len(seeds) == count
    assert store.keyspace.namespace == "mine"
    servers = set()
    for seed in seeds:
        with redis.Redis(host=seed.host, port=seed.port) as client:
            servers.add(client.info("server")["process_id"])
    supervisors = {parent_of(pid) for pid in servers}
    assert os.getpid() not in supervisors
    life_of(manager, subject)
    assert manager.login(subject).durable is (count > 1)
    if isinstance(manager, SessionManager):
        manager.close()
    else:
        asyncio.run_coroutine_threadsafe(manager.manager.close(), manager.loop).result(HANGING)
    eventually(
        lambda: not any(lives(pid) for pid in servers | supervisors), "the servers have ended"
    )
    with pytest.raises(StoreUnavailable):
        manager.ping()


def test_an_embedded_cluster_with_a_folder_keeps_its_sessions(
    tmp_path: Path, config: Config, subject: str
) -> None:
    url = f"embedded://?nodes=1&data={tmp_path / 'data'}"
    with SessionManager.from_url(url, config) as manager:
        pair = manager.login(subject)
    with SessionManager.from_url(url, config) as again:
        assert again.verify(pair.access_token).session_id == pair.session_id


@pytest.mark.parametrize("nodes", ["0", "2", "x", "-1", "", "100"])
def test_an_embedded_cluster_that_cannot_be(nodes: str, config: Config) -> None:
    with pytest.raises(ConfigurationError, match="nodes"):
        SessionManager.from_url(f"embedded://?nodes={nodes}", config)
