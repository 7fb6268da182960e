"""A worker of Celery on a thread of this process."""

import contextlib
from collections.abc import Iterator
from typing import Any

from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.signals import setup_logging

HANGING = 60.0


@contextlib.contextmanager
def worker(app: Celery, pool: str = "solo") -> Iterator[None]:
    """Run the tasks of ``app`` meanwhile.

    The loggers of the process stay as they are: a worker would set the level of the root logger to
    ERROR for good, and the tests that follow would hear no warning.
    """

    def keep(**_: Any) -> None:
        """Set nothing up: where somebody listens to the signal, Celery does not either."""

    setup_logging.connect(keep)
    try:
        with start_worker(app, pool=pool, perform_ping_check=False, shutdown_timeout=HANGING):
            yield
    finally:
        setup_logging.disconnect(keep)
