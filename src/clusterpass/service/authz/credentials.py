"""The access token of a request: in its Authorization header, or in the cookie of the page.

A request with an Authorization header is judged by that alone. If a header that is wrong made room
for the cookie, a page could have a browser act under the session of its user by sending one.
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
