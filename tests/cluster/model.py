"""What the verbs should do, in plain Python: the model that the real manager is compared with.

It imports nothing of the package. Times are seconds; each verb is told the second ``now`` in which
it happens.
"""

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

LEVELS = ("1", "2", "3")
REMEMBERED_STEPS = 4
"""How many exchanges back a token may lie to be taken for a repetition."""
LONGEST_NOTE = 54
LONGEST_TEXT = 40
MOST_BANS = 32
IMPERSONATION_OVER = "the impersonation has ended"
TIMES_OUT = {"expired": "session_expired", "idle": "session_idle"}


class Refused(Exception):
    """An error, as far as it is compared: its type, its reason and what it tells."""

    def __init__(self, error: str, reason: str | None = None, *, tells: Any = "", at: int = 0):
        super().__init__(error, reason, tells, at)


class Made(NamedTuple):
    """What the real manager made up: the model takes it over where it says so too."""

    session_id: str
    refresh_token: str


@dataclass
class Rules:
    """The configuration."""

    absolute: int
    idle: int
    remembered: int
    remembered_idle: int
    grace: int
    note_use_after: int
    history_entries: int
    ends_older: bool = False
    """Whether a step-up ends the tokens from before it."""
    protected: frozenset[str] = frozenset()


@dataclass
class Policy:
    most: int = 50
    most_alike: int = 0
    overflow: str = "oldest"


@dataclass
class Ending:
    reason: str
    at: int
    note: str = ""


@dataclass
class StepUp:
    at: int
    ends: int
    level: str
    methods: tuple[str, ...]


@dataclass
class Ban:
    scope: str
    level: int
    until: int | None
    reason: str
    at: int

    def forbids(self, scope: str, level: int) -> bool:
        if not self.scope:
            return True
        covered = scope == self.scope or (
            self.scope.endswith(":*") and scope.startswith(self.scope[:-1])
        )
        return covered and self.level >= level


@dataclass
class Line:
    """A line of the history."""

    kind: str
    at: int
    count: int
    session_id: str | None
    address: str | None
    text: str


@dataclass
class Branch:
    """Refresh tokens that follow each other: from the login, or from a step-up."""

    number: int
    """How many step-ups there had been."""
    opened: int
    tokens: list[str | None]
    """Every refresh token, in order; None: one that was never handed out."""
    exchanged: list[int] = field(default_factory=list)
    """When each but the last was exchanged."""

    @property
    def refreshed(self) -> int:
        return self.exchanged[-1] if self.exchanged else self.opened


@dataclass
class Life:
    """A session, living or not."""

    subject: str
    session_id: str
    opened: int
    absolute_end: int
    idle: int
    device: str | None
    device_type: str | None
    claims: dict[str, Any]
    level: str
    methods: tuple[str, ...]
    actor: tuple[str, str, str] | None
    branches: list[Branch]
    """By number; the last is that of the latest step-up."""
    current: Branch
    """The one that is exchanged."""
    older: Branch | None = None
    """The one from before the latest step-up, while it can be exchanged as well."""
    issued: list[int] = field(default_factory=list)
    """For each access token, in order, the number of the branch that it came with."""
    seen: int = 0
    stepped: StepUp | None = None
    ends_older: bool = False
    ending: Ending | None = None

    @property
    def refreshed(self) -> int:
        return self.current.refreshed

    @property
    def tokens(self) -> list[str | None]:
        return [token for branch in self.branches for token in branch.tokens]

    @property
    def latest(self) -> int:
        """The number of the latest step-up."""
        return self.branches[-1].number

    @property
    def used(self) -> int:
        return max(self.refreshed, self.seen)

    @property
    def ends(self) -> int:
        return min(self.absolute_end, self.used + self.idle) if self.idle else self.absolute_end

    def how_it_ended(self, now: int) -> Ending | None:
        if self.ending is None and self.ends <= now:
            return Ending("expired" if self.ends == self.absolute_end else "idle", self.ends)
        return self.ending

    def authentications(self, now: int, number: int | None = None) -> list[StepUp]:
        """Those in force: the strongest first, of equals the latest, of those the step-up.

        ``number``: for the tokens of that branch; None: for any.
        """
        found = [StepUp(self.opened, self.ends, self.level, self.methods)]
        if self.stepped and self.stepped.ends > now and number in {None, self.latest}:
            found.insert(0, self.stepped)
        return sorted(found, key=lambda each: (LEVELS.index(each.level), each.at), reverse=True)

    def kind(self) -> str:
        return self.device_type or ""


