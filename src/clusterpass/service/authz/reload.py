"""A policy file that is read again when it changes, without a restart.

A new file that is broken changes nothing: the rules before it stay, and the log says what is wrong.
A file that is rewritten in place, rather than replaced, is read only once it has stayed unchanged
for a second: a half-written rule may allow more than the finished one.

A replacement worker has no earlier rules to keep. While the file is broken, it has no rules at all.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from clusterpass import (
    ConfigurationError,
)
from clusterpass.service.authz.policy import Policies

Facts = tuple[int, int, int, int]
"""What changes with a file: its time and size, and which file it is."""
_INTERVAL: Final = 1.0
"""Seconds between two looks at the file."""


class ReloadedPolicies:
    """The policies of a file, as it is now."""

    def __init__(
        self,
        path: Path,
        load: Callable[[Path], Policies],
        logger: Any,
        *,
        may_be_broken: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``load``: reads the file. ``clock``: returns seconds.

        Raises ConfigurationError when the file is broken, unless it ``may_be_broken``.
        """
        self._path: Final = path
        self._load: Final = load
        self._logger: Final = logger
        self._clock: Final = clock
        # Looked at before it is read: a change in between is seen the next time.
        self.told: Callable[[Policies | None, str], None] = _nobody
        """Takes the policies that a changed file has, or None and what is wrong with it."""
        self._seen = self._look()
        self._settling: Facts | None = None
        self._is_watched = False
        self._policies: Policies | None = None
        if may_be_broken:
            self._read_again()
        else:
            self._policies = load(path)
        self._looked_at = clock()

    def current(self) -> Policies | None:
        """Return the policies; looks at the file once a second at most, unless it is watched.

        None where no correct file has been read yet.
        """
        now = self._clock()
        if not self._is_watched and now - self._looked_at >= _INTERVAL:
            self._looked_at = now
            if self._has_changed():
                self._read_again()
        return self._policies

    async def watch(self) -> None:
        """Look at the file once a second, until the task is cancelled.

        A changed one is read on a thread: a large one takes seconds, in which requests are
        answered by the rules before it.
        """
        self._is_watched = True
        try:
            while True:
                await asyncio.sleep(_INTERVAL)
                if self._has_changed():
                    self._use(await asyncio.to_thread(self._read))
        finally:
            self._is_watched = False

    def _has_changed(self) -> bool:
        """Whether the file has to be read again."""
        seen = self._look()
        if seen == self._seen:
            self._settling = None
            return False
        in_place = seen and self._seen and seen[2:] == self._seen[2:]
        if in_place and seen != self._settling:
            self._settling = seen
            return False
        self._seen, self._settling = seen, None
        return True

    def _read_again(self) -> None:
        self._use(self._read())

    def _read(self) -> Policies | str:
        """Return the policies in the file, or what is wrong with it."""
        try:
            return self._load(self._path)
        except ConfigurationError as error:
            return error.message

    def _use(self, policies: Policies | str) -> None:
        if isinstance(policies, str):
            log = self._logger.error
            log("authz_policy_kept", file=str(self._path), problem=policies)
            self.told(None, policies)
        else:
            self._policies = policies
            rules = len(policies.all_rules())
            self._logger.info("authz_policy_loaded", file=str(self._path), rules=rules)
            self.told(policies, "")

    @property
    def loaded(self) -> Policies | None:
        """The policies that were read last; does not look at the file."""
        return self._policies

    def _look(self) -> Facts | None:
        """Return what changes with the file; None where there is no file."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def _nobody(policies: Policies | None, problem: str) -> None:
    """Nobody wants to know."""
