"""Operations of a campaign that need one call: logins, verifies, refreshes and endings."""

import time
from typing import TYPE_CHECKING, Any

from clusterpass import SessionPolicy

from .acts import Act, Known, digest
from .history import IDS
from .known import SHORT

if TYPE_CHECKING:
    from .lives import Lives

_SUBJECTS = 80
_CAPPED_SUBJECTS = 6
_CAP = SessionPolicy(max_sessions=2)
_SHORT_LIFETIME = 10
"""Seconds."""
_HALF_OF_BASE64 = "V"
_OUTAGE_GRACE = 1.0
"""Seconds."""
_STRICT: Any = {"verification": "strict"}
_SECONDS_OF_A_GENERATION = 20
_CUTOFF_AGES = (8, 60)
"""The seconds by which a cutoff usually lies in the past."""


class Ordinary:
    """Chooses what each is about."""

    def __init__(self, lives: "Lives", generations: int) -> None:
        """``generations``: see :class:`.mix.Mix`."""
        self._lives = lives
        self._random, self._sessions = lives.random, lives.sessions
        self._begin = lives.begin
        self._generations = generations

    def subject(self, count: int = _SUBJECTS) -> str:
        """One of those that are in use now."""
        generation = int(time.monotonic() / _SECONDS_OF_A_GENERATION)
        if self._generations:
            generation %= self._generations
        return f"{generation}-{self._random.randrange(count)}"

    def login(self, subject: str = "") -> Act:
        """A session."""
        subject = subject or self.subject()
        return Act(self._begin("login", subject), lambda manager: manager.login(subject))

    def short_login(self) -> Act:
        """A session that is over soon."""
        subject = f"{SHORT}{self.subject()}"
        operation = self._begin("login", subject, lifetime=_SHORT_LIFETIME)
        return Act(operation, lambda manager: manager.login(subject, lifetime=_SHORT_LIFETIME))

    def capped_login(self) -> Act:
        """A session of a subject that may have two."""
        subject = f"capped-{self.subject(_CAPPED_SUBJECTS)}"
        operation = self._begin("login", subject, limit=_CAP.max_sessions)
        return Act(operation, lambda manager: manager.login(subject, policy=_CAP))

    def verify(self) -> Act:
        """A session that somebody has opened."""
        known, chance = self._sessions.any(), self._random.random()
        if chance < 0.25:
            return self.strict(known)
        if chance < 0.35:
            return self.look_at(known, outage_grace=_OUTAGE_GRACE)
        return self.look_at(known, level="2" if chance < 0.4 else "")

    def strict(self, known: Known) -> Act:
        """As the store tells."""
        operation = self._begin(
            "verify", known.subject, session=known.session, token=known.token, is_strict=True
        )
        return Act(operation, lambda manager: manager.verify(known.access_token, **_STRICT))

    def look_at(self, known: Known, level: str = "", outage_grace: float | None = None) -> Act:
        """As the manager does it."""
        operation = self._begin(
            "verify",
            known.subject,
            session=known.session,
            token=known.token,
            level=level,
            outage_grace=outage_grace,
            is_strict=self._lives.is_strict,
        )
        wanted: Any = {"outage_grace": outage_grace}
        if level:
            wanted["level"] = level
        return Act(operation, lambda manager: manager.verify(known.access_token, **wanted))

    def list_some(self) -> Act:
        """The sessions of somebody."""
        return self.list_of(self._random.choice(self._sessions.known).subject)

    def list_of(self, subject: str) -> Act:
        """The sessions of ``subject``."""
        return Act(self._begin("list", subject), lambda manager: manager.sessions(subject))

    def refresh(self) -> Act:
        """A session of this process."""
        if not self._sessions.mine:
            return self.login()
        known = self._random.choice(self._sessions.mine)
        token, chance = known.refresh_token, self._random.random()
        if chance < 0.2 and known.used_token:
            token = known.used_token if chance < 0.17 else known.first_token
        operation = self._begin(
            "refresh", known.subject, session=known.session, presented=digest(token)
        )
        return Act(operation, lambda manager: manager.refresh(token), known)

    def end_one(self) -> Act:
        """A logout, or the revocation of a session."""
        known = self._random.choice(self._sessions.known)
        if known.session[-2] < _HALF_OF_BASE64 or known.subject.startswith(IDS):
            return self.verify()  # half of all sessions are left alone
        if self._random.random() < 0.5:
            operation = self._begin("logout", known.subject, session=known.session)
            act = Act(operation, lambda manager: manager.logout(known.access_token))
        else:
            operation = self._begin("revoke", known.subject, session=known.session)
            act = Act(operation, lambda manager: manager.revoke(known.subject, known.session))
        if self._random.random() < 0.2:
            act.plot = self._lives.plots.after_an_end(known, act)
            next(act.plot)  # which is this act
        return act

    def end_all(self) -> Act:
        """All sessions of somebody, by a revocation or by a ban; or a ban is lifted."""
        subject = self._random.choice(self._sessions.known).subject
        if int(subject[-1]) % 2 or subject.startswith(IDS):
            return self.verify()  # and half of all subjects
        chance = self._random.random()
        if chance < 0.6:
            operation = self._begin("revoke_all", subject)
            return Act(operation, lambda manager: manager.revoke_all(subject))
        if chance < 0.8:
            operation = self._begin("ban", subject, seconds=2)
            return Act(operation, lambda manager: manager.bans.add(subject, for_seconds=2))
        return Act(self._begin("lift", subject), lambda manager: manager.bans.lift(subject))

    def raise_cutoff(self) -> Act:
        """All sessions of the namespace that are older than a while, now and then all of them."""
        if self._random.random() < 0.15:
            return Act(self._begin("revoke_before", ""), lambda manager: manager.revoke_before())
        at = int(time.time()) - self._random.randint(*_CUTOFF_AGES)
        before = at - time.time() + time.monotonic()
        operation = self._begin("revoke_before", "", before=before)
        return Act(operation, lambda manager: manager.revoke_before(at))
