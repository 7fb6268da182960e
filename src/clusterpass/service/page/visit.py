"""One request to the page: the browser's session, and the cookies that the response sets.

- The access token is tried first. When it is no longer valid, the refresh token is exchanged, and
  the response delivers the new pair, even if it is an error page.
- Two tabs that refresh at once get the same pair: a refresh token may be presented again within the
  grace period. Later, its reuse ends the session, and the page explains why.
- A store outage says nothing about the session: StoreUnavailable is raised.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from clusterpass import (
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
from clusterpass.service.api.dependencies import STRICT, Service, log_session
from clusterpass.service.asgi.request_log import LOG_FIELDS
from clusterpass.service.page.cookies import PageCookies
from clusterpass.service.page.session_end import SessionEnd
from clusterpass.web.client_address import client_address


@dataclass(frozen=True, slots=True)
class Visitor:
    """A user with a live session."""

    session: Session
    access_token: str


@dataclass(frozen=True, slots=True)
class Anonymous:
    """A browser without a live session."""

    session_end: SessionEnd | None = None
    """How the session of the browser's tokens ended; None when it sent none."""


@dataclass(slots=True)
class Visit:
    """One request, and the tokens that its response sets or deletes."""

    request: Request
    service: Service
    cookies: PageCookies
    _pair: TokenPair | None = None
    _clears_tokens: bool = False

    @classmethod
    def of(cls, request: Request) -> "Visit":
        """Return the visit of ``request``."""
        service: Service = request.app.state.service
        return cls(request, service, PageCookies(secure=service.settings.cookie_secure))

    @property
    def address(self) -> str | None:
        """The client's IP address, as reported by trusted proxies."""
        return client_address(
            self.request.client.host if self.request.client else None,
            self.request.headers.getlist("x-forwarded-for"),
            self.service.settings.trusted_proxies,
        )

    def is_administrator(self, session: Session) -> bool:
        """Return whether ``session`` is an administrator's own, not an impersonation."""
        return session.act is None and session.subject in self.service.settings.administrators

    async def authenticate(self) -> Visitor | Anonymous:
        """Return who sent the request; refreshes the session if necessary.

        Raises StoreUnavailable.
        """
        access_token = self.cookies.access_token(self.request)
        refresh_token = self.cookies.refresh_token(self.request)
        if access_token is not None:
            try:
                return await self._admit(access_token)
            except (SessionRevoked, SessionExpired, SessionUnknown) as error:
                return await self._without_session(error, access_token)
            except InvalidToken:
                if refresh_token is None:
                    return Anonymous(SessionEnd())
        return await self._renew(refresh_token) if refresh_token is not None else Anonymous()

    async def end_session_of_browser(self) -> None:
        """End the sessions that the browser sent tokens of, on a best-effort basis."""
        tokens = (
            self.cookies.access_token(self.request),
            self.cookies.refresh_token(self.request),
        )
        for token in tokens:
            if token is not None:
                # The token may be invalid or its session ended; the new login is valid in any case.
                with suppress(AuthenticationError, StoreUnavailable):
                    await self.service.sessions.logout(token, address=self.address)

    def set_tokens(self, pair: TokenPair) -> None:
        """Have the response set both tokens."""
        self._pair, self._clears_tokens = pair, False

    def clear_tokens(self) -> None:
        """Have the response delete both tokens."""
        self._pair, self._clears_tokens = None, True

    def set_cookies(self, response: Response) -> None:
        """Write the decided changes to the tokens into the cookies of ``response``."""
        if self._clears_tokens:
            self.cookies.clear(response)
        if self._pair is not None:
            self.cookies.keep(response, self._pair)

    def log(self, **fields: Any) -> None:
        """Add fields to the log line of the request; never a secret."""
        self.request.scope.get(LOG_FIELDS, {}).update(fields)

    async def _admit(self, access_token: str) -> Visitor:
        session = await self.service.sessions.verify(access_token, verification=STRICT)
        log_session(self.request, session)
        return Visitor(session, access_token)

    async def _renew(self, refresh_token: str) -> Visitor | Anonymous:
        try:
            pair = await self.service.sessions.refresh(refresh_token, address=self.address)
        except InvalidRefreshToken as error:
            return await self._without_session(error, refresh_token)
        self.set_tokens(pair)
        try:
            return await self._admit(pair.access_token)
        except InvalidToken as error:
            # The session ended between the two calls.
            return await self._without_session(error, pair.access_token)

    async def _without_session(self, error: AuthenticationError, token: str) -> Anonymous:
        end = SessionEnd.of_error(error)
        if end.reason != "banned":
            return Anonymous(end)
        sessions = self.service.sessions
        bans = await sessions.bans.list(subject_of_token(sessions.config, token))
        return Anonymous(replace(end, ban=next((ban for ban in bans if not ban.scope), None)))
