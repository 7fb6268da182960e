"""Each test runs on both servers."""

from collections.abc import Iterator

import pytest

from clusterpass import Config
from clusterpass.testing import SimulatedClock

from .servers import SERVERS, Running


@pytest.fixture(params=SERVERS)
def running(
    request: pytest.FixtureRequest, cp_url: str, cp_config: Config, cp_clock: SimulatedClock
) -> Iterator[Running]:
    with SERVERS[request.param](cp_url, cp_config) as server:
        yield server


@pytest.fixture
def cp_config(cp_config: Config) -> Config:
    return Config(issuer=cp_config.issuer, keys=cp_config.keys, levels=("pwd", "mfa"))
