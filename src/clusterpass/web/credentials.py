"""Finds the tokens of a request: in its Authorization header, its cookies or its query.

The Authorization header comes first: no browser that follows a link sends one, so cookies are not
looked at, and no CSRF token is needed. If one of our cookies is sent twice, no cookie counts. A
token in the query is accepted only where the settings allow it, and only for WebSockets and
server-sent events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from clusterpass.model.authentication_errors import TokenMissing
from clusterpass.model.errors import InvalidInput
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.refresh import parse_refresh_token
from clusterpass.web.bearer import bearer_token
from clusterpass.web.messages import SOCKET, WebRequest
from clusterpass.web.sent_cookies import read_cookies
from clusterpass.web.settings import TokenPlace, WebSettings

QUERY_NAME: Final = "access_token"
"""The parameter of the query that brings an access token."""
_EVENT_STREAM: Final = "text/event-stream"
"""What a browser's EventSource accepts."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The tokens of a request."""

    place: TokenPlace | None = None
    """Where the tokens were found; None: there are none."""
    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    """The refresh token of a browser; None in all other places."""
    is_old: bool = False
    """Whether the tokens are in the cookies of another library, and may be tokens of that."""


def find_credentials(request: WebRequest, settings: WebSettings) -> Credentials:
    """Return the tokens of ``request``.

    Raises TokenMalformed for an empty bearer token, and InvalidInput for a request with two
    Authorization headers or two tokens in the query.
    """
    authorization = request.header("authorization")
    if authorization and "header" in settings.token_places:
        try:
            return Credentials("header", bearer_token(authorization))
        except TokenMissing:
            pass  # of another scheme, which is none of ours
    if "cookie" in settings.token_places:
        found = _find_in_cookies(request, settings)
        if found is not None:
            return found
    if "query" in settings.token_places and _takes_query(request):
        values = request.query(QUERY_NAME)
        if len(values) > 1:
            raise InvalidInput("The request has more than one access token in its query.")
        if values and values[0]:
            return Credentials("query", values[0])
    return Credentials()


def _find_in_cookies(request: WebRequest, settings: WebSettings) -> Credentials | None:
    sent, cookies = read_cookies(request.header("cookie")), settings.cookies
    names = (cookies.access.name, cookies.refresh.name)
    if not sent.repeated.isdisjoint(names):
        # A browser has one cookie of each of our names. Somebody else has set another, so that
        # the rest may be of theirs too: no cookie counts, and the user has to log in.
        return None
    access, refresh = (sent.values.get(name) or None for name in names)
    if access or refresh:
        return Credentials("cookie", access, refresh)
    return _find_old(sent.values, settings)


def _takes_query(request: WebRequest) -> bool:
    """Return whether ``request`` is of a browser API that cannot set headers.

    No other request counts by its query: a link or a form of any site could bring a token in it,
    and no CSRF token is asked for then.
    """
    if request.method == SOCKET:
        return True
    accepted = (each for value in request.header("accept") for each in value.split(","))
    return request.method == "GET" and any(
        each.partition(";")[0].strip().lower() == _EVENT_STREAM for each in accepted
    )


def _find_old(sent: Mapping[str, str], settings: WebSettings) -> Credentials | None:
    access, refresh = (
        _unquoted(sent.get(name, "")) if name else None
        for name in (settings.old_access_cookie, settings.old_refresh_cookie)
    )
    return Credentials("cookie", access, refresh, is_old=True) if access or refresh else None


def _unquoted(value: str) -> str | None:
    """Return ``value`` without the double quotes that frameworks in Python set around a token with
    a character that needs none, such as ``=``; None when it is empty."""
    is_quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return (value[1:-1] if is_quoted else value) or None


def session_of_refresh_token(token: str) -> str:
    """Return the session id in a refresh token, which is not verified by that.

    Raises InvalidRefreshToken when ``token`` is none.
    """
    return encode_session_id(parse_refresh_token(token).session_id)
