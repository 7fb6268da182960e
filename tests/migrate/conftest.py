"""Managers of both faces that accept the tokens of an application, and what they log."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import (
    Config,
)
from clusterpass.migrate import (
    MigratingSessionManager,
)
from tests.migrate.facade import Async
from tests.migrate.old_apps import APPS, DAY, EXCHANGING, OldApp


@pytest.fixture
def config(cp_config: Config) -> Config:
    lifetimes = {"absolute_lifetime": 1200, "idle_lifetime": 1200}
    return replace(cp_config, generation_lifetime=30 * DAY, **lifetimes)


@pytest.fixture(params=["sync", "async"])
def opened(
    request: pytest.FixtureRequest, cp_url: str, config: Config
) -> Iterator[Callable[..., Any]]:
    """Opens a manager that accepts the tokens of an application."""
    managers: list[Any] = []

    def open_one(app: OldApp, **options: Any) -> Any:
        make = MigratingSessionManager.from_url if request.param == "sync" else Async
        managers.append(make(cp_url, config))
        managers[-1].accept(app.issuer, **options)
        return managers[-1]

    yield open_one
    for manager in managers:
        manager.close()


@pytest.fixture(params=EXCHANGING)
def exchanging(request: pytest.FixtureRequest) -> OldApp:
    return APPS[request.param]()


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest) -> OldApp:
    return APPS[request.param]()


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged, on whichever thread, however other libraries have set logging up."""
    messages: list[str] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, handler = logging.getLogger("clusterpass.migrate"), Keeps(logging.WARNING)
    level = logger.level
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(level)
