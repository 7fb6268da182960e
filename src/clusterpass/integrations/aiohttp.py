"""ClusterPass in aiohttp: a middleware, a decorator, routes, WebSockets that end with sessions.

cp = ClusterPass.from_env()
app = web.Application()
cp.install(app)  # after your own middlewares
app.add_routes(cp.routes("/auth"))  # refresh, logout, devices

@session_required(scope="orders:read")
async def orders(request):
    return web.json_response({"of": current_session(request).subject})
"""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing
from typing import Any, Final, TypeVar

from aiohttp import web
from aiohttp.abc import AbstractView
from aiohttp.http_exceptions import HttpProcessingError

from clusterpass.integrations.aiohttp_requests import (
    AiohttpRequest,
    add_headers,
    respond,
    visit_of,
)
from clusterpass.integrations.aiohttp_routes import make_routes
from clusterpass.integrations.async_base import AsyncBase
from clusterpass.integrations.attached import Attached, InOutage
from clusterpass.integrations.server_sent_events import (
    HEADERS,
    KEEP_ALIVE,
    MEDIA_TYPE,
    ServerSentEvent,
)
from clusterpass.integrations.streams import leave
from clusterpass.model.authentication_errors import TokenMissing
from clusterpass.model.errors import ClusterPassError, ConfigurationError, InvalidInput
from clusterpass.model.values import Session, TokenPair
from clusterpass.web import endpoints
from clusterpass.web.gate import NO_NEEDS, Needs
from clusterpass.web.needs import scope_names

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])
_Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ClusterPass(AsyncBase):
    """Sessions in one aiohttp application, and in the applications that are mounted in it."""

    def install(self, app: web.Application) -> None:
        """Have ``app`` open the manager when it starts and close it when it stops.

        Adds the middleware, which answers what is refused, before the middlewares of ``app`` and
        behind those that it has already.
        """
        app[_OWNER] = self
        app.cleanup_ctx.append(self.cleanup_context)
        app.middlewares.insert(0, self.middleware)  # what they refuse
        app.middlewares.append(self.middleware)  # what handlers refuse, before they catch it
        app.on_response_prepare.append(add_headers)

    async def cleanup_context(self, _: web.Application) -> AsyncIterator[None]:
        """Open the manager, and close it when the application stops."""
        self.open()
        yield
        await self.close()

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Next) -> web.StreamResponse:
        """Answer a request that was refused."""
        try:
            return await handler(request)
        except ClusterPassError as error:
            return respond(endpoints.error_answer(self.gate, visit_of(request).request, error))

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """Return the routes every application needs, below ``prefix``.

        ``POST /refresh``, ``POST /logout``, ``POST /logout-all``, ``GET /devices`` and
        ``DELETE /devices/{id}``.
        """
        return make_routes(self, prefix)

    async def admit(self, request: web.Request, needs: Needs = NO_NEEDS) -> Session:
        """Return the session of a request or of a WebSocket's handshake.

        The CSRF token of a form is read where it is needed and no header has one. Takes and raises
        what :meth:`clusterpass.web.gate.Gate.admit` does.
        """
        return await self._admit(visit_of(request), needs, await self.form_token(request))

    async def count_attempt(self, request: web.Request, username: str) -> None:
        """Count an attempt at the account ``username``; call it before the password is checked.

        :meth:`log_in` gives the attempt back. Raises TooManyAttempts (429, with Retry-After) when a
        limit of the login throttle is exceeded, and InvalidCredentials for a name that no account
        can have.
        """
        await self._count_attempt(visit_of(request), username)

    async def login_failed(
        self, request: web.Request, username: str, error: str = "invalid_credentials"
    ) -> None:
        """Note that the application refused the password of ``username``, as it was typed.

        The history of the user, the listeners to ``refused`` and the audit trail are told, with the
        client's address. ``error``: as for ``AsyncSessionManager.login_failed``. No
        ClusterPassError is raised, as the answer to the client does not depend on the store.
        """
        await self._login_failed(visit_of(request), username, error)

    def acting(self, request: web.Request) -> AbstractContextManager[None]:
        """Return a block in which whoever sends ``request`` acts.

        The audit trail and the history say so, with the client's address. The actor is the subject
        of the admitted session, or whoever impersonates it.
        """
        return self._acting(visit_of(request))

    async def log_in(self, request: web.Request, subject: str, /, **options: Any) -> web.Response:
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
        request: web.Request,
        pair: TokenPair,
        *,
        target: str | None = None,
        allow_cross_site: bool = False,
    ) -> web.Response:
        """Return the response that delivers ``pair``, after a login or a step-up.

        ``target``, ``allow_cross_site``: as for :meth:`log_in`. Raises RequestRefused.
        """
        visit = visit_of(request)
        return respond(self._deliver(visit, pair, target, allow_cross_site=allow_cross_site))

    def csrf_token(self, request: web.Request) -> str:
        """Return the CSRF token of the admitted session, for a form; empty: there is none."""
        return self._csrf_token(visit_of(request))

    def attached(
        self,
        websocket: web.WebSocketResponse,
        session: Session,
        *,
        scopes: Sequence[str] = (),
        not_banned: str | None = None,
        in_outage: InOutage = "stay",
    ) -> AbstractAsyncContextManager[Attached]:
        """Return a context in which ``websocket`` is open for as long as ``session`` lives.

        ``scopes``: the WebSocket is closed with 4403 when the session loses one of them, or is
        banned from ``not_banned``. When the session ends it is closed with 4401 and the reason, and
        the body is left, as it is when the client closes; the options are those of
        :func:`clusterpass.integrations.attached.attached`.
        """

        async def close(code: int, reason: str) -> None:
            await websocket.close(code=code, message=reason.encode())

        needs = Needs(scopes=scope_names(scopes), not_banned=not_banned)
        return self._attached(session, close, needs, in_outage)

    async def event_stream(
        self,
        request: web.Request,
        session: Session,
        events: AsyncIterator[ServerSentEvent | str],
        *,
        scopes: Sequence[str] = (),
        not_banned: str | None = None,
        in_outage: InOutage = "stay",
        keep_alive: float | None = KEEP_ALIVE,
    ) -> web.StreamResponse:
        """Send server-sent events until ``events`` or ``session`` end, and return the response.

        ``events``: yields events, or strings, which are their data. When the session ends, the last
        event is ``session_ended``; when it loses one of ``scopes`` or is banned from
        ``not_banned``, ``forbidden``; in a store outage with ``in_outage="close"``,
        ``unavailable``. Its data is JSON with ``code`` and ``reason``. ``keep_alive``: seconds
        without an event after which a comment is sent, which tells that the client has left; None:
        never. A HEAD request gets the headers alone.
        """
        response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE, **HEADERS})
        await response.prepare(request)
        if request.method == "HEAD":
            await leave(events)
            return response
        needs = Needs(scopes=scope_names(scopes), not_banned=not_banned)
        async with aclosing(
            self._event_bytes(session, events, needs, in_outage, keep_alive)
        ) as live:
            async for chunk in live:
                try:
                    await response.write(chunk)
                except ConnectionError:  # the client has left
                    break
        return response

    async def form_token(self, request: web.Request) -> str:
        """Return the CSRF token in a submitted form; empty when there is none, or a header has it.

        The handler can still read the form.
        """
        if not self._reads_form(visit_of(request).request):
            return ""
        try:
            form = await request.post()
        except _NO_FORM:
            raise InvalidInput("the body is no form") from None
        value = form.get(self.gate.settings.csrf_field, "")
        return value if isinstance(value, str) else ""