@dataclass
class Account:
    """All that is known of a subject."""

    lives: list[Life] = field(default_factory=list)
    bans: dict[str, Ban] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    wiped: int = 0
    """How often everything was revoked."""

    def living(self, now: int) -> list[Life]:
        return [life for life in self.lives if not life.how_it_ended(now)]

    def is_forgotten(self) -> bool:
        """There is nothing left for whose sake it would be kept."""
        return not (self.lives or self.bans or self.wiped)


class Model:
    """All subjects, and the verbs."""

    def __init__(self, rules: Rules, subjects: list[str]) -> None:
        self.rules = rules
        self.accounts = {subject: Account() for subject in subjects}

    def find(self, session_id: str) -> Life:
        lives = (life for account in self.accounts.values() for life in account.lives)
        return next(life for life in lives if life.session_id == session_id)

    # -- what happens around each change of a subject

    def _change(self, subject: str, now: int) -> Account:
        """A change first notices what has ended since the last one."""
        account = self.accounts[subject]
        if account.is_forgotten():
            account.lines = []
        if not account.living(now):
            account.claims = {}
        account.bans = {
            scope: ban for scope, ban in account.bans.items() if not ban.until or ban.until > now
        }
        for life in account.lives:
            if life.ending is None:
                life.ending = life.how_it_ended(now)
                if life.ending:
                    self._write(account, life.ending.reason, life.ending.at, life.session_id)
        return account

    def _write(
        self,
        account: Account,
        kind: str,
        at: int,
        session_id: str | None,
        *,
        count: int = 1,
        address: str | None = None,
        text: str = "",
    ) -> None:
        text = text[: LONGEST_TEXT - (4 if address else 0)]
        if kind == "refresh":
            for line in account.lines:
                if (line.kind, line.session_id) == (kind, session_id):
                    line.at, line.count, line.address = at, line.count + 1, address
                    return
        account.lines.append(Line(kind, at, count, session_id, address, text))
        del account.lines[: -self.rules.history_entries]

    def _end(
        self,
        account: Account,
        lives: list[Life],
        reason: str,
        now: int,
        *,
        address: str | None = None,
        note: str = "",
    ) -> int:
        for life in lives:
            life.ending = Ending(reason, now, note[:LONGEST_NOTE])
        if lives:
            one = lives[0].session_id if len(lives) == 1 else None
            self._write(account, reason, now, one, count=len(lives), address=address, text=note)
        return len(lives)

    def _refuse_if_over(self, life: Life, now: int) -> None:
        ending = life.how_it_ended(now)
        if ending and ending.reason in TIMES_OUT:
            raise Refused("SessionExpired", TIMES_OUT[ending.reason], at=ending.at)
        if ending:
            raise Refused("SessionRevoked", ending.reason, tells=ending.note, at=ending.at)

    def _actor_ended(self, life: Life, now: int) -> Ending | None:
        """How the end of who acts in it ended an impersonation; why is the actor's business."""
        ending = self.find(life.actor[1]).how_it_ended(now) if life.actor else None
        return ending and Ending("revoked", ending.at, IMPERSONATION_OVER)

    # -- the verbs

    def login(
        self,
        subject: str,
        now: int,
        made: Made | None,
        *,
        policy: Policy,
        device: str | None = None,
        device_type: str | None = None,
        claims: dict[str, Any] | None = None,
        replace: str | None = None,
        remember: bool = False,
        lifetime: int | None = None,
        idle_lifetime: int | None = None,
        acr: str | None = None,
        amr: tuple[str, ...] = (),
        address: str | None = None,
        wiped_before: int | None = None,
    ) -> dict[str, Any]:
        """``wiped_before``: how often everything had been revoked when the login began."""
        rules = self.rules
        absolute, idle = rules.absolute, rules.idle
        if remember:
            absolute, idle = rules.remembered, rules.remembered_idle
        life = Life(
            subject,
            made.session_id if made else "",
            now,
            now + (absolute if lifetime is None else lifetime),
            idle if idle_lifetime is None else idle_lifetime,
            device,
            device_type,
            claims or {},
            acr or LEVELS[0],
            amr,
            None,
            **self._first_tokens(now, made),
        )
        account = self._change(subject, now)
        self._refuse_banned(account)
        if wiped_before is not None and account.wiped > wiped_before:
            raise Refused("LoginOvertaken")
        chosen = [each for each in account.living(now) if each.session_id == replace]
        leaving = chosen + self._surplus(account, life, policy, now, chosen)
        label = device or device_type or ""
        self._end(account, leaving, "replaced", now, address=address, note=label)
        self._write(account, "login", now, life.session_id, address=address, text=label)
        account.lives.append(life)
        return self._pair(life, now, 0, life.current.tokens[0])

    @staticmethod
    def _first_tokens(now: int, made: Made | None) -> dict[str, Any]:
        branch = Branch(0, now, [made.refresh_token if made else ""])
        return {"branches": [branch], "current": branch}

    def _surplus(
        self, account: Account, new: Life, policy: Policy, now: int, chosen: list[Life]
    ) -> list[Life]:
        """Who has to leave for one more, besides who was chosen."""
        staying = [life for life in account.living(now) if not life.actor and life not in chosen]
        if policy.overflow == "least_recently_used":
            staying.sort(key=lambda life: life.used)
        alike = [life for life in staying if life.kind() == new.kind()]
        too_many_alike = max(0, len(alike) + 1 - policy.most_alike) if policy.most_alike else 0
        too_many = max(0, len(staying) + 1 - policy.most)
        if policy.overflow == "refuse" and (too_many or too_many_alike):
            ids = [life.session_id for life in reversed(account.living(now)) if not life.actor]
            raise Refused("TooManySessions", tells=ids)
        leaving = alike[:too_many_alike]
        others = [life for life in staying if life not in leaving]
        return leaving + others[: max(0, too_many - len(leaving))]

    @staticmethod
    def _refuse_banned(account: Account) -> None:
        if "" in account.bans:
            raise Refused("SubjectBanned", "banned", tells="")

    def impersonate(
        self,
        actor: str,
        subject: str,
        now: int,
        made: Made | None,
        *,
        reason: str,
        for_seconds: int,
    ) -> dict[str, Any]:
        who = self.find(actor)
        if who.actor:
            raise Refused("ImpersonationRefused", "nested")
        if who.subject == subject:
            raise Refused("ImpersonationRefused", "self")
        if subject in self.rules.protected:
            raise Refused("ImpersonationRefused", "protected")
        self._refuse_if_over(who, now)
        account = self._change(subject, now)
        self._refuse_banned(account)
        life = Life(
            subject,
            made.session_id if made else "",
            now,
            now + for_seconds,
            0,
            None,
            "impersonation",
            {},
            LEVELS[0],
            (),
            (who.subject, actor, reason),
            **self._first_tokens(now, made),
        )
        text = f"{who.subject}: {reason}"
        self._write(account, "impersonated", now, life.session_id, text=text)
        account.lives.append(life)
        return self._pair(life, now, 0, life.current.tokens[0])

    def verify(
        self,
        session_id: str,
        now: int,
        *,
        which: int = -1,
        level: str | None = None,
        max_auth_age: int | None = None,
        notes_use: bool = True,
    ) -> dict[str, Any]:
        """``which``: the place of the access token among those of the session."""
        life = self.find(session_id)
        self._refuse_if_over(life, now)
        number = life.issued[which]
        if life.ends_older and number < life.latest:
            raise Refused("TokenSuperseded", "superseded")
        actor_ended = self._actor_ended(life, now)
        if actor_ended:
            raise Refused("SessionRevoked", "revoked", tells=actor_ended.note, at=actor_ended.at)
        view = self.view(life, now, number)
        lowest = LEVELS.index(level) if level else 0
        if not any(
            LEVELS.index(each.level) >= lowest
            and (max_auth_age is None or now - each.at <= max_auth_age)
            for each in life.authentications(now, number)
        ):
            raise Refused(
                "StepUpRequired",
                "insufficient_user_authentication",
                tells=(LEVELS[lowest:] if level else (), max_auth_age),
            )
        if notes_use and now - life.used >= self.rules.note_use_after:
            life.seen = now
        return view

    def refresh(
        self, token: str, now: int, made: Made | None, *, address: str | None = None
    ) -> dict[str, Any]:
        lives = (life for account in self.accounts.values() for life in account.lives)
        life = next(life for life in lives if token in life.tokens)
        account = self._change(life.subject, now)
        if life.ending:
            raise self._refresh_refused(life.ending)
        branch = next(branch for branch in life.branches if token in branch.tokens)
        place = branch.tokens.index(token)
        line = life.older if life.older and branch.number < life.latest else life.current
        reuse = self._reuse(life, branch, line, place, now)
        if reuse == "superseded":
            raise Refused("InvalidRefreshToken", reuse)
        if reuse:
            life.ending = Ending("reused", now, reuse)
            self._write(account, "reused", now, life.session_id, address=address, text=reuse)
            raise Refused("RefreshTokenReused", reuse, at=now)
        if place == len(branch.tokens) - 1:
            self._exchange(life, branch, line, now)
            self._write(account, "refresh", now, life.session_id, address=address)
        actor_ended = self._actor_ended(life, now)
        if actor_ended:
            raise self._refresh_refused(actor_ended)
        successor = branch.tokens[place + 1]
        if successor is None and made:
            successor = branch.tokens[place + 1] = made.refresh_token
        return self._pair(life, now, branch.number, successor)

    def _reuse(self, life: Life, branch: Branch, line: Branch, place: int, now: int) -> str | None:
        """The class of a token that is not to be exchanged; None: it is, or was a moment ago."""
        grace, back = self.rules.grace, len(branch.tokens) - 1 - place
        if branch is line:
            if not back or (back <= REMEMBERED_STEPS and now - branch.exchanged[place] <= grace):
                return None
            return "recent" if back == 1 else "stale"
        if branch.number > line.number:
            # Given up for an older one; or never used before a later step-up replaced it.
            return "foreign" if branch.number == life.latest else None
        is_new = len(life.branches[-1].tokens) == 1 or now - life.branches[-1].opened <= grace
        return "superseded" if life.ends_older and is_new else "stale"

    def _exchange(self, life: Life, branch: Branch, line: Branch, now: int) -> None:
        branch.exchanged.append(now)
        branch.tokens.append(None)
        is_decided = now - life.branches[-1].opened > self.rules.grace
        if line is life.current:
            life.current = branch
        elif is_decided:
            life.current, life.older = branch, None
        else:
            life.older, life.seen = branch, now
        if is_decided:
            life.older = None

    @staticmethod
    def _refresh_refused(ending: Ending) -> Refused:
        return Refused("InvalidRefreshToken", ending.reason, tells=ending.note, at=ending.at)

    def logout(self, session_id: str, now: int, *, address: str | None = None) -> int:
        life = self.find(session_id)
        account = self._change(life.subject, now)
        living = [] if life.ending else [life]
        return self._end(account, living, "logged_out", now, address=address)

    def revoke(self, subject: str, session_id: str, now: int, *, reason: str = "") -> int:
        account = self._change(subject, now)
        lives = [life for life in account.lives if life.session_id == session_id]
        if not lives:
            raise Refused("SessionNotFound")
        living = [life for life in lives if not life.ending]
        return self._end(account, living, "revoked", now, note=reason)

    def revoke_all(
        self,
        subject: str,
        now: int,
        *,
        keep: str | None = None,
        device_type: str | None = None,
        reason: str = "",
    ) -> int:
        account = self._change(subject, now)
        leaving = [
            life
            for life in account.living(now)
            if life.session_id != keep and device_type in {None, life.device_type}
        ]
        ended = self._end(account, leaving, "revoked", now, note=reason)
        if device_type is None:
            account.wiped += 1
        return ended

    def shorten(
        self,
        session_id: str,
        now: int,
        *,
        lifetime: int | None = None,
        idle_lifetime: int | None = None,
    ) -> dict[str, Any]:
        life = self.find(session_id)
        self._change(life.subject, now)
        self._refuse_if_over(life, now)
        if lifetime is not None:
            life.absolute_end = min(life.absolute_end, now + lifetime)
        if idle_lifetime is not None:
            life.idle = min(life.idle or idle_lifetime, idle_lifetime)
        self._refuse_if_over(life, now)
        return self.view(life, now)

    def elevate(
        self,
        session_id: str,
        level: str,
        now: int,
        *,
        for_seconds: int,
        amr: tuple[str, ...],
        address: str | None = None,
        made: Made | None,
    ) -> dict[str, Any]:
        life = self.find(session_id)
        account = self._change(life.subject, now)
        self._refuse_if_over(life, now)
        if life.actor:
            raise Refused("ImpersonationRefused", "impersonated")
        life.stepped = StepUp(now, now + for_seconds, level, amr)
        life.ends_older = life.ends_older or self.rules.ends_older
        is_unused = life.latest and life.current is life.branches[-1] and not life.current.exchanged
        if not is_unused:
            life.older = life.current
        if life.ends_older:
            life.older = None
        life.current = Branch(life.latest + 1, now, [made.refresh_token if made else ""])
        life.branches.append(life.current)
        self._write(account, "elevated", now, session_id, address=address, text=level)
        return self._pair(life, now, life.latest, life.current.tokens[0])

    def ban(
        self,
        subject: str,
        now: int,
        *,
        scope: str,
        level: int,
        reason: str,
        for_seconds: int | None,
    ) -> int:
        account = self._change(subject, now)
        scopes = account.bans.keys() - {""}
        if scope and scope not in scopes and len(scopes) >= MOST_BANS:
            raise Refused("TooManyBans")
        until = None if for_seconds is None else now + for_seconds
        account.bans[scope] = Ban(scope, level, until, reason, now)
        leaving = [] if scope else account.living(now)
        for life in leaving:
            life.ending = Ending("banned", now, reason[:LONGEST_NOTE])
        account.wiped += not scope
        text, count = f"{scope} {reason}".strip(), max(1, len(leaving))
        self._write(account, "banned", now, None, count=count, text=text)
        return len(leaving)

    def lift(self, subject: str, now: int, *, scope: str) -> int:
        account = self._change(subject, now)
        if scope not in account.bans:
            return 0
        del account.bans[scope]
        self._write(account, "unbanned", now, None, text=scope)
        return 1

    def check(self, subject: str, scope: str, now: int, *, level: int) -> None:
        for ban in self._bans(subject, now):
            if ban.forbids(scope, level):
                raise Refused("SubjectBanned", "banned", tells=ban.scope)

    def set_claims(self, subject: str, claims: dict[str, Any], now: int) -> int:
        account = self._change(subject, now)
        living = account.living(now)
        if living and account.claims != claims:
            account.claims = claims
            self._write(account, "claims_changed", now, None)
        return len(living)

    # -- what can be seen

    def _bans(self, subject: str, now: int) -> list[Ban]:
        bans = sorted(self.accounts[subject].bans.values(), key=lambda ban: ban.scope)
        return [ban for ban in bans if not ban.until or ban.until > now]

    def bans(self, subject: str, now: int) -> list[tuple[Any, ...]]:
        return [
            (ban.scope, ban.level, ban.until, ban.reason, ban.at)
            for ban in self._bans(subject, now)
        ]

    def claims(self, subject: str, now: int) -> dict[str, Any] | None:
        """None: nobody is logged in, so they are nobody's."""
        account = self.accounts[subject]
        return account.claims if account.living(now) else None

    def history(self, subject: str) -> list[Line]:
        account = self.accounts[subject]
        lines = enumerate([] if account.is_forgotten() else account.lines)
        return [line for _, line in sorted(lines, key=lambda e: (e[1].at, e[0]), reverse=True)]

    def adopt_order(self, subject: str, seen: list[str]) -> None:
        """Those found in one go to have ended are written down in any order: ``seen``."""
        lines = self.accounts[subject].lines
        place = {session_id: -number for number, session_id in enumerate(seen)}
        ordered: list[Line] = []
        for by_time, group in groupby(lines, lambda line: line.kind in TIMES_OUT):
            found = list(group)
            if by_time:
                found.sort(key=lambda line: place.get(line.session_id or "", 0))
            ordered += found
        lines[:] = ordered

    def sessions(self, subject: str, now: int) -> list[dict[str, Any]]:
        return [self.view(life, now) for life in reversed(self.accounts[subject].living(now))]

    def view(self, life: Life, now: int, number: int | None = None) -> dict[str, Any]:
        """A session as callers see it, with a token of the branch ``number``; None: with none."""
        account = self.accounts[life.subject]
        shown = life.authentications(now, number)[0]
        return {
            "subject": life.subject,
            "session_id": life.session_id,
            "device": life.device,
            "device_type": life.device_type,
            "created_at": life.opened,
            "refreshed_at": life.refreshed,
            "active_at": life.used,
            "expires_at": life.ends,
            "claims": life.claims | account.claims,
            "auth_time": shown.at,
            "acr": shown.level,
            "amr": shown.methods,
            "act": life.actor,
            "bans": self.bans(life.subject, now),
        }

    def _pair(self, life: Life, now: int, number: int, token: str | None) -> dict[str, Any]:
        """What a pair of tokens says."""
        life.issued.append(number)
        view = self.view(life, now, number)
        said = {name: view[name] for name in ("subject", "session_id", "claims", "acr", "amr")}
        actor = life.actor and life.actor[:2]
        return said | {
            "auth_time": view["auth_time"],
            "act": actor,
            "session_ends": life.ends,
            "refresh_token": token,
        }


