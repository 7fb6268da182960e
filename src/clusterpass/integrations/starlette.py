"""ClusterPass in Starlette: requests, answers, middleware, an authentication backend, decorators.

cp = ClusterPass.from_env()
app = Starlette(routes=[...], lifespan=cp.lifespan)
cp.install(app)

@cp.requires("orders:write")
async def order(request): ...
"""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from clusterpass.integrations.async_base import AsyncBase
from clusterpass.integrations.attached import Attached, InOutage
from clusterpass.integrations.starlette_requests import StarletteRequest
from clusterpass.model.authentication_errors import AuthenticationError
from clusterpass.model.errors import ClusterPassError
from clusterpass.model.scopes import granted_scopes
from clusterpass.model.values import Session, TokenPair
from clusterpass.web import endpoints
from clusterpass.web.flow import WebFlow, run_async
from clusterpass.web.gate import NO_NEEDS, Needs, Visit
from clusterpass.web.messages import WebAnswer

_VISIT: Final = "clusterpass.visit"
Endpoint = Callable[..., Awaitable[Any]]


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
        return await self._admit(visit_of(connection), needs, form_token)

    async def log_in(self, request: Request, subject: str, /, **options: Any) -> Response:
        """Open a session of ``subject``, whom the application has authenticated.

        ``options``: as for ``AsyncSessionManager.login``; device, type of device and address come
        from the request unless given. ``target`` (a path of this site) leads a form there. The
        response has the tokens in cookies for a browser, and in its body for an app;
        ``to_browser`` overrides that.
        """
        return respond(await self._log_in(visit_of(request), subject, options))

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
        return self._csrf_token(visit_of(connection))

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

        async def close(code: int, reason: str) -> None:
            await websocket.close(code, reason)

        return self._attached(session, close, scopes, in_outage)

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
