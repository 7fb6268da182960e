"""The access token in a request's Authorization header (RFC 6750 section 2.1).

A request with two Authorization headers could mean one thing to a proxy and another to this
service, so it is rejected. Tokens in the query string or in a form body are not accepted.
"""

from collections.abc import Sequence

from clusterpass.model.authentication_errors import TokenMalformed, TokenMissing
from clusterpass.model.errors import InvalidInput


def bearer_token(authorization: Sequence[str]) -> str:
    """Return the access token; ``authorization``: the values of all Authorization headers.

    Raises TokenMissing when there is no header or it uses another scheme, TokenMalformed when the
    token is empty, InvalidInput when there is more than one header.
    """
    if not authorization:
        raise TokenMissing
    if len(authorization) > 1:
        raise InvalidInput("The request has more than one Authorization header.")
    scheme, _, token = authorization[0].strip().partition(" ")
    if scheme.lower() != "bearer":
        raise TokenMissing
    token = token.strip()
    if not token:
        raise TokenMalformed
    return token
