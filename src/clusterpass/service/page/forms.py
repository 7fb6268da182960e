"""What a form of the page must prove before anything is done.

- It comes from this very origin: the browser says so in Sec-Fetch-Site, or in Origin where it is
  too old for that. A request that says neither is refused (403).
- Once logged in, it carries a token that only a page made for this session holds: an HMAC of the
  session id under a secret derived from the signing key, so every server can check it.
"""

import hashlib
import hmac
import re
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import Request

from clusterpass import (
    Config,
    InvalidInput,
    RequestRefused,
)

TOKEN_FIELD: Final = "form_token"  # noqa: S105 (a field's name)
_PURPOSE: Final = "page form token"
_MOST_FIELDS: Final = 8
_FORM_PATH: Final = re.compile(
    r"/page/(login|logout|confirm|sessions/revoke-(others|kind)|sessions/[^/]+/revoke"
    r"|subject/(revoke|revoke-all|ban|lift|impersonate))"
)
_FOREIGN: Final = "The form was not sent from this page. Nothing was changed."
_OUTDATED: Final = "The form was out of date. Nothing was changed."
_NOT_SECURE: Final = "This page works over HTTPS only; your browser would not keep you logged in."


class FormPaths:
    """The paths that forms are sent to, as a container of strings."""

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and _FORM_PATH.fullmatch(path) is not None


FORM_PATHS: Final = FormPaths()


def require_same_origin(headers: Headers, *, secure: bool) -> None:
    """Return when the request comes from its own origin; raises RequestRefused.

    ``secure``: whether the page is served over HTTPS (by the proxy before us).
    """
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    if len(sites) > 1 or len(origins) > 1:
        raise RequestRefused(_FOREIGN)
    if sites:
        # "none": the user's own doing, such as a reload; a page is not involved.
        if sites == ["same-origin"] or (sites == ["none"] and not origins):
            return
        raise RequestRefused(_FOREIGN)
    host = headers.get("host", "").lower()
    own = f"https://{host}" if secure else f"http://{host}"
    if host and origins and origins[0].lower() == own:
        return
    if secure and host and origins and origins[0].lower() == f"http://{host}":
        raise RequestRefused(_NOT_SECURE)
    raise RequestRefused(_FOREIGN)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of the form in the body; raises InvalidInput."""
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise InvalidInput("The form cannot be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidInput("The form has a field twice.")
    return fields


def make_form_token(config: Config, session_id: str) -> str:
    """The token for the forms of a session's pages."""
    secret = config.keys.signing_key.derive_secret(_PURPOSE)
    return hmac.new(secret, session_id.encode(), hashlib.sha256).hexdigest()


def require_form_token(config: Config, session_id: str, fields: dict[str, str]) -> None:
    """Return when the form was made for this session; raises RequestRefused."""
    given = fields.get(TOKEN_FIELD, "").encode()
    if not hmac.compare_digest(given, make_form_token(config, session_id).encode()):
        raise RequestRefused(_OUTDATED)
