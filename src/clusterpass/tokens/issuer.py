"""Issues access tokens: signed JWTs of the type ``at+jwt`` (RFC 9068)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from clusterpass.limits import LARGEST_CLAIMS_BYTES
from clusterpass.model.errors import InvalidInput
from clusterpass.tokens.claim_faults import largest_claim, shown_name, why_refused
from clusterpass.tokens.encoding import (
    decode_json_object,
    encode_base64url,
    encode_json,
    encode_members,
    encode_text,
    is_deeper,
)

if TYPE_CHECKING:
    from clusterpass.tokens.keys import SigningKey

ACCESS_TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 (a media type)
MOST_LEVELS_OF_CLAIMS: Final = 32
RESERVED_CLAIMS: Final = frozenset(
    [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "sid",
        "client_id",
        "auth_time",
        "acr",
        "amr",
        "act",
        "step_up",
        "cnf",
        "azp",
        "nonce",
    ]
)
"""Claim names that applications cannot set (RFC 7519, RFC 9068, RFC 8693, RFC 7800).

``step_up`` is ClusterPass's own: the step-up that a token was issued after.
"""
_OWN_CLAIMS: Final = frozenset({"iss", "sub", "aud", "client_id", "exp", "iat", "jti", "sid"})
"""Claims in every token, which none in the store may override."""


class TokenIssuer:
    """Signs access tokens with one private key."""

    def __init__(
        self,
        key: "SigningKey",
        *,
        issuer: str,
        audience: str,
        random_bytes: Callable[[int], bytes],
        client_id: str | None = None,
    ) -> None:
        """``random_bytes``: returns n unpredictable bytes, as ``secrets.token_bytes`` does.

        ``client_id``: who asked for the tokens (RFC 9068 section 2.2); the issuer unless given.
        """
        self._key = key
        self._random_bytes = random_bytes
        self._header = f"{standard_header(key)}."
        self._issuer = f'"iss":{encode_text(issuer)},"sub":'
        self._audience = (
            f',"aud":{encode_text(audience)},"client_id":{encode_text(client_id or issuer)},"exp":'
        )

    def issue(
        self,
        subject: str,
        session_id: str,
        *,
        issued_at: int,
        expires_at: int,
        claims: Mapping[str, Any],
        authentication: Mapping[str, Any] = MappingProxyType({}),
        rotation: int = 0,
    ) -> str:
        """Return a signed access token as a compact JWS (RFC 7515 section 7.1).

        ``issued_at`` and ``expires_at`` are seconds since the epoch. ``claims`` must have passed
        :func:`check_claims`. ``authentication`` holds ``auth_time``, ``acr``, ``amr`` (RFC 9068
        section 2.2.1), ``act`` (RFC 8693 section 4.1) and ``step_up``. ``rotation``: that of the
        refresh token beside it, with which ``jti`` begins unless it is 0.
        """
        token_id = encode_base64url(self._random_bytes(16))
        if rotation:
            token_id = f"{rotation}.{token_id}"
        if claims and not _OWN_CLAIMS.isdisjoint(claims):
            claims = {name: value for name, value in claims.items() if name not in _OWN_CLAIMS}
        given = (
            f"{encode_members({**claims, **authentication})}," if claims or authentication else ""
        )
        payload = (
            f"{{{given}{self._issuer}{encode_text(subject)}{self._audience}{expires_at}"
            f',"iat":{issued_at},"jti":"{token_id}"'
            f',"sid":{encode_text(session_id)}}}'
        )
        signing_input = self._header + encode_base64url(payload.encode("ascii"))
        signature = self._key.sign(signing_input.encode("ascii"))
        return f"{signing_input}.{encode_base64url(signature)}"


def standard_header(key: "SigningKey") -> str:
    """Return the encoded protected header of the tokens that ``key`` signs."""
    header = {"alg": key.algorithm, "kid": key.kid, "typ": ACCESS_TOKEN_TYPE}
    return encode_base64url(encode_json(header))


def check_claims(
    claims: Mapping[str, Any], *, largest: int = LARGEST_CLAIMS_BYTES
) -> dict[str, Any]:
    """Return a copy of an application's own claims that can be signed and stored.

    Raises InvalidInput when a name is reserved or not a string, when a value is not plain JSON, and
    when the claims take more than ``largest`` bytes as JSON or are nested more than 32 levels deep.
    The message names the claim.
    """
    if not isinstance(claims, Mapping):
        raise InvalidInput("claims must be a mapping of names to JSON values")
    if not claims:
        return {}
    for name in claims:
        if not isinstance(name, str):
            raise InvalidInput(
                f"every claim name must be a string; {shown_name(name)} is of type"
                f" {type(name).__name__}"
            )
    reserved = sorted(RESERVED_CLAIMS & claims.keys())
    if reserved:
        raise InvalidInput(f"the claim {reserved[0]!r} is reserved for the issuer")
    if is_deeper(claims, MOST_LEVELS_OF_CLAIMS):
        raise InvalidInput(why_refused(claims, MOST_LEVELS_OF_CLAIMS))
    try:
        encoded = encode_json(dict(claims))
        # Decoding checks that a verifier accepts the claims, and makes a copy of them.
        own = decode_json_object(encoded) if len(encoded) <= largest else {}
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput(why_refused(claims, MOST_LEVELS_OF_CLAIMS)) from None
    if len(encoded) > largest:
        raise InvalidInput(
            f"claims take {len(encoded)} bytes as JSON; the limit is {largest}. The largest is"
            f" {largest_claim(claims)}"
        )
    return own
