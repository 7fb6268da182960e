"""Makes a parallel run short: every worker collects all tests, on few cores.

- Most of the first collection in a clone goes into the modules' assertions, which pytest rewrites
  and keeps beside the modules. All workers would rewrite the same modules at the same time, so each
  begins with a share of its own and finds the others' work kept.
- The collector of cyclic garbage rests meanwhile, and never looks at what was collected again: the
  tests stay until the end.
- Afterwards it looks seldom, and at the end of each file: what a file has left behind, such as a
  task that nobody awaited, is complained of there, and not in whichever test is running by then.
"""

import contextlib
import gc
import importlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

_SELDOM: Final = (20_000, 20, 20)
_SKIPS = pytest.skip.Exception
"""What a module raises whose tests cannot run here."""


def _names_below(paths: list[Path], root: Path) -> Iterator[str]:
    """The modules of tests in ``paths``, files or folders, as they are imported from ``root``."""
    for path in paths:
        files = [path] if path.is_file() else sorted(path.rglob("test_*.py"))
        for file in files:
            if file.suffix == ".py" and file.is_relative_to(root):
                yield ".".join(file.relative_to(root).with_suffix("").parts)


def share_of(names: list[str], worker: int, workers: int) -> list[str]:
    """The modules that ``worker``, counted from 0, rewrites for all ``workers``."""
    return names[worker::workers]


@pytest.hookimpl(wrapper=True, trylast=True)  # within pytest's own, which turn warnings into errors
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    gc.disable()
    try:
        _import_share(session.config)
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(*_SELDOM)
        gc.enable()


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    gc.collect()


def _import_share(config: pytest.Config) -> None:
    """Import this worker's share of the modules; none where there are no workers."""
    told: dict[str, Any] | None = getattr(config, "workerinput", None)
    if told is None:
        return
    root = config.rootpath
    paths = [root / argument.partition("::")[0] for argument in config.args]
    worker = int(told["workerid"].removeprefix("gw"))
    for name in share_of(list(_names_below(paths, root)), worker, told["workercount"]):
        # Whoever collects the module is told what is wrong with it.
        with contextlib.suppress(Exception, _SKIPS):
            importlib.import_module(name)
