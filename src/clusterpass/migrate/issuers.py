"""Verifies the signed tokens of another issuer. joserfc does the cryptography."""

import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry

from clusterpass.limits import LONGEST_LIFETIME
from clusterpass.model.authentication_errors import TokenExpired
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.frozen import frozen
from clusterpass.model.old_tokens import OldToken, OldTokenKind
from clusterpass.tokens.issuer import RESERVED_CLAIMS

logger: Final = logging.getLogger("clusterpass.migrate")
_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
_KEY_TYPES: Final = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_LONGEST_TOKEN: Final = 12_288
ACCESS_AND_REFRESH: Final[Mapping[str, OldTokenKind]] = {"access": "access", "refresh": "refresh"}
"""The values of a claim that names the kinds as ClusterPass does."""
_REFRESH: Final[frozenset[OldTokenKind]] = frozenset({"refresh"})

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
        exchangeable: frozenset[OldTokenKind] = _REFRESH,
        issuer: str | None = None,
        audience: str | None = None,
        own_claims: Sequence[str] = (),
        leeway: int = 0,
    ) -> None:
        """Raises ConfigurationError for a key that does not fit ``algorithm``, and for a bad name.

        ``name``: of 1 to 32 lower-case letters, digits and hyphens, for reports. ``algorithm``: the
        only one that is accepted. ``lifetime``: seconds for which the longest-lived token is valid;
        a token is accepted for no longer. ``kind_claim``: the claim that tells access and refresh
        tokens apart, whose values ``kinds`` explains; None: every token is an access token.
        ``exchangeable``: the kinds that may be exchanged for a session. ``issuer``, ``audience``:
        the required ``iss``, and the required member of ``aud``; None: not looked at.
        ``own_claims``: names of claims that the library writes for itself. ``leeway``: seconds for
        which a token is accepted after its ``exp``.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError("the name of an old issuer has 1 to 32 letters, digits or -")
        whole = isinstance(lifetime, int) and not isinstance(lifetime, bool)
        if not whole or not 1 <= lifetime <= LONGEST_LIFETIME:
            raise ConfigurationError(
                f"lifetime must be whole seconds from 1 to {LONGEST_LIFETIME}: as long as the"
                " longest-lived old token is valid"
            )
        self.name: Final = name
        self.lifetime: Final = lifetime
        self._key: Final = _import(key, algorithm)
        self._algorithm: Final = algorithm
        self._subject_claim: Final = subject_claim
        self._kind_claim: Final = kind_claim
        self._kinds: Final = kinds
        self._exchangeable: Final = exchangeable
        self._issuer: Final = issuer
        self._audience: Final = audience
        self._own_claims: Final = RESERVED_CLAIMS | {subject_claim, kind_claim} | set(own_claims)
        self._leeway: Final = leeway
        self._has_warned = False

    def __repr__(self) -> str:
        return f"<OldIssuer {self.name!r} {self._algorithm}>"

    def read(self, token: str, *, now: float) -> OldToken | None:
        """Return ``token`` if this issuer signed it; None if not.

        ``now``: seconds since the epoch. Raises TokenExpired for a token that this issuer signed,
        and that has expired.
        """
        if not isinstance(token, str) or len(token) > _LONGEST_TOKEN or token.count(".") != 2:
            return None
        try:
            members = jwt.decode(token, self._key, algorithms=[self._algorithm]).claims
        except (JoseError, ValueError, TypeError, RecursionError):
            return None
        return self._interpret(token, members, now)

    def _interpret(self, token: str, members: dict[str, Any], now: float) -> OldToken | None:
        subject, expires_at = members.get(self._subject_claim), _seconds(members.get("exp"))
        if isinstance(subject, int) and not isinstance(subject, bool):
            subject = str(subject)
        audience = members.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        kind = self._kind_of(members)
        if (
            not isinstance(subject, str)
            or expires_at is None
            or kind is None
            or (self._issuer is not None and members.get("iss") != self._issuer)
            or (self._audience is not None and self._audience not in audiences)
            or (_seconds(members.get("nbf", 0)) or 0) > now + self._leeway
        ):
            return None
        # A library that does not write down when a token was issued gives all the same lifetime.
        issued_at = _seconds(members.get("iat", expires_at - self.lifetime))
        if issued_at is None or issued_at > now + max(self._leeway, 60):
            return None
        if expires_at > issued_at + self.lifetime:
            self._warn(expires_at - issued_at)
            expires_at = issued_at + self.lifetime
        if now >= expires_at + self._leeway:
            raise TokenExpired
        return OldToken(
            text=token,
            subject=subject,
            kind=kind,
            issued_at=min(issued_at, int(now)),
            expires_at=expires_at,
            claims=frozen({k: v for k, v in members.items() if k not in self._own_claims}),
            is_exchangeable=kind in self._exchangeable,
            issuer=self.name,
        )

    def _kind_of(self, members: dict[str, Any]) -> OldTokenKind | None:
        if self._kind_claim is None:
            return "access"
        value = members.get(self._kind_claim)
        return self._kinds.get(value) if isinstance(value, str) else None

    def _warn(self, seconds: int) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "tokens of %s live for %d s, but are accepted for %d s only: set lifetime",
                *(self.name, seconds, self.lifetime),
            )


def _import(key: Key, algorithm: str) -> Any:
    key_type = _KEY_TYPES.get(algorithm[:2]) if isinstance(algorithm, str) else None
    if key_type is None:
        raise ConfigurationError(f"{algorithm!r} is no algorithm of signed tokens, such as HS256")
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
    return int(value) if 0 <= value < 2**32 else None
