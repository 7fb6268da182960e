"""Protection of form submissions against cross-site request forgery.

- Same origin: the browser says where a request comes from in Sec-Fetch-Site, or in Origin if it is
  too old for that. A request with neither header is rejected.
- Form token: once logged in, each form carries an HMAC of the session id, under a secret derived
  from the signing key. Any server of the deployment can check it, and nothing is stored.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from clusterpass.config import Config
from clusterpass.model.errors import RequestRefused

TOKEN_FIELD: Final = "form_token"  # noqa: S105 (a field's name)
"""The name of the form field that carries the token."""
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
    Sec-Fetch-Site and Origin headers; ``secure``: whether browsers reach the site over HTTPS.
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


def make_form_token(config: Config, session_id: str) -> str:
    """Return the token for the forms on the pages of a session."""
    secret = config.keys.signing_key.derive_secret(_PURPOSE)
    return hmac.new(secret, session_id.encode(), hashlib.sha256).hexdigest()


def require_form_token(config: Config, session_id: str, token: str) -> None:
    """Return when ``token`` was made for this session; raise RequestRefused otherwise."""
    if not hmac.compare_digest(token.encode(), make_form_token(config, session_id).encode()):
        raise RequestRefused(_OUTDATED)
