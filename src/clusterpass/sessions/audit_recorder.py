"""Records the verbs of one manager, and their outcomes, in the audit trail.

- A verb that everybody uses (login, logout, refresh, step-up) does not wait for its entry, which a
  worker of the manager writes soon after. Every other verb returns when its entry is written, or
  when the store did not take it; it is then left to the worker, too.
- Anything that could be used to flood the trail is left out: invalid input, and text that is not a
  token. Identical refusals of one actor are recorded once in ten seconds, with their number.
"""

import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from clusterpass.config import Config
from clusterpass.model.acting import nobody_acts, who_acts
from clusterpass.model.audit import AuditOutcome, AuditPolicy
from clusterpass.model.authentication_errors import RefreshTokenReused
from clusterpass.model.clock import Clock
from clusterpass.model.errors import (
    ClusterPassError,
    ConfigurationError,
    InvalidInput,
    LinkInvalid,
    RevocationPending,
)
from clusterpass.model.values import Applied, Ended, RevokedBefore, Session, TokenPair
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Flow
from clusterpass.sessions.audit_entry import encode_entry
from clusterpass.sessions.memory.audit_queue import AuditQueue, Entry
from clusterpass.sessions.public_values import pack_address, reduce_address, unpack_address
from clusterpass.sessions.token_subject import claimed_by
from clusterpass.tokens.managed_keys import ManagedKey

Result = TypeVar("Result")
About = Mapping[str, Any]
"""What is known of an act: ``subject``, ``session_id``, ``reason``, ``address``, ``details`` and
``actor``, and of whom these are read: ``token``, ``session`` and ``by``, the session of an
impersonator."""

NOTHING_DONE: Final = (InvalidInput, ConfigurationError, LinkInvalid, TypeError)
"""Errors of which nothing is noted: anybody could fill the trail with them."""
FREQUENT: Final = frozenset({"login", "logout", "refresh", "step_up"})
"""What everybody does."""
WRITER_BYTES: Final = 8
"""Random bytes by which the entries of one manager are told from those of others."""
_DEADLINE: Final = 0.5
"""Seconds for which a verb waits for its entry."""
_SECONDS_BETWEEN_ALIKE: Final = 10.0
_MOST_ALIKE: Final = 1000
_OF_KEYS: Final = frozenset({"rotate_key", "revoke_key", "rotate_refresh_secret"})
_STORE_IS_AWAY: Final = frozenset({"store_unavailable", "revocation_pending"})


