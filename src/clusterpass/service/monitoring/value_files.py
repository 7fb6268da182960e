"""Files through which the workers of one service share the values of their metrics.

- A worker has a file for each type of metric, in the format of the multiprocess mode of
  prometheus-client, and holds a lock while it lives.
- The counts of a dead worker stay, as a counter must not fall when a worker is replaced. Its files
  are merged into one, and its gauges are dropped.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from typing import Any, Final

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from clusterpass import ConfigurationError
from clusterpass.metrics.families import Durations, Family, Sample
from clusterpass.metrics.manager_collector import BOUND_TEXTS

_LOCK: Final = ".alive"
_OF_THE_DEAD: Final = "ended"
"""Stands in the place of a process id in the names of the files of all that have ended."""
_BYTES: Final = 2**19
"""The size of a file at first: more than what is usually in it."""
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (a folder of our own in it, see below)


_Known = tuple[Family, tuple[str, ...]]


def folder_of(parent: int) -> Path:
    """Return the folder for the workers of the process ``parent``, which only this user can enter.

    Raises ConfigurationError where there is something else.
    """
    is_writable = _IN_MEMORY.is_dir() and os.access(_IN_MEMORY, os.W_OK)
    base = _IN_MEMORY if is_writable else Path(tempfile.gettempdir())
    # A process id may have belonged to another service, whose files were left.
    folder = base / f"clusterpass-metrics-{os.geteuid()}-{parent}-{_started_at(parent)}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ConfigurationError(f"metrics_address: {folder} is not a private folder; remove it")
    return folder


def _started_at(process: int) -> str:
    try:
        stat = Path(f"/proc/{process}/stat").read_text("latin-1")
    except OSError:  # not Linux
        return "0"
    return stat.rpartition(")")[2].split()[19]


class WorkerFiles:
    """The files of one worker."""

    def __init__(self, folder: Path) -> None:
        """``folder``: that of all workers of the service."""
        self._folder: Final = folder
        self._pid: Final = os.getpid()
        self._files: Final[dict[str, MmapedDict]] = {}
        self._written: Final[dict[_Known, object]] = {}
        self._keys: Final[dict[tuple[Any, ...], str]] = {}
        self._lock: Final = (folder / f"{self._pid}{_LOCK}").open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # who looks whether it is held has it for a moment

    def write(self, samples: Iterable[Sample]) -> None:
        """Write the values of now: those that have changed."""
        now = {(family, labels): value for family, labels, value in samples}
        gone = {each for each in self._written if each[0].kind == "gauge"} - now.keys()
        if gone:  # what is not there any more must not stay: the file is made anew
            for kind in {_kind_of(family) for family, _ in gone}:
                self._files.pop(kind).close()
                for known in [each for each in self._written if _kind_of(each[0]) == kind]:
                    del self._written[known]
        changed: dict[str, dict[str, float]] = {}
        states: dict[str, dict[_Known, object]] = {}
        for (family, labels), value in now.items():
            state = value.state if isinstance(value, Durations) else value
            if self._written.get((family, labels)) != state:
                states.setdefault(_kind_of(family), {})[family, labels] = state
                values = changed.setdefault(_kind_of(family), {})
                values.update(self._values(family, labels, value))
        for kind, values in changed.items():
            file = self._files.get(kind)
            if file is None:
                self._begin(kind, values)
            else:
                for key, number in values.items():
                    file.write_value(key, number, 0.0)
            self._written.update(states[kind])

    def close(self) -> None:
        """Leave the values to the others; the last worker removes the folder."""
        for file in self._files.values():
            file.close()
        self._lock.close()
        if not any(_is_held(lock) for lock in self._folder.glob(f"*{_LOCK}")):
            with suppress(OSError):  # another one does the same, or a new worker has come
                for path in list(self._folder.iterdir()):
                    path.unlink(missing_ok=True)
                self._folder.rmdir()

    def _begin(self, kind: str, values: dict[str, float]) -> None:
        """Make a file that readers see only when it is whole."""
        whole = self._folder / f"{kind}_{self._pid}.db"
        unfinished = whole.with_suffix(".new")
        file = _new_file(unfinished)
        for key, number in values.items():
            file.write_value(key, number, 0.0)
        unfinished.replace(whole)
        self._files[kind] = file

    def _values(
        self, family: Family, labels: tuple[str, ...], value: float | Durations
    ) -> Iterable[tuple[str, float]]:
        if isinstance(value, Durations):
            for bound, count in zip(BOUND_TEXTS, value.counts, strict=True):
                yield self._key(family, f"{family.name}_bucket", labels, bound), count
            yield self._key(family, f"{family.name}_sum", labels), value.seconds
        else:
            yield self._key(family, family.name, labels), value

    def _key(
        self, family: Family, name: str, labels: tuple[str, ...], bound: str | None = None
    ) -> str:
        wanted = (name, labels, bound)
        key = self._keys.get(wanted)
        if key is None:
            names, values = list(family.labels), list(labels)
            if bound is not None:
                names, values = [*names, "le"], [*values, bound]
            shown = family.name.removesuffix("_total")
            key = self._keys[wanted] = str(mmap_key(shown, name, names, values, ""))
        return key


def _kind_of(family: Family) -> str:
    """The beginning of the name of the file that a metric is in."""
    return f"gauge_{family.merge}" if family.kind == "gauge" else family.kind


def settle_the_dead(folder: Path) -> None:
    """Merge what workers have counted that have ended. One process at a time may do so."""
    for lock in list(folder.glob(f"*{_LOCK}")):
        if _is_held(lock):
            continue
        pid = lock.name.removesuffix(_LOCK)
        mark_process_dead(pid, str(folder))
        for kind in ("counter", "histogram"):
            _merge(folder, kind, pid)
        lock.unlink()


def _merge(folder: Path, kind: str, pid: str) -> None:
    left, kept = folder / f"{kind}_{pid}.db", folder / f"{kind}_{_OF_THE_DEAD}.db"
    files = [str(path) for path in (left, kept) if path.exists()]
    whole = kept.with_suffix(".new")
    merged = _new_file(whole)
    for metric in MultiProcessCollector.merge(files, accumulate=False):
        for name, labels, value, *_ in metric.samples:
            key = json.dumps([metric.name, name, labels, metric.documentation], sort_keys=True)
            merged.write_value(key, value, 0.0)
    merged.close()
    # Were this process to end between the two, a counter falls, which Prometheus takes for what
    # it is; the other way round it would count what has not happened.
    left.unlink(missing_ok=True)
    whole.replace(kept)


def _new_file(path: Path) -> MmapedDict:
    """Return an empty file. Raises OSError where there is no room for it.

    Room is taken at once: a file that is mapped, and then finds none, ends the process (SIGBUS).
    """
    path.unlink(missing_ok=True)
    if hasattr(os, "posix_fallocate"):
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _BYTES)
    return MmapedDict(str(path))


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
