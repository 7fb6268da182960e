"""Who is asking for the page: a visitor with a live session, or a stranger, and why.

- The access token is tried first. When it is no longer good, the refresh token decides, and the new
  pair goes to the browser with whatever is answered, even a refusal.
- Two tabs that refresh at once get the same pair: a refresh token may be presented again within the
  grace. Later it ends the session, and the stranger reads why.
- A store that cannot be reached says nothing about the session: that error passes through.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from clusterpass import (
    AccessToken,
    AuthenticationError,
    InvalidRefreshToken,
    InvalidToken,
    Session,
    SessionExpired,
    SessionRevoked,
    SessionUnknown,
    StoreUnavailable,
    TokenPair,
    subject_of_token,
)
from clusterpass.service.api.dependencies import STRICT, Service, note_session
from clusterpass.service.asgi.request_log import FACTS
from clusterpass.service.page.cookies import PageCookies
from clusterpass.service.page.ended import Ending
from clusterpass.web.client_address import client_address


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a live session."""

    session: Session
    access_token: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody without one."""

    ending: Ending | None = None
    """How the session ended whose tokens the browser sent; None when it sent none."""


@dataclass(slots=True)
class Visit:
    """One request to the page, and what its answer does to the browser's tokens."""

    request: Request
    service: Service
    cookies: PageCookies
    _pair: TokenPair | None = None
    _access: AccessToken | None = None
    _is_to_forget: bool = False

    @classmethod
    def of(cls, request: Request) -> "Visit":
        """The visit that ``request`` makes."""
        service: Service = request.app.state.service
        return cls(request, service, PageCookies(secure=service.settings.cookie_secure))

    @property
    def address(self) -> str | None:
        """Where the browser is."""
        return client_address(
            self.request.client.host if self.request.client else None,
            self.request.headers.getlist("x-forwarded-for"),
            self.service.settings.trusted_proxies,
        )

    def administers(self, session: Session) -> bool:
        """Whether ``session`` is an administrator's own; an impersonation of one is not."""
        return session.act is None and session.subject in self.service.settings.administrators

    async def recognise(self) -> Visitor | Stranger:
        """Who is asking; refreshes the session when need be."""
        access_token = self.cookies.access_token(self.request)
        refresh_token = self.cookies.refresh_token(self.request)
        if access_token is not None:
            try:
                return await self._admit(access_token)
            except (SessionRevoked, SessionExpired, SessionUnknown) as error:
                return await self._turn_away(error, access_token)
            except InvalidToken:
                if refresh_token is None:
                    return Stranger(Ending())
        return await self._renew(refresh_token) if refresh_token is not None else Stranger()

    async def end_session_of_browser(self) -> None:
        """End whatever session the browser sent a token of, as far as that is possible."""
        tokens = (
            self.cookies.access_token(self.request),
            self.cookies.refresh_token(self.request),
        )
        for token in tokens:
            if token is not None:
                # It may be dead, or no token at all; and the new login stands in any case.
                with suppress(AuthenticationError, StoreUnavailable):
                    await self.service.sessions.logout(token, address=self.address)

    def hand_out(self, pair: TokenPair) -> None:
        """Give the browser both tokens with the answer."""
        self._pair, self._access, self._is_to_forget = pair, None, False

    def hand_out_access(self, token: AccessToken) -> None:
        """Give the browser another access token with the answer."""
        self._access = token

    def forget(self) -> None:
        """Make the browser forget its tokens with the answer."""
        self._pair, self._access, self._is_to_forget = None, None, True

    def settle(self, response: Response) -> None:
        """Put what was decided about the tokens into ``response``."""
        if self._is_to_forget:
            self.cookies.clear(response)
        if self._pair is not None:
            self.cookies.keep(response, self._pair)
        if self._access is not None:
            self.cookies.keep_access(response, self._access)

    def note(self, **facts: Any) -> None:
        """Add to the log line of the request."""
        self.request.scope.get(FACTS, {}).update(facts)

    async def _admit(self, access_token: str) -> Visitor:
        session = await self.service.sessions.verify(access_token, verification=STRICT)
        note_session(self.request, session)
        return Visitor(session, access_token)

    async def _renew(self, refresh_token: str) -> Visitor | Stranger:
        try:
            pair = await self.service.sessions.refresh(refresh_token, address=self.address)
        except InvalidRefreshToken as error:
            return await self._turn_away(error, refresh_token)
        self.hand_out(pair)
        try:
            return await self._admit(pair.access_token)
        except InvalidToken as error:
            # It ended between the two calls.
            return await self._turn_away(error, pair.access_token)

    async def _turn_away(self, error: AuthenticationError, token: str) -> Stranger:
        ending = Ending.of_error(error)
        if ending.reason != "banned":
            return Stranger(ending)
        sessions = self.service.sessions
        bans = await sessions.bans.list(subject_of_token(sessions.config, token))
        return Stranger(replace(ending, ban=next((ban for ban in bans if not ban.scope), None)))