class AuditTrail:
    """The audit trail as one manager writes it."""

    def __init__(
        self,
        policy: AuditPolicy,
        config: Config,
        keyspace: Keyspace,
        clock: Clock,
        writer: bytes,
    ) -> None:
        """``writer``: eight random bytes."""
        self.queue: Final = AuditQueue(policy, keyspace)
        self._stored_addresses: Final = config.stored_addresses
        self._clock: Final = clock
        self._writer = writer.hex()
        self._numbers = itertools.count(1)
        self._alike: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()
        """By what makes refusals equal: when the next is noted, and how many were not."""

    def begin_anew(self, writer: bytes) -> None:
        """Leave what waits to the parent process, and write as another one; in a forked child."""
        self.queue.begin_anew()
        self._writer, self._numbers = writer.hex(), itertools.count(1)

    def around(self, action: str, flow: Flow[Result], **about: Any) -> Flow[Result]:
        """Run ``flow``, and note its outcome. Returns and raises what ``flow`` does.

        ``about``: as :data:`About`. Of refreshes only those are noted that tell of a reuse.
        """
        try:
            result = yield from flow
        except NOTHING_DONE:
            raise
        except ClusterPassError as error:
            yield from self.note_error(action, error, about)
            raise
        except BaseException:
            self.note_end(action, about)
            raise
        yield from self.note_result(action, result, about)
        return result

    def note_error(self, action: str, error: ClusterPassError, about: About) -> Flow[None]:
        """Note that a verb has failed with ``error``."""
        if action == "refresh" and not isinstance(error, RefreshTokenReused):
            return
        # Anybody can send a token that is none, also while nobody can tell.
        if action == "logout" and not isinstance(error, RevocationPending):
            return
        told = _told(about)
        yield from self.note(action, _outcome_of(error), told, error=error.code, sparing=True)

    def note_result(self, action: str, result: object, about: About) -> Flow[None]:
        """Note that a verb has returned ``result``."""
        if action == "refresh":
            return
        told = {**_told(about), **_of_result(result)}
        if action in _OF_KEYS:
            told["details"] = _of_keys(result)
        details = {**(about.get("details") or {}), **(told.get("details") or {})}
        yield from self.note(action, "done", {**told, "details": details})

    def note_end(self, action: str, about: About) -> None:
        """Note that the caller of a verb did not wait for what became of it."""
        if action not in {"refresh", "logout"}:
            self.queue.put(self._entry(action, "unknown", None, _told(about)))

    def login_failed(self, subject: str, error: str, address: str | None) -> None:
        """Note that a login was refused with ``error``."""
        about = {"subject": subject, "address": address}
        # Those of an attack by many names are equal, too.
        key = ("login", error) if error == "too_many_attempts" else None
        noted = about if key is None else self._sparing(key, about)
        if noted is not None:
            self.queue.put(self._entry("login", "refused", error, noted))

    def note(
        self,
        action: str,
        outcome: AuditOutcome,
        about: About,
        *,
        error: str | None = None,
        sparing: bool = False,
    ) -> Flow[None]:
        """Note an act. ``sparing``: equal refusals of one actor once in ten seconds."""
        noted: About | None = about
        if sparing and outcome == "refused":
            actor = about.get("actor") or who_acts().actor
            noted = self._sparing((action, error, actor or about.get("subject")), about)
        if noted is None:
            return
        entry = self._entry(action, outcome, error, noted)
        if action in FREQUENT or error in _STORE_IS_AWAY:
            self.queue.put(entry)
        else:
            yield from self.queue.write_now(entry, _DEADLINE)

    def note_of_itself(self, action: str, details: Mapping[str, Any]) -> None:
        """Note what the library did because it was time, in whosever call; nothing waits for it."""
        with nobody_acts():
            self.queue.put(self._entry(action, "done", None, {"details": details}))

    def _sparing(self, key: tuple[object, ...], about: About) -> About | None:
        """What to note of one of many refusals; None: it is counted with the next."""
        now = self._clock.steady()
        until, count = self._alike.get(key, (0.0, 0))
        if now < until:
            self._alike[key] = (until, count + 1)
            return None
        self._alike[key] = (now + _SECONDS_BETWEEN_ALIKE, 0)
        self._alike.move_to_end(key)
        while len(self._alike) > _MOST_ALIKE:
            self._alike.popitem(last=False)
        if not count:
            return about
        return {**about, "details": {**(about.get("details") or {}), "not_noted": count}}

    def _entry(self, action: str, outcome: AuditOutcome, error: str | None, about: About) -> Entry:
        who = who_acts()
        actor = about.get("actor") or who.actor
        if actor is None and outcome == "done" and action in FREQUENT:
            actor = about.get("subject")
        text = encode_entry(
            at=self._clock.wall(),
            action=action,
            outcome=outcome,
            actor=actor,
            subject=about.get("subject"),
            session_id=about.get("session_id"),
            via=who.via,
            address=self._kept(about.get("address") or who.address),
            reason=about.get("reason") or None,
            error=error,
            request_id=who.request_id,
            details=about.get("details"),
            writer=self._writer,
            writer_number=next(self._numbers),  # in one step, whatever threads there are
        )
        return text, hashlib.sha256(text).hexdigest()

    def _kept(self, address: object) -> str | None:
        """What of an address is kept."""
        if not isinstance(address, str):
            return None
        return unpack_address(reduce_address(pack_address(address), self._stored_addresses))


def _told(about: About) -> dict[str, Any]:
    """What is known: also whose a token or a session is, and who impersonates.

    A token was found genuine by its verb: others are not noted.
    """
    told = dict(about)
    token, session, actor = (told.pop(name, None) for name in ("token", "session", "by"))
    if isinstance(session, Session):
        told = {"subject": session.subject, "session_id": session.session_id, **told}
        if session.act is not None:
            told["actor"] = session.act.subject
    if isinstance(actor, Session):
        told["actor"] = actor.subject
    if isinstance(token, str):
        claimed = claimed_by(token)
        told |= {"subject": claimed.subject, "session_id": claimed.session_id}
        if claimed.actor is not None:
            told["actor"] = claimed.actor
    return told


def _outcome_of(error: ClusterPassError) -> AuditOutcome:
    if isinstance(error, RevocationPending):
        return "pending" if error.is_retried else "failed"
    return "failed" if error.status >= 500 else "refused"


def _of_keys(result: object) -> dict[str, Any]:
    """What a change of the keys adds to its entry: the id of the secret, or of the keys."""
    if isinstance(result, str):
        return {"id": result}
    keys = result if isinstance(result, tuple) else ()
    known = [each for each in keys if isinstance(each, ManagedKey)]
    return {each.state: each.kid for each in known if each.state in {"active", "next"}}


def _of_result(result: object) -> dict[str, Any]:
    """What the result of a verb adds to its entry."""
    if isinstance(result, TokenPair):
        return {"subject": result.subject, "session_id": result.session_id}
    if isinstance(result, Session):
        return {"session_id": result.session_id}
    if isinstance(result, Ended):
        details = {"count": result.count, **({"journaled": True} if result.journaled else {})}
        return {"details": details}
    if isinstance(result, Applied):
        return {"details": {"count": result.count}}
    if isinstance(result, RevokedBefore):
        return {"details": {"before": result.time}}
    return {}
