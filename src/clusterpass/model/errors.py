"""Every error that ClusterPass raises, in one tree.

    ClusterPassError
    ├── ConfigurationError            configuration_invalid     500
    │   └── KeyRejected               key_rejected              500
    ├── InvalidInput                  invalid_input             400
    ├── AuthenticationError           authentication_failed     401
    │   ├── InvalidCredentials        invalid_credentials       401
    │   ├── InvalidRefreshToken       invalid_refresh_token     401
    │   │   └── RefreshTokenReused    refresh_token_reused      401
    │   ├── StepUpRequired            step_up_required          401
    │   └── InvalidToken              invalid_token             401
    │       ├── TokenMissing          token_missing             401
    │       ├── TokenMalformed        token_malformed           401
    │       ├── TokenKeyUnknown       token_key_unknown         401
    │       ├── TokenSignatureInvalid token_signature_invalid   401
    │       ├── TokenTypeInvalid      token_type_invalid        401
    │       ├── TokenIssuerInvalid    token_issuer_invalid      401
    │       ├── TokenAudienceInvalid  token_audience_invalid    401
    │       ├── TokenNotYetValid      token_not_yet_valid       401
    │       ├── TokenExpired          token_expired             401
    │       ├── SessionUnknown        session_unknown           401
    │       ├── SessionExpired        session_expired           401
    │       └── SessionRevoked        session_revoked           401
    ├── RequestRefused                request_refused           403
    ├── AdministratorRequired         administrator_required    403
    ├── SubjectBanned                 subject_banned            403
    ├── ScopeMissing                  scope_missing             403
    ├── ImpersonationRefused          impersonation_refused     403
    ├── SessionNotFound               session_not_found         404
    ├── UserNotFound                  user_not_found            404
    ├── UserExists                    user_exists               409
    ├── LoginOvertaken                login_overtaken           409
    ├── TooManySessions               too_many_sessions         409
    ├── TooManyBans                   too_many_bans             409
    ├── TooManyAttempts               too_many_attempts         429
    ├── StoreUnavailable              store_unavailable         503
    │   ├── StoreDenied               store_denied              503
    │   └── RevocationPending         revocation_pending        503
    ├── StoreFailed                   store_failed              500
    ├── UnreadableRecord              record_unreadable         500
    ├── LocalServerFailed             local_server_failed       500
    └── EmbeddedClusterError          embedded_cluster_failed   500

Rules of this module
- The docstring's first line is the default public message; it never holds a token, a password or
  a key, and neither does a message given at the place of raising.
- ``code`` is stable: programs may compare it. ``reason`` is finer, where a code has several causes.
- ``status`` is the HTTP status that fits.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

if TYPE_CHECKING:
    from clusterpass.model.values import Ban, Session

RevocationReason = Literal[
    "logged_out", "replaced", "revoked", "banned", "reused", "expired", "idle"
]
ReuseClass = Literal["recent", "stale", "foreign"]


class ClusterPassError(Exception):
    """Something in ClusterPass failed."""

    code: ClassVar[str] = "clusterpass_error"
    status: ClassVar[int] = 500
    default_reason: ClassVar[str | None] = None

    def __init__(self, message: str | None = None, *, reason: str | None = None) -> None:
        """``message`` replaces the docstring's first line, ``reason`` the class's default."""
        self.message: Final = message or (type(self).__doc__ or self.code).splitlines()[0]
        self.reason: Final = reason or self.default_reason
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled with all that it says, whatever its constructor takes."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    kind: type[ClusterPassError], args: tuple[Any, ...], state: dict[str, Any]
) -> ClusterPassError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ConfigurationError(ClusterPassError, ValueError):
    """The configuration is not safe to start with."""

    code = "configuration_invalid"


class KeyRejected(ConfigurationError):
    """A signing or verification key was refused."""

    code = "key_rejected"


class InvalidInput(ClusterPassError, ValueError):
    """An argument is not acceptable."""

    code = "invalid_input"
    status = 400


class AuthenticationError(ClusterPassError):
    """Who is asking could not be established."""

    code = "authentication_failed"
    status = 401


class InvalidCredentials(AuthenticationError):
    """The user name or the password is wrong."""

    code = "invalid_credentials"


class InvalidRefreshToken(AuthenticationError):
    """The refresh token is not accepted; log in again.

    ``reason`` says why: ``malformed``, ``mismatch`` (it was not made here), ``unknown_session``,
    or why the session ended: ``logged_out``, ``replaced``, ``revoked``, ``banned``, ``reused``,
    ``expired`` or ``idle``; ``note`` is the tombstone's: by which device, for what reason;
    ``ended_at``: when, in seconds since the epoch, 0 when that is not known.
    """

    code = "invalid_refresh_token"

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str | None = None,
        note: str = "",
        ended_at: int = 0,
    ) -> None:
        super().__init__(message, reason=reason)
        self.note: Final = note
        self.ended_at: Final = ended_at


class RefreshTokenReused(InvalidRefreshToken):
    """The refresh token was used before; its session was ended, as it may have been stolen.

    RFC 9700 section 4.14.2. ``reason``: ``recent`` (the last one before the live one, past its
    grace: most likely a client that lost an answer), ``stale`` (an older one) or ``foreign`` (of
    another branch than the live one: somebody else refreshed).
    """

    code = "refresh_token_reused"


class StepUpRequired(AuthenticationError):
    """A stronger or more recent authentication is required.

    RFC 9470 section 3.
    """

    code = "step_up_required"

    def __init__(
        self,
        message: str | None = None,
        *,
        acr_values: Sequence[str] = (),
        max_age: int | None = None,
    ) -> None:
        """``acr_values``: the levels that would do; ``max_age``: seconds since authentication."""
        super().__init__(message, reason="insufficient_user_authentication")
        self.acr_values: Final = tuple(acr_values)
        self.max_age: Final = max_age

    @property
    def challenge(self) -> str:
        """The value of ``WWW-Authenticate`` (RFC 9470 section 3)."""
        parts = [
            'Bearer error="insufficient_user_authentication"',
            f'error_description="{self.message}"',
        ]
        if self.acr_values:
            parts.append(f'acr_values="{" ".join(self.acr_values)}"')
        if self.max_age is not None:
            parts.append(f"max_age={self.max_age}")
        return ", ".join(parts)


class InvalidToken(AuthenticationError):
    """The access token is not accepted (RFC 6750 section 3.1, ``invalid_token``)."""

    code = "invalid_token"


class TokenMissing(InvalidToken):
    """The request carries no access token."""

    code = "token_missing"
    default_reason = "missing"


class TokenMalformed(InvalidToken):
    """The access token is not a well-formed signed JWT."""

    code = "token_malformed"
    default_reason = "malformed"


class TokenKeyUnknown(InvalidToken):
    """The access token names a key that is not known here."""

    code = "token_key_unknown"
    default_reason = "unknown_key"


class TokenSignatureInvalid(InvalidToken):
    """The signature of the access token does not fit."""

    code = "token_signature_invalid"
    default_reason = "bad_signature"


class TokenTypeInvalid(InvalidToken):
    """The token is of another type than an access token (RFC 9068 section 4)."""

    code = "token_type_invalid"
    default_reason = "wrong_type"


class TokenIssuerInvalid(InvalidToken):
    """The access token comes from another issuer."""

    code = "token_issuer_invalid"
    default_reason = "wrong_issuer"


class TokenAudienceInvalid(InvalidToken):
    """The access token is meant for another audience."""

    code = "token_audience_invalid"
    default_reason = "wrong_audience"


class TokenNotYetValid(InvalidToken):
    """The access token is not valid yet; check the clocks."""

    code = "token_not_yet_valid"
    default_reason = "not_yet_valid"


class TokenExpired(InvalidToken):
    """The access token has expired; refresh it."""

    code = "token_expired"
    default_reason = "expired"


class SessionUnknown(InvalidToken):
    """The session is not known; log in again."""

    code = "session_unknown"
    default_reason = "unknown_session"


class SessionExpired(InvalidToken):
    """The session has reached its end; log in again.

    ``reason`` is ``session_expired`` (its absolute limit) or ``session_idle`` (it was not used for
    too long); ``ended_at`` is when, in seconds since the epoch.
    """

    code = "session_expired"
    default_reason = "session_expired"

    def __init__(
        self, message: str | None = None, *, is_idle: bool = False, ended_at: int = 0
    ) -> None:
        idle = "The session was not used for too long; log in again."
        super().__init__(
            message or (idle if is_idle else None), reason="session_idle" if is_idle else None
        )
        self.ended_at: Final = ended_at


class SessionRevoked(InvalidToken):
    """The session was ended; log in again.

    ``reason`` is ``logged_out``, ``replaced``, ``revoked``, ``banned`` or ``reused``; ``ended_at``
    is the server's time of the end, in seconds since the epoch; ``note`` says by which device it
    was replaced, or the reason that an administrator gave.
    """

    code = "session_revoked"
    default_reason = "revoked"

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: RevocationReason,
        ended_at: int,
        note: str = "",
    ) -> None:
        super().__init__(message or explain_end(reason, note), reason=reason)
        self.ended_at: Final = ended_at
        self.note: Final = note


_SENTENCES: Final[dict[RevocationReason, tuple[str, str]]] = {
    "logged_out": ("The session was logged out", "The session was logged out"),
    "replaced": (
        "The session was replaced by a newer login",
        "The session was replaced by a newer login on {note}",
    ),
    "revoked": ("The session was revoked", "The session was revoked: {note}"),
    "banned": ("The account was banned", "The account was banned: {note}"),
    "reused": (
        "A used refresh token was presented again, so the session was ended",
        "A used refresh token was presented again, so the session was ended",
    ),
    "expired": ("The session has reached its end", "The session has reached its end"),
    "idle": ("The session was not used for too long", "The session was not used for too long"),
}


def explain_end(reason: RevocationReason, note: str = "") -> str:
    """One sentence about why a session is over."""
    plain, with_note = _SENTENCES[reason]
    return (with_note.format(note=note) if note else plain) + "; log in again."


class RequestRefused(ClusterPassError):
    """The request was refused because it seems to come from another site."""

    code = "request_refused"
    status = 403


class AdministratorRequired(ClusterPassError):
    """Only an administrator may do this, in a session of their own.

    ``reason`` is ``impersonated`` for an administrator whose session is not their own.
    """

    code = "administrator_required"
    status = 403


class SubjectBanned(ClusterPassError):
    """The account is banned.

    ``ban`` says from what, until when and why.
    """

    code = "subject_banned"
    status = 403

    def __init__(self, message: str | None = None, *, ban: "Ban") -> None:
        where = f" from {ban.scope}" if ban.scope else ""
        why = f": {ban.reason}" if ban.reason else ""
        super().__init__(message or f"The account is banned{where}{why}.", reason="banned")
        self.ban: Final = ban


class ScopeMissing(ClusterPassError):
    """The session has not the scope that is required.

    RFC 6750 section 3.1.
    """

    code = "scope_missing"
    status = 403

    def __init__(self, message: str | None = None, *, scope: str) -> None:
        """``scope``: the one that is required."""
        super().__init__(message, reason="insufficient_scope")
        self.scope: Final = scope

    @property
    def challenge(self) -> str:
        """The value of ``WWW-Authenticate`` (RFC 6750 section 3)."""
        return (
            f'Bearer error="insufficient_scope", error_description="{self.message}",'
            f' scope="{self.scope}"'
        )


class ImpersonationRefused(ClusterPassError):
    """This impersonation is not allowed.

    ``reason``: ``protected`` (the subject may not be impersonated), ``nested`` (who asks is being
    impersonated), ``self``, or ``impersonated`` (the session may not do this).
    """

    code = "impersonation_refused"
    status = 403


class SessionNotFound(ClusterPassError):
    """There is no such session of this subject."""

    code = "session_not_found"
    status = 404


class UserNotFound(ClusterPassError):
    """There is no such user."""

    code = "user_not_found"
    status = 404


class UserExists(ClusterPassError):
    """There is a user of that name already."""

    code = "user_exists"
    status = 409


class LoginOvertaken(ClusterPassError):
    """All sessions were revoked while this login was under way; start it again."""

    code = "login_overtaken"
    status = 409


class TooManySessions(ClusterPassError):
    """There are as many sessions as allowed; end one of them first.

    ``sessions`` are the live ones, newest first; log in with ``replace`` to let one go.
    """

    code = "too_many_sessions"
    status = 409

    def __init__(self, message: str | None = None, *, sessions: "Sequence[Session]") -> None:
        super().__init__(message)
        self.sessions: Final = tuple(sessions)


class TooManyBans(ClusterPassError):
    """The subject has as many bans as can be kept; lift one first."""

    code = "too_many_bans"
    status = 409


class TooManyAttempts(ClusterPassError):
    """Too many attempts; wait before you try again."""

    code = "too_many_attempts"
    status = 429

    def __init__(self, message: str | None = None, *, retry_after: int) -> None:
        """``retry_after``: seconds until another attempt may succeed."""
        super().__init__(message)
        self.retry_after: Final = retry_after


class StoreUnavailable(ClusterPassError):
    """The session store cannot be reached at the moment; nobody was logged out, try again.

    ``reason`` names the kind of fault: ``timeout``, ``connection``, ``cluster_down``,
    ``loading``, ``moving``, ``busy``, ``full``, ``circuit_open`` (the node has been silent for so
    long that nobody waits for it any more) or ``closed``.
    """

    code = "store_unavailable"
    status = 503

    def __init__(
        self, message: str | None = None, *, reason: str | None = None, retry_after: int = 1
    ) -> None:
        """``retry_after``: seconds after which a client should ask again."""
        super().__init__(message, reason=reason)
        self.retry_after: Final = retry_after


class StoreDenied(StoreUnavailable):
    """The session store refuses our user, password or command; check its ACL."""

    code = "store_denied"


class RevocationPending(StoreUnavailable):
    """The end is not confirmed yet; it is in force here, and is tried until it is confirmed.

    Raised by what ends sessions: it would not survive the loss of one node yet, or the store could
    not be reached. ``reason``: ``unconfirmed``, or the kind of fault. ``operation_id``: given to
    the same verb again it makes a repetition harmless; ``is_retried``: False when too many endings
    wait already: then it is not in force here either, and has to be asked for again.
    """

    code = "revocation_pending"

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str | None = None,
        retry_after: int = 1,
        operation_id: str = "",
        is_retried: bool = True,
    ) -> None:
        """``retry_after``: seconds after which a client may ask again."""
        super().__init__(message, reason=reason, retry_after=retry_after)
        self.operation_id: Final = operation_id
        self.is_retried: Final = is_retried


class StoreFailed(ClusterPassError):
    """The session store answered an error that is no passing fault."""

    code = "store_failed"


class UnreadableRecord(ClusterPassError):
    """The store holds a session record that this release cannot read."""

    code = "record_unreadable"


class LocalServerFailed(ClusterPassError):
    """A server on this machine did not start."""

    code = "local_server_failed"


class EmbeddedClusterError(ClusterPassError):
    """The local cluster could not be started or controlled."""

    code = "embedded_cluster_failed"
