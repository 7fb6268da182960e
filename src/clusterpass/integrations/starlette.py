"""ClusterPass in Starlette: requests, answers, middleware, an authentication backend, decorators.

cp = ClusterPass.from_env()
app = Starlette(routes=[...], lifespan=cp.lifespan)
cp.install(app)

@cp.requires("orders:write")
async def order(request): ...
"""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Self, cast

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from clusterpass.integrations.attached import Attached, Event, InOutage, attached, while_live
from clusterpass.integrations.login_options import login_options
from clusterpass.integrations.setup import Setup, set_up
from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.model.authentication_errors import AuthenticationError
from clusterpass.model.errors import ClusterPassError
from clusterpass.model.scopes import granted_scopes
from clusterpass.model.values import Session, TokenPair
from clusterpass.sessions.options import LoginOptions
from clusterpass.web import endpoints
from clusterpass.web.flow import WebFlow, run_async
from clusterpass.web.gate import NO_NEEDS, Gate, Needs, Visit
from clusterpass.web.messages import SOCKET, WebAnswer

_VISIT: Final = "clusterpass.visit"
Endpoint = Callable[..., Awaitable[Any]]


class StarletteRequest:
    """A connection, as :class:`clusterpass.web.messages.WebRequest`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection

    @property
    def method(self) -> str:
        """The method, or SOCKET."""
        method: str = self._connection.scope.get("method", SOCKET)
        return method

    @property
    def target(self) -> str:
        """The path and the query."""
        url = self._connection.url
        return f"{url.path}?{url.query}" if url.query else url.path

    @property
    def host(self) -> str:
        """The Host header."""
        return self._connection.headers.get("host", "")

    @property
    def peer(self) -> str | None:
        """The address of the connection."""
        return self._connection.client.host if self._connection.client else None

    def header(self, name: str) -> Sequence[str]:
        """Return the values of all headers of a name."""
        return self._connection.headers.getlist(name)

    def cookie(self, name: str) -> str | None:
        """Return the value of a cookie."""
        return self._connection.cookies.get(name)

    def query(self, name: str) -> Sequence[str]:
        """Return the values of all query parameters of a name."""
        return self._connection.query_params.getlist(name)


class SessionUser(BaseUser):
    """``request.user`` of an authenticated request."""

    def __init__(self, session: Session) -> None:
        self.session: Final = session

    @property
    def is_authenticated(self) -> bool:
        """True."""
        return True

    @property
    def display_name(self) -> str:
        """The subject."""
        return self.session.subject

    @property
    def identity(self) -> str:
        """The subject."""
        return self.session.subject


class ClusterPass:
    """Sessions in one Starlette application."""

    def __init__(self, sessions: AsyncSessionManager | None = None, **settings: Any) -> None:
        """``sessions``: a manager of the application's own, which it also closes; None: one is
        opened and closed by :meth:`lifespan`, or opened at the first request.

        ``settings``: ``store_url``, and the settings of ``Config`` and of ``WebSettings``; what is
        not given is read from ``CLUSTERPASS_*`` variables. Raises ConfigurationError for an unsafe
        setting.
        """
        self._own: Final = sessions
        self._opened: AsyncSessionManager | None = None
        if sessions is not None:
            settings.setdefault("store_url", "redis://127.0.0.1")
            settings |= {"issuer": sessions.config.issuer, "keys": sessions.config.keys}
        self._setup: Final[Setup] = set_up(settings)
        self.gate: Final = Gate(self._setup.config, self._setup.web)

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        """Return sessions as ``CLUSTERPASS_*`` variables describe them; ``settings`` override."""
        return cls(**settings)

    @property
    def sessions(self) -> AsyncSessionManager:
        """The session manager."""
        return self.open()

    def open(self) -> AsyncSessionManager:
        """Open the manager, unless it is open, and return it."""
        if self._own is not None:
            return self._own
        if self._opened is None:
            self._opened = AsyncSessionManager.from_url(self._setup.store_url, self._setup.config)
        return self._opened

    @asynccontextmanager
    async def lifespan(self, _: Any = None) -> AsyncIterator[None]:
        """Open the manager, and close it when the application ends; a lifespan of Starlette."""
        try:
            self.open()
            yield
        finally:
            opened, self._opened = self._opened, None
            if opened is not None:
                await opened.close()

    def install(self, app: Starlette) -> None:
        """Add the middleware and the error handler to ``app``."""
        app.add_middleware(SessionHeaders)
        app.add_exception_handler(ClusterPassError, self.refuse)

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Return the response to a request that was refused; an exception handler."""
        if not isinstance(error, ClusterPassError):
            raise error
        return respond(endpoints.error_answer(self.gate, StarletteRequest(request), error))

    async def admit(
        self, connection: HTTPConnection, needs: Needs = NO_NEEDS, *, form_token: str = ""
    ) -> Session:
        """Return the session of a request or of a WebSocket's handshake.

        Takes and raises what :meth:`clusterpass.web.gate.Gate.admit` does.
        """
        visit = visit_of(connection)
        return await run_async(self.sessions, self.gate.admit(visit, needs, form_token=form_token))

    async def log_in(self, request: Request, subject: str, /, **options: Any) -> Response:
        """Open a session of ``subject``, whom the application has authenticated.

        ``options``: as for ``AsyncSessionManager.login``; device, type of device and address come
        from the request unless given. ``target`` (a path of this site) leads a form there. The
        response has the tokens in cookies for a browser, and in its body for an app;
        ``to_browser`` overrides that.
        """
        target, to_browser = options.pop("target", None), options.pop("to_browser", None)
        wanted = login_options(self.gate, StarletteRequest(request), options)
        pair = await self.sessions.login(subject, **cast("LoginOptions", wanted))
        return self.deliver(request, pair, target=target, to_browser=to_browser)

    def deliver(
        self,
        request: Request,
        pair: TokenPair,
        *,
        target: str | None = None,
        to_browser: bool | None = None,
    ) -> Response:
        """Return the response that delivers ``pair``, after a login or a step-up.

        ``to_browser``: whether in cookies; None: as the request suggests.
        """
        visit = visit_of(request)
        return respond(
            endpoints.pair_answer(self.gate, visit, pair, target=target, to_browser=to_browser)
        )

    async def answer(self, flow: WebFlow[WebAnswer]) -> Response:
        """Run a flow of :mod:`clusterpass.web.endpoints`, and return its answer as a response."""
        return respond(await run_async(self.sessions, flow))

    def csrf_token(self, connection: HTTPConnection) -> str:
        """Return the CSRF token of the admitted session, for a form; empty: there is none."""
        session = visit_of(connection).session
        if session is None or self.gate.csrf is None:
            return ""
        return self.gate.csrf.make(session.session_id)

    def attached(
        self,
        websocket: WebSocket,
        session: Session,
        *,
        scopes: Sequence[str] = (),
        in_outage: InOutage = "stay",
    ) -> AbstractAsyncContextManager[Attached]:
        """Return a context in which ``websocket`` is open for as long as ``session`` lives.

        ``scopes``: the WebSocket is closed with 4403 when the session loses one of them. When the
        session ends it is closed with 4401 and the reason, and the body is left; the options are
        those of :func:`clusterpass.integrations.attached.attached`.
        """
        needs = Needs(scopes=tuple(scopes))

        async def close(code: int, reason: str) -> None:
            await websocket.close(code, reason)

        return attached(self.sessions, session, close, needs=needs, in_outage=in_outage)

    def while_live(
        self, session: Session, events: AsyncIterator[Event], *, in_outage: InOutage = "stay"
    ) -> AsyncGenerator[Event]:
        """Return ``events`` until they or ``session`` end, for a StreamingResponse."""
        return while_live(self.sessions, session, events, in_outage=in_outage)

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

        A request without a valid session is anonymous. Use :meth:`requires` for scopes, as
        Starlette's own decorator compares them literally and knows no wildcards.
        """
        return _Backend(self)


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


class SessionHeaders:
    """ASGI middleware: adds the headers of a visit (renewed or deleted cookies) to the response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            visit: Visit | None = scope.get(_VISIT)
            if message["type"] == "http.response.start" and visit is not None:
                headers = MutableHeaders(scope=message)
                for name, value in visit.headers:
                    headers.append(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def visit_of(connection: HTTPConnection) -> Visit:
    """Return the visit of a connection, which is made when it is first asked for."""
    visit = connection.scope.get(_VISIT)
    if visit is None:
        visit = connection.scope[_VISIT] = Visit(StarletteRequest(connection))
    return cast("Visit", visit)


def respond(answer: WebAnswer) -> Response:
    """Return ``answer`` as a response of Starlette."""
    response = Response(answer.body(), status_code=answer.status)
    if answer.members is not None or answer.text is not None:
        response.headers["content-type"] = answer.media_type
    for name, value in answer.headers:
        response.headers.append(name, value)
    return response


__all__ = ["ClusterPass", "SessionHeaders", "SessionUser", "StarletteRequest", "visit_of"]
