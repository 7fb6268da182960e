"""Every error that ClusterPass raises, in one tree.

    ClusterPassError
    ├── ConfigurationError            configuration_invalid     500
    │   └── KeyRejected               key_rejected              500
    ├── InvalidInput                  invalid_input             400
    ├── AuthenticationError           authentication_failed     401
    │   ├── InvalidCredentials        invalid_credentials       401
    │   ├── InvalidRefreshToken       invalid_refresh_token     401
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
    ├── SessionNotFound               session_not_found         404
    ├── UserNotFound                  user_not_found            404
    ├── UserExists                    user_exists               409
    ├── TooManyAttempts               too_many_attempts         429
    ├── StoreUnavailable              store_unavailable         503
    │   └── StoreDenied               store_denied              503
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

from typing import Any, ClassVar, Final, Literal

RevocationReason = Literal["logged_out", "replaced", "revoked"]


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

    ``reason`` says why: ``malformed``, ``unknown_session``, ``expired``, ``used`` (it was exchanged
    before), ``mismatch`` (the secret is wrong), or the reason of a revocation.
    """

    code = "invalid_refresh_token"


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
    """The session has reached its end; log in again."""

    code = "session_expired"
    default_reason = "session_expired"


class SessionRevoked(InvalidToken):
    """The session was ended; log in again.

    ``reason`` is ``logged_out``, ``replaced`` or ``revoked``; ``ended_at`` is the server's time of
    the end, in seconds since the epoch.
    """

    code = "session_revoked"
    default_reason = "revoked"

    def __init__(
        self, message: str | None = None, *, reason: RevocationReason, ended_at: int
    ) -> None:
        super().__init__(message or _REVOCATION_SENTENCES[reason], reason=reason)
        self.ended_at: Final = ended_at


_REVOCATION_SENTENCES: Final[dict[RevocationReason, str]] = {
    "logged_out": "The session was logged out; log in again.",
    "replaced": "The session was replaced by a newer login; log in again.",
    "revoked": "The session was revoked; log in again.",
}


class RequestRefused(ClusterPassError):
    """The request was refused because it seems to come from another site."""

    code = "request_refused"
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
    ``loading``, ``moving``, ``busy``, ``full`` or ``closed``.
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
