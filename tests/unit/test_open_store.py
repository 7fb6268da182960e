"""``open_store``: URLs of an existing store and of an embedded development cluster."""

import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest

from clusterpass import (
    AsyncSessionManager,
    Config,
    ConfigurationError,
    KeyRing,
    SessionManager,
    embedded,
)
from clusterpass.managers import development, open_store as opening
from clusterpass.managers.open_store import open_store
from clusterpass.store.location import StoreLocation

STARTED = "redis+cluster://127.0.0.1:7000"


class Cluster:
    """Stands for a cluster of server processes."""

    made: list[Any] = []  # noqa: RUF012 (emptied by the fixture)
    fails = False
    url = STARTED

    def __init__(self, *positional: Any, **named: Any) -> None:
        self.did: list[str] = []
        self.given = (positional, named)
        Cluster.made.append(self)

    def start(self) -> None:
        self.did.append("start")
        if Cluster.fails:
            raise KeyboardInterrupt

    def stop(self) -> None:
        self.did.append("stop")

    def close(self) -> None:
        self.did.append("close")


class Shared(Cluster):
    """A cluster that several programs share."""


class Opened(Exception):
    """With what a store was to be opened."""


@pytest.fixture(autouse=True)
def _clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "made", [])
    monkeypatch.setattr(embedded, "EmbeddedCluster", Cluster)
    monkeypatch.setattr(embedded, "SharedCluster", Shared)
    monkeypatch.setattr(development, "_given", set())


def driver(location: StoreLocation, on_close: Any = None) -> Any:
    return location, on_close


def test_a_store_that_is_there_is_opened_as_it_is() -> None:
    location, on_close = open_store("redis+cluster://10.0.0.1:7000?namespace=app", driver)
    assert [str(seed) for seed in location.seeds] == ["10.0.0.1:7000"]
    assert location.keyspace.namespace == "app"
    assert on_close is None
    assert Cluster.made == []


@pytest.mark.parametrize(
    ("nodes", "count"), [("", 6), ("nodes=3&", 3), ("nodes=30&", 30), ("nodes=1&", 1)]
)
def test_a_throwaway_cluster_is_started_and_stopped_with_its_store(nodes: str, count: int) -> None:
    url = f"embedded://?{nodes}namespace=app&timeout=0.7&deadline=3"
    location, on_close = open_store(url, driver)
    (cluster,) = Cluster.made
    assert type(cluster) is Cluster
    assert (cluster.given, cluster.did) == (((), {"nodes": count}), ["start"])
    assert [str(seed) for seed in location.seeds] == ["127.0.0.1:7000"]
    assert not location.is_embedded
    assert location.keyspace.namespace == "app"
    assert (location.patience.timeout, location.patience.deadline) == (0.7, 3.0)
    on_close()
    assert cluster.did == ["start", "stop"]


@pytest.mark.parametrize(("nodes", "count"), [("", None), ("&nodes=3", 3)])
def test_a_cluster_in_a_folder_is_shared(nodes: str, count: int | None) -> None:
    location, on_close = open_store(f"embedded://?data=folder{nodes}", driver)
    (cluster,) = Cluster.made
    assert type(cluster) is Shared
    assert (cluster.given, cluster.did) == ((("folder",), {"nodes": count}), [])
    assert [str(seed) for seed in location.seeds] == ["127.0.0.1:7000"]
    on_close()
    assert cluster.did == ["close"]


@pytest.mark.parametrize("nodes", ["x", "-1", "1.5", "100"])
def test_a_number_of_nodes_is_a_whole_one(nodes: str) -> None:
    with pytest.raises(ConfigurationError, match=r"nodes .* must be a whole number"):
        open_store(f"embedded://?nodes={nodes}", driver)
    assert Cluster.made == []


def test_the_lock_of_a_throwaway_cluster_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    locks: list[int] = []

    def claim() -> int:
        locks.append(os.open(os.devnull, os.O_RDONLY))
        return locks[-1]

    monkeypatch.setattr(opening, "claim_throwaway", claim)
    _, on_close = open_store("embedded://", driver)
    os.fstat(locks[0])
    on_close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(locks[0])
    monkeypatch.setattr(Cluster, "fails", True)
    with pytest.raises(KeyboardInterrupt):
        open_store("embedded://", driver)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(locks[1])


def test_a_command_line_may_have_any_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delitem(sys.modules, "pytest")  # where it runs, nothing is claimed
    monkeypatch.setattr(sys, "argv", ["serve", "caf\udce9"])
    lock = development.claim_throwaway()
    assert lock is not None
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    os.close(lock)


def test_who_starts_a_throwaway_cluster_beside_another_one_is_warned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delitem(sys.modules, "pytest")
    monkeypatch.setattr(development, "_given", set())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        locks = [development.claim_throwaway()]
    with pytest.warns(UserWarning, match="Another process of this program"):
        locks.append(development.claim_throwaway())
    for lock in locks:
        assert lock is not None
        os.close(lock)


def test_a_configuration_for_development_warns_once() -> None:
    with pytest.warns(UserWarning, match="No Config was given: the issuer is http://localhost"):
        config = development.development_config("embedded://")
    assert config.issuer == "http://localhost"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = development.development_config("embedded://")
    assert config.keys.signing_key.kid != other.keys.signing_key.kid, "keys for one manager"


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
def test_the_warning_names_the_line_that_opens_the_manager(
    monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise LookupError

    monkeypatch.setattr(development, "_given", set())
    monkeypatch.setattr(sys.modules[kind.__module__], "open_store", refuse)
    with pytest.warns(UserWarning, match="No Config was given") as caught:
        with pytest.raises(LookupError):
            kind.from_url("embedded://")
    assert [each.filename for each in caught] == [__file__]


@pytest.mark.filterwarnings("ignore:No Config was given")
def test_the_keys_of_a_folder_stay_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    kids = {
        development.development_config(f"embedded://?data={folder}").keys.signing_key.kid
        for _ in range(2)
    }
    assert len(kids) == 1
    assert [each.name for each in folder.iterdir()] == ["keys.json"]
    assert (folder / "keys.json").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("url", ["redis://127.0.0.1", "redis+cluster://127.0.0.1:7000"])
def test_only_the_embedded_cluster_needs_no_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError, match="a manager needs a Config"):
        development.development_config(url)


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
def test_a_manager_hands_on_how_its_nodes_are_reached(
    monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    def opened(*positional: Any, **named: Any) -> None:
        raise Opened(positional, named)

    monkeypatch.setattr(f"{kind.__module__}.open_store", opened)
    config = Config(issuer="https://auth.example", keys=KeyRing.generate())
    with pytest.raises(Opened) as caught:
        kind.from_url(STARTED, config, credentials=str, address_remap=repr)
    (url, _), named = caught.value.args
    assert (url, named) == (STARTED, {"credentials": str, "address_remap": repr})