@dataclass
class Link:
    """A refresh token among those of its session."""

    token: str
    rotation: int
    before: "Link | None" = None
    key: int | None = None
    """Which key derived it from the one before; None: none did."""


@dataclass
class Place:
    """Where the store is in the chain of a session."""

    newest: Link
    refreshed: int
    began: int
    """When the first of the refreshes was that followed each other within the grace."""
    burst: int = 0


class Chain:
    """The refresh tokens of one session, presented in any order, also after a rollback."""

    def __init__(self, grace: int, token: str, now: int) -> None:
        self.grace = grace
        self.place = Place(Link(token, 0), now, now)
        self.links = {token: self.place.newest}
        self.reuse: str | None = None

    def present(self, token: str, key: int, now: int, made: str | None) -> str | None:
        """The successor of ``token``, as a manager whose keys begin with ``key`` makes it."""
        if self.reuse:
            raise Refused("InvalidRefreshToken", "reused", tells=self.reuse)
        link, place = self.links[token], self.place
        steps = place.newest.rotation - link.rotation
        path = self._path_from(link)
        is_fresh = now - place.refreshed <= self.grace
        if steps > 1:
            is_fresh = steps <= place.burst and now - place.began <= self.grace
        if path and is_fresh:
            return path[0].token
        if link is place.newest or steps < 0:  # ahead: the store has lost an exchange
            return self._exchange(link, key, now, made)
        if steps == 0 or (self.grace and steps <= REMEMBERED_STEPS and not path):
            self.reuse = "foreign"
        else:
            self.reuse = "recent" if steps == 1 else "stale"
        raise Refused("RefreshTokenReused", self.reuse)

    def _path_from(self, link: Link) -> list[Link]:
        """The tokens from behind ``link`` to the newest, if one key can tell that they are."""
        path: list[Link] = []
        each: Link | None = self.place.newest
        while self.grace and each and each.rotation > link.rotation:
            path.insert(0, each)
            each = each.before
        same_key = len({one.key for one in path}) == 1
        return path if each is link and same_key and len(path) <= REMEMBERED_STEPS else []

    def _exchange(self, link: Link, key: int, now: int, made: str | None) -> str | None:
        place = self.place
        began, burst = place.began, place.burst
        if not burst or now - began > self.grace:
            began, burst = now, 0
        if made:
            known = self.links.get(made)
            # The same token from the same key, also after a rollback; never without a grace.
            if known and (not self.grace or (known.before, known.key) != (link, key)):
                raise AssertionError("a successor of two tokens")
            successor = known or Link(made, link.rotation + 1, link, key if self.grace else None)
            self.links[made] = successor
            self.place = Place(successor, now, began, burst + 1)
        return made
