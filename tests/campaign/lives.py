"""What a process does next, and what is noted of how it went; the same for both kinds of managers.

A process tells the others of the sessions that it opens, by lines in a file: they verify and end
them. Only who has opened a session refreshes it, now and then with a token that was used before.
"""

import dataclasses
import hashlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clusterpass import SessionPolicy
from clusterpass.model.errors import ClusterPassError

from .history import READS, Operation, Recorder

_FEWEST_KNOWN = 20
_SUBJECTS = 80
_CAPPED_SUBJECTS = 6
_CAP = SessionPolicy(max_sessions=2)
_SHORT = "short-"
_SHORT_LIFETIME = 10
"""Seconds."""
_HALF_OF_BASE64 = "V"
_MOST_MINE, _IS_KEPT = 50, 0.2
"""Some are refreshed for long."""
_MOST_SHORT, _MOST_OLD = 30, 80
_GROWS_OLD, _SHORT_IS_KEPT = 0.03, 0.3
"""The share of sessions that are verified for long, of those that are short past their end."""
_OUTAGE_GRACE = 1.0
"""Seconds."""
_STRICT: Any = {"verification": "strict"}
_SECONDS_OF_A_GENERATION = 20
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Mix:
    """What is done how often: shares of a hundred; the others are verifies."""

    login: float = 2.5
    short_login: float = 0.2
    """Of a session that is over after a few seconds."""
    capped_login: float = 0.5
    """Of a subject that may have two sessions."""
    refresh: float = 3.0
    end_one: float = 3.0
    """Half of them come to nothing, as are those that end all."""
    end_all: float = 0.6
    listing: float = 0.3
    known: int = 300
    """No share: how many sessions a process keeps in mind, the latest ones."""
    generations: int = 0
    """No share: after so many groups of subjects the first ones come back; 0: none ever does."""


USUAL = Mix()


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
    first_token: str = ""


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

    def __init__(
        self, name: str, folder: Path, seed: int, mix: Mix, recorder: Recorder | None
    ) -> None:
        """``recorder``: None where nothing is to be recorded."""
        self._name = name
        self._acts: list[Callable[[], Act]] = [
            self._login,
            self._short_login,
            self._capped_login,
            self._refresh,
            self._end_one,
            self._end_all,
            self._list,
            self._verify,
        ]
        self._most_known = mix.known
        self._generations = mix.generations
        shares = dataclasses.astuple(mix)[: len(self._acts) - 1]
        self._shares = [*shares, 100 - sum(shares)]
        self._random = random.Random(f"{seed} {name}")
        self._recorder = recorder
        self._own = (folder / f"{name}.sessions").open("a", encoding="utf-8")
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._looked_at = 0.0
        self._known: list[Known] = []
        self._short: list[Known] = []
        self._old: list[Known] = []
        self._mine: list[Known] = []
        self._numbers = iter(range(1_000_000_000))
        self.count = 0

    def next(self) -> Act:
        """What to do next; recorded already if it may change something."""
        if time.monotonic() - self._looked_at > _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._look()
        (choose,) = self._random.choices(self._acts, self._shares)
        act = choose() if self._mine and len(self._known) >= _FEWEST_KNOWN else self._login()
        if act.operation.verb not in READS and self._recorder is not None:
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
                operation.in_grace = result.in_grace or None
            elif operation.verb == "list":
                operation.listed = " ".join(session.session_id for session in result)
            elif operation.verb == "refresh":
                self._refreshed(operation, act.known, result)
        if self._recorder is not None:
            self._recorder.end(operation)

    def close(self) -> None:
        """Write what is not written yet."""
        if self._recorder is not None:
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

    def _subject(self, count: int = _SUBJECTS) -> str:
        generation = int(time.monotonic() / _SECONDS_OF_A_GENERATION)
        if self._generations:
            generation %= self._generations
        return f"{generation}-{self._random.randrange(count)}"

    def _login(self) -> Act:
        subject = self._subject()
        return Act(self._begin("login", subject), lambda manager: manager.login(subject))

    def _short_login(self) -> Act:
        subject = f"{_SHORT}{self._subject()}"
        operation = self._begin("login", subject, lifetime=_SHORT_LIFETIME)
        return Act(operation, lambda manager: manager.login(subject, lifetime=_SHORT_LIFETIME))

    def _capped_login(self) -> Act:
        subject = f"capped-{self._subject(_CAPPED_SUBJECTS)}"
        operation = self._begin("login", subject, limit=_CAP.max_sessions)
        return Act(operation, lambda manager: manager.login(subject, policy=_CAP))

    def _verify(self) -> Act:
        some = self._random.choices((self._known, self._short, self._old), (78, 6, 16))[0]
        known = self._random.choice(some or self._known)
        chance = self._random.random()
        if chance < 0.25:
            operation = self._begin("verify", known.subject, session=known.session, is_strict=True)
            return Act(operation, lambda manager: manager.verify(known.access_token, **_STRICT))
        grace = _OUTAGE_GRACE if chance < 0.35 else None
        operation = self._begin("verify", known.subject, session=known.session, outage_grace=grace)
        return Act(
            operation, lambda manager: manager.verify(known.access_token, outage_grace=grace)
        )

    def _list(self) -> Act:
        subject = self._random.choice(self._known).subject
        return Act(self._begin("list", subject), lambda manager: manager.sessions(subject))

    def _refresh(self) -> Act:
        known = self._random.choice(self._mine)
        token, chance = known.refresh_token, self._random.random()
        if chance < 0.2 and known.used_token:
            token = known.used_token if chance < 0.17 else known.first_token
        operation = self._begin(
            "refresh", known.subject, session=known.session, presented=digest(token)
        )
        return Act(operation, lambda manager: manager.refresh(token), known)

    def _end_one(self) -> Act:
        known = self._random.choice(self._known)
        if known.session[-2] < _HALF_OF_BASE64:
            return self._verify()  # half of all sessions are left alone
        if self._random.random() < 0.5:
            operation = self._begin("logout", known.subject, session=known.session)
            return Act(operation, lambda manager: manager.logout(known.access_token))
        operation = self._begin("revoke", known.subject, session=known.session)
        return Act(operation, lambda manager: manager.revoke(known.subject, known.session))

    def _end_all(self) -> Act:
        subject = self._random.choice(self._known).subject
        if int(subject[-1]) % 2:
            return self._verify()  # and half of all subjects
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
        token = pair.refresh_token
        known = Known(pair.subject, pair.session_id, pair.access_token, token, first_token=token)
        self._keep(known, self._mine, _MOST_MINE, _IS_KEPT)
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
        self._known = [*self._known, *found][-self._most_known :]
        for known in found:
            if known.subject.startswith(_SHORT):
                self._keep(known, self._short, _MOST_SHORT, _SHORT_IS_KEPT)
            else:
                self._keep(known, self._old, _MOST_OLD, _GROWS_OLD)

    def _keep(self, known: Known, some: list[Known], most: int, chance: float) -> None:
        """Keep it among ``some``, now and then in the place of another one."""
        if len(some) < most:
            some.append(known)
        elif self._random.random() < chance:
            some[self._random.randrange(most)] = known
