"""One real cluster for the whole run; tests keep apart by using subjects of their own."""

import itertools
import logging
import os
import signal
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from httpx._transports import default
from hypothesis import HealthCheck, settings

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager

from .ports import keep_to_own_ports

pytest_plugins = ["tests.selection", "tests.scheduling", "tests.collection", "tests.repeats"]

keep_to_own_ports()
# A client of httpx reads the authorities of the whole world when it is made, which takes 26 ms.
default.create_ssl_context = cache(default.create_ssl_context)
# The machine may be busy: how long an example takes says nothing.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
_numbers = itertools.count()

# A job in the background of a shell ignores SIGINT, and all its children would; ours must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def _loggers_stay_heard() -> Iterator[None]:
    """Libraries that run in this process set logging up: the next file must not notice.

    The level of the root logger is put back. That a warning of ours would not be heard any more is
    an error of the file that left it so.
    """
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    unheard = _unheard_loggers()
    logging.disable(logging.NOTSET)
    for logger in unheard:
        logger.disabled, logger.propagate = False, True
        logger.setLevel(logging.NOTSET)
    assert not unheard, f"left silent: {unheard}"


def _unheard_loggers() -> list[logging.Logger]:
    """The loggers of this library whose warnings do not reach the root logger."""
    return [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if name.startswith("clusterpass")
        and isinstance(logger, logging.Logger)
        and not (logger.isEnabledFor(logging.WARNING) and logger.propagate)
    ]


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedCluster]:
    """Six nodes: three primaries and three replicas. Tests here do not kill its nodes."""
    with EmbeddedCluster(nodes=6, node_timeout=5.0) as running:
        yield running


@pytest.fixture(scope="session")
def clusterpass_cluster(cluster: EmbeddedCluster) -> EmbeddedCluster:
    """What the fixtures of the plugin stand on."""
    return cluster


@pytest.fixture(scope="session")
def cluster_url(cluster: EmbeddedCluster) -> str:
    return cluster.url


@pytest.fixture(scope="session")
def keys() -> KeyRing:
    return KeyRing.generate()


@pytest.fixture(scope="session")
def config(keys: KeyRing) -> Config:
    return Config(issuer="https://auth.example", audience="api", keys=keys)


@pytest.fixture(scope="session")
def sessions(cluster_url: str, config: Config) -> Iterator[SessionManager]:
    with SessionManager.from_url(cluster_url, config) as manager:
        yield manager


@pytest.fixture
def subject() -> str:
    """A subject that no other test uses."""
    return f"subject-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def new_subject() -> Callable[[], str]:
    return lambda: f"subject-{os.getpid()}-{next(_numbers)}"
