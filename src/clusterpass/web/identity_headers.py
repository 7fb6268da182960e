"""The X-Auth-* headers of a forward-auth response, by which a proxy tells its upstream who calls.

A proxy must remove these headers from the requests of its clients.
"""

from typing import Final
from urllib.parse import quote

from clusterpass.model.scopes import granted_scopes
from clusterpass.model.values import Session

# Every visible ASCII character except "%" stays as it is. A space is encoded too: at the end of a
# header it would be stripped, and one subject would be taken for another.
_UNENCODED: Final = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"


def identity_headers(session: Session) -> dict[str, str]:
    """Return the headers that describe ``session``.

    X-Auth-Actor is present for an impersonation only, X-Auth-Grace (``1``) only when the session
    was accepted during a store outage.
    """
    headers = {
        "X-Auth-Subject": encode_header(session.subject),
        "X-Auth-Session": session.session_id,
        "X-Auth-Level": encode_header(session.acr),
        "X-Auth-Scope": " ".join(encode_header(scope) for scope in granted_scopes(session.claims)),
    }
    if session.in_grace:
        headers["X-Auth-Grace"] = "1"
    if session.act is not None:
        headers["X-Auth-Actor"] = encode_header(session.act.subject)
    return headers


def encode_header(value: str) -> str:
    """Return ``value`` percent-encoded (UTF-8), except for visible ASCII other than %."""
    return quote(value, safe=_UNENCODED)
