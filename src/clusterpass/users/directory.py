"""The decisions of the user directory, as procedures that alternate between store and hasher.

A procedure is a generator, one level above the flows. It yields a flow for the store to run, or a
:class:`PasswordWork` for the hasher, and receives the result. A short driver runs it to its end:
the synchronous one on the caller's thread, the asynchronous one with hashing on other threads.

- An unknown user, a disabled user and a wrong password are indistinguishable: all take the same
  steps and raise the same error.
- A hash is replaced only if it is still the one that was read, so a rehash never undoes a change.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote

from clusterpass.model.authentication_errors import InvalidCredentials
from clusterpass.model.errors import LinkInvalid, UserExists, UserNotFound
from clusterpass.model.json_form import Value
from clusterpass.protocol.calls import directory as directory_calls
from clusterpass.protocol.calls.directory import StoredUser
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.tokens.identifiers import check_subject
from clusterpass.users.one_time_links import Links, OneTimeLink, read_token
from clusterpass.users.password_policy import PasswordPolicy
from clusterpass.users.passwords import PasswordHasher, check_password
from clusterpass.users.procedures import Change, PasswordWork, Procedure, ask, write
from clusterpass.users.throttle import Throttle
from clusterpass.users.usernames import prepare_name

_MOST_REPLACEMENTS: Final = 5
"""How often a hash may change while a password is being replaced."""


@dataclass(frozen=True, slots=True)
class User(Value):
    """A user of the directory, as an administrator sees it."""

    name: str
    """The name, which is the subject of the user's sessions."""
    disabled: bool
    """Whether the user may not log in."""
    created_at: int
    """When the user was added, in seconds since the epoch by the store's clock."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A user whose password was correct, and the entry that it was checked against."""

    username: str
    """The name of the user."""
    entry: StoredUser = field(repr=False)
    """The entry as it was read before the check."""


