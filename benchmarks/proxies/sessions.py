"""The 1,000 tokens of the load through a proxy, a tenth of which no worker has seen before."""

from collections.abc import Callable
from typing import Final

TOKENS: Final = 1_000
_COLD: Final = 10
"""Every so many-th token is new."""


def share_of_new(requests: int) -> float:
    """Return how many of ``requests`` of a load are the first ones of a new session, as a share."""
    return min(TOKENS, requests) // _COLD / requests


class Sessions:
    """Lines for load.lua, which has them take turns."""

    def __init__(self, log_in: Callable[[], str]) -> None:
        """``log_in``: opens a session and returns its access token."""
        self._log_in: Final = log_in
        self._lines: Final = [self._line() for _ in range(TOKENS)]

    def rotated(self) -> list[str]:
        """Return the lines, with new sessions in a tenth of them."""
        for index in range(0, TOKENS, _COLD):
            self._lines[index] = self._line()
        return self.current()

    def current(self) -> list[str]:
        """Return the lines as they were."""
        return list(self._lines)

    def _line(self) -> str:
        return f"Authorization: Bearer {self._log_in()}"
