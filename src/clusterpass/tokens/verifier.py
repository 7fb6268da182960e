"""Verifies access tokens with public keys alone, which is all that a resource server needs.

- The length and the alphabet are checked before anything is decoded. The header must name a known
  key and that key's one algorithm. The payload is read after the signature has been verified
  (RFC 8725 section 3).
- Only the header parameters that the issuer writes (``alg``, ``kid``, ``typ``) are accepted, so
  ``jwk``, ``jku``, ``x5u``, ``crit`` and ``b64`` have no effect.
"""

import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from clusterpass.model.authentication_errors import (
    TokenAudienceInvalid,
    TokenExpired,
    TokenIssuerInvalid,
    TokenKeyUnknown,
    TokenMalformed,
    TokenMissing,
    TokenNotYetValid,
    TokenSignatureInvalid,
    TokenTypeInvalid,
)
from clusterpass.model.frozen import FrozenDict
from clusterpass.model.values import NO_CLAIMS, AccessClaims, Actor
from clusterpass.tokens.encoding import decode_base64url, decode_json_object
from clusterpass.tokens.issuer import ACCESS_TOKEN_TYPE, standard_header
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh import looks_like_refresh_token

if TYPE_CHECKING:
    import ssl

    from clusterpass.tokens.keys import SigningKey

LONGEST_TOKEN: Final = 12_288
"""The longest access token that is accepted, in characters."""
_COMPACT_JWS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_OWN_MEMBERS: Final = frozenset(
    {"iss", "sub", "aud", "client_id", "exp", "iat", "nbf", "jti", "sid"}
    | {"auth_time", "acr", "amr", "act", "step_up"}
)


