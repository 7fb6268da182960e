"""Who is asking for the page: a visitor with a live session, or a stranger, and why.

- The access token is tried first. When it is no longer good, the refresh token decides, and the new
  pair goes to the browser with whatever is answered, even a refusal.
- A refresh token that was used before is most likely this browser's own, used by another tab a
  moment ago: the cookies stay, so that the newer ones are not thrown away.
- A store that cannot be reached says nothing about the session: that error passes through.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from clusterpass.errors import (
    AuthenticationError,
    InvalidRefreshToken,
    InvalidToken,
    SessionExpired,
    SessionRevoked,
    SessionUnknown,
    StoreUnavailable,
)
from clusterpass.models import Session, TokenPair
from clusterpass.service.logs import FACTS
from clusterpass.service.page_cookies import PageCookies
from clusterpass.service.routes import Service

_REVOCATIONS: Final = {"logged_out": "loggedout", "replaced": "replaced", "revoked": "revoked"}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a live session."""

    session: Session
    access_token: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody without one."""

    notice: str | None = None
    """The code of the sentence that says why."""
    is_overtaken: bool = False
    """Whether the refresh token was used before, perhaps by another tab just now."""


@dataclass(slots=True)
class Visit:
    """One request to the page."""

    request: Request
    service: Service
    cookies: PageCookies
    renewed: TokenPair | None = None
    """The pair that the browser must get with the answer."""

    @classmethod
    def of(cls, request: Request) -> "Visit":
        """The visit that ``request`` makes."""
        service: Service = request.app.state.service
        secure = service.settings.cookie_secure
        return cls(request, service, PageCookies(service.sessions.config, secure=secure))

    async def recognise(self) -> Visitor | Stranger:
        """Who is asking; refreshes the session when need be."""
        access_token = self.cookies.access_token(self.request)
        refresh_token = self.cookies.refresh_token(self.request)
        if access_token is not None:
            try:
                return await self._admit(access_token)
            except SessionRevoked as error:
                return Stranger(_REVOCATIONS[error.reason or "revoked"])
            except (SessionExpired, SessionUnknown):
                return Stranger("expired")
            except InvalidToken:
                if refresh_token is None:
                    return Stranger("expired")
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
                    await self.service.sessions.logout(token)

    async def _admit(self, access_token: str) -> Visitor:
        session = await self.service.sessions.verify(access_token)
        self.note(subject=session.subject)
        return Visitor(session, access_token)

    async def _renew(self, refresh_token: str) -> Visitor | Stranger:
        try:
            self.renewed = await self.service.sessions.refresh(refresh_token)
        except InvalidRefreshToken as error:
            if error.reason == "used":
                return Stranger("overtaken", is_overtaken=True)
            return Stranger(_REVOCATIONS.get(error.reason or "", "expired"))
        try:
            return await self._admit(self.renewed.access_token)
        except InvalidToken:
            # It ended between the two calls; the next request learns why.
            return Stranger("expired")

    def note(self, **facts: Any) -> None:
        """Add to the log line of the request."""
        self.request.scope.get(FACTS, {}).update(facts)
