"""The errors that mean 401: who is asking could not be established.

The tree of all errors, and the rules that hold for each, stand in ``errors.py``.
"""

from collections.abc import Sequence
from typing import Final

from clusterpass.model.errors import ClusterPassError
from clusterpass.model.reasons import RevocationReason, explain_end


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
