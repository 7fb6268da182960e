"""The user directory's decisions: procedures that take turns between the store and the hasher.

A procedure is a generator, one floor above the flows: it yields a flow for the store to run, or a
:class:`PasswordWork` for the hasher, receives the result and decides. A driver of a few lines runs
it to its end: one works in place, the other on threads beside the event loop.

- An unknown user, a disabled one and a wrong password look alike: the same steps, the same error.
- A hash is replaced only if it is still the one that was read, so a rehash undoes no change.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import unquote

from clusterpass.model.authentication_errors import InvalidCredentials
from clusterpass.model.errors import UserExists, UserNotFound
from clusterpass.protocol.calls import directory as directory_calls
from clusterpass.protocol.calls.directory import StoredUser
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, Flow, ScriptCall
from clusterpass.tokens.identifiers import check_subject
from clusterpass.users.passwords import PasswordHasher, check_new_password, check_password
from clusterpass.users.throttle import Throttle

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PasswordWork(Generic[Result]):
    """Work that keeps a CPU busy: hash or check a password."""

    run: Callable[[], Result] = field(repr=False)


Step = PasswordWork[Any] | Flow[Any]
Procedure = Generator[Step, Any, Result]


@dataclass(frozen=True, slots=True)
class User:
    """A user of the directory, as an administrator sees it."""

    name: str
    disabled: bool
    created_at: int
    """Seconds since the epoch, on the store's clock."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A user whose password fitted, and the entry that it fitted."""

    username: str
    entry: StoredUser = field(repr=False)


class Directory:
    """The procedures over the directory."""

    def __init__(
        self,
        keyspace: Keyspace,
        hasher: PasswordHasher,
        throttle: Throttle,
        *,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """``random_bytes``: n unpredictable bytes."""
        self._keyspace = keyspace
        self._hasher = hasher
        self._throttle = throttle
        self._random_bytes = random_bytes

    def add(self, username: str, password: str) -> Procedure[None]:
        """Add a user."""
        check_subject(username)
        password_hash = yield from self._hash(password)
        status = yield from _ask(
            directory_calls.add_user(
                self._keyspace,
                username,
                password_hash=password_hash,
                # Tells this operation, when it is sent twice, from another one.
                operation=self._random_bytes(16),
            )
        )
        if status == "EXISTS":
            raise UserExists

    def authenticate(
        self, username: str, password: str, *, address: str | None
    ) -> Procedure[Proven]:
        """Check a password, within the throttle."""
        check_subject(username)
        check_password(password)
        yield self._throttle.admit(username, address=address)
        entry = yield from self._find(username)
        if not (yield from self._fits(entry, password)) or entry is None or entry.disabled:
            raise InvalidCredentials
        yield self._throttle.forget(username)
        if self._hasher.needs_rehash(entry.password_hash):
            yield from self._rehash(username, entry, password)
        return Proven(username, entry)

    def confirm(self, proven: Proven, password: str) -> Procedure[bool]:
        """Whether the proof still holds now, after a session was opened on it.

        A password may change, or a user be disabled, between the check and the opening: the change
        ends the sessions that there are, and so would miss the one that is just being opened.
        """
        entry = yield from self._find(proven.username)
        if entry is None or entry.disabled:
            return False
        if entry.password_hash == proven.entry.password_hash:
            return True
        # Another hash may be the same password, hashed anew by this login or a parallel one.
        return (yield from self._fits(entry, password))

    def set_password(self, username: str, password: str) -> Procedure[None]:
        """Replace a password."""
        check_subject(username)
        password_hash = yield from self._hash(password)
        yield from self._change(username, "password", password_hash)

    def set_disabled(self, username: str, *, disabled: bool) -> Procedure[None]:
        """Refuse or admit a user."""
        check_subject(username)
        yield from self._change(username, "disabled", "1" if disabled else "0")

    def describe(self, username: str) -> Procedure[User | None]:
        """A user, or None when there is none (any more)."""
        entry = yield from self._find(username)
        return None if entry is None else User(username, entry.disabled, entry.created_at)

    def name_in_key(self, key: bytes) -> str | None:
        """The user's name in the name of an entry; None when the key is no entry's."""
        before, after = self._keyspace.user("").split(b"}", 1)
        start, end = before, b"}" + after
        if not (key.startswith(start) and key.endswith(end)):
            return None
        try:
            return unquote(key[len(start) : -len(end)].decode("ascii"), errors="strict")
        except UnicodeDecodeError:
            return None

    def _find(self, username: str) -> Procedure[StoredUser | None]:
        return (yield from _ask(directory_calls.find_user(self._keyspace, username)))

    def _fits(self, entry: StoredUser | None, password: str) -> Procedure[bool]:
        known = None if entry is None else entry.password_hash
        return bool((yield PasswordWork(lambda: self._hasher.verify(known, password))))

    def _hash(self, password: str) -> Procedure[str]:
        check_new_password(password)
        return str((yield PasswordWork(lambda: self._hasher.hash(password))))

    def _rehash(self, username: str, entry: StoredUser, password: str) -> Procedure[None]:
        password_hash = yield from self._hash(password)
        # Its outcome does not matter: when the entry has changed meanwhile, the change stands.
        yield from _ask(
            directory_calls.change_user(
                self._keyspace,
                username,
                field_name="password",
                value=password_hash,
                expected=entry.password_hash,
            )
        )

    def _change(
        self, username: str, field_name: Literal["password", "disabled"], value: str
    ) -> Procedure[None]:
        status = yield from _ask(
            directory_calls.change_user(
                self._keyspace, username, field_name=field_name, value=value
            )
        )
        if status == "UNKNOWN":
            raise UserNotFound


def _ask(call: ScriptCall[Result]) -> Procedure[Result]:
    reply: Result = yield _one_call(call)
    return reply


def _one_call(call: ScriptCall[Result]) -> Flow[Result]:
    answer: Answer[Result] = yield call
    return answer.reply
