"""Admits requests: authentication, CSRF protection, requirements, and silent refresh.

- A :class:`Visit` is one request. It collects the headers that the response has to carry, whatever
  the application answers: renewed tokens, or cookies to delete.
- A cookie authenticates a request that changes something only if the request comes from the site
  itself and carries the CSRF token of its session.
- A browser whose access token has expired is admitted by its refresh token, and given new ones.
  Tabs that do so at once get the same pair: a refresh token may be presented again within its
  grace.
- A store that cannot be reached says nothing about a session: StoreUnavailable is raised, and
  cookies stay as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple

from clusterpass.config import Config
from clusterpass.model.authentication_errors import (
    InvalidRefreshToken,
    InvalidToken,
    SessionExpired,
    SessionRevoked,
    SessionUnknown,
    TokenMissing,
)
from clusterpass.model.errors import RequestRefused
from clusterpass.model.values import Session, TokenPair
from clusterpass.tokens.undelivered_token import UndeliveredToken
from clusterpass.web.client_address import client_address
from clusterpass.web.credentials import Credentials, find_credentials, session_of_refresh_token
from clusterpass.web.csrf import CsrfTokens, require_same_origin
from clusterpass.web.flow import Ask, WebFlow
from clusterpass.web.messages import SAFE_METHODS, SOCKET, WebRequest
from clusterpass.web.needs import NO_NEEDS, Needs
from clusterpass.web.settings import WebSettings

ENDED: Final = (SessionRevoked, SessionExpired, SessionUnknown, InvalidRefreshToken)
"""The errors after which the tokens of a browser are of no use any more."""


class Attempt(NamedTuple):
    """An attempt to log in that was counted."""

    username: str
    known: str | None
    """The id of the known device that made the attempt; None: a stranger did."""


@dataclass(slots=True)
class Visit:
    """One request, and the headers that its response has to carry."""

    request: WebRequest
    headers: list[tuple[str, str]] = field(default_factory=list, repr=False)
    """The headers that the response has to carry."""
    session: Session | None = None
    """The session that was admitted."""
    access_token: str | None = field(default=None, repr=False)
    """The access token of that session: the one that was sent, or the one that replaces it."""
    presented: str | None = field(default=None, repr=False)
    """The token that was verified or exchanged last. If an error says that a session has ended, it
    is the session of this token."""
    credentials: Credentials | None = None
    """The tokens that were sent, once they were looked for."""
    is_refused: bool = False
    """Whether an error has said that the request is not admitted."""
    is_judged: bool = False
    """Whether tokens were looked for, so that the response depends on who sent the request."""
    renewed: TokenPair | None = field(default=None, repr=False)
    """The tokens for which the refresh token that was sent has been exchanged. They count in its
    place from then on: one request exchanges it once, however often it is judged."""
    undelivered: str | None = field(default=None, repr=False)
    """The access token that the response is to give to the browser, which has not used it yet."""
    is_genuine: bool = False
    """Whether the framework has established that no other site made the browser send the request,
    by a check of its own."""
    attempt: Attempt | None = None
    """The attempt to log in that was counted, until it succeeds."""

    @property
    def is_by_cookie(self) -> bool:
        """Whether a cookie brought the tokens."""
        return self.credentials is not None and self.credentials.place == "cookie"

    def take(self, session: Session, token: str) -> None:
        """Note that ``session``, of the bearer ``token``, was admitted from memory."""
        self.session, self.access_token, self.presented = session, token, token
        self.credentials = Credentials("header", token)
        self.is_judged = True

    def look(self, settings: WebSettings) -> Credentials:
        """Return the tokens that were sent. Raises what :func:`find_credentials` raises."""
        self.is_judged = True
        self.credentials = find_credentials(self.request, settings)
        return self.credentials


class Gate:
    """Admits the requests of one application, by its configuration and settings."""

    on_begun: ClassVar[Callable[[], Callable[[], object]] | None] = None
    """Called when a request enters an application whose framework makes spans of its own within
    that of the request; returns what to call when the request leaves it. None: nobody is called."""
    on_admitted: ClassVar[Callable[[Session], None] | None] = None
    """Called with each session that a request is known to belong to, of whatever application in
    this process; None: nobody is."""

    def __init__(self, config: Config, settings: WebSettings) -> None:
        """Raises ConfigurationError when CSRF tokens need a private key that there is not."""
        self.settings: Final = settings
        uses_csrf = settings.csrf and "cookie" in settings.token_places
        self.csrf: Final = CsrfTokens(config.keys, config.shared_secrets) if uses_csrf else None
        """The CSRF tokens; None where they are off."""
        self.levels: Final = config.levels
        """The levels that a route may require."""

    def address(self, request: WebRequest) -> str | None:
        """Return the client's IP address, as trusted proxies report it."""
        return client_address(
            request.peer, request.header("x-forwarded-for"), self.settings.networks
        )

    def admit(
        self, visit: Visit, needs: Needs = NO_NEEDS, *, form_token: str = ""
    ) -> WebFlow[Session]:
        """Return the session of the request, if it is as the route ``needs``.

        The response takes the tokens of a session that has ended away from a browser.

        ``form_token``: the CSRF token in a form, where the application has read one. Raises what
        ``SessionManager.verify`` raises, TokenMissing without a token, RequestRefused for a forged
        request, ScopeMissing and SubjectBanned.
        """
        try:
            return (yield from self.identify(visit, needs, form_token=form_token))
        except ENDED:
            if visit.is_by_cookie:
                self.forget(visit)
            raise

    def identify(
        self, visit: Visit, needs: Needs = NO_NEEDS, *, form_token: str = ""
    ) -> WebFlow[Session]:
        """Return the session of the request, as :meth:`admit` does, with the same errors.

        A browser keeps the tokens of a session that has ended, for a page of the application that
        tells its user why, and then calls :meth:`forget`.
        """
        if needs.level is not None:
            needs.require_known(self.levels)
        found = visit.look(self.settings)
        if found.place is None:
            raise TokenMissing
        if found.place == "cookie":
            session = yield from self._identify_browser(visit, found, needs, form_token)
        else:
            assert found.access_token is not None
            session = yield from self._verify(visit, found.access_token, needs)
        visit.session, visit.access_token = session, visit.presented
        if Gate.on_admitted is not None:
            Gate.on_admitted(session)
        needs.check(session)
        return session

    def verify(self, visit: Visit, access_token: str, **options: Any) -> WebFlow[Session]:
        """Return the session of a token that the request has brought, or that replaces it.

        ``options``: as for ``SessionManager.verify``, whose errors are raised. A token that the
        response is yet to deliver is not used by that: should the response be lost, the browser
        comes back with its old refresh token.
        """
        if access_token == visit.undelivered:
            access_token = UndeliveredToken(access_token)
        session: Session = yield Ask("verify", access_token, **options)
        return session

    def require_own_site(self, request: WebRequest) -> None:
        """Return if the browser says that a page of this site sent ``request``.

        Raises RequestRefused, also for a request that says nothing of where it comes from.
        """
        # The handshake of a WebSocket has an Origin always, and counts by it alone.
        is_socket = request.method == SOCKET
        require_same_origin(
            host=request.host,
            fetch_site=() if is_socket else request.header("sec-fetch-site"),
            origin=request.header("origin"),
            secure=self.settings.cookie_secure,
        )

    def require_no_forgery_by(self, visit: Visit, found: Credentials, form_token: str = "") -> None:
        """Return unless another site may have made the browser bring the refresh token ``found``.

        A token of another library belongs to no session yet, so that there is no CSRF token of it:
        the browser has to say that the request comes from this site. Raises RequestRefused, and
        InvalidRefreshToken when there is no refresh token in ``found``.
        """
        if not found.is_old:
            session_id = session_of_refresh_token(found.refresh_token or "")
            self.require_no_forgery(visit, session_id, form_token)
        elif visit.request.method not in SAFE_METHODS and not visit.is_genuine:
            self.require_own_site(visit.request)

    def require_no_forgery(self, visit: Visit, session_id: str, form_token: str = "") -> None:
        """Return unless another site may have made the browser send the request.

        Raises RequestRefused.
        """
        request, settings = visit.request, self.settings
        if request.method in SAFE_METHODS or visit.is_genuine or self.csrf is None:
            return
        if request.method == SOCKET:
            return  # judged before its tokens were looked at
        self._require_own_site_if_told(request)
        in_header = request.header(settings.csrf_header)
        tokens = {*in_header, *([form_token] if form_token else [])}
        if len(in_header) > 1 or len(tokens) != 1:  # one of two may be somebody else's
            raise RequestRefused(
                f"Send the CSRF token of your session in the header {settings.csrf_header}, or in"
                f" the field {settings.csrf_field} of a form."
            )
        self.csrf.require(session_id, tokens.pop())

    def require_own_login(self, visit: Visit) -> None:
        """Return unless another site made the browser send a request that logs it in.

        Its user would go on in an account of somebody else's. A GET request may come from anywhere:
        single sign-on ends with one, and its ``state`` is for the application to check. Raises
        RequestRefused.
        """
        request = visit.request
        if request.method in SAFE_METHODS or visit.is_genuine:
            return
        is_same_site = list(request.header("sec-fetch-site")) == ["same-site"]
        if is_same_site and not self.settings.csrf:
            return  # the pages of the same site may do all else too
        self._require_own_site_if_told(request)

    def _require_own_site_if_told(self, request: WebRequest) -> None:
        """Return unless the request says that it comes from another site; raise RequestRefused.

        Every browser says where a request that changes something comes from; a program that keeps
        cookies does not.
        """
        if request.header("sec-fetch-site") or request.header("origin"):
            self.require_own_site(request)

    def keep(self, visit: Visit, pair: TokenPair) -> None:
        """Have the response give ``pair`` to the browser."""
        visit.undelivered = pair.access_token
        token = None
        if self.csrf is not None and self.settings.csrf_cookie:
            token = self.csrf.make(pair.session_id)
        self._set_tokens(visit, self.settings.cookies.keep(pair, token))

    def forget(self, visit: Visit) -> None:
        """Have the response take the tokens away from the browser."""
        self._set_tokens(visit, self.settings.cookies.clear(csrf=self.settings.csrf_cookie))

    def _set_tokens(self, visit: Visit, headers: Sequence[tuple[str, str]]) -> None:
        """Have the response set cookies as ``headers`` say, whatever it would have set them to."""
        names = {value.partition("=")[0] for _, value in headers}
        visit.headers[:] = [
            *(
                (name, value)
                for name, value in visit.headers
                if name != "Set-Cookie" or value.partition("=")[0] not in names
            ),
            *headers,
        ]

    def _identify_browser(
        self, visit: Visit, found: Credentials, needs: Needs, form_token: str
    ) -> WebFlow[Session]:
        if visit.request.method == SOCKET:  # no header of its choice can protect a handshake, nor
            self.require_own_site(visit.request)  # a check of the framework, which takes it for GET
        if visit.renewed is not None:
            self.require_no_forgery_by(visit, found, form_token)
            return (yield from self._verify(visit, visit.renewed.access_token, needs))
        if found.is_old:
            return (yield from self._identify_old_browser(visit, found, needs))
        if found.access_token is not None:
            try:
                session = yield from self._verify(visit, found.access_token, needs)
            except ENDED:
                raise
            except InvalidToken:
                if found.refresh_token is None or not self._renews(visit):
                    raise
            else:
                self.require_no_forgery(visit, session.session_id, form_token)
                return session
        if found.refresh_token is None or not self._renews(visit):
            raise TokenMissing
        self.require_no_forgery_by(visit, found, form_token)
        return (yield from self._renew(visit, found.refresh_token, needs))

    def _identify_old_browser(
        self, visit: Visit, found: Credentials, needs: Needs
    ) -> WebFlow[Session]:
        """Give the browser a session for the tokens of another library, where it can have one."""
        self.require_no_forgery_by(visit, found)
        if found.refresh_token is not None and self._renews(visit):
            return (yield from self._renew(visit, found.refresh_token, needs))
        # A library with one kind of token has it in either cookie.
        token = found.access_token or found.refresh_token or ""
        return (yield from self._verify(visit, token, needs))

    def _renews(self, visit: Visit) -> bool:
        """Return whether new tokens can be given: the handshake of a WebSocket sets no cookies."""
        return self.settings.silent_refresh and visit.request.method != SOCKET

    def _renew(self, visit: Visit, refresh_token: str, needs: Needs) -> WebFlow[Session]:
        visit.presented = refresh_token
        pair: TokenPair = yield Ask("refresh", refresh_token, address=self.address(visit.request))
        visit.renewed = pair
        self.keep(visit, pair)
        return (yield from self._verify(visit, pair.access_token, needs))

    def _verify(self, visit: Visit, access_token: str, needs: Needs) -> WebFlow[Session]:
        visit.presented = access_token
        return (yield from self.verify(visit, access_token, **needs.options))


__all__ = ["ENDED", "NO_NEEDS", "Attempt", "Gate", "Needs", "Visit"]
