"""Counts the packages that an app needs, including their dependencies, and names their versions."""

from importlib.metadata import requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def count(requirements: tuple[str, ...]) -> int:
    """Count ``requirements`` and all that they need on this Python, unless it is optional."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(each) for each in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        found.add(name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            needed = [Requirement(each) for each in requires(name) or ()]
            waiting += [
                each
                for each in needed
                if each.marker is None or each.marker.evaluate({"extra": extra})
            ]
    return len(found)


def versions(requirements: tuple[str, ...]) -> str:
    """The names and versions of the packages, as installed here."""
    names = [Requirement(each).name for each in requirements]
    return ", ".join(f"{name} {version(name)}" for name in names)
