"""ClusterPass in Django Channels, beside ``clusterpass.integrations.django``.

application = ProtocolTypeRouter({
    "http": get_asgi_application(),
    "websocket": AuthMiddlewareStack(ClusterPassMiddleware(URLRouter([...]))),
})

class Chat(SessionConsumer, AsyncJsonWebsocketConsumer):
    session_scopes = ["chat"]

    async def receive_json(self, content):
        await self.send_json({"from": self.clusterpass_session.subject, **content})
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from io import BytesIO
from typing import Any, Final

from channels.consumer import AsyncConsumer
from channels.db import database_sync_to_async
from django.apps import apps
from django.core.handlers.asgi import ASGIRequest

from clusterpass.integrations.attached import Attached, InOutage, attached
from clusterpass.integrations.channels_connection import Connection, refuse
from clusterpass.integrations.django.conf import installed
from clusterpass.integrations.django.request_state import RequestState, attach
from clusterpass.integrations.django.requests import DjangoRequest
from clusterpass.model.authentication_errors import AuthenticationError, TokenMissing
from clusterpass.model.errors import (
    ClusterPassError,
    ConfigurationError,
    InvalidInput,
    RequestRefused,
    StoreUnavailable,
)
from clusterpass.model.values import Session
from clusterpass.web import endpoints
from clusterpass.web.flow import run_async
from clusterpass.web.gate import Needs
from clusterpass.web.messages import SOCKET, WebAnswer
from clusterpass.web.needs import scope_names

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
_SESSION: Final = "clusterpass_session"
_REFUSAL: Final = "clusterpass_refusal"


class ClusterPassMiddleware:
    """ASGI middleware: finds who opens a WebSocket.

    - ``scope["clusterpass_session"]`` is the session; None when nobody is logged in.
    - ``scope["user"]`` is the user of that session. Inside ``AuthMiddlewareStack``, a user of
      ``django.contrib.auth`` whose session has ended is logged out.
    - Where it cannot be found who opens a WebSocket, the handshake is refused with 503.

    A browser's cookie counts from the site itself alone; a bearer token counts from anywhere.
    Handshakes need no CSRF token, and renew no cookies.
    """

    def __init__(self, inner: Any) -> None:
        """``inner``: the application for WebSockets, a ``URLRouter`` for example."""
        self.inner: Final = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Run the application; other connections than WebSockets are passed on as they are."""
        if scope["type"] != "websocket":
            return await self.inner(scope, receive, send)
        scope = dict(scope)
        state = attach(_Handshake(scope))
        try:
            scope[_SESSION] = await _admit(state, scope)
            if apps.is_installed("django.contrib.auth"):
                scope["user"] = await database_sync_to_async(state.user)()
        except StoreUnavailable as error:
            return await refuse(scope, receive, send, error, _answer(scope, error))
        return await self.inner(scope, receive, send)


class SessionConsumer(AsyncConsumer):  # type: ignore[misc]  # Channels has no types
    """Base class of consumers whose WebSockets are open for as long as their session lives.

    Comes before a consumer of Channels, asynchronous or not, among the bases of a class. Without a
    session that has ``session_scopes`` the handshake is refused: with 401 or 403 where the server
    can answer so, otherwise with 403. Later the WebSocket is closed: with 4401 when the session
    ends, by whichever process, with 4403 when it loses one of the scopes or is banned from
    ``session_not_banned``, and with 4503 in a store outage if ``session_in_outage`` is ``close``.
    ``disconnect(code)`` is called as if the client had closed; nothing that the client sent later
    is received.
    """

    session_scopes: Sequence[str] = ()
    """The scopes that the session must all have, for as long as the WebSocket is open."""
    session_not_banned: str | None = None
    """A scope from which the subject must not be banned, for as long as the WebSocket is open."""
    session_in_outage: InOutage = "stay"
    """Whether a store outage closes the WebSocket (``close``)."""
    _attached: Attached | None = None

    @property
    def clusterpass_session(self) -> Session:
        """The session as it is now; its claims and bans follow changes."""
        assert self._attached is not None, "the consumer is not connected"
        return self._attached.session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Run the consumer. Raises ConfigurationError without the middleware around it."""
        if _SESSION not in scope:
            raise ConfigurationError("put ClusterPassMiddleware around the consumer's router")
        needs = Needs(scopes=scope_names(self.session_scopes), not_banned=self.session_not_banned)
        session: Session | None = scope[_SESSION]
        try:
            if session is None:
                raise scope.get(_REFUSAL) or TokenMissing
            needs.check(session)
        except ClusterPassError as error:
            return await refuse(scope, receive, send, error, _answer(scope, error))
        connection = Connection(receive, send)
        async with attached(
            installed().async_sessions,
            session,
            connection.close,
            needs=needs,
            in_outage=self.session_in_outage,
            leaves=False,  # what a consumer has to undo it undoes in disconnect()
        ) as self._attached:
            return await super().__call__(scope, connection.receive, connection.send)


class _Handshake(ASGIRequest):
    """The handshake of a WebSocket, as a request of Django."""

    def __init__(self, scope: Scope) -> None:
        super().__init__({**scope, "method": SOCKET}, BytesIO())
        for name in ("session", "user"):  # what the middleware of Channels has found
            if name in scope:
                setattr(self, name, scope[name])


async def _admit(state: RequestState, scope: Scope) -> Session | None:
    """Return the session of a handshake; None: there is none, and ``scope`` says why."""
    here = installed()
    try:
        return await run_async(here.async_sessions, here.gate.admit(state.visit))
    except (AuthenticationError, InvalidInput, RequestRefused) as error:
        state.note(error)
        scope[_REFUSAL] = error
        return None


def _answer(scope: Scope, error: ClusterPassError) -> WebAnswer:
    request = DjangoRequest(_Handshake(scope))
    return endpoints.error_answer(installed().gate, request, error)


__all__ = ["ClusterPassMiddleware", "SessionConsumer"]
