"""The WWW-Authenticate header of an error response (RFC 6750 section 3, RFC 9470 section 3).

- A request without a token gets the bare scheme; a token that was rejected, ``invalid_token``.
- A session that needs step-up authentication gets ``insufficient_user_authentication``, and a
  missing scope (403) ``insufficient_scope``.
"""

from http import HTTPStatus
from typing import Final

from clusterpass.model.authentication_errors import InvalidToken, StepUpRequired, TokenMissing
from clusterpass.model.errors import ClusterPassError, ScopeMissing

BEARER: Final = "Bearer"
"""The challenge to a request that carried no credentials, or the wrong password."""


def challenge(error: ClusterPassError) -> str | None:
    """Return the value of WWW-Authenticate for ``error``; None when it calls for no challenge."""
    if isinstance(error, StepUpRequired | ScopeMissing):
        return error.challenge
    if error.status != HTTPStatus.UNAUTHORIZED:
        return None
    if not isinstance(error, InvalidToken) or isinstance(error, TokenMissing):
        return BEARER
    # RFC 6750 section 3 allows visible ASCII and spaces, without quotes and backslashes.
    description = "".join(
        character
        for character in error.message
        if " " <= character <= "~" and character not in '"\\'
    )
    return f'{BEARER} error="invalid_token", error_description="{description}"'
