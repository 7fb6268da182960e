"""Unit tests run in one process with all others, whose libraries set logging up for themselves."""

import logging

import pytest


@pytest.fixture(autouse=True)
def loggers_as_they_are_by_default() -> None:
    """Undo what Celery, Litestar and others do to the loggers of a process."""
    logging.disable(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("clusterpass") and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)
