"""Protects requests that a cookie authenticates from cross-site request forgery.

- Same origin: the browser says where a request comes from in Sec-Fetch-Site, or in Origin if it is
  too old for that.
- CSRF token: an HMAC of the session id, under a secret derived from the signing key. Forms carry it
  in a field, scripts in a header. Any server of the deployment can check it, nothing is stored, and
  a token of another session is worth nothing (the signed double submit of OWASP's cheat sheet).
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from clusterpass.model.errors import RequestRefused
from clusterpass.tokens.keyring import KeyRing
from clusterpass.web.derived_secrets import derived_secrets

_PURPOSE: Final = "page form token"
_CROSS_SITE: Final = "The form was submitted from another site. Nothing was changed."
_OUTDATED: Final = "The form has expired. Nothing was changed; reload the page and try again."
_HTTPS_REQUIRED: Final = (
    "This page requires HTTPS: over HTTP, your browser would not keep you logged in."
)


def require_same_origin(
    *, host: str, fetch_site: Sequence[str], origin: Sequence[str], secure: bool
) -> None:
    """Return when a request comes from its own origin; raise RequestRefused otherwise.

    ``host``: the value of the Host header; ``fetch_site``, ``origin``: the values of all
    Sec-Fetch-Site and Origin headers; ``secure``: whether browsers reach the site over HTTPS. A
    request with neither header is refused.
    """
    if len(fetch_site) > 1 or len(origin) > 1:
        raise RequestRefused(_CROSS_SITE)
    if fetch_site:
        # "none": the user started the request, by a reload for example, and no page did.
        if fetch_site[0] == "same-origin" or (fetch_site[0] == "none" and not origin):
            return
        raise RequestRefused(_CROSS_SITE)
    host = host.lower()
    expected = f"https://{host}" if secure else f"http://{host}"
    if host and origin and origin[0].lower() == expected:
        return
    if secure and host and origin and origin[0].lower() == f"http://{host}":
        raise RequestRefused(_HTTPS_REQUIRED)
    raise RequestRefused(_CROSS_SITE)


class CsrfTokens:
    """The CSRF tokens of one deployment."""

    def __init__(self, keys: KeyRing, refresh_secrets: tuple[str, ...] = ()) -> None:
        """``keys`` and ``refresh_secrets``: of the configuration. The first secret, or else the
        signing key, makes the tokens; those of every one are accepted, so pages survive a change.
        Raises ConfigurationError when there is no secret and all keys are public."""
        self.replace_keys(keys, refresh_secrets)

    def replace_keys(self, keys: KeyRing, refresh_secrets: tuple[str, ...] = ()) -> None:
        """Make and accept tokens by these keys and secrets from now on.

        Raises ConfigurationError when there is no secret and all keys are public.
        """
        self._secrets = derived_secrets(keys, refresh_secrets, _PURPOSE)

    def make(self, session_id: str) -> str:
        """Return the token for the forms and scripts on the pages of a session."""
        return _token(self._secrets[0], session_id)

    def require(self, session_id: str, token: str) -> None:
        """Return when ``token`` was made for this session; raise RequestRefused otherwise."""
        presented = token.encode(errors="replace")
        # Every secret is tried, so the time tells nothing about which one it was.
        found = [
            hmac.compare_digest(presented, _token(secret, session_id).encode())
            for secret in self._secrets
        ]
        if not any(found):
            raise RequestRefused(_OUTDATED)


def _token(secret: bytes, session_id: str) -> str:
    return hmac.new(secret, session_id.encode(), hashlib.sha256).hexdigest()
