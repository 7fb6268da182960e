"""Notes in the audit trail what the verbs of one manager do, and how that ends.

- A verb that everybody uses (login, logout, refresh, step-up) does not wait for its entry, which a
  worker of the manager writes soon after. Every other verb returns when its entry is written, or
  when the store did not take it; it is then left to the worker, too.
- An entry that the store does not take for too long goes to the log instead, whole.
"""

import hashlib
import itertools
import logging
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from clusterpass.config import Config
from clusterpass.model.acting import who_acts
from clusterpass.model.audit import AuditOutcome, AuditPolicy, AuditStats
from clusterpass.model.authentication_errors import RefreshTokenReused
from clusterpass.model.clock import Clock
from clusterpass.model.errors import (
    ClusterPassError,
    ConfigurationError,
    InvalidInput,
    LinkInvalid,
    RevocationPending,
    StoreDenied,
    StoreFailed,
    StoreUnavailable,
)
from clusterpass.model.values import Applied, Ended, RevokedBefore, Session, TokenPair
from clusterpass.protocol.calls.audit import append_entries
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, Flow, Rest
from clusterpass.sessions.audit_entry import encode_entry
from clusterpass.sessions.present import pack_address, reduce_address, unpack_address
from clusterpass.sessions.token_subject import claimed_by, subject_of_token

Result = TypeVar("Result")
Entry = tuple[bytes, str]
"""The text of an entry, and its SHA-256 in hexadecimal digits."""

