"""One request to the page: the browser's session, and the cookies that the response sets.

- The gate identifies the browser and renews its tokens; the response delivers them, even if it is
  an error page.
- The tokens of a session that has ended stay until the home page has explained its end.
- A notice is a code that stands for one of the page's own messages, never text: a forged cookie can
  only select another message.
- A store outage says nothing about the session: StoreUnavailable is raised.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from clusterpass import (
    AuthenticationError,
    ClusterPassError,
    InvalidRefreshToken,
    InvalidToken,
    Session,
    StoreUnavailable,
    TokenMissing,
    TokenPair,
    is_session_id,
    subject_of_token,
)
from clusterpass.integrations.starlette_requests import StarletteRequest
from clusterpass.service.asgi.request_log import LOG_FIELDS
from clusterpass.service.asgi.security_headers import FORGET_SITE
from clusterpass.service.calls.requests import log_attempt, log_session
from clusterpass.service.calls.verify import STRICT
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.language.choice import choose
from clusterpass.service.language.translation import Language, language
from clusterpass.service.page.paths import Paths
from clusterpass.service.page.session_end import SessionEnd
from clusterpass.service.page.template_environments import Pages
from clusterpass.web.cookies import Cookie, own_cookie
from clusterpass.web.credentials import find_credentials
from clusterpass.web.csrf import CsrfTokens
from clusterpass.web.flow import run_async
from clusterpass.web.gate import Needs, Visit as WebVisit
from clusterpass.web.known_devices import LIFETIME
from clusterpass.web.sent_cookies import sent_cookies

_NOTICE_SECONDS: Final = 60
_NOTICE: Final = re.compile(r"[a-z]{1,20}(-[0-9]{1,3})?")
_FRESH: Final = Needs(strict=True)
_COUNT: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_MOST_TIMES: Final = 6
_LED_SECONDS: Final = 5
_LANGUAGE_SECONDS: Final = 365 * 86_400


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
    """One request, and the cookies that its response sets or deletes."""

    request: Request
    service: Service
    web: WebVisit
    """What the gate knows about the request."""

    @classmethod
    def of(cls, request: Request) -> "Visit":
        """Return the visit of ``request``."""
        return cls(request, request.app.state.service, WebVisit(StarletteRequest(request)))

    @property
    def address(self) -> str | None:
        """The client's IP address, as reported by trusted proxies."""
        return self.service.gate.address(self.web.request)

    @property
    def paths(self) -> Paths:
        """The paths of the page."""
        return Paths(self.service.settings.page_prefix)

    @property
    def pages(self) -> Pages:
        """The templates, styles and brand of the page."""
        pages: Pages = self.request.app.state.pages
        return pages

    @property
    def language(self) -> Language:
        """The language of the visitor: the chosen one, or the best that the browser asks for."""
        request = self.web.request
        chosen = sent_cookies(request.header("cookie")).get(self._language_cookie().name, "")
        return language(choose(", ".join(request.header("accept-language")), chosen))

    def keep_language(self, tag: str) -> None:
        """Have the browser keep the language that the visitor has chosen, for a year."""
        self.web.headers.append(self._language_cookie().header(tag, _LANGUAGE_SECONDS))

    @property
    def csrf(self) -> CsrfTokens:
        """The tokens of the page's forms."""
        tokens = self.service.gate.csrf
        assert tokens is not None
        return tokens

    def is_administrator(self, session: Session) -> bool:
        """Return whether ``session`` is an administrator's own, not an impersonation."""
        return session.act is None and session.subject in self.service.settings.administrators

    def require_own_origin(self) -> None:
        """Return when a page of this origin sent the request; raise RequestRefused otherwise."""
        self.service.gate.require_own_site(self.web.request)
        self.web.is_genuine = True  # the form token is checked later, after the permission

    async def authenticate(self) -> Visitor | Anonymous:
        """Return who sent the request; refreshes the session if necessary.

        Raises StoreUnavailable.
        """
        identified = self.service.gate.identify(self.web, _FRESH)
        try:
            session = await run_async(self.service.sessions, identified)
        except TokenMissing:
            return Anonymous(await self._end_behind_proxies())
        except (InvalidToken, InvalidRefreshToken) as error:
            return Anonymous(await self._end(error))
        log_session(self.request.scope.get(LOG_FIELDS, {}), session)
        assert self.web.access_token is not None
        return Visitor(session, self.web.access_token)

    async def verify(self, access_token: str, **options: Any) -> Session:
        """Return the session of a visitor's token; takes and raises what the manager does."""
        flow = self.service.gate.verify(self.web, access_token, **options)
        return await run_async(self.service.sessions, flow)

    async def end_session_of_browser(self) -> None:
        """End the sessions that the browser sent tokens of, on a best-effort basis."""
        found = find_credentials(self.web.request, self.service.gate.settings)
        for token in (found.access_token, found.refresh_token, self._token_behind_proxies()):
            if token is not None:
                # The token may be invalid or its session ended; the new login is valid in any case.
                with suppress(AuthenticationError, StoreUnavailable):
                    await self.service.sessions.logout(token, address=self.address)

    async def known_as(self, username: str) -> str | None:
        """Return the id of this browser if ``username`` has logged in with it before, or the id of
        that user's live session in it; None for a stranger.

        Raises StoreUnavailable.
        """
        devices = self.service.devices
        sent = sent_cookies(self.web.request.header("cookie")).get(devices.cookie.name, "")
        device_id = devices.known(sent, username)
        found = find_credentials(self.web.request, self.service.gate.settings)
        if device_id is not None or found.access_token is None:
            return device_id
        try:
            session = await self.service.sessions.verify(found.access_token, verification=STRICT)
        except AuthenticationError:
            return None
        is_own = session.subject == username and session.act is None
        return session.session_id if is_own else None

    def keep_device(self, username: str, known: str | None) -> None:
        """Have the response tell the browser apart from strangers at the next login.

        ``known``: as :meth:`known_as` returned it.
        """
        cookie, is_session = self.service.devices.cookie, is_session_id(known or "")
        value = self.service.devices.make(username, None if is_session else known)
        self.web.headers.append(cookie.header(value, LIFETIME))

    def set_tokens(self, pair: TokenPair, *, remember: bool | None = None) -> None:
        """Have the response set both tokens.

        ``remember``: whether they outlive the browser; None: if those before them did.
        """
        self.service.gate.keep(self.web, pair, remember=remember)

    def clear_tokens(self) -> None:
        """Have the response delete both tokens."""
        self.service.gate.forget(self.web)

    def forget_site(self) -> None:
        """Have the browser delete what it keeps of this site, besides cookies."""
        name, value = FORGET_SITE
        self.web.headers.append((name.decode(), value.decode()))

    def leave_notice(self, code: str) -> None:
        """Have the next page show the message that ``code`` stands for."""
        cookie = self.service.gate.settings.cookies.notice
        self.web.headers.append(cookie.header(code, _NOTICE_SECONDS))

    def take_notice(self) -> str | None:
        """Return the code of the notice to show, and have the response delete it.

        None when there is none or it is malformed.
        """
        cookie = self.service.gate.settings.cookies.notice
        self.web.headers.append(cookie.header("", 0))
        code = sent_cookies(self.web.request.header("cookie")).get(cookie.name, "")
        return code if _NOTICE.fullmatch(code) else None

    def is_led_in_circles(self) -> bool:
        """Return whether a proxy has led the browser here again and again, within seconds.

        Its cookie for proxies does not reach them then.
        """
        cookie = own_cookie(
            "led", secure=self.service.settings.cookie_secure, path=self.service.settings.page_path
        )
        sent = sent_cookies(self.web.request.header("cookie")).get(cookie.name, "")
        times = int(sent) + 1 if _COUNT.fullmatch(sent) else 1
        self.web.headers.append(cookie.header(str(min(times, _MOST_TIMES)), _LED_SECONDS))
        return times >= _MOST_TIMES

    def set_cookies(self, response: Response) -> None:
        """Set and delete the cookies of the browser by ``response``."""
        for name, value in self.web.headers:
            response.headers.append(name, value)

    def log(self, **fields: Any) -> None:
        """Add fields to the log line of the request; never a secret."""
        self.request.scope.get(LOG_FIELDS, {}).update(fields)

    def admit_to_proxies(self, visitor: Visitor) -> None:
        """Have the response give the browser the cookie for proxies, where there is one."""
        self.service.gate.admit_to_proxies(self.web, visitor.session, visitor.access_token)

    def _language_cookie(self) -> Cookie:
        settings = self.service.settings
        return own_cookie("language", secure=settings.cookie_secure, path=settings.page_path)

    def code_for(
        self, authority: str, rest: str, access_token: str, *, remember: bool | None
    ) -> str | None:
        """Return the code that hands a session over to the host which a browser is led to.

        None where its address asks for none. ``authority``, ``rest``: the host of that address, and
        its path and query. ``access_token``: of the session. ``remember``: whether it outlives the
        browser; None: if it does here.
        """
        hand_overs, cookies = self.service.hand_overs, self.service.proxy_cookies
        state = None if hand_overs is None else hand_overs.state_in(authority, rest)
        if hand_overs is None or cookies is None or state is None:
            return None
        is_lasting = self.service.gate.is_kept_by(self.web) if remember is None else remember
        return hand_overs.make(authority, state, cookies.ticket_for(access_token, is_lasting))

    async def _end_behind_proxies(self) -> SessionEnd | None:
        """Return how the session of the cookie for proxies ended, which may have outlived ours."""
        token = self._token_behind_proxies()
        if token is None:
            return None
        try:
            await self.service.sessions.verify(token, verification=STRICT)
        except InvalidToken as error:
            self.web.presented = token
            return await self._end(error)
        return None

    def _token_behind_proxies(self) -> str | None:
        """Return an access token of the session of the cookie for proxies; None without one."""
        cookies = self.service.proxy_cookies
        if cookies is not None:
            sent = sent_cookies(self.web.request.header("cookie")).get(cookies.cookie.name, "")
            with suppress(InvalidToken):
                return cookies.access_token(cookies.read(sent))
        return None

    def log_attempt(self, username: str, error: ClusterPassError) -> None:
        """Add to the log line that a login as ``username`` was refused."""
        fields = dict[str, Any]()
        log_attempt(fields, username, self.address)
        self.log(**fields, error=error.code)

    async def _end(self, error: AuthenticationError) -> SessionEnd:
        end = SessionEnd.of_error(error)
        if end.reason != "banned" or self.web.presented is None:
            return end
        sessions = self.service.sessions
        bans = await sessions.bans.list(subject_of_token(sessions.config, self.web.presented))
        return replace(end, ban=next((ban for ban in bans if not ban.scope), None))
