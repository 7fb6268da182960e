"""Lists and runs the checks of apps, which are in ``check_access.py`` and ``check_endings.py``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import httpx

from benchmarks.apps.serving import Served
from benchmarks.apps.visitor import Failed, NotThere, Visitor, visiting

Check = Callable[[Visitor], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a check of one app."""

    mark: Literal["yes", "no", "-"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """A check in the list of checks."""

    says: str
    """In the table."""
    attempt: Check


def lister(checks: dict[str, Listed]) -> Callable[[str], Callable[[Check], Check]]:
    """A decorator that adds a check to ``checks`` under the name of its function."""

    def check(says: str) -> Callable[[Check], Check]:
        def register(attempt: Check) -> Check:
            checks[attempt.__name__] = Listed(says, attempt)
            return attempt

        return register

    return check


def carry_out(served: Served, checks: Mapping[str, Listed]) -> dict[str, Outcome]:
    """Try ``checks``, in order."""
    outcomes = {}
    for name, listed in checks.items():
        with visiting(served) as visitor:
            try:
                listed.attempt(visitor)
            except Failed as failed:
                outcomes[name] = Outcome("no", str(failed))
            except NotThere as missing:
                outcomes[name] = Outcome("-", str(missing))
            except httpx.HTTPError as error:
                outcomes[name] = Outcome("no", type(error).__name__)
            except (LookupError, TypeError, ValueError, StopIteration):
                outcomes[name] = Outcome("no", "an answer of another shape")
            else:
                outcomes[name] = Outcome("yes")
    return outcomes
