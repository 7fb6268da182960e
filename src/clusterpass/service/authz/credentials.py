"""The access token of a request: from its Authorization header, or else from the page's cookie.

If the header is present, the cookie is ignored, even when the header is invalid. Otherwise a page
could make a browser act under its user's session by sending an invalid header.
"""

from collections.abc import Mapping, Sequence

from clusterpass import (
    TokenMalformed,
    TokenMissing,
)
from clusterpass.web.bearer import bearer_token
from clusterpass.web.sent_cookies import sent_cookies


def token_of(headers: Mapping[str, Sequence[str]], cookie: str) -> str:
    """Return the access token; ``cookie``: the name of the cookie that carries it.

    Raises TokenMissing, and TokenMalformed for an Authorization header that carries none.
    """
    authorization = headers.get("authorization", ())
    if len(authorization) > 1:
        raise TokenMalformed("The request has more than one Authorization header.")
    if authorization:
        return bearer_token(authorization)
    token = sent_cookies(headers.get("cookie", ())).get(cookie)
    if not token:
        raise TokenMissing
    return token