NOTHING_DONE: Final = (InvalidInput, ConfigurationError, LinkInvalid, TypeError)
"""Errors of which nothing is noted: anybody could fill the trail with them."""
_WILL_NOT_HEAL: Final = (StoreDenied, StoreFailed)
"""Errors of which another try would bring no other."""
FREQUENT: Final = frozenset({"login", "logout", "refresh", "step_up"})
"""What everybody does."""
MOST_WAITING: Final = 10_000
MOST_AT_ONCE: Final = 100
WRITER_BYTES: Final = 8
"""Random bytes by which the entries of one manager are told from those of others."""
_DEADLINE: Final = 0.5
"""Seconds for which a verb waits for its entry."""
_SETTLING_SECONDS: Final = 0.005
_SECONDS_BETWEEN_ALIKE: Final = 10.0
"""Between two entries of attempts that the throttle refuses; the others are counted in the next."""
logger: Final = logging.getLogger("clusterpass.audit")


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
        self._policy = policy
        self._config = config
        self._keyspace = keyspace
        self._clock = clock
        self._writer = writer.hex()
        self._numbers = itertools.count(1)
        self._waiting: deque[Entry] = deque()
        self._under_way = 0
        self._written = self._failed = self._logged = 0
        self._refused_until = 0.0
        self._refused = 0
        self.head: tuple[int, str] | None = None
        """Number and chain of the latest entry that this manager has written."""

    def wake(self) -> None:
        """Have the worker write what waits; the manager replaces this method."""

    def begin_anew(self, writer: bytes) -> None:
        """Leave what waits to the parent process, and write as another one; in a forked child."""
        self._waiting.clear()
        self._under_way = 0
        self._writer, self._numbers = writer.hex(), itertools.count(1)

    def __len__(self) -> int:
        return len(self._waiting)

    def stats(self) -> AuditStats:
        """Return what became of the entries."""
        return AuditStats(
            written=self._written,
            waiting=len(self._waiting),
            failed=self._failed,
            logged=self._logged,
        )

    def around(self, action: str, flow: Flow[Result], **about: Any) -> Flow[Result]:
        """Run ``flow``, and note its outcome. Returns and raises what ``flow`` does.

        ``about``: the subject, the session, the reason and the address, as far as they are known.
        Bad input is not noted: nothing was done. Of refreshes only those are noted that tell of a
        reuse.
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

    def note_error(
        self, action: str, error: ClusterPassError, about: Mapping[str, Any]
    ) -> Flow[None]:
        """Note that a verb has failed with ``error``."""
        outcome = _outcome_of(error)
        if action == "refresh" and not isinstance(error, RefreshTokenReused):
            return
        # Anybody can send a token that is none.
        if action == "logout" and outcome == "refused":
            return
        is_genuine = isinstance(error, RefreshTokenReused | RevocationPending)
        told = self._told(about, is_genuine=is_genuine)
        yield from self._note(action, outcome, error.code, told)

    def note_result(self, action: str, result: object, about: Mapping[str, Any]) -> Flow[None]:
        """Note that a verb has returned ``result``."""
        if action == "refresh":
            return
        told = {**self._told(about, is_genuine=True), **_of_result(result)}
        details = {**(about.get("details") or {}), **told.get("details", {})}
        yield from self._note(action, "done", None, {**told, "details": details})

    def note_end(self, action: str, about: Mapping[str, Any]) -> None:
        """Note that the caller of a verb did not wait for what became of it."""
        if action != "refresh":
            self.put(self._entry(action, "unknown", None, self._told(about)))

    def login_failed(
        self, flow: Flow[None], *, subject: str, error: str, address: str | None
    ) -> Flow[None]:
        """Note that a login was refused with ``error``, whatever becomes of ``flow``."""
        about = {"subject": subject, "address": address}
        try:
            yield from flow
        except NOTHING_DONE:
            raise
        except ClusterPassError:
            yield from self._note("login", "refused", error, about)
            raise
        yield from self._note("login", "refused", error, about)

    def note(self, action: str, outcome: AuditOutcome, **about: Any) -> Flow[None]:
        """Note what was done elsewhere. ``about``: as for :meth:`around`, and ``error``."""
        error = about.pop("error", None)
        yield from self._note(action, outcome, error, about)

    def _note(
        self, action: str, outcome: AuditOutcome, error: str | None, about: Mapping[str, Any]
    ) -> Flow[None]:
        if error == "too_many_attempts":
            now = self._clock.steady()
            if now < self._refused_until:
                self._refused += 1
                return
            self._refused_until = now + _SECONDS_BETWEEN_ALIKE
            if self._refused:
                about = {**about, "details": {"not_noted": self._refused}}
            self._refused = 0
        entry = self._entry(action, outcome, error, about)
        if action in FREQUENT or error in {"store_unavailable", "revocation_pending"}:
            self.put(entry)
            return
        try:
            yield from self._append((entry,), deadline=_DEADLINE)
        except _WILL_NOT_HEAL:
            self.log(entry)
        except ClusterPassError:
            self._failed += 1
            self.put(entry)

    def put(self, entry: Entry) -> None:
        """Leave ``entry`` to the worker, or to the log when too many wait. Never raises."""
        if len(self._waiting) >= MOST_WAITING:
            self.log(entry)
            return
        self._waiting.append(entry)
        self.wake()

    def log(self, entry: Entry) -> None:
        """Write ``entry`` to the log, as the store does not take it."""
        self._logged += 1
        logger.error("an entry of the audit trail was not stored: %s", entry[0].decode())

    def log_waiting(self) -> None:
        """Write all that waits to the log."""
        while self._waiting:
            self.log(self._waiting.popleft())

    def write(self) -> Flow[None]:
        """Write what waits, at most 100 entries.

        Raises StoreUnavailable, and the entries go on waiting; or StoreDenied or StoreFailed, when
        no other try could be better, and the log has them.
        """
        batch: list[Entry] = []
        while self._waiting and len(batch) < MOST_AT_ONCE:
            batch.append(self._waiting.popleft())
        if not batch:
            return
        self._under_way += 1
        try:
            yield from self._append(tuple(batch))
        except _WILL_NOT_HEAL:
            for entry in batch:
                self.log(entry)
            raise
        except BaseException:
            # Where the answer was lost they are written twice, which readers see by their numbers.
            self._waiting.extendleft(reversed(batch))
            self._failed += 1
            raise
        finally:
            self._under_way -= 1

    def settle(self) -> Flow[None]:
        """Wait until nothing is being written by others."""
        while self._under_way:
            yield Rest(_SETTLING_SECONDS)

    def _append(self, entries: tuple[Entry, ...], deadline: float | None = None) -> Flow[None]:
        answer: Answer[tuple[int, str]] = yield append_entries(
            self._keyspace,
            entries,
            most_entries=self._policy.most_entries,
            retention=self._policy.retention,
            deadline=deadline,
        )
        if not answer.is_confirmed and deadline is None:
            raise StoreUnavailable("No replica has confirmed the entries.", reason="unconfirmed")
        self._written += len(entries)
        self.head = answer.reply

    def _entry(
        self, action: str, outcome: AuditOutcome, error: str | None, about: Mapping[str, Any]
    ) -> Entry:
        who = who_acts()
        actor = about.get("actor") or who.actor
        if actor is None and outcome == "done" and action in FREQUENT:
            actor = about.get("subject")
        address = about.get("address") or who.address
        text = encode_entry(
            at=self._clock.wall(),
            action=action,
            outcome=outcome,
            actor=actor,
            subject=about.get("subject"),
            session_id=about.get("session_id"),
            via=who.via,
            address=self._kept(address),
            reason=about.get("reason") or None,
            error=error,
            request_id=who.request_id,
            details=about.get("details"),
            writer=self._writer,
            writer_number=next(self._numbers),  # in one step, whatever threads there are
        )
        return text, hashlib.sha256(text).hexdigest()

    def _told(self, about: Mapping[str, Any], *, is_genuine: bool = False) -> dict[str, Any]:
        """What is known: also whose a token or a session is, and who impersonates.

        ``is_genuine``: whether the verb has found the token to be.
        """
        told = dict(about)
        token, session, actor = (told.pop(name, None) for name in ("token", "session", "by"))
        if isinstance(session, Session):
            told = {"subject": session.subject, "session_id": session.session_id, **told}
        if isinstance(actor, Session):
            told["actor"] = actor.subject
        if isinstance(token, str) and is_genuine:
            told["subject"], told["session_id"] = claimed_by(token)
        elif isinstance(token, str):
            with suppress(ClusterPassError):
                told["subject"] = subject_of_token(self._config, token)
        return told

    def _kept(self, address: object) -> str | None:
        """What of an address is kept."""
        if not isinstance(address, str):
            return None
        return unpack_address(reduce_address(pack_address(address), self._config.stored_addresses))


def _outcome_of(error: ClusterPassError) -> AuditOutcome:
    if isinstance(error, RevocationPending):
        return "pending" if error.is_retried else "failed"
    return "failed" if error.status >= 500 else "refused"


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