class TokenVerifier:
    """Verifies signature, type, issuer, audience and times of access tokens (RFC 9068 section 4).

    A verifier never asks the store, so it accepts the tokens of a revoked session until they
    expire. A ``SessionManager`` verifies the token first and its session second.
    """

    def __init__(
        self,
        keys: KeyRing,
        *,
        issuer: str,
        audience: str,
        clock_leeway: int = 30,
        expiry_leeway: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``issuer``, ``audience``: the required ``iss``, and the required member of ``aud``.

        ``clock_leeway``: seconds by which ``iat`` and ``nbf`` may lie in the future.
        ``expiry_leeway``: seconds by which ``exp`` may lie in the past. ``clock``: returns seconds
        since the epoch.
        """
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._clock_leeway = clock_leeway
        self._expiry_leeway = expiry_leeway
        self._clock = clock
        self._standard_headers = {standard_header(key): key for key in keys.all()}

    def with_keys(self, keys: KeyRing) -> "TokenVerifier":
        """Return a verifier that differs from this one by its ``keys`` alone."""
        return TokenVerifier(
            keys,
            issuer=self._issuer,
            audience=self._audience,
            clock_leeway=self._clock_leeway,
            expiry_leeway=self._expiry_leeway,
            clock=self._clock,
        )

    @classmethod
    def from_jwks_url(
        cls,
        url: str,
        *,
        issuer: str,
        audience: str,
        clock_leeway: int = 30,
        expiry_leeway: int = 0,
        clock: Callable[[], float] = time.time,
        timeout: float = 2.0,
        interval: float = 10.0,
        ssl_context: "ssl.SSLContext | None" = None,
    ) -> "TokenVerifier":
        """Return a verifier that fetches its keys from ``url``: https, or http to localhost.

        The first verify fetches the JWK Set; it is then fresh for as long as its Cache-Control says
        (a minute to an hour), and a token that names an unknown key has it fetched again.
        ``interval``: seconds that have to pass between two requests. ``timeout``: seconds for a
        request; when one fails, the last good set stays in force. ``ssl_context``: instead of the
        certificates that httpx trusts. Symmetric and unfit keys are ignored. ``verify`` may block
        for a request; on event loops use ``AsyncTokenVerifier``. Needs ``clusterpass[jwks]``.
        Raises ConfigurationError.
        """
        from clusterpass.jwks.verifiers import UrlTokenVerifier  # noqa: PLC0415 - loads a client

        return UrlTokenVerifier(
            url,
            timeout=timeout,
            interval=interval,
            ssl_context=ssl_context,
            issuer=issuer,
            audience=audience,
            clock_leeway=clock_leeway,
            expiry_leeway=expiry_leeway,
            clock=clock,
        )

    def verify(self, token: str, *, allow_expired: bool = False) -> AccessClaims:
        """Return the claims of ``token`` if it is valid.

        ``allow_expired``: accept an expired token, so that a user can still log out with it.
        Raises the subclass of InvalidToken that names the problem.
        """
        header, payload, signature = _split(token)
        key = self._standard_headers.get(header)
        if key is None:
            if looks_like_refresh_token(token):
                raise TokenTypeInvalid
            key = self._key_named_by(header)
        try:
            signature_bytes = decode_base64url(signature)
        except ValueError:
            raise TokenMalformed from None
        if not key.verify(f"{header}.{payload}".encode("ascii"), signature_bytes):
            raise TokenSignatureInvalid
        try:
            members = decode_json_object(decode_base64url(payload))
        except ValueError:
            raise TokenMalformed from None
        claims = self._read(members)
        now = self._clock()
        not_before = members.get("nbf", 0)
        if type(not_before) is not int:
            raise TokenMalformed
        if max(claims.issued_at, not_before) > now + self._clock_leeway:
            raise TokenNotYetValid
        if not allow_expired and now >= claims.expires_at + self._expiry_leeway:
            raise TokenExpired
        return claims

    def _key_named_by(self, header: str) -> "SigningKey":
        try:
            members = decode_json_object(decode_base64url(header))
        except ValueError:
            raise TokenMalformed from None
        surplus = members.keys() - {"alg", "kid", "typ"}
        if surplus:
            raise TokenMalformed("The access token has a header parameter that is not allowed")
        token_type = members.get("typ")
        if not isinstance(token_type, str) or not _is_access_token_type(token_type):
            raise TokenTypeInvalid
        kid = members.get("kid")
        if not isinstance(kid, str):
            raise TokenKeyUnknown
        key = self._keys.find(kid)
        if key is None:
            raise TokenKeyUnknown
        if members.get("alg") != key.algorithm:
            raise TokenSignatureInvalid("The access token names a different algorithm from its key")
        return key

    def _read(self, members: dict[str, Any]) -> AccessClaims:
        if members.get("iss") != self._issuer:
            raise TokenIssuerInvalid
        audience = members.get("aud")
        audiences = (audience,) if isinstance(audience, str) else audience
        if (
            not isinstance(audiences, list | tuple)
            or self._audience not in audiences
            or (len(audiences) > 1 and not _are_strings(audiences))
        ):
            raise TokenAudienceInvalid
        subject, token_id, session_id = members.get("sub"), members.get("jti"), members.get("sid")
        issued_at, expires_at = members.get("iat"), members.get("exp")
        client_id = members.get("client_id")
        if not (
            (isinstance(subject, str) and subject)
            and (isinstance(token_id, str) and token_id)
            and (isinstance(session_id, str) and session_id)
            and type(issued_at) is int
            and type(expires_at) is int
        ):
            raise TokenMalformed("The access token lacks a required claim")
        # Older tokens have none.
        if not isinstance(client_id, str | None):
            raise TokenMalformed("The access token has an invalid client_id")
        own: dict[str, Any] = {}
        if not members.keys() <= _OWN_MEMBERS:
            own = {name: value for name, value in members.items() if name not in _OWN_MEMBERS}
        return AccessClaims(
            issuer=self._issuer,
            subject=subject,
            audience=tuple(audiences),
            issued_at=issued_at,
            expires_at=expires_at,
            token_id=token_id,
            session_id=session_id,
            claims=FrozenDict(own) if own else NO_CLAIMS,
            client_id=client_id,
            **_authentication(members),
        )


def _authentication(members: dict[str, Any]) -> dict[str, Any]:
    """Return the optional claims about the authentication (RFC 9068 section 2.2.1)."""
    auth_time, acr = members.get("auth_time"), members.get("acr")
    amr, act = members.get("amr", []), members.get("act")
    step_up = members.get("step_up")
    actor = None
    if act is not None:
        if not (
            isinstance(act, dict)
            and isinstance(act.get("sub"), str)
            and isinstance(act.get("sid"), str)
        ):
            raise TokenMalformed("The access token has an invalid actor (act)")
        actor = Actor(act["sub"], act["sid"])
    if not (
        (auth_time is None or type(auth_time) is int)
        and isinstance(acr, str | None)
        and isinstance(step_up, str | None)
        and isinstance(amr, list)
        and (not amr or _are_strings(amr))
    ):
        raise TokenMalformed(
            "The access token has invalid authentication claims (auth_time, acr, amr, step_up)"
        )
    return {
        "auth_time": auth_time,
        "acr": acr,
        "amr": tuple(amr),
        "act": actor,
        "step_up": step_up,
    }


def _are_strings(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _split(token: object) -> tuple[str, str, str]:
    if not isinstance(token, str):
        raise TokenMalformed("The access token must be a string")
    if not token:
        raise TokenMissing
    if len(token) > LONGEST_TOKEN:
        raise TokenMalformed(f"The access token is longer than {LONGEST_TOKEN} characters")
    if not _COMPACT_JWS.fullmatch(token):
        if looks_like_refresh_token(token):
            raise TokenTypeInvalid
        raise TokenMalformed
    header, payload, signature = token.split(".")
    return header, payload, signature


def _is_access_token_type(token_type: str) -> bool:
    # RFC 7515 section 4.1.9: "application/" may be left out; media types ignore case.
    return token_type.lower().removeprefix("application/") == ACCESS_TOKEN_TYPE
