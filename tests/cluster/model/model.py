"""The reference model of the verbs in plain Python, which the real manager is compared with.

It imports nothing of the package. Times are seconds; each verb is told the second ``now`` in which
it happens.
"""

import base64
from itertools import groupby
from typing import Any

from .records import (
    IMPERSONATION_OVER,
    LEVELS,
    LONGEST_NOTE,
    LONGEST_TEXT,
    MOST_BANS,
    REMEMBERED_STEPS,
    TIMES_OUT,
    Account,
    Ban,
    Branch,
    Ending,
    Life,
    Line,
    Made,
    Policy,
    Refused,
    Rules,
    StepUp,
)


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
        if kind in {"refresh", "refused"}:
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
        """Return the sessions that have to end for one more, besides the chosen ones."""
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
        if notes_use and now - life.used >= self._note_after(life):
            life.seen = now
        return view

    def _note_after(self, life: Life) -> int:
        """The seconds from a use to the next one that is noted: less for some, by their ids."""
        longest = self.rules.note_use_after
        number = int.from_bytes(base64.urlsafe_b64decode(life.session_id + "==")[-4:], "big")
        return longest - number % (longest // 4)

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
        account.has_operations = True
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
        account.has_operations = True
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
        account.has_operations = True
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
        account.has_operations = True
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

    def login_failed(self, subject: str, now: int, *, address: str | None) -> None:
        if self.accounts[subject].is_forgotten():
            return
        account = self._change(subject, now)
        text = "invalid_credentials"
        self._write(account, "refused", now, None, address=address, text=text)

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
        """Return the content of a token pair."""
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
