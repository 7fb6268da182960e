"""Verifies the signed tokens of another issuer. joserfc does the cryptography."""

import hashlib
import logging
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry

from clusterpass.limits import LONGEST_LIFETIME
from clusterpass.model.authentication_errors import TokenExpired
from clusterpass.model.errors import ConfigurationError, InvalidInput
from clusterpass.model.frozen import frozen
from clusterpass.model.old_tokens import OldToken, OldTokenKind
from clusterpass.model.policy import check_whole
from clusterpass.tokens.identifiers import check_subject
from clusterpass.tokens.issuer import RESERVED_CLAIMS
from clusterpass.tokens.verifier import LONGEST_TOKEN

logger: Final = logging.getLogger("clusterpass.migrate")
_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
_KEY_TYPES: Final = {
    **dict.fromkeys(("HS256", "HS384", "HS512"), "oct"),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    **dict.fromkeys(("EdDSA", "Ed25519"), "OKP"),
}
"""The algorithms that are accepted, and the type of their keys (RFC 7518, RFC 9864)."""
ACCESS_AND_REFRESH: Final[Mapping[str, OldTokenKind]] = {"access": "access", "refresh": "refresh"}
"""The values of a claim that names the kinds as ClusterPass does."""
_REFRESH: Final = frozenset({"refresh"})
_LATEST: Final = 2**32
_MOST_AHEAD: Final = 60
"""Seconds by which the clock of an old server may be fast."""

Key = str | bytes | Mapping[str, Any]
"""A secret, a key in PEM, or a JWK."""


