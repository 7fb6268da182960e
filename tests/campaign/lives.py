"""What a process does next, and what is noted of how it went; the same for both kinds of managers.

A process tells the others of the sessions that it opens, by lines in a file: they verify and end
them. Only who has opened a session refreshes it, now and then with a token that was used before.
"""

import hashlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clusterpass.errors import ClusterPassError

from .history import Operation, Recorder

_MOST_KNOWN = 300
_SUBJECTS = 40
_SECONDS_OF_A_GENERATION = 20
_LOOK_SECONDS = 0.05


@dataclass(slots=True)
class Known:
    """A session that may be verified."""

    subject: str
    session: str
    access_token: str
    refresh_token: str = ""
    """Of those that this process has opened."""
    used_token: str = ""
    """The one before."""


@dataclass(slots=True)
class Act:
    """What is to be done."""

    operation: Operation
    call: Callable[[Any], Any]
    """By a manager; what it returns is awaited where that is asked for."""
    known: Known | None = None


def digest(token: str) -> str:
    """What tells tokens apart in a record: never the token."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


class Lives:
    """The sessions that one process knows. Used by several threads: each takes what it finds."""

    def __init__(self, name: str, folder: Path, seed: int) -> None:
        self._name = name
        self._random = random.Random(f"{seed} {name}")
        self._recorder = Recorder(folder / f"{name}.operations", name)
        self._own = (folder / f"{name}.sessions").open("a", encoding="utf-8")
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._looked_at = 0.0
        self._known: list[Known] = []
        self._mine: list[Known] = []
        self._numbers = iter(range(1_000_000_000))
        self.count = 0

    def next(self) -> Act:
        """What to do next; recorded already if it may change something."""
        if time.monotonic() - self._looked_at > _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._look()
        chance = self._random.random()
        if len(self._known) < 20 or chance < 0.03:
            act = self._login()
        elif chance < 0.95 or not self._mine:
            return self._verify()
        elif chance < 0.98:
            act = self._refresh()
        elif chance < 0.997:
            act = self._end_one()
        else:
            act = self._end_all()
        self._recorder.begin(act.operation)
        return act

    def note(self, act: Act, result: Any, error: ClusterPassError | None) -> None:
        """How it went."""
        operation = act.operation
        operation.ended = time.monotonic()
        self.count += 1
        if error is not None:
            operation.outcome, operation.reason = error.code, error.reason
        else:
            operation.outcome = "ok"
            operation.durable = getattr(result, "durable", None)
            if operation.verb == "login":
                self._opened(operation, result)
            elif operation.verb == "verify":
                operation.answered = result.session_id
            elif operation.verb == "refresh":
                self._refreshed(operation, act.known, result)
        self._recorder.end(operation)

    def close(self) -> None:
        """Write what is not written yet."""
        self._recorder.flush()

    def _begin(self, verb: str, subject: str, **more: Any) -> Operation:
        return Operation(
            process=self._name,
            number=next(self._numbers),
            verb=verb,
            subject=subject,
            began=time.monotonic(),
            **more,
        )

    def _subject(self) -> str:
        generation = int(time.monotonic() / _SECONDS_OF_A_GENERATION)
        return f"{generation}-{self._random.randrange(_SUBJECTS)}"

    def _login(self) -> Act:
        subject = self._subject()
        return Act(self._begin("login", subject), lambda manager: manager.login(subject))

    def _verify(self) -> Act:
        known = self._random.choice(self._known)
        is_strict = self._random.random() < 0.25
        operation = self._begin("verify", known.subject, session=known.session, is_strict=is_strict)
        mode = "strict" if is_strict else None
        return Act(operation, lambda manager: manager.verify(known.access_token, verification=mode))

    def _refresh(self) -> Act:
        known = self._random.choice(self._mine)
        again = known.used_token and self._random.random() < 0.2
        token = known.used_token if again else known.refresh_token
        operation = self._begin(
            "refresh", known.subject, session=known.session, presented=digest(token)
        )
        return Act(operation, lambda manager: manager.refresh(token), known)

    def _end_one(self) -> Act:
        known = self._random.choice(self._known)
        if self._random.random() < 0.5:
            operation = self._begin("logout", known.subject, session=known.session)
            return Act(operation, lambda manager: manager.logout(known.access_token))
        operation = self._begin("revoke", known.subject, session=known.session)
        return Act(operation, lambda manager: manager.revoke(known.subject, known.session))

    def _end_all(self) -> Act:
        subject = self._random.choice(self._known).subject
        chance = self._random.random()
        if chance < 0.6:
            operation = self._begin("revoke_all", subject)
            return Act(operation, lambda manager: manager.revoke_all(subject))
        if chance < 0.8:
            operation = self._begin("ban", subject)
            return Act(operation, lambda manager: manager.bans.add(subject, for_seconds=2))
        return Act(self._begin("lift", subject), lambda manager: manager.bans.lift(subject))

    def _opened(self, operation: Operation, pair: Any) -> None:
        operation.session, operation.successor = pair.session_id, digest(pair.refresh_token)
        known = Known(pair.subject, pair.session_id, pair.access_token, pair.refresh_token)
        self._mine = [*self._mine[-50:], known]
        self._own.write(json.dumps([known.subject, known.session, known.access_token]) + "\n")
        self._own.flush()

    def _refreshed(self, operation: Operation, known: Known | None, pair: Any) -> None:
        assert known is not None
        operation.answered, operation.successor = pair.session_id, digest(pair.refresh_token)
        if operation.presented == digest(known.refresh_token):
            known.used_token, known.refresh_token = known.refresh_token, pair.refresh_token

    def _look(self) -> None:
        """Which sessions there are now, of all processes."""
        found: list[Known] = []
        for path in self._folder.glob("*.sessions"):
            with path.open(encoding="utf-8") as lines:
                lines.seek(self._read.get(path, 0))
                while (line := lines.readline()).endswith("\n"):
                    found.append(Known(*json.loads(line)))
                    self._read[path] = lines.tell()
        self._random.shuffle(found)
        self._known = [*self._known, *found][-_MOST_KNOWN:]
