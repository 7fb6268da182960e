"""The access token in a request's head (RFC 6750 section 2.1), and the subject in an answer's.

One Authorization header, one scheme: a request that carries two could mean one thing to a proxy and
another one here, so it is refused. Tokens in the query or in a form are not looked for.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from clusterpass.model.authentication_errors import TokenMalformed, TokenMissing
from clusterpass.model.errors import InvalidInput

# All visible ASCII characters stand for themselves, but "%". A space is encoded too: at the end of
# a header it would be cut off, and one subject would be taken for another.
_PLAIN: Final = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"


def bearer_token(authorization: Sequence[str]) -> str:
    """The token in the values of all Authorization headers.

    Raises TokenMissing, TokenMalformed for an empty one, InvalidInput for several headers.
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


def header_text(subject: str) -> str:
    """``subject`` for a header: percent-encoded (UTF-8) but for visible ASCII characters."""
    return quote(subject, safe=_PLAIN)
