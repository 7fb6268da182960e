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
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from aiohttp import web
from aiohttp.abc import AbstractView

from clusterpass.integrations.async_base import AsyncBase
from clusterpass.integrations.attached import Attached, InOutage
from clusterpass.model.authentication_errors import TokenMissing
from clusterpass.model.errors import ClusterPassError, ConfigurationError, InvalidInput
from clusterpass.model.values import Session, TokenPair
from clusterpass.web import endpoints
from clusterpass.web.flow import WebFlow, run_async
from clusterpass.web.gate import NO_NEEDS, Needs, Visit
from clusterpass.web.messages import SOCKET, WebAnswer

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])
_Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AiohttpRequest:
    """A request, as :class:`clusterpass.web.messages.WebRequest`."""

    __slots__ = ("_request",)

    def __init__(self, request: web.Request) -> None:
        self._request = request

    @property
    def method(self) -> str:
        """The method, or SOCKET."""
        upgrades = self._request.headers.getall("Upgrade", ())
        is_socket = any(each.strip().lower() == "websocket" for each in upgrades)
        return SOCKET if is_socket and self._request.method == "GET" else self._request.method

    @property
    def target(self) -> str:
        """The path and the query."""
        return self._request.path_qs

    @property
    def host(self) -> str:
        """The Host header."""
        return self._request.headers.get("Host", "")

    @property
    def peer(self) -> str | None:
        """The address of the connection."""
        return self._request.remote or None

    def header(self, name: str) -> Sequence[str]:
        """Return the values of all headers of a name."""
        return self._request.headers.getall(name, ())

    def cookie(self, name: str) -> str | None:
        """Return the value of a cookie."""
        return self._request.cookies.get(name)

    def query(self, name: str) -> Sequence[str]:
        """Return the values of all query parameters of a name."""
        return self._request.query.getall(name, ())


class ClusterPass(AsyncBase):
    """Sessions in one aiohttp application, and in the applications that are mounted in it."""

    def install(self, app: web.Application) -> None:
        """Have ``app`` open the manager when it starts and close it when it stops.

        Adds the middleware, which answers what is refused, behind the middlewares that ``app`` has
        already.
        """
        app[_OWNER] = self
        app.cleanup_ctx.append(self.cleanup_context)
        app.middlewares.append(self.middleware)
        app.on_response_prepare.append(_add_headers)

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
            return _respond(endpoints.error_answer(self.gate, visit_of(request).request, error))

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """Return the routes every application needs, below ``prefix``.

        ``POST /refresh``, ``POST /logout``, ``POST /logout-all``, ``GET /devices`` and
        ``DELETE /devices/{id}``.
        """
        return [
            web.post(f"{prefix}/refresh", self._refresh),
            web.post(f"{prefix}/logout", self._log_out),
            web.post(f"{prefix}/logout-all", self._log_out_everywhere),
            web.get(f"{prefix}/devices", self._devices),
            web.delete(f"{prefix}/devices/{{session_id}}", self._end_device),
        ]

    async def admit(self, request: web.Request, needs: Needs = NO_NEEDS) -> Session:
        """Return the session of a request or of a WebSocket's handshake.

        The CSRF token of a form is read where it is needed and no header has one. Takes and raises
        what :meth:`clusterpass.web.gate.Gate.admit` does.
        """
        return await self._admit(visit_of(request), needs, await self._form_token(request))

    async def log_in(self, request: web.Request, subject: str, /, **options: Any) -> web.Response:
        """Open a session of ``subject``, whom the application has authenticated.

        ``options``: as for ``AsyncSessionManager.login``; device, type of device and address come
        from the request unless given. ``target`` (a path of this site) leads a form there. The
        response has the tokens in cookies for a browser, and in its body for an app;
        ``to_browser`` overrides that.
        """
        return _respond(await self._log_in(visit_of(request), subject, options))

    def deliver(
        self, request: web.Request, pair: TokenPair, *, target: str | None = None
    ) -> web.Response:
        """Return the response that delivers ``pair``, after a step-up."""
        return _respond(endpoints.pair_answer(self.gate, visit_of(request), pair, target=target))

    def csrf_token(self, request: web.Request) -> str:
        """Return the CSRF token of the admitted session, for a form; empty: there is none."""
        return self._csrf_token(visit_of(request))

    def attached(
        self,
        websocket: web.WebSocketResponse,
        session: Session,
        *,
        scopes: Sequence[str] = (),
        in_outage: InOutage = "stay",
    ) -> AbstractAsyncContextManager[Attached]:
        """Return a context in which ``websocket`` is open for as long as ``session`` lives.

        ``scopes``: the WebSocket is closed with 4403 when the session loses one of them. When the
        session ends it is closed with 4401 and the reason, and the body is left, as it is when the
        client closes; the options are those of
        :func:`clusterpass.integrations.attached.attached`.
        """

        async def close(code: int, reason: str) -> None:
            await websocket.close(code=code, message=reason.encode())

        return self._attached(session, close, scopes, in_outage)

    async def _form_token(self, request: web.Request) -> str:
        if not self._reads_form(visit_of(request).request):
            return ""
        try:
            form = await request.post()
        except (ValueError, LookupError):  # no form, or of an unknown charset
            raise InvalidInput("the body is no form") from None
        value = form.get(self.gate.settings.csrf_field, "")
        return value if isinstance(value, str) else ""

    async def _answer(self, flow: WebFlow[WebAnswer]) -> web.Response:
        return _respond(await run_async(self.sessions, flow))

    async def _refresh(self, request: web.Request) -> web.Response:
        return await self._answer(
            endpoints.refresh(self.gate, visit_of(request), await _refresh_token(request))
        )

    async def _log_out(self, request: web.Request) -> web.Response:
        token = await self._form_token(request)
        return await self._answer(endpoints.logout(self.gate, visit_of(request), form_token=token))

    async def _log_out_everywhere(self, request: web.Request) -> web.Response:
        token = await self._form_token(request)
        return await self._answer(
            endpoints.logout_everywhere(self.gate, visit_of(request), form_token=token)
        )

    async def _devices(self, request: web.Request) -> web.Response:
        return await self._answer(endpoints.devices(self.gate, visit_of(request)))

    async def _end_device(self, request: web.Request) -> web.Response:
        session_id = request.match_info["session_id"]
        return await self._answer(endpoints.end_device(self.gate, visit_of(request), session_id))