class OldIssuer:
    """Verifies the signed tokens of one other issuer."""

    def __init__(
        self,
        name: str,
        key: Key,
        *,
        algorithm: str = "HS256",
        lifetime: int,
        subject_claim: str = "sub",
        kind_claim: str | None = None,
        kinds: Mapping[str, OldTokenKind] = ACCESS_AND_REFRESH,
        exchangeable: frozenset[str] = _REFRESH,
        issuer: str | None = None,
        audience: str | None = None,
        takes_any_audience: bool = False,
        token_type: str | None = None,
        own_claims: Sequence[str] = (),
    ) -> None:
        """Raises ConfigurationError for a key that does not fit ``algorithm``, and for a bad name.

        ``name``: of 1 to 32 lower-case letters, digits and hyphens, for reports. ``algorithm``: the
        only one that is accepted. ``lifetime``: seconds for which the longest-lived token is valid;
        a token is accepted for no longer. ``kind_claim``: the claim that tells access and refresh
        tokens apart, whose values ``kinds`` explains; None: every token is an access token, which
        can be exchanged if ``exchangeable`` is not empty. ``exchangeable``: the values of the claim
        whose tokens may be exchanged for a session. ``issuer``: the required ``iss``; None: not
        looked at. ``audience``: the required member of ``aud``; None: a token with an ``aud`` is
        refused, as it is for something else, unless ``takes_any_audience``. ``token_type``: the
        required ``typ`` of the header, without ``application/``; None: not looked at.
        ``own_claims``: names of claims that the library writes for itself.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError("the name of an old issuer has 1 to 32 letters, digits or -")
        check_whole("lifetime", lifetime, 1, LONGEST_LIFETIME)
        self.name: Final = name
        self.lifetime: Final = lifetime
        self.tells_kinds: Final = kind_claim is not None
        """Whether access and refresh tokens of this issuer are told apart."""
        self.key_digest: Final = hashlib.sha256(repr(key).encode()).digest()
        """By which two issuers with one key are recognised."""
        self._key: Final = _import(key, algorithm)
        self._algorithm: Final = algorithm
        self._subject_claim: Final = subject_claim
        self._kind_claim: Final = kind_claim
        self._kinds: Final = kinds
        self._exchangeable: Final = exchangeable
        self._issuer: Final = issuer
        self._audience: Final = audience
        self._own_claims: Final = RESERVED_CLAIMS | {subject_claim, kind_claim} | set(own_claims)
        self._takes_any_audience: Final = takes_any_audience
        self._token_type: Final = token_type
        self._has_warned = False

    def __repr__(self) -> str:
        return f"<OldIssuer {self.name!r} {self._algorithm}>"

    def read(self, token: str, *, now: float) -> OldToken | None:
        """Return ``token`` if this issuer signed it; None if not.

        ``now``: seconds since the epoch. Raises TokenExpired for a token that this issuer signed,
        and that has expired.
        """
        if not isinstance(token, str) or len(token) > LONGEST_TOKEN or token.count(".") != 2:
            return None
        try:
            decoded = jwt.decode(token, self._key, algorithms=[self._algorithm])
        except (JoseError, ValueError, TypeError, RecursionError):
            return None
        if self._token_type is not None:
            found = str(decoded.header.get("typ", "")).lower().removeprefix("application/")
            if found != self._token_type:
                return None
        return self._interpret(token, decoded.claims, now)

    def _interpret(self, token: str, members: dict[str, Any], now: float) -> OldToken | None:
        subject, kind = self._subject_of(members), self._kind_of(members)
        expires_at, not_before = _seconds(members.get("exp")), _seconds(members.get("nbf", 0))
        if (
            subject is None
            or kind is None
            or expires_at is None
            or not_before is None
            or not_before > now
            or (self._issuer is not None and members.get("iss") != self._issuer)
            or not self._is_for_us(members.get("aud"))
        ):
            return None
        # A library that does not write down when a token was issued gives all the same lifetime.
        issued_at = _seconds(members.get("iat", max(expires_at - self.lifetime, 0)))
        if issued_at is None or issued_at > now + _MOST_AHEAD:
            return None
        if expires_at > issued_at + self.lifetime:
            self._warn(expires_at - issued_at)
            expires_at = issued_at + self.lifetime
        if now >= expires_at:
            raise TokenExpired
        return OldToken(
            text=token,
            subject=subject,
            kind=kind[0],
            issued_at=min(issued_at, int(now)),
            expires_at=expires_at,
            claims=frozen({k: v for k, v in members.items() if k not in self._own_claims}),
            is_exchangeable=kind[1],
            issuer=self.name,
        )

    def _subject_of(self, members: dict[str, Any]) -> str | None:
        value = members.get(self._subject_claim)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        try:
            return check_subject(value)
        except InvalidInput:
            return None

    def _is_for_us(self, audience: object) -> bool:
        if self._audience is None:
            return audience is None or self._takes_any_audience
        return self._audience in (audience if isinstance(audience, list) else [audience])

    def _kind_of(self, members: dict[str, Any]) -> tuple[OldTokenKind, bool] | None:
        """Return what the token is for, and whether it can be exchanged; None: nothing of ours."""
        if self._kind_claim is None:
            return "access", bool(self._exchangeable)
        value = members.get(self._kind_claim)
        kind = self._kinds.get(value) if isinstance(value, str) else None
        return None if kind is None else (kind, value in self._exchangeable)

    def _warn(self, seconds: int) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "tokens of %s live for %d s, but are accepted for %d s only: set lifetime",
                *(self.name, seconds, self.lifetime),
            )


def _import(key: Key, algorithm: str) -> Any:
    key_type = _KEY_TYPES.get(algorithm) if isinstance(algorithm, str) else None
    if key_type is None:
        known = ", ".join(_KEY_TYPES)
        raise ConfigurationError(f"algorithm must be one of {known}, not {algorithm!r}")
    if not isinstance(key, str | bytes | Mapping) or not key:
        raise ConfigurationError("the key of an old issuer must be a secret, a PEM key or a JWK")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a short secret is what the old tokens have
            value = dict(key) if isinstance(key, Mapping) else key
            imported = JWKRegistry.import_key(value, key_type)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        # The library's message may quote key material, so it is not passed on.
        raise ConfigurationError(f"the key of an old issuer is no key for {algorithm}") from None
    if imported.key_type != key_type:
        raise ConfigurationError(f"the key of an old issuer is no key for {algorithm}")
    return imported


def _seconds(value: object) -> int | None:
    """Return a NumericDate (RFC 7519 section 2) in whole seconds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(int(value), _LATEST) if 0 <= value < math.inf else None