class Directory:
    """The procedures of the user directory. What changes a user takes a name that was resolved."""

    def __init__(
        self,
        keyspace: Keyspace,
        hasher: PasswordHasher,
        throttle: Throttle,
        policy: PasswordPolicy,
        *,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """``random_bytes``: returns n unpredictable bytes."""
        self._policy = policy
        self._keyspace = keyspace
        self._hasher = hasher
        self._throttle = throttle
        self._random_bytes = random_bytes
        self._links = Links(keyspace, random_bytes)

    def add(self, username: str, password: str) -> Procedure[None]:
        """Add a user; raise UserExists when the name is taken, PasswordRefused by the policy."""
        password_hash = yield from self._hash_chosen(username, password)
        name = check_subject(prepare_name(username))
        if name != username and (yield from self._find(username)) is not None:
            raise UserExists
        status = yield from ask(
            directory_calls.add_user(
                self._keyspace,
                name,
                password_hash=password_hash,
                # Lets the store recognise a retry of this operation.
                operation=self._random_bytes(16),
            )
        )
        if status == "EXISTS":
            raise UserExists

    def resolve(self, username: str) -> Procedure[str]:
        """Return the name that is kept for ``username``, whether there is such a user or not.

        A name that was kept as it is spelt, as earlier releases did, comes first.
        """
        check_subject(username)
        name = prepare_name(username)
        if name == username or (yield from self._find(username)) is not None:
            return username
        return check_subject(name)

    def authenticate(
        self, username: str, password: str, *, address: str | None, known: str | None = None
    ) -> Procedure[Proven]:
        """Check a password within the limits of the throttle; return the proof.

        ``known``: as for :meth:`Throttle.admit`. Raises InvalidCredentials, TooManyAttempts and
        InvalidInput.
        """
        check_subject(username)
        check_password(password)
        yield self._throttle.admit(username, address=address, known=known)
        entry = yield from self._find(username)
        if not (yield from self._fits(entry, password)) or entry is None or entry.disabled:
            raise InvalidCredentials
        yield self._throttle.forget(username, known=known)
        if (yield from self._is_outdated(entry, password)):
            yield from self._rehash(username, entry, password)
        return Proven(username, entry)

    def confirm(self, proven: Proven, password: str) -> Procedure[bool]:
        """Return whether the proof still holds after a session was opened on it.

        A password may be changed, or a user disabled, between the check and the opening of the
        session. That change ends the existing sessions, and so would miss the new one.
        """
        entry = yield from self._find(proven.username)
        if entry is None or entry.disabled:
            return False
        if entry.password_hash == proven.entry.password_hash:
            return True
        # A different hash may be of the same password, rehashed by this login or a concurrent one.
        return (yield from self._fits(entry, password))

    def change_password(
        self,
        username: str,
        current: str,
        new: str,
        change: Change,
        *,
        address: str | None,
        known: str,
    ) -> Procedure[None]:
        """Replace the password of a user who knows it.

        ``known``: the id of the user's live session, where a wrong ``current`` is counted. Raises
        InvalidCredentials, TooManyAttempts, and PasswordRefused by the policy.
        """
        check_subject(username)
        check_password(current)
        self._policy.check(new, username)
        yield self._throttle.admit(username, address=address, known=known)
        new_hash = None
        for _ in range(_MOST_REPLACEMENTS):
            entry = yield from self._find(username)
            if not (yield from self._fits(entry, current)) or entry is None or entry.disabled:
                raise InvalidCredentials
            new_hash = new_hash or (yield from self._hash(new))
            status = yield from write(
                directory_calls.change_user(
                    self._keyspace,
                    username,
                    field_name="password",
                    value=new_hash,
                    expected=entry.password_hash,
                ),
                change,
            )
            if status == "OK":
                yield self._throttle.forget(username, known=known)
                return
            # Another hash, perhaps of the same password: a login may have replaced it meanwhile.
            change.is_sent = False
        raise InvalidCredentials

    def set_password(self, username: str, password: str, change: Change) -> Procedure[None]:
        """Replace a password; raise UserNotFound, or PasswordRefused by the policy."""
        password_hash = yield from self._hash_chosen(username, password)
        yield from self._change(username, "password", password_hash, change)

    def set_disabled(self, username: str, change: Change, *, disabled: bool) -> Procedure[None]:
        """Disable or enable a user; raise UserNotFound when there is no such user."""
        yield from self._change(username, "disabled", "1" if disabled else "0", change)

    def begin_removal(self, username: str, change: Change) -> Procedure[int]:
        """Disable a user; return when the user was added. Raises UserNotFound."""
        entry = yield from self._find(username)
        if entry is None:
            raise UserNotFound
        yield from self._change(username, "disabled", "1", change)
        return entry.created_at

    def remove(self, username: str, change: Change, *, created_at: int) -> Procedure[None]:
        """Remove the user whom :meth:`begin_removal` has disabled, and no other of the name."""
        call = directory_calls.remove_user(self._keyspace, username, created_at=created_at)
        if not (yield from write(call, change)):
            change.is_durable = True  # somebody else has removed the user

    def invite(self, username: str) -> Procedure[str]:
        """Add a user with a password that nobody knows; return the name that is kept."""
        yield from self.add(username, self._random_bytes(32).hex())
        return check_subject(prepare_name(username))

    def make_link(self, username: str, *, for_seconds: int) -> Procedure[OneTimeLink]:
        """Make a one-time link for a user; raise UserNotFound when there is no such user."""
        link: OneTimeLink = yield self._links.make(username, for_seconds=for_seconds)
        return link

    def open_link(self, token: str) -> Procedure[str]:
        """Return the user of a link that can be used, and leave it; raise LinkInvalid."""
        read = read_token(token)
        yield self._links.find(read)
        return read.username

    def use_link(self, token: str, password: str, change: Change) -> Procedure[str]:
        """Set the password of a link's user, and end the link; return the name of the user.

        Raises LinkInvalid, before anything is hashed, and PasswordRefused by the policy.
        """
        read = read_token(token)
        yield self._links.find(read)
        password_hash = yield from self._hash_chosen(read.username, password)
        if not (yield from write(self._links.use(read, password_hash), change)):
            raise LinkInvalid
        return read.username

    def describe(self, username: str) -> Procedure[User | None]:
        """Return a user, or None when there is no such user."""
        entry = yield from self._find(username)
        return None if entry is None else User(username, entry.disabled, entry.created_at)

    def name_in_key(self, key: bytes) -> str | None:
        """Return the user's name in the key of an entry; None when ``key`` is not such a key."""
        before, after = self._keyspace.user("").split(b"}", 1)
        start, end = before, b"}" + after
        if not (key.startswith(start) and key.endswith(end)):
            return None
        try:
            return unquote(key[len(start) : -len(end)].decode("ascii"), errors="strict")
        except UnicodeDecodeError:
            return None

    def _find(self, username: str) -> Procedure[StoredUser | None]:
        return (yield from ask(directory_calls.find_user(self._keyspace, username)))

    def _fits(self, entry: StoredUser | None, password: str) -> Procedure[bool]:
        known = None if entry is None else entry.password_hash
        return bool((yield PasswordWork(lambda: self._hasher.verify(known, password))))

    def _is_outdated(self, entry: StoredUser, password: str) -> Procedure[bool]:
        known = entry.password_hash
        if self._hasher.needs_rehash(known) or password.isascii():
            return self._hasher.needs_rehash(known)
        return bool((yield PasswordWork(lambda: self._hasher.is_as_typed(known, password))))

    def _hash_chosen(self, username: str, password: str) -> Procedure[str]:
        self._policy.check(password, username)
        return (yield from self._hash(password))

    def _hash(self, password: str) -> Procedure[str]:
        return str((yield PasswordWork(lambda: self._hasher.hash(password))))

    def _rehash(self, username: str, entry: StoredUser, password: str) -> Procedure[None]:
        password_hash = yield from self._hash(password)
        # The outcome does not matter: if the entry has changed meanwhile, the change stands.
        yield from ask(
            directory_calls.change_user(
                self._keyspace,
                username,
                field_name="password",
                value=password_hash,
                expected=entry.password_hash,
            )
        )

    def _change(
        self,
        username: str,
        field_name: Literal["password", "disabled"],
        value: str,
        change: Change,
    ) -> Procedure[None]:
        status = yield from write(
            directory_calls.change_user(
                self._keyspace, username, field_name=field_name, value=value
            ),
            change,
        )
        if status == "UNKNOWN":
            raise UserNotFound
