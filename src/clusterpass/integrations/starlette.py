"""ClusterPass in Starlette: requests, answers, middleware, an authentication backend, decorators.

cp = ClusterPass.from_env()
app = Starlette(routes=[...], lifespan=cp.lifespan)
cp.install(app)

@cp.requires("orders:write")
async def order(request): ...
"""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    aclosing,
    asynccontextmanager,
)
from typing import Any, Final

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from clusterpass.integrations.async_base import AsyncBase
from clusterpass.integrations.attached import Attached, InOutage
from clusterpass.integrations.server_sent_events import (
    HEADERS,
    KEEP_ALIVE,
    MEDIA_TYPE,
    ServerSentEvent,
)
from clusterpass.integrations.starlette_requests import (
    SessionHeaders,
    StarletteRequest,
    form_field,
    respond,
    visit_of,
)
from clusterpass.integrations.streams import nothing_of
from clusterpass.model.authentication_errors import AuthenticationError
from clusterpass.model.errors import ClusterPassError, ConfigurationError
from clusterpass.model.scopes import granted_scopes
from clusterpass.model.values import Session, TokenPair
from clusterpass.web import endpoints
from clusterpass.web.flow import WebFlow, run_async
from clusterpass.web.gate import NO_NEEDS, Needs
from clusterpass.web.messages import WebAnswer
from clusterpass.web.needs import scope_names

Endpoint = Callable[..., Awaitable[Any]]


