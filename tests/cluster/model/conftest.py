"""The cluster that is compared with the model, under managers of either style."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager

from ..conftest import Facade
from .world import DAY, MOST_RUNS, NAMESPACE, World


@pytest.fixture(params=["sync", "async"])
def world(
    request: pytest.FixtureRequest, cluster: EmbeddedCluster, keys: KeyRing
) -> Iterator[World]:
    config = Config(
        issuer="https://auth.example",
        keys=keys,
        access_lifetime=DAY,
        refresh_grace=300,
        refresh_retry="grace",  # test_sequences_of_refreshes has the other policy too
        activity_interval=300,
        protected_subjects=frozenset(f"protected-{number}" for number in range(MOST_RUNS)),
    )
    url = f"{cluster.url}?namespace={NAMESPACE}"
    kind: Any = SessionManager.from_url if request.param == "sync" else Facade
    manager = kind(url, config)

    def open_one(config: Config) -> Any:
        return kind(url, dataclasses.replace(config, verification="strict"))

    # What others have done a moment ago must be seen at once: it asks each time.
    quiet = dataclasses.replace(config, activity_interval=0, verification="strict")
    with SessionManager.from_url(url, quiet) as watcher:
        yield World(cluster, config, manager, open_one, watcher)
    manager.close()
