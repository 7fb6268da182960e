"""Signed assertions for upstreams: a JWT that says who calls, checked against the JWKS.

- An assertion has a ``typ`` of its own, so it never passes as an access token: every verifier looks
  at the type first.
- The audience is the host of the original request, so an upstream cannot use an assertion at
  another host.
- An assertion is reused for some seconds, as signing takes longer than all the rest of a request.
"""

import base64
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from clusterpass import (
    ConfigurationError,
    KeyRing,
    Session,
    granted_scopes,
)

ASSERTION_TYPE: Final = "clusterpass-assertion+jwt"
LIFETIME: Final = 60
"""Seconds for which an assertion is valid."""
REUSED_FOR: Final = 20
"""Seconds for which the same assertion is given out again."""
_MOST_KEPT: Final = 10_000


class Assertions:
    """Signs assertions with the key that signs access tokens, and keeps recent ones."""

    def __init__(
        self, keys: KeyRing, issuer: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: returns seconds since the epoch.

        Raises ConfigurationError when the signing key is a shared secret, which no JWKS publishes.
        """
        self._issuer: Final = issuer
        self._clock: Final = clock
        self._kept: OrderedDict[tuple[Any, ...], tuple[float, str]] = OrderedDict()
        self.replace_keys(keys)

    def replace_keys(self, keys: KeyRing) -> None:
        """Sign with the first private key in ``keys`` from now on; errors as above."""
        key = keys.signing_key
        if key.is_symmetric:
            raise ConfigurationError(
                "authz_assertion: no upstream can check what a shared secret (HS256) signs; make"
                " an EdDSA key with clusterpass keys generate, or turn the setting off"
            )
        self._key = key
        self._header = _encoded({"alg": key.algorithm, "kid": key.kid, "typ": ASSERTION_TYPE})
        self._kept.clear()

    def of(self, session: Session, host: str) -> str:
        """Return an assertion about ``session`` for the upstream of ``host``."""
        now = self._clock()
        about = _about(session)
        key = (host, *about.values())
        kept = self._kept.get(key)
        if kept is not None and 0 <= now - kept[0] < REUSED_FOR:
            return kept[1]
        issued_at = int(now)
        made = self._sign(
            {
                "iss": self._issuer,
                "aud": host,
                "iat": issued_at,
                "exp": issued_at + LIFETIME,
                "jti": secrets.token_urlsafe(16),
                **{name: value for name, value in about.items() if value is not None},
            }
        )
        self._kept[key] = (now, made)
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return made

    def _sign(self, claims: dict[str, Any]) -> str:
        actor = claims.pop("act", None)
        if actor is not None:
            claims["act"] = {"sub": actor}
        signing_input = f"{self._header}.{_encoded(claims)}"
        return f"{signing_input}.{_base64url(self._key.sign(signing_input.encode('ascii')))}"


def _about(session: Session) -> dict[str, Any]:
    """Return what an assertion says of a session; each value can be a part of a key."""
    return {
        "sub": session.subject,
        "sid": session.session_id,
        "acr": session.acr,
        "auth_time": session.auth_time,
        "scope": " ".join(granted_scopes(session.claims)),
        "act": None if session.act is None else session.act.subject,
        "grace": session.in_grace or None,
    }


def _encoded(members: dict[str, Any]) -> str:
    return _base64url(json.dumps(members, separators=(",", ":")).encode("ascii"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
