"""The sessions of all processes that one process knows.

A process tells the others of the sessions that it opens, by lines in a file; a session that is told
of again is looked at at once, as something has happened to it.
"""

import json
import random
from pathlib import Path

from .acts import Known, digest

SHORT = "short-"
_MOST_MINE, _IS_KEPT = 50, 0.2
"""Some are refreshed for long."""
_MOST_SHORT, _MOST_OLD = 30, 80
_GROWS_OLD, _SHORT_IS_KEPT = 0.03, 0.3
"""The share of sessions that are verified for long, of those that are short past their end."""


class Sessions:
    """Used by several threads: each takes what it finds."""

    def __init__(self, name: str, folder: Path, most: int, random: random.Random) -> None:
        """``most``: how many are kept in mind."""
        self._own = (folder / f"{name}.sessions").open("a", encoding="utf-8")
        self._folder, self._most, self._random = folder, most, random
        self._read: dict[Path, int] = {}
        self.known: list[Known] = []
        self.mine: list[Known] = []
        self._short: list[Known] = []
        self._old: list[Known] = []

    def any(self) -> Known:
        """One that is known, of a kind that is worth looking at."""
        some = self._random.choices((self.known, self._short, self._old), (78, 6, 16))[0]
        return self._random.choice(some or self.known)

    def opened(self, known: Known) -> None:
        """This process has opened one."""
        self._keep(known, self.mine, _MOST_MINE, _IS_KEPT)
        self.tell(known)

    def tell(self, known: Known) -> None:
        """Let all processes look at it."""
        self._own.write(json.dumps([known.subject, known.session, known.access_token]) + "\n")
        self._own.flush()

    def look(self) -> list[Known]:
        """Read the sessions of all processes, and return those announced since the last look."""
        found: list[Known] = []
        for path in self._folder.glob("*.sessions"):
            with path.open(encoding="utf-8") as lines:
                lines.seek(self._read.get(path, 0))
                while (line := lines.readline()).endswith("\n"):
                    subject, session, token = json.loads(line)
                    found.append(Known(subject, session, token, digest(token)))
                    self._read[path] = lines.tell()
        self._random.shuffle(found)
        self.known = [*self.known, *found][-self._most :]
        for known in found:
            if known.subject.startswith(SHORT):
                self._keep(known, self._short, _MOST_SHORT, _SHORT_IS_KEPT)
            else:
                self._keep(known, self._old, _MOST_OLD, _GROWS_OLD)
        return found

    def _keep(self, known: Known, some: list[Known], most: int, chance: float) -> None:
        """Keep it among ``some``, now and then in the place of another one."""
        if len(some) < most:
            some.append(known)
        elif self._random.random() < chance:
            some[self._random.randrange(most)] = known
