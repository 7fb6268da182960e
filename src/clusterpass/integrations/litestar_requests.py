"""Requests, responses and the guard of the integration with Litestar."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import CacheKeyBuilder, Scope

from clusterpass.model.errors import ConfigurationError
from clusterpass.model.values import Session
from clusterpass.web.gate import Needs, Visit
from clusterpass.web.messages import SOCKET, WebAnswer

if TYPE_CHECKING:
    from clusterpass.integrations.litestar import ClusterPass

Connection = ASGIConnection[Any, Any, Any, Any]
OWNER: Final = "clusterpass.owner"
"""The key of the plugin in the scope of a connection."""
CONNECTION: Final = "clusterpass.connection"
"""The key of the connection in its scope, where it can be read."""
VISIT: Final = "clusterpass.visit"
"""The key of the visit in the scope of a connection."""
REFUSAL: Final = "clusterpass.refusal"
"""The key of the error by which a connection was refused, in its scope."""


class LitestarRequest:
    """A connection, as :class:`clusterpass.web.messages.WebRequest`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def method(self) -> str:
        """The method, or SOCKET."""
        return str(self._connection.scope.get("method", SOCKET))

    @property
    def target(self) -> str:
        """The path and the query."""
        scope = self._connection.scope  # its URL cannot be read where the Host header is none
        path = f"{scope.get('root_path', '')}{scope['path']}"
        query = scope.get("query_string", b"").decode(errors="replace")
        return f"{path}?{query}" if query else path

    @property
    def host(self) -> str:
        """The Host header."""
        return self._connection.headers.get("host", "")

    @property
    def peer(self) -> str | None:
        """The address of the connection."""
        client = self._connection.client
        return client.host if client else None

    def header(self, name: str) -> Sequence[str]:
        """Return the values of all headers of a name."""
        return self._connection.headers.getall(name, [])

    def query(self, name: str) -> Sequence[str]:
        """Return the values of all query parameters of a name."""
        return self._connection.query_params.getall(name, [])


class Guard:
    """A guard: see :func:`requires`."""

    def __init__(self, needs: Needs) -> None:
        self.needs: Final = needs

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        """Admit a connection. Raises what :meth:`clusterpass.web.gate.Gate.admit` raises."""
        await owner_of(connection.scope).admit(connection, self.needs)


def requires(*scopes: str, **needs: Any) -> Guard:
    """Return a guard for handlers, controllers, routers or the application: a live session.

    ``scopes``: the session must have them all; wildcards count, so ``orders:*`` covers
    ``orders:write``. ``needs``: as for :class:`clusterpass.web.gate.Needs`: ``level``,
    ``max_auth_age``, ``not_banned``, ``strict``. Works for WebSockets too, at their handshake.
    """
    return Guard(Needs(scopes=scopes, **needs))


def require_guards(handler: BaseRouteHandler) -> None:
    """Return unless a guard of ``handler`` is :func:`requires` itself, which would admit everyone.

    Raises ConfigurationError.
    """
    for guard in handler.resolve_guards():
        if getattr(guard, "func", guard) is requires:  # Litestar wraps a plain function
            raise ConfigurationError(f"the guard of {handler} must be requires(), with parentheses")


def owner_of(scope: Scope) -> "ClusterPass":
    """Return the plugin. Raises ConfigurationError when the application does not have it."""
    owner: ClusterPass | None = cast("dict[str, Any]", scope).get(OWNER)
    if owner is None:
        raise ConfigurationError("add ClusterPass to the plugins of the application")
    return owner


def visit_of(connection: Connection) -> Visit:
    """Return the visit of a connection. Raises ConfigurationError without the plugin."""
    owner_of(connection.scope)
    return cast("Visit", cast("dict[str, Any]", connection.scope)[VISIT])


async def provide_session(scope: Scope) -> Session:
    """Return the live session of a request, admitting it first where no guard has; a dependency."""
    owner, connection = owner_of(scope), cast("dict[str, Any]", scope)[CONNECTION]
    session = visit_of(connection).session
    return session if session is not None else await owner.admit(connection)


def key_of_each_session(build: CacheKeyBuilder) -> CacheKeyBuilder:
    """Return a builder of the keys of Litestar's cache that ``build`` makes, for each session.

    A response to a request for which nobody looked for a session stays one for everyone.
    """

    def key(request: Request[Any, Any, Any]) -> str:
        session = visit_of(request).session
        own = "" if session is None else f"\n{session.session_id}"
        return f"{build(request)}{own}"

    return key


def respond(answer: WebAnswer) -> Response[Any]:
    """Return ``answer`` as a response of Litestar."""
    has_body = answer.status != HTTPStatus.NO_CONTENT
    return Response(
        answer.body() if has_body else None,
        status_code=answer.status,
        media_type=answer.media_type if has_body else None,
        headers=dict(answer.headers),
    )