_NO_FORM: Final = (ValueError, LookupError, RuntimeError, HttpProcessingError)
"""What aiohttp raises for a form that it cannot read: of an unknown charset or encoding too."""
_OWNER: Final = web.AppKey("clusterpass", ClusterPass)


def session_required(
    *, scope: str | Iterable[str] = (), **needs: Any
) -> Callable[[Handler], Handler]:
    """Return a decorator for handlers that need a live session: functions, methods, views.

    ``scope``: one scope or several, which the session must all have; wildcards count. ``needs``: as
    for :class:`clusterpass.web.gate.Needs`: ``level``, ``max_auth_age``, ``not_banned``,
    ``strict``. A request that is refused gets problem details with a challenge; a browser that asks
    for a page is led to ``login_url`` if that is set. :func:`current_session` returns the session.
    """
    needed = Needs(scopes=scope_names(scope), **needs)

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def wrapped(*arguments: Any) -> Any:
            found = arguments[-1]
            request = found.request if isinstance(found, AbstractView) else found
            await owner_of(request).admit(request, needed)
            return await handler(*arguments)

        return wrapped  # type: ignore[return-value]

    return decorate


def current_session(request: web.Request) -> Session:
    """Return the session of a request that was admitted. Raises TokenMissing if none was."""
    session = visit_of(request).session
    if session is None:
        raise TokenMissing
    return session


def owner_of(request: web.Request) -> ClusterPass:
    """Return what was installed in the application of ``request``, or around it.

    Raises ConfigurationError when nothing was.
    """
    owner = request.config_dict.get(_OWNER)
    if owner is None:
        raise ConfigurationError("call ClusterPass().install(app) before the application starts")
    return owner


__all__ = [
    "AiohttpRequest",
    "ClusterPass",
    "ServerSentEvent",
    "current_session",
    "owner_of",
    "session_required",
    "visit_of",
]
