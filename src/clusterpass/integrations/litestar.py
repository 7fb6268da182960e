"""ClusterPass in Litestar: a plugin, a guard, a dependency, a router, an OpenAPI scheme.

cp = ClusterPass.from_env()

@get("/orders", guards=[requires("orders:read")])
async def orders(session: NamedDependency[Session]) -> dict[str, str]:
    return {"of": session.subject}

app = Litestar([orders, cp.router("/auth", authenticate=check)], plugins=[cp])
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from copy import copy
from functools import partial
from typing import Any, cast

from litestar import Request, Response, Router, WebSocket
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin, ReceiveRoutePlugin
from litestar.response import ServerSentEvent, ServerSentEventMessage
from litestar.routes import BaseRoute, HTTPRoute, WebSocketRoute
from litestar.types import SSEData

from clusterpass.integrations.async_base import AsyncBase
from clusterpass.integrations.attached import Attached, InOutage
from clusterpass.integrations.grants import Authenticate, Grant
from clusterpass.integrations.litestar_middleware import with_visits
from clusterpass.integrations.litestar_openapi import SESSION, describe, security_scheme
from clusterpass.integrations.litestar_requests import (
    REFUSAL,
    Connection,
    Guard,
    LitestarRequest,
    key_of_each_session,
    owner_of,
    provide_session,
    require_guards,
    requires,
    respond,
    visit_of,
)
from clusterpass.integrations.litestar_router import make_router
from clusterpass.integrations.litestar_streams import EventStream
from clusterpass.integrations.server_sent_events import (
    KEEP_ALIVE,
    KEEP_ALIVE_COMMENT,
    idle_of,
)
from clusterpass.integrations.streams import while_live
from clusterpass.model.errors import ClusterPassError, InvalidInput
from clusterpass.model.values import Session, TokenPair
from clusterpass.web import endpoints
from clusterpass.web.flow import WebFlow, run_async
from clusterpass.web.gate import NO_NEEDS, Needs
from clusterpass.web.messages import WebAnswer
from clusterpass.web.needs import scope_names


class ClusterPass(AsyncBase, InitPlugin, ReceiveRoutePlugin):
    """Sessions in one Litestar application: a plugin.

    It provides the dependency ``session``, which is the live session of the request and needs no
    guard; a dependency of the application of that name comes first.
    """

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add what the application needs; called by Litestar."""
        app_config.lifespan.append(self.lifespan)
        app_config.middleware.insert(0, partial(with_visits, self))
        app_config.dependencies.setdefault(SESSION, Provide(provide_session))
        app_config.exception_handlers.setdefault(ClusterPassError, self.refuse)
        cache = app_config.response_cache_config = copy(app_config.response_cache_config)
        cache.key_builder = key_of_each_session(cache.key_builder)
        if app_config.openapi_config:
            described = app_config.openapi_config = copy(app_config.openapi_config)
            theirs = described.components
            listed = theirs if isinstance(theirs, list) else [theirs]
            described.components = [*listed, security_scheme()]
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Describe in the OpenAPI schema which scopes a handler needs; called by Litestar.

        Raises ConfigurationError for a handler whose guard is ``requires`` without parentheses.
        """
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                require_guards(handler)
                describe(handler)
        elif isinstance(route, WebSocketRoute):
            require_guards(route.route_handler)

    @asynccontextmanager
    async def lifespan(self, _: Any = None) -> AsyncIterator[None]:
        """Open the manager, and close it when the application ends."""
        try:
            self.open()
            yield
        finally:
            await self.close()

    def refuse(self, request: Request[Any, Any, Any], error: ClusterPassError) -> Response[Any]:
        """Return the response to a request that was refused; an exception handler."""
        return respond(endpoints.error_answer(self.gate, LitestarRequest(request), error))

    def router(
        self,
        path: str = "/",
        authenticate: Authenticate | None = None,
        *,
        throttle: bool = True,
    ) -> Router:
        """Return the routes every application needs, below ``path``.

        ``POST /refresh``, ``POST /logout``, ``POST /logout-all``, ``GET /devices`` and
        ``DELETE /devices/{id}``; with ``authenticate`` also ``POST /login`` (JSON).
        ``authenticate``: a function, which runs on a thread, or a coroutine function, of user name
        and password; it returns the subject, or options of ``AsyncSessionManager.login`` with
        ``subject``, or None when the password is wrong. ``throttle``: whether the attempts are
        limited before that, as the settings say.
        """
        return make_router(self, path, authenticate, throttle=throttle)

    async def admit(self, connection: Connection, needs: Needs = NO_NEEDS) -> Session:
        """Return the session of a request or of a WebSocket's handshake.

        The CSRF token of a form is read where it is needed and no header has one. Takes and raises
        what :meth:`clusterpass.web.gate.Gate.admit` does.
        """
        try:
            token = await self.form_token(connection)
            return await self._admit(visit_of(connection), needs, token)
        except ClusterPassError as error:
            cast("dict[str, Any]", connection.scope)[REFUSAL] = error
            raise

    async def count_attempt(self, request: Request[Any, Any, Any], username: str) -> None:
        """Count an attempt at the account ``username``; call it before the password is checked.

        :meth:`log_in` gives the attempt back. Raises TooManyAttempts (429, with Retry-After) when a
        limit of the login throttle is exceeded, and InvalidCredentials for a name that no account
        can have.
        """
        await self._count_attempt(visit_of(request), username)

    async def login_failed(
        self, request: Request[Any, Any, Any], username: str, error: str = "invalid_credentials"
    ) -> None:
        """Note that the application refused the password of ``username``, as it was typed.

        The history of the user, the listeners to ``refused`` and the audit trail are told, with the
        client's address. ``error``: as for ``AsyncSessionManager.login_failed``. No
        ClusterPassError is raised, as the answer to the client does not depend on the store.
        """
        await self._login_failed(visit_of(request), username, error)

    def acting(self, connection: Connection) -> AbstractContextManager[None]:
        """Return a block in which whoever sends ``connection`` acts.

        The audit trail and the history say so, with the client's address. The actor is the subject
        of the admitted session, or whoever impersonates it.
        """
        return self._acting(visit_of(connection))

    async def log_in(
        self, request: Request[Any, Any, Any], subject: str, /, **options: Any
    ) -> Response[Any]:
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
        request: Request[Any, Any, Any],
        pair: TokenPair,
        *,
        target: str | None = None,
        allow_cross_site: bool = False,
    ) -> Response[Any]:
        """Return the response that delivers ``pair``, after a login or a step-up.

        ``target``, ``allow_cross_site``: as for :meth:`log_in`. Raises RequestRefused.
        """
        visit = visit_of(request)
        return respond(self._deliver(visit, pair, target, allow_cross_site=allow_cross_site))

    def csrf_token(self, connection: Connection) -> str:
        """Return the CSRF token of the admitted session, for a form; empty: there is none."""
        return self._csrf_token(visit_of(connection))

    async def answer(self, flow: WebFlow[WebAnswer]) -> Response[Any]:
        """Run a flow of :mod:`clusterpass.web.endpoints`, and return its answer as a response."""
        return respond(await run_async(self.sessions, flow))

    async def form_token(self, connection: Connection) -> str:
        """Return the CSRF token in a submitted form; empty when there is none, or a header has it.

        The handler can still read the form.
        """
        if not self._reads_form(visit_of(connection).request):
            return ""
        request: Request[Any, Any, Any] = Request(connection.scope, connection.receive)
        try:
            form = await request.form()
        except (ValueError, LookupError):  # or of an unknown charset
            raise InvalidInput("the body is no form") from None
        value = form.get(self.gate.settings.csrf_field, "")
        return value if isinstance(value, str) else ""

    def attached(
        self,
        socket: WebSocket[Any, Any, Any],
        session: Session,
        *,
        scopes: Sequence[str] = (),
        not_banned: str | None = None,
        in_outage: InOutage = "stay",
    ) -> AbstractAsyncContextManager[Attached]:
        """Return a context in which ``socket`` is open for as long as ``session`` lives.

        ``scopes``: the WebSocket is closed with 4403 when the session loses one of them, or is
        banned from ``not_banned``. When the session ends it is closed with 4401 and the reason, and
        the body is left; the options are those of
        :func:`clusterpass.integrations.attached.attached`.
        """
        needs = Needs(scopes=scope_names(scopes), not_banned=not_banned)
        return self._attached(session, socket.close, needs, in_outage)

    def event_stream(
        self,
        session: Session,
        events: AsyncIterator[SSEData],
        *,
        scopes: Sequence[str] = (),
        not_banned: str | None = None,
        in_outage: InOutage = "stay",
        keep_alive: float | None = KEEP_ALIVE,
    ) -> ServerSentEvent:
        """Return a response of server-sent events that ends when ``session`` does.

        ``events``: yields what Litestar's ServerSentEvent takes. When the session ends, the last
        event is ``session_ended``; when it loses one of ``scopes`` or is banned from
        ``not_banned``, ``forbidden``; in a store outage with ``in_outage="close"``,
        ``unavailable``. Its data is JSON with ``code`` and ``reason``. ``keep_alive``: seconds
        without an event after which a comment is sent; None: never. A HEAD request gets the headers
        alone.
        """
        comment = ServerSentEventMessage(data=None, comment=KEEP_ALIVE_COMMENT)
        live = while_live(
            self.sessions,
            session,
            events,
            needs=Needs(scopes=scope_names(scopes), not_banned=not_banned),
            in_outage=in_outage,
            last=lambda end: ServerSentEventMessage(**end.fields()),
            idle=idle_of(keep_alive, comment),
        )
        return EventStream(events, live)


__all__ = [
    "Authenticate",
    "ClusterPass",
    "Grant",
    "Guard",
    "LitestarRequest",
    "owner_of",
    "requires",
    "respond",
    "visit_of",
]
