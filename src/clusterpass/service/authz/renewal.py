"""The cookie of a browser at the front door: its validity, and its renewal in the same call.

- A cookie is judged as the access token of its session would be, by the same rules and memory.
- Once in ``access_lifetime`` the store is asked whether the session is live, and the answer
  replaces the cookie. No token is exchanged or used up, so no tab takes anything from another one.
- While the store cannot be asked, no cookie changes.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Final

from clusterpass import (
    AsyncSessionManager,
    AuthenticationError,
    StoreUnavailable,
    TokenMissing,
)
from clusterpass.service.authz.credentials import token_of
from clusterpass.service.authz.decision import Allowed, Decision, Denied
from clusterpass.service.authz.original_request import ENVOY_OVER_GRPC, OriginalRequest
from clusterpass.service.calls.proxy_cookie import ProxyCookies, Ticket
from clusterpass.service.calls.verify import STRICT

_PARTS_OF_PAGES: Final = frozenset(
    {"audio", "font", "image", "manifest", "object", "script", "style", "track", "video"}
)
"""What shared caches keep, so that no answer to it sets a cookie (fetch.spec.whatwg.org,
request destinations)."""


COPY_COOKIES: Final = frozenset({"traefik", "forward-auth", ENVOY_OVER_GRPC})
"""The proxies that pass the Cookie header of a 200 on, in place of that of the client."""


class BrowserRequest:
    """One request to authorize, in which a cookie may stand for an access token."""

    def __init__(
        self,
        cookies: ProxyCookies,
        headers: Mapping[str, Sequence[str]],
        original: OriginalRequest,
    ) -> None:
        """``headers``: the values of each, by its name in lower case."""
        self._cookies: Final = cookies
        self._headers: Final = headers
        self._place: Final = cookies.place_of(original.host)
        self._ticket: Ticket | None = None

    def token(self) -> str:
        """Return the access token; raise AuthenticationError where there is none."""
        place = self._place
        value = token_of(self._headers, (place.cookie if place else self._cookies.cookie).name)
        if self._headers.get("authorization"):
            return value
        if place is None:
            raise TokenMissing  # no browser sends it there, so somebody else does
        self._ticket = self._cookies.read(value, place)
        return self._cookies.access_token(self._ticket)

    def other_cookies(self) -> str | None:
        """Return the Cookie header without the cookie for proxies; None when there is no header.

        A proxy that cannot edit the header itself passes this one to the upstream.
        """
        sent = self._headers.get("cookie")
        return without_cookies(";".join(sent), self._cookies.names) if sent else None

    async def settle(
        self, sessions: AsyncSessionManager, decision: Decision
    ) -> tuple[Decision, tuple[str, str] | None]:
        """Return ``decision``, and the Set-Cookie header by which the browser gets a new cookie.

        The header is None where none is due. The store may say meanwhile that the session has
        ended; then the decision is another one.
        """
        ticket, place = self._ticket, self._place
        if (
            ticket is None
            or place is None
            or not isinstance(decision, Allowed)
            or decision.session is None
            or decision.session.in_grace
            or not self._cookies.is_due(ticket)
            or not _PARTS_OF_PAGES.isdisjoint(self._headers.get("sec-fetch-dest", ()))
        ):
            return decision, None
        try:
            token = self._cookies.access_token(ticket)
            session = await sessions.verify(token, verification=STRICT)
        except StoreUnavailable:
            return decision, None
        except AuthenticationError as error:
            return Denied(decision.ruling, error), None
        return replace(decision, is_from_memory=False), self._cookies.renewed(
            ticket, session, place
        )


def without_cookies(header: str, names: Container[str]) -> str:
    """Return the Cookie header ``header`` without the cookies of ``names``."""
    kept = [pair for pair in header.split(";") if pair.partition("=")[0].strip(" \t") not in names]
    return ";".join(kept).strip(" \t")
