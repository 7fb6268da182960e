"""A copy of the tree outside the repository, which is the only place where mutants are written."""

import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.selection import SEED_VARIABLE

from .mutant import Mutant

ROOT = Path(__file__).parents[2]
# The same tests on every day: the recording and the trials must leave out the same.
SELECTION_SEED = "1"
IGNORED = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", ".clusterpass", "build", "dist"
)


def cache_folder() -> Path:
    """Return the folder that keeps recorded coverage between runs, by the hash of its input."""
    folder = Path(tempfile.gettempdir()) / f"clusterpass-mutants-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def scratch_copy() -> Iterator["ScratchCopy"]:
    """A copy of the working tree as it is now; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="tree-", dir=cache_folder()) as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=IGNORED, symlinks=True)
        yield ScratchCopy(tree)


class ScratchCopy:
    """The copied tree, and how programs run in it."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self._times = itertools.count(int(time.time()) + 86_400)

    def environment(self) -> dict[str, str]:
        """Imports come from the copy."""
        others = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
        kept = [one for one in others if not Path(one).is_relative_to(ROOT)]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.tree / "src"), str(self.tree), *kept]),
            SEED_VARIABLE: SELECTION_SEED,
        }

    @contextmanager
    def changed(self, mutant: Mutant) -> Iterator[bool]:
        """Writes the mutant; yields whether the change reached the code, and takes it back."""
        path = self.tree / mutant.path
        original, times = path.read_bytes(), path.stat()
        path.write_bytes(mutant.apply(original))
        # Bytecode is taken for current by the length of the source and the second of its change:
        # every mutant has a second of its own.
        os.utime(path, (second := next(self._times), second))
        try:
            yield self._generate(mutant)
        finally:
            path.write_bytes(original)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            self._generate(mutant)

    def _generate(self, mutant: Mutant) -> bool:
        """Writes the synchronous modules again; False when the mutant has no synchronous face."""
        if "/aio/" not in mutant.path:
            return True
        command = [sys.executable, "scripts/generate_sync.py"]
        return not subprocess.run(
            command, cwd=self.tree, env=self.environment(), capture_output=True, check=False
        ).returncode


def digest_of(tree: Path, paths: Iterable[Path]) -> str:
    """A hash of the names and the contents of files."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(path.relative_to(tree).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