class SessionUser(BaseUser):
    """``request.user`` of an authenticated request."""

    def __init__(self, session: Session) -> None:
        self.session: Final = session

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody is logged in: True."""
        return True

    @property
    def display_name(self) -> str:
        """The subject."""
        return self.session.subject

    @property
    def identity(self) -> str:
        """The subject."""
        return self.session.subject


class ClusterPass(AsyncBase):
    """Sessions in one Starlette application."""

    @asynccontextmanager
    async def lifespan(self, _: Any = None) -> AsyncIterator[None]:
        """Open the manager, and close it when the application ends; a lifespan of Starlette."""
        try:
            self.open()
            yield
        finally:
            await self.close()

    def install(self, app: Starlette) -> None:
        """Add the error handler to ``app``, and wrap it, with all of its middleware, in our own.

        Raises ConfigurationError when ``app`` has started.
        """
        if app.middleware_stack is not None:
            raise ConfigurationError("call install before the application starts")
        app.add_exception_handler(ClusterPassError, self.refuse)
        build = app.build_middleware_stack
        # Middleware that is added would run inside of what answers 500, without renewed cookies.
        app.build_middleware_stack = lambda: SessionHeaders(build(), self.refuse)  # type: ignore[method-assign]

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Return the response to a request that was refused; an exception handler."""
        if not isinstance(error, ClusterPassError):
            raise error
        return respond(endpoints.error_answer(self.gate, StarletteRequest(request), error))

    async def admit(
        self, connection: HTTPConnection, needs: Needs = NO_NEEDS, *, form_token: str = ""
    ) -> Session:
        """Return the session of a request or of a WebSocket's handshake.

        The CSRF token of a form is read where it is needed, unless ``form_token`` is one. Takes and
        raises what :meth:`clusterpass.web.gate.Gate.admit` does.
        """
        visit = visit_of(connection)
        try:
            token = form_token or await self.form_token(connection)
            return await self._admit(visit, needs, token)
        except ClusterPassError:
            visit.is_refused = True
            raise

    async def form_token(self, connection: HTTPConnection) -> str:
        """Return the CSRF token in a submitted form; empty when there is none, or a header has it.

        The endpoint can still read the form, and a body of up to 1 MiB in every way.
        """
        found = StarletteRequest(connection)
        if not isinstance(connection, Request) or not self._reads_form(found):
            return ""
        return await form_field(connection, self.gate.settings.csrf_field)

    async def count_attempt(self, request: Request, username: str) -> None:
        """Count an attempt at the account ``username``; call it before the password is checked.

        :meth:`log_in` gives the attempt back. Raises TooManyAttempts (429, with Retry-After) when a
        limit of the login throttle is exceeded, and InvalidCredentials for a name that no account
        can have.
        """
        await self._count_attempt(visit_of(request), username)

    async def login_failed(
        self, request: Request, username: str, error: str = "invalid_credentials"
    ) -> None:
        """Note that the application refused the password of ``username``, as it was typed.

        The history of the user, the listeners to ``refused`` and the audit trail are told, with the
        client's address. ``error``: as for ``AsyncSessionManager.login_failed``. No
        ClusterPassError is raised, as the answer to the client does not depend on the store.
        """
        await self._login_failed(visit_of(request), username, error)

    def acting(self, connection: HTTPConnection) -> AbstractContextManager[None]:
        """Return a block in which whoever sends ``connection`` acts.

        The audit trail and the history say so, with the client's address. The actor is the subject
        of the admitted session, or whoever impersonates it.
        """
        return self._acting(visit_of(connection))

    async def log_in(self, request: Request, subject: str, /, **options: Any) -> Response:
        """Open a session of ``subject``, whom the application has authenticated.

        ``options``: as for ``AsyncSessionManager.login``; device, type of device and address come
        from the request unless given. ``target`` (a path of this site) leads a form there. The
        response has the tokens in cookies for a browser, and in its body for an app;
        ``to_browser`` overrides that. ``allow_cross_site``: see
        :func:`clusterpass.web.endpoints.require_own_login`. Raises RequestRefused for a login that
        another site has made a browser send, and what ``AsyncSessionManager.login`` raises.
        """
        return respond(await self._log_in(visit_of(request), subject, options))

    def deliver(
        self,
        request: Request,
        pair: TokenPair,
        *,
        target: str | None = None,
        to_browser: bool | None = None,
        allow_cross_site: bool = False,
    ) -> Response:
        """Return the response that delivers ``pair``, after a login or a step-up.

        ``to_browser``: whether in cookies; None: as the request suggests. ``target``,
        ``allow_cross_site``: as for :meth:`log_in`. Raises RequestRefused.
        """
        whom: dict[str, Any] = {"to_browser": to_browser, "allow_cross_site": allow_cross_site}
        return respond(self._deliver(visit_of(request), pair, target, **whom))

    async def answer(self, flow: WebFlow[WebAnswer]) -> Response:
        """Run a flow of :mod:`clusterpass.web.endpoints`, and return its answer as a response."""
        return respond(await run_async(self.sessions, flow))

    def csrf_token(self, connection: HTTPConnection) -> str:
        """Return the CSRF token of the admitted session, for a form; empty: there is none."""
        return self._csrf_token(visit_of(connection))

    def attached(
        self,
        websocket: WebSocket,
        session: Session,
        *,
        scopes: Sequence[str] = (),
        not_banned: str | None = None,
        in_outage: InOutage = "stay",
    ) -> AbstractAsyncContextManager[Attached]:
        """Return a context in which ``websocket`` is open for as long as ``session`` lives.

        ``scopes``: the WebSocket is closed with 4403 when the session loses one of them, or is
        banned from ``not_banned``. When the session ends it is closed with 4401 and the reason, and
        the body is left; the options are those of
        :func:`clusterpass.integrations.attached.attached`.
        """

        async def close(code: int, reason: str) -> None:
            await websocket.close(code, reason)

        needs = Needs(scopes=scope_names(scopes), not_banned=not_banned)
        return self._attached(session, close, needs, in_outage)

    def event_stream(
        self,
        session: Session,
        events: AsyncIterator[ServerSentEvent | str],
        *,
        scopes: Sequence[str] = (),
        not_banned: str | None = None,
        in_outage: InOutage = "stay",
        keep_alive: float | None = KEEP_ALIVE,
    ) -> StreamingResponse:
        """Return a response of server-sent events that ends when ``session`` does.

        ``events``: yields events, or strings, which are their data. When the session ends, the last
        event is ``session_ended``; when it loses one of ``scopes`` or is banned from
        ``not_banned``, ``forbidden``; in a store outage with ``in_outage="close"``,
        ``unavailable``. Its data is JSON with ``code`` and ``reason``. ``keep_alive``: seconds
        without an event after which a comment is sent; None: never. A HEAD request gets the headers
        alone.
        """
        needs = Needs(scopes=scope_names(scopes), not_banned=not_banned)
        live = self._event_bytes(session, events, needs, in_outage, keep_alive)
        return _EventStream(events, live)

    def requires(self, *scopes: str, **needs: Any) -> Callable[[Endpoint], Endpoint]:
        """Return a decorator for endpoints whose first argument is the request or the WebSocket.

        ``scopes``: the session must have them all; wildcards count, so ``orders:*`` covers
        ``orders:write``. ``needs``: as for :class:`clusterpass.web.gate.Needs`. The session is then
        ``request.state.session``.
        """
        needed = Needs(scopes=scopes, **needs)

        def decorate(endpoint: Endpoint) -> Endpoint:
            @functools.wraps(endpoint)
            async def wrapped(connection: HTTPConnection, *args: Any, **kwargs: Any) -> Any:
                connection.state.session = await self.admit(connection, needed)
                return await endpoint(connection, *args, **kwargs)

            return wrapped

        return decorate

    def backend(self) -> AuthenticationBackend:
        """Return a backend for Starlette's AuthenticationMiddleware: ``request.user``, ``.auth``.

        A request without a valid session is anonymous; a forged one, and any in a store outage, is
        refused. Use :meth:`requires` for scopes, as Starlette's own decorator compares them
        literally and knows no wildcards.
        """
        return _Backend(self)


class _EventStream(StreamingResponse):
    """Server-sent events, which are closed when the client has left."""

    def __init__(self, source: AsyncIterator[Any], live: AsyncGenerator[bytes]) -> None:
        """``live``: the bytes of ``source`` until its session ends."""
        super().__init__(live, headers=HEADERS, media_type=MEDIA_TYPE)
        self._source = source
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        if scope.get("method") == "HEAD":
            self.body_iterator = nothing_of(self._source)
        async with aclosing(self._live):
            await super().__call__(scope, receive, send)


class _Backend(AuthenticationBackend):
    def __init__(self, owner: ClusterPass) -> None:
        self._owner = owner

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        try:
            session = await self._owner.admit(conn)
        except AuthenticationError:
            return None
        scopes = ["authenticated", *granted_scopes(session.claims)]
        return AuthCredentials(scopes), SessionUser(session)


__all__ = [
    "ClusterPass",
    "ServerSentEvent",
    "SessionHeaders",
    "SessionUser",
    "StarletteRequest",
    "visit_of",
]
