"""The errors with HTTP status 401: the caller could not be authenticated.

The module ``errors`` draws the whole tree of errors and states the rules for all of them.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from clusterpass.model.error_args import Readers, as_it_is, rebuildable
from clusterpass.model.errors import ClusterPassError
from clusterpass.model.reasons import RevocationReason, explain_end


class AuthenticationError(ClusterPassError):
    """The caller could not be authenticated."""

    code = "authentication_failed"
    status = 401


class InvalidCredentials(AuthenticationError):
    """The user name or the password is wrong."""

    code = "invalid_credentials"


class InvalidRefreshToken(AuthenticationError):
    """The refresh token is not valid; log in again.

    ``reason`` is ``malformed``, ``mismatch`` (the token was not issued by this service),
    ``unknown_session``, ``exchanged`` (a token of another issuer that was exchanged for a session
    or logged out before), ``superseded`` (a step-up ended the token, and the session continues with
    the tokens of the step-up), or the reason why the session ended: ``logged_out``, ``replaced``,
    ``revoked``, ``banned``, ``reused``, ``expired`` or ``idle``. ``note`` names the device that
    replaced the session, or the reason that was given for the revocation. ``ended_at`` is the time
    at which the session ended, in seconds since the epoch; 0 when that time is unknown.
    """

    code = "invalid_refresh_token"
    _readers: ClassVar[Readers] = {
        **AuthenticationError._readers,
        "note": as_it_is,
        "ended_at": as_it_is,
    }

    @rebuildable
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
    """The refresh token had already been used, so its session was ended; log in again.

    A token that is presented twice may have been stolen (RFC 9700 section 4.14.2). ``reason`` is
    ``recent`` (the token that the current one replaced, presented after its grace period; the
    client most likely lost a response), ``stale`` (an older token) or ``foreign`` (the current
    token does not descend from this one: another client has refreshed the session).
    """

    code = "refresh_token_reused"


class StepUpRequired(AuthenticationError):
    """A stronger or more recent authentication is required.

    RFC 9470 section 3.
    """

    code = "step_up_required"
    _readers: ClassVar[Readers] = {
        **AuthenticationError._readers,
        "acr_values": tuple,
        "max_age": as_it_is,
    }

    @rebuildable
    def __init__(
        self,
        message: str | None = None,
        *,
        acr_values: Sequence[str] = (),
        max_age: int | None = None,
    ) -> None:
        """``acr_values``: the sufficient levels; ``max_age``: the maximum age in seconds."""
        super().__init__(message, reason="insufficient_user_authentication")
        self.acr_values: Final = tuple(acr_values)
        self.max_age: Final = max_age

    @property
    def challenge(self) -> str:
        """The value of the ``WWW-Authenticate`` header (RFC 9470 section 3)."""
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
    """The access token is not valid.

    RFC 6750 section 3.1 calls this error ``invalid_token``.
    """

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
    """The access token is signed with an unknown key."""

    code = "token_key_unknown"
    default_reason = "unknown_key"


class TokenSignatureInvalid(InvalidToken):
    """The signature of the access token is not valid."""

    code = "token_signature_invalid"
    default_reason = "bad_signature"


class TokenTypeInvalid(InvalidToken):
    """The token is not an access token.

    The ``typ`` header of an access token must be ``at+jwt`` (RFC 9068 section 4).
    """

    code = "token_type_invalid"
    default_reason = "wrong_type"


class TokenIssuerInvalid(InvalidToken):
    """The access token was not issued by the expected issuer."""

    code = "token_issuer_invalid"
    default_reason = "wrong_issuer"


class TokenAudienceInvalid(InvalidToken):
    """The access token is intended for another audience."""

    code = "token_audience_invalid"
    default_reason = "wrong_audience"


class TokenNotYetValid(InvalidToken):
    """The access token is not valid yet; check that the clocks are synchronised."""

    code = "token_not_yet_valid"
    default_reason = "not_yet_valid"


class TokenExpired(InvalidToken):
    """The access token has expired; refresh it."""

    code = "token_expired"
    default_reason = "expired"


class TokenSuperseded(InvalidToken):
    """A later step-up replaced the access token; use the tokens of the step-up."""

    code = "token_superseded"
    default_reason = "superseded"


class SessionUnknown(InvalidToken):
    """The session does not exist; log in again."""

    code = "session_unknown"
    default_reason = "unknown_session"


class SessionExpired(InvalidToken):
    """The session has expired; log in again.

    ``reason`` is ``session_expired`` (the session reached its absolute lifetime) or
    ``session_idle`` (the session was not used for its idle lifetime). ``ended_at`` is the time at
    which the session ended, in seconds since the epoch.
    """

    code = "session_expired"
    default_reason = "session_expired"
    _readers: ClassVar[Readers] = {**InvalidToken._readers, "ended_at": as_it_is}

    @rebuildable
    def __init__(
        self, message: str | None = None, *, is_idle: bool = False, ended_at: int = 0
    ) -> None:
        idle = "The session expired after a period of inactivity; log in again."
        super().__init__(
            message or (idle if is_idle else None), reason="session_idle" if is_idle else None
        )
        self.ended_at: Final = ended_at


class SessionRevoked(InvalidToken):
    """The session has ended; log in again.

    ``reason`` is ``logged_out``, ``replaced``, ``revoked``, ``banned`` or ``reused``. ``ended_at``
    is the time at which the session ended, by the store's clock, in seconds since the epoch.
    ``note`` names the device that replaced the session, or the reason that an administrator gave.
    """

    code = "session_revoked"
    default_reason = "revoked"
    _readers: ClassVar[Readers] = {**InvalidToken._readers, "ended_at": as_it_is, "note": as_it_is}

    @rebuildable
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
