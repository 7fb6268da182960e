"""Every error that ClusterPass raises, as one tree.

    ClusterPassError
    ├── ConfigurationError            configuration_invalid     500
    │   └── KeyRejected               key_rejected              500
    ├── InvalidInput                  invalid_input             400
    │   └── PasswordRefused           password_refused          422
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
    │       ├── TokenSuperseded       token_superseded          401
    │       ├── SessionUnknown        session_unknown           401
    │       ├── SessionExpired        session_expired           401
    │       └── SessionRevoked        session_revoked           401
    ├── RequestRefused                request_refused           403
    ├── AdministratorRequired         administrator_required    403
    ├── AccessDenied                  access_denied             403
    ├── SubjectBanned                 subject_banned            403
    ├── ScopeMissing                  scope_missing             403
    ├── ImpersonationRefused          impersonation_refused     403
    ├── SessionNotFound               session_not_found         404
    ├── UserNotFound                  user_not_found            404
    ├── LinkInvalid                   link_invalid              404
    ├── UserExists                    user_exists               409
    ├── LoginOvertaken                login_overtaken           409
    ├── TooManySessions               too_many_sessions         409
    ├── TooManyBans                   too_many_bans             409
    ├── OperationMismatch             operation_mismatch        422
    ├── TooManyAttempts               too_many_attempts         429
    ├── MailFailed                    mail_failed               502
    ├── StoreUnavailable              store_unavailable         503
    │   ├── StoreDenied               store_denied              503
    │   └── RevocationPending         revocation_pending        503
    ├── KeysUnavailable               keys_unavailable          503
    ├── StoreFailed                   store_failed              500
    ├── UnreadableRecord              record_unreadable         500
    ├── LocalServerFailed             local_server_failed       500
    └── EmbeddedClusterError          embedded_cluster_failed   500

Rules of this module
- The first line of a class's docstring is its default message, which end users may see.
- No message holds a token, a password or a key, whether it is the default or given on raising.
- ``code`` is stable, so programs may compare it. ``reason`` tells apart the causes of one code.
- ``status`` is the HTTP status of the response that reports the error.
- What an error carries beside its message is listed in ``_readers``, and its constructor is
  ``rebuildable``: it can then be kept as JSON, and built again.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from clusterpass.model.bans import Ban
from clusterpass.model.error_args import Readers, as_it_is, rebuildable
from clusterpass.model.json_form import json_value
from clusterpass.model.store_causes import SENTENCES, StoreCause

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

CLOSED: Final = "The session manager was closed; use another."
"""The message of the error that every call to a closed manager raises."""


class ClusterPassError(Exception):
    """An error occurred in ClusterPass."""

    code: ClassVar[str] = "clusterpass_error"
    status: ClassVar[int] = 500
    default_reason: ClassVar[str | None] = None
    _readers: ClassVar[Readers] = {"reason": as_it_is}

    @rebuildable
    def __init__(self, message: str | None = None, *, reason: str | None = None) -> None:
        """``message`` replaces the docstring's first line, ``reason`` the default of the class."""
        self.message: Final = message or (type(self).__doc__ or self.code).splitlines()[0]
        self.reason: Final = reason or self.default_reason
        super().__init__(self.message)

    @property
    def args(self) -> tuple[Any, ...]:
        """The message, and the other attributes as JSON values: the class called with them builds
        the error again. What was assigned to ``args`` comes first."""
        own = _own_args(self)
        if own != (self.__dict__.get("message"),):
            return own
        return *own, {name: json_value(getattr(self, name)) for name in self._readers}

    @args.setter
    def args(self, args: tuple[Any, ...]) -> None:
        BaseException.args.__set__(self, args)  # type: ignore[attr-defined]

    def to_dict(self) -> dict[str, Any]:
        """Return ``code``, ``message`` and the other attributes as a dictionary of plain JSON."""
        own = {name: json_value(getattr(self, name)) for name in self._readers}
        return {"code": self.code, "message": self.message, **own}

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> "CoreSchema":
        """Let pydantic take an error as it is, and write it as :meth:`to_dict` does."""
        from pydantic_core import core_schema  # noqa: PLC0415 - only there where pydantic asks

        return core_schema.is_instance_schema(
            cls,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls.to_dict, return_schema=core_schema.dict_schema()
            ),
        )

    def _rebuild(self, message: str, attributes: Mapping[str, Any]) -> None:
        read = {name: reader(attributes[name]) for name, reader in self._readers.items()}
        self.__dict__.update(read, message=message)
        self.args = (message,)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy or pickle the error with all its attributes, whatever its constructor takes."""
        return _restore, (type(self), _own_args(self), self.__dict__)


def _own_args(error: BaseException) -> tuple[Any, ...]:
    own: tuple[Any, ...] = BaseException.args.__get__(error)  # type: ignore[attr-defined]
    return own


def _restore(
    kind: type[ClusterPassError], args: tuple[Any, ...], state: dict[str, Any]
) -> ClusterPassError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ConfigurationError(ClusterPassError, ValueError):
    """The configuration is invalid or unsafe."""

    code = "configuration_invalid"


class KeyRejected(ConfigurationError):
    """A signing or verification key was rejected."""

    code = "key_rejected"


class InvalidInput(ClusterPassError, ValueError):
    """An argument is not valid."""

    code = "invalid_input"
    status = 400


class PasswordRefused(InvalidInput):
    """The new password is too easy to guess.

    ``reason`` is ``too_short``, ``too_common`` (it is on the list of common passwords) or
    ``like_user_name`` (it is little more than the name of the user).
    """

    code = "password_refused"
    status = 422


class RequestRefused(ClusterPassError):
    """The request was refused because it appears to come from another site."""

    code = "request_refused"
    status = 403


class AdministratorRequired(ClusterPassError):
    """Only an administrator may do this, and not while impersonating a user.

    ``reason`` is ``impersonated`` when the session is an impersonation.
    """

    code = "administrator_required"
    status = 403


class AccessDenied(ClusterPassError):
    """The access policy does not allow this request.

    Only the authorization endpoints of the service raise it; ``reason`` says what is missing.
    """

    code = "access_denied"
    status = 403


class SubjectBanned(ClusterPassError):
    """The account is banned.

    ``ban`` holds the scope of the ban, its end and its reason.
    """

    code = "subject_banned"
    status = 403
    _readers: ClassVar[Readers] = {**ClusterPassError._readers, "ban": lambda ban: Ban(**ban)}

    @rebuildable
    def __init__(self, message: str | None = None, *, ban: Ban) -> None:
        where = f" from {ban.scope}" if ban.scope else ""
        why = f": {ban.reason}" if ban.reason else ""
        super().__init__(message or f"The account is banned{where}{why}.", reason="banned")
        self.ban: Final = ban


class ScopeMissing(ClusterPassError):
    """The session does not have the required scope.

    RFC 6750 section 3.1 calls this error ``insufficient_scope``.
    """

    code = "scope_missing"
    status = 403
    _readers: ClassVar[Readers] = {**ClusterPassError._readers, "scope": as_it_is}

    @rebuildable
    def __init__(self, message: str | None = None, *, scope: str) -> None:
        """``scope``: the scope that is required."""
        super().__init__(message, reason="insufficient_scope")
        self.scope: Final = scope

    @property
    def challenge(self) -> str:
        """The value of the ``WWW-Authenticate`` header (RFC 6750 section 3)."""
        return (
            f'Bearer error="insufficient_scope", error_description="{self.message}",'
            f' scope="{self.scope}"'
        )


class ImpersonationRefused(ClusterPassError):
    """The impersonation is not allowed.

    ``reason`` is ``protected`` (the subject may not be impersonated), ``nested`` (the caller's
    session is itself an impersonation), ``self`` (actor and subject are the same), or
    ``impersonated`` (the operation is not available in an impersonation).
    """

    code = "impersonation_refused"
    status = 403


class SessionNotFound(ClusterPassError):
    """The subject has no such session."""

    code = "session_not_found"
    status = 404


class UserNotFound(ClusterPassError):
    """The user does not exist."""

    code = "user_not_found"
    status = 404


class LinkInvalid(ClusterPassError):
    """The link is not valid any more; ask for a new one."""

    code = "link_invalid"
    status = 404


class UserExists(ClusterPassError):
    """A user with this name already exists."""

    code = "user_exists"
    status = 409


class LoginOvertaken(ClusterPassError):
    """All sessions were revoked while this login was in progress; log in again."""

    code = "login_overtaken"
    status = 409


class TooManyBans(ClusterPassError):
    """The subject has the maximum number of bans; lift one first."""

    code = "too_many_bans"
    status = 409


class OperationMismatch(ClusterPassError):
    """The operation id or key belongs to another request; nothing was changed. Choose a new one."""

    code = "operation_mismatch"
    status = 422


class TooManyAttempts(ClusterPassError):
    """Too many attempts; wait before trying again."""

    code = "too_many_attempts"
    status = 429
    _readers: ClassVar[Readers] = {**ClusterPassError._readers, "retry_after": as_it_is}

    @rebuildable
    def __init__(self, message: str | None = None, *, retry_after: int) -> None:
        """``retry_after``: seconds until another attempt may succeed."""
        super().__init__(message)
        self.retry_after: Final = retry_after


class StoreUnavailable(ClusterPassError):
    """The session store is temporarily unavailable; no session was ended. Please try again.

    ``reason`` names the kind of failure: ``timeout``, ``connection``, ``cluster_down``,
    ``loading``, ``moving``, ``busy``, ``full``, ``circuit_open`` (the node has not answered for so
    long that calls to it now fail at once), ``doubted`` (the node may have been replaced, and no
    majority of the primaries, or of the Sentinels, says that it was not), ``unconfirmed`` (a write
    was sent, and nothing came back before the deadline), ``clock`` (the clocks of a server and of
    this machine are too far apart, and no majority of the primaries tells which of them is wrong),
    ``authentication`` (the source of the credentials failed), ``secrets`` (other processes make
    tokens by a secret or a key that this one does not have yet, or cannot open) or ``closed``.

    For operators, ``cause`` says what has happened (see :data:`StoreCause`), ``node`` which server
    was asked, as ``host:port``, and ``address`` where that was reached, if elsewhere than under its
    own name. Each is None where it is not known. ``tried`` lists the nodes that were asked in vain
    who owns the slots, each with the reason; it is empty where one has told. An error of the
    operating system, such as ``ConnectionRefusedError``, is the ``__cause__``.
    """

    code = "store_unavailable"
    status = 503
    _readers: ClassVar[Readers] = {
        **ClusterPassError._readers,
        "retry_after": as_it_is,
        "node": as_it_is,
        "address": as_it_is,
        "cause": as_it_is,
        "tried": tuple,
    }

    @rebuildable
    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str | None = None,
        retry_after: int = 1,
        node: str | None = None,
        address: str | None = None,
        cause: "StoreCause | None" = None,
        tried: tuple[str, ...] = (),
    ) -> None:
        """``retry_after``: seconds after which the client should retry. The others are those of the
        class."""
        super().__init__(message, reason=reason)
        self.retry_after: Final = retry_after
        self.node = node
        self.address = address
        self.cause = cause
        self.tried = tried

    def describe(self) -> str:
        """Return what has happened where, for the log of an operator; never show it to users."""
        where = self.node or "the store"
        if self.address is not None and self.address != self.node:
            where = f"{where} (reached at {self.address})"
        what = SENTENCES.get(self.cause or "", self.reason or self.code)
        if self.cause == "rights":  # the message names the command
            what = self.message
        tried = f"; asked in vain who owns the slots: {', '.join(self.tried)}" if self.tried else ""
        return f"{where}: {what}{tried}"


class StoreDenied(StoreUnavailable):
    """The session store denied access; check the user, the password and the ACL."""

    code = "store_denied"


class RevocationPending(StoreUnavailable):
    """The revocation is in force on this server, but not confirmed yet; it is being retried.

    Logouts, revocations and bans raise this error while the loss of one node could undo them, or
    while the store cannot be reached. ``reason`` is ``unconfirmed`` or the kind of failure.
    ``operation_id``: pass it to the same verb to repeat the call safely. ``is_retried`` is False
    when too many revocations are pending, or the manager is being closed: this one is then neither
    retried nor in force, and the caller has to repeat it.
    """

    code = "revocation_pending"
    _readers: ClassVar[Readers] = {
        **StoreUnavailable._readers,
        "operation_id": as_it_is,
        "is_retried": as_it_is,
    }

    @rebuildable
    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str | None = None,
        retry_after: int = 1,
        operation_id: str = "",
        is_retried: bool = True,
        failure: StoreUnavailable | None = None,
    ) -> None:
        """``retry_after``: seconds after which the client may repeat the call. ``failure``: the
        error of the latest try, whose node, address and cause are taken over."""
        super().__init__(message, reason=reason, retry_after=retry_after)
        if failure is not None:
            self.node, self.address = failure.node, failure.address
            self.cause, self.tried = failure.cause, failure.tried
        self.operation_id: Final = operation_id
        self.is_retried: Final = is_retried


class MailFailed(ClusterPassError):
    """The mail could not be sent.

    Only the service and its commands raise it. ``reason`` is the name of the failure.
    """

    code = "mail_failed"
    status = 502


class KeysUnavailable(ClusterPassError):
    """The keys that verify access tokens could not be fetched."""

    code = "keys_unavailable"
    status = 503
    _readers: ClassVar[Readers] = {**ClusterPassError._readers, "retry_after": as_it_is}

    @rebuildable
    def __init__(self, message: str | None = None, *, retry_after: int = 1) -> None:
        """``retry_after``: seconds after which the client should retry."""
        super().__init__(message)
        self.retry_after: Final = retry_after


class StoreFailed(ClusterPassError):
    """The session store returned an error that a retry will not resolve."""

    code = "store_failed"


class UnreadableRecord(ClusterPassError):
    """The store holds a session record that this release cannot read."""

    code = "record_unreadable"


class LocalServerFailed(ClusterPassError):
    """A local server did not start."""

    code = "local_server_failed"


class EmbeddedClusterError(ClusterPassError):
    """The local cluster could not be started or controlled."""

    code = "embedded_cluster_failed"
