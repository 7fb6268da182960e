"""Tools for tests of applications: a clock that moves sessions and tokens; logged-in clients.

The pytest plugin has both as fixtures; ``docs/howto/testing.md`` shows them.
"""

from typing import TYPE_CHECKING, Any

from clusterpass.testing.simulated_clock import SimulatedClock

if TYPE_CHECKING:
    from clusterpass.testing.clients import LoginAs

__all__ = ["LoginAs", "SimulatedClock"]


def __getattr__(name: str) -> Any:
    """Import on demand what needs the whole library, for the sake of the pytest plugin."""
    if name == "LoginAs":
        from clusterpass.testing.clients import LoginAs  # noqa: PLC0415

        return LoginAs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
