"""A pytest plugin for tests of applications: a real cluster, and a namespace and a clock per test.

Fixtures for the whole run: ``clusterpass_cluster`` (an EmbeddedCluster) and ``clusterpass_url``
(its store URL).

Fixtures for each test: ``cp_url`` (the store URL of a namespace of its own), ``cp_clock`` (moves
tokens and sessions), ``cp_config``, ``cp_settings`` (the settings of an integration),
``cp_sessions`` and ``cp_async_sessions`` (managers), ``cp_login_as`` (logs a test client in).

Settings: ``clusterpass_nodes`` (default 6) and ``clusterpass_node_timeout`` (in seconds, default
1.0). A failover takes about 1.5 times the node timeout plus 1 s.

Rules of this module
- pytest imports the plugin in every test run of every project that has ClusterPass installed. The
  import is therefore cheap, and nothing is started until a test uses a fixture.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from clusterpass.testing.simulated_clock import SimulatedClock

if TYPE_CHECKING:
    from clusterpass import Config, KeyRing, SessionManager
    from clusterpass.embedded import EmbeddedCluster
    from clusterpass.testing.clients import LoginAs


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the settings of the plugin with pytest."""
    parser.addini(
        "clusterpass_nodes", "Number of nodes of the test cluster: 1, or at least 3.", default="6"
    )
    parser.addini(
        "clusterpass_node_timeout",
        "Seconds of silence after which a node of the test cluster counts as failed.",
        default="1.0",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Add the asynchronous fixture where a plugin can run it."""
    if config.pluginmanager.hasplugin("asyncio") or config.pluginmanager.hasplugin("anyio"):
        config.pluginmanager.import_plugin("clusterpass.testing.async_fixtures")


@pytest.fixture(scope="session")
def clusterpass_cluster(pytestconfig: pytest.Config) -> "Iterator[EmbeddedCluster]":
    """A running cluster, shared by all tests and stopped after the last one."""
    from clusterpass.embedded import EmbeddedCluster  # noqa: PLC0415 - loaded on demand

    try:
        nodes = int(pytestconfig.getini("clusterpass_nodes"))
        node_timeout = float(pytestconfig.getini("clusterpass_node_timeout"))
    except ValueError as error:
        raise pytest.UsageError(f"clusterpass_nodes or clusterpass_node_timeout: {error}") from None
    with EmbeddedCluster(nodes=nodes, node_timeout=node_timeout) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def clusterpass_url(clusterpass_cluster: "EmbeddedCluster") -> str:
    """The store URL of the running cluster."""
    return clusterpass_cluster.url


@pytest.fixture(scope="session")
def clusterpass_keys() -> "KeyRing":
    """Signing keys, made once for the whole run."""
    from clusterpass import KeyRing  # noqa: PLC0415 - loaded on demand

    return KeyRing.generate()


@pytest.fixture
def cp_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedClock]:
    """The clock of the tokens and the sessions of one test; freezegun and time-machine move it."""
    from clusterpass.testing.frozen_time import keep_deadlines  # noqa: PLC0415 - loaded on demand

    keep_deadlines(monkeypatch)
    clock = SimulatedClock()
    clock.begin()
    yield clock
    clock.end()


@pytest.fixture
def cp_url(clusterpass_url: str, cp_clock: SimulatedClock) -> str:
    """The store URL of a namespace that no other test uses, which goes by ``cp_clock``."""
    sign = "&" if "?" in clusterpass_url else "?"
    return f"{clusterpass_url}{sign}namespace=cp-test-{os.urandom(8).hex()}"


@pytest.fixture
def cp_config(clusterpass_keys: "KeyRing") -> "Config":
    """The configuration of the managers. Override it for another one."""
    from clusterpass import Config  # noqa: PLC0415 - loaded on demand

    return Config(issuer="https://auth.test", keys=clusterpass_keys)


@pytest.fixture
def cp_settings(cp_url: str, cp_config: "Config") -> dict[str, Any]:
    """The settings of an integration, in capitals, for an application on plain HTTP.

    They are those of ``cp_config`` where these are not the default ones.
    """
    from clusterpass.testing.clients import settings_of  # noqa: PLC0415 - loaded on demand

    return settings_of(cp_url, cp_config)


@pytest.fixture
def cp_sessions(cp_url: str, cp_config: "Config") -> "Iterator[SessionManager]":
    """A manager on the namespace of the test."""
    from clusterpass import SessionManager  # noqa: PLC0415 - loaded on demand

    with SessionManager.from_url(cp_url, cp_config) as manager:
        yield manager


@pytest.fixture
def cp_login_as(cp_sessions: "SessionManager", cp_settings: dict[str, Any]) -> "LoginAs":
    """Logs a subject in, and has a test client send the tokens."""
    from clusterpass.integrations.settings import set_up  # noqa: PLC0415 - loaded on demand
    from clusterpass.testing.clients import LoginAs  # noqa: PLC0415

    return LoginAs(cp_sessions, set_up(cp_settings, {}).web)
