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

from typing import Any, ClassVar, Final

from clusterpass.model.bans import Ban


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

    def __init__(self, message: str | None = None, *, ban: Ban) -> None:
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
