"""Reloads a key file when it changes, without a restart or an interruption.

Each worker checks the file by itself. A broken file changes nothing: the worker keeps the keys that
it has, and logs what is wrong, once for each change.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from clusterpass import (
    ConfigurationError,
    KeyFile,
    KeyRing,
)
from clusterpass.service.asgi.request_log import describe_exception
from clusterpass.service.last_keys import LastKeys

INTERVAL: Final = 1.0
"""Seconds between two looks at the file."""


class ReloadedKeys:
    """The keys of a file: those in it now, or the last that were usable."""

    def __init__(
        self,
        file: KeyFile,
        logger: Any,
        last: LastKeys | None = None,
        *,
        check: Callable[[KeyRing], object] = lambda _: None,
    ) -> None:
        """Read the file; raise ConfigurationError if it is not fit.

        ``last``: the keys in force so far; they stay where the file is not fit. ``check``: raises
        ConfigurationError for keys that the service cannot work with.
        """
        self._file: Final = file
        self._logger: Final = logger
        self._last: Final = last
        self.told: Callable[[ConfigurationError], None] = _nobody
        """Takes what is wrong with a changed file, whose keys are not used."""
        try:
            self.ring = file.load()
            check(self.ring)
        except ConfigurationError as error:
            kept = None if last is None else last.read()
            if kept is None:
                raise
            self.ring = kept
            self._tell_kept(error)
        else:
            self._keep()

    def catch_up(self, use: Callable[[KeyRing], None]) -> None:
        """Have the keys used that are in force by now, when a worker starts long after the service.

        ``use``: may raise ConfigurationError.
        """
        kept = None if self._last is None else self._last.read(known=self.ring)
        try:
            if kept is not None:
                use(kept)
                self.ring = kept
            self._use(self._file.load_if_changed(), use)
        except ConfigurationError as error:
            self._tell_kept(error)

    async def watch(self, use: Callable[[KeyRing], None]) -> None:
        """Have the keys used whenever the file has changed. ``use``: as above."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                # An encrypted key takes its time.
                self._use(await asyncio.to_thread(self._file.load_if_changed), use)
            except ConfigurationError as error:
                self._tell_kept(error)
            except Exception as error:  # noqa: BLE001 (the keys of before go on)
                log = self._logger.error  # its message could hold what is in the file
                log("keys_kept", file=str(self._file.path), **describe_exception(error))

    def _use(self, ring: KeyRing | None, use: Callable[[KeyRing], None]) -> None:
        if ring is None:
            return
        before, after = (_kids(each) for each in (self.ring, ring))
        if ring != self.ring:
            use(ring)
            self.ring = ring
            self._keep()
        self._logger.info(
            "keys_loaded",
            file=str(self._file.path),
            signing=ring.signing_key.kid,
            kids=after,
            added=[kid for kid in after if kid not in before],
            removed=[kid for kid in before if kid not in after],
        )

    def _keep(self) -> None:
        if self._last is not None:
            self._last.keep(self.ring)

    def _tell_kept(self, error: ConfigurationError) -> None:
        self._logger.error(
            "keys_kept", file=str(self._file.path), problem=error.message, kids=_kids(self.ring)
        )
        self.told(error)


def _nobody(error: ConfigurationError) -> None:
    """Nobody wants to know."""


def _kids(ring: KeyRing) -> list[str]:
    return [key.kid for key in ring.all()]