_OWNER: Final = web.AppKey("clusterpass", ClusterPass)
_VISIT: Final = web.RequestKey("clusterpass_visit", Visit)


def session_required(
    *, scope: str | Iterable[str] = (), **needs: Any
) -> Callable[[Handler], Handler]:
    """Return a decorator for handlers that need a live session: functions, methods, views.

    ``scope``: one scope or several, which the session must all have; wildcards count. ``needs``: as
    for :class:`clusterpass.web.gate.Needs`: ``level``, ``max_auth_age``, ``not_banned``,
    ``strict``. A request that is refused gets problem details with a challenge; a browser that asks
    for a page is led to ``login_url`` if that is set. :func:`current_session` returns the session.
    """
    scopes = (scope,) if isinstance(scope, str) else tuple(scope)
    needed = Needs(scopes=scopes, **needs)

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


def visit_of(request: web.Request) -> Visit:
    """Return the visit of a request, which is made when it is first asked for."""
    visit = request.get(_VISIT)
    if visit is None:
        visit = request[_VISIT] = Visit(AiohttpRequest(request))
    return visit


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    visit = request.get(_VISIT)
    if visit is not None:
        for name, value in visit.headers:
            response.headers.add(name, value)


async def _refresh_token(request: web.Request) -> Any:
    if request.content_type != "application/json" or not request.body_exists:
        return None
    try:
        body = await request.json()
    except ValueError:
        raise InvalidInput("the body is no JSON") from None
    return body.get("refresh_token") if isinstance(body, dict) else None


def _respond(answer: WebAnswer) -> web.Response:
    response = web.Response(body=answer.body() or None, status=answer.status)
    if answer.members is not None or answer.text is not None:
        response.headers["Content-Type"] = answer.media_type
    for name, value in answer.headers:
        response.headers.add(name, value)
    return response


__all__ = [
    "AiohttpRequest",
    "ClusterPass",
    "current_session",
    "owner_of",
    "session_required",
    "visit_of",
]
