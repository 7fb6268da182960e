"""ClusterPass in Quart: an extension, decorators, a blueprint and ``quart clusterpass`` commands.

cp = ClusterPass()
cp.init_app(app)  # app.config["CLUSTERPASS_STORE_URL"], ... or variables of that name
app.register_blueprint(cp.blueprint(), url_prefix="/auth")  # refresh, logout, devices

@app.get("/orders")
@session_required(scope="orders:read")
async def orders():
    return {"subject": current_session.subject}
"""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final, ParamSpec, TypeVar, cast

import click
from quart import Blueprint, Quart, Response, current_app, g, websocket
from quart.wrappers import Websocket
from werkzeug.local import LocalProxy

from clusterpass.integrations.attached import Attached, InOutage
from clusterpass.integrations.commands import add_commands, open_manager
from clusterpass.integrations.quart_requests import (
    QuartRequest,
    add_headers,
    current_visit,
    respond,
)
from clusterpass.integrations.quart_routes import make_blueprint
from clusterpass.integrations.quart_state import EXTENSION, Extension, extension_here
from clusterpass.integrations.server_sent_events import (
    HEADERS,
    KEEP_ALIVE,
    MEDIA_TYPE,
    ServerSentEvent,
)
from clusterpass.integrations.streams import Event, StreamEnd, nothing_of
from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.model.authentication_errors import TokenMissing
from clusterpass.model.errors import ClusterPassError
from clusterpass.model.values import Session, TokenPair
from clusterpass.web import endpoints
from clusterpass.web.gate import Needs
from clusterpass.web.needs import scope_names

Parameters = ParamSpec("Parameters")
UserLoader = TypeVar("UserLoader", bound=Callable[[Session], Any])
_PREFIX: Final = "CLUSTERPASS_"


class ClusterPass:
    """The extension. One object may serve several applications, each with its own settings.

    ``current_session`` and ``current_user`` are the session of the request and what the function
    registered with :meth:`user_loader` makes of it; both are available in templates, with
    ``csrf_token()`` for the hidden field of a form.
    """

    def __init__(self, app: Quart | None = None, **settings: Any) -> None:
        """``app``: initialised at once; None: call :meth:`init_app` later.

        ``settings``: as in ``app.config``, without the prefix and in lower case; they come first.
        """
        self._settings: Final = settings
        self._load_user: Callable[[Session], Any] | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Quart, sessions: AsyncSessionManager | None = None) -> None:
        """Use ``app.config["CLUSTERPASS_..."]``, and register what the application needs.

        ``sessions``: a manager of the application's own; None: one is opened when the application
        starts, or at the first request, and closed when it stops. Raises ConfigurationError for an
        unsafe setting, now and not at the first request.
        """
        values = {
            name.removeprefix(_PREFIX).lower(): value
            for name, value in app.config.items()
            if name.startswith(_PREFIX)
        }
        extension = Extension(self, sessions, values | self._settings)
        app.extensions[EXTENSION] = extension
        app.register_error_handler(ClusterPassError, _refuse)
        # Quart goes through them backwards: no other function has the last word on caches.
        if add_headers not in app.after_request_funcs[None]:
            app.after_request_funcs[None].insert(0, add_headers)
        app.context_processor(_template_values)
        app.while_serving(extension.serve)
        group = click.Group(EXTENSION, help="Sessions of this application's users.")
        own = None if sessions else extension.setup
        app.cli.add_command(add_commands(group, lambda: open_manager(own)))

    def user_loader(self, function: UserLoader) -> UserLoader:
        """Register ``function``, which returns the application's user of a session.

        A function is called once in a request, when ``current_user`` is first used; a coroutine
        function once, when the session is admitted.
        """
        self._load_user = function
        return function

    @property
    def sessions(self) -> AsyncSessionManager:
        """The session manager of the current application."""
        return extension_here().sessions

    async def count_attempt(self, username: str) -> None:
        """Count an attempt at the account ``username``; call it before the password is checked.

        :meth:`log_in` gives the attempt back. Raises TooManyAttempts (429, with Retry-After) when a
        limit of the login throttle is exceeded, and InvalidCredentials for a name that no account
        can have.
        """
        await extension_here().count_attempt(current_visit(), username)

    async def login_failed(self, username: str, error: str = "invalid_credentials") -> None:
        """Note that the application refused the password of ``username``, as it was typed.

        The history of the user, the listeners to ``refused`` and the audit trail are told, with the
        client's address. ``error``: as for ``AsyncSessionManager.login_failed``. No
        ClusterPassError is raised, as the answer to the client does not depend on the store.
        """
        await extension_here().login_failed(current_visit(), username, error)

    def acting(self) -> AbstractContextManager[None]:
        """Return a block in which whoever sends the request acts.

        The audit trail and the history say so, with the client's address. The actor is the subject
        of the admitted session, or whoever impersonates it.
        """
        return extension_here().acting(current_visit())

    async def log_in(self, subject: str, /, **options: Any) -> Response:
        """Open a session of ``subject``, whom the application has authenticated.

        ``options``: as for ``AsyncSessionManager.login``; device, type of device and address come
        from the request unless given. ``target`` (a path of this site) leads a form there. The
        response has the tokens in cookies for a browser, and in its body for an app;
        ``to_browser`` overrides that. ``allow_cross_site``: see
        :func:`clusterpass.web.endpoints.require_own_login`. Raises RequestRefused for a login that
        another site has made a browser send, and what ``AsyncSessionManager.login`` raises.
        """
        return respond(await extension_here().log_in(current_visit(), subject, options))

    def respond(
        self, pair: TokenPair, *, target: str | None = None, allow_cross_site: bool = False
    ) -> Response:
        """Return the response that delivers ``pair``, after a login or a step-up.

        ``target``, ``allow_cross_site``: as for :meth:`log_in`. Raises RequestRefused.
        """
        deliver, visit = extension_here().deliver, current_visit()
        return respond(deliver(visit, pair, target, allow_cross_site=allow_cross_site))

    def blueprint(self, name: str = "clusterpass") -> Blueprint:
        """Return the routes every application needs, to be registered under a prefix of its choice.

        ``POST /refresh``, ``POST /logout``, ``POST /logout-all``, ``GET /devices`` and
        ``DELETE /devices/<id>``.
        """
        return make_blueprint(name)

    def attached(
        self,
        *,
        scopes: Sequence[str] = (),
        not_banned: str | None = None,
        in_outage: InOutage = "stay",
    ) -> AbstractAsyncContextManager[Attached]:
        """Return a context in which the current WebSocket is open for as long as its session lives.

        ``scopes``: the WebSocket is closed with 4403 when the session loses one of them, or is
        banned from ``not_banned``. When the session ends it is closed with 4401 and the reason, and
        the body is left; the options are those of
        :func:`clusterpass.integrations.attached.attached`.
        """
        socket = cast("LocalProxy[Websocket]", websocket)._get_current_object()
        needs = Needs(scopes=scope_names(scopes), not_banned=not_banned)
        return extension_here().attach(_admitted(), socket.close, needs, in_outage)

    def while_live(
        self,
        events: AsyncIterator[Event],
        *,
        scopes: Sequence[str] = (),
        not_banned: str | None = None,
        in_outage: InOutage = "stay",
        last: Callable[[StreamEnd], Event] | None = None,
    ) -> AsyncGenerator[Event]:
        """Return ``events`` until they or the current session end, for a streaming response.

        ``scopes``: the stream also ends when the session loses one of them; ``not_banned``: when it
        is banned from that scope; ``in_outage="close"``: also in a store outage. ``last``: makes an
        event that is yielded last in these cases. For a HEAD request nothing is yielded.
        """
        if current_visit().request.method == "HEAD":
            return nothing_of(events)
        return extension_here().while_live(
            _admitted(),
            events,
            scopes=scopes,
            not_banned=not_banned,
            in_outage=in_outage,
            last=last,
        )

    def event_stream(
        self,
        events: AsyncIterator[ServerSentEvent | str],
        *,
        scopes: Sequence[str] = (),
        not_banned: str | None = None,
        in_outage: InOutage = "stay",
        keep_alive: float | None = KEEP_ALIVE,
    ) -> Response:
        """Return a response of server-sent events that ends when the current session does.

        ``events``: yields events, or strings, which are their data. When the session ends, the last
        event is ``session_ended``; when it loses one of ``scopes`` or is banned from
        ``not_banned``, ``forbidden``; in a store outage with ``in_outage="close"``,
        ``unavailable``. Its data is JSON with ``code`` and ``reason``. ``keep_alive``: seconds
        without an event after which a comment is sent; None: never. A HEAD request gets the headers
        alone.
        """
        needs = Needs(scopes=scope_names(scopes), not_banned=not_banned)
        body = extension_here().event_bytes(_admitted(), events, needs, in_outage, keep_alive)
        if current_visit().request.method == "HEAD":
            body = nothing_of(events)
        response = Response(body, mimetype=MEDIA_TYPE, headers=HEADERS)
        response.timeout = None
        return response


def session_required(
    *, scope: str | Iterable[str] = (), **needs: Any
) -> Callable[[Callable[Parameters, Any]], Callable[Parameters, Awaitable[Any]]]:
    """Return a decorator for views and WebSockets that need a live session: ``current_session``.

    ``scope``: one scope or several, which the session must all have; wildcards count. ``needs``: as
    for :class:`clusterpass.web.gate.Needs`: ``level``, ``max_auth_age``, ``not_banned``,
    ``strict``. A request that is refused gets problem details with a challenge; a browser that asks
    for a page is led to ``CLUSTERPASS_LOGIN_URL`` if that is set.
    """
    needed = Needs(scopes=scope_names(scope), **needs)

    def decorate(view: Callable[Parameters, Any]) -> Callable[Parameters, Awaitable[Any]]:
        @functools.wraps(view)
        async def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Any:
            await extension_here().admit(needed)
            return await current_app.ensure_async(view)(*args, **kwargs)

        return wrapped

    return decorate


def _session() -> Session | None:
    extension_here()
    return current_visit().session


def _user() -> Any:
    session = current_visit().session
    if session is None:
        return None
    if "_clusterpass_user" not in g:
        load = extension_here().owner._load_user
        g._clusterpass_user = session if load is None else load(session)
    return g._clusterpass_user


current_session = cast("Session", LocalProxy(_session))
"""The session of the current request or WebSocket; None-like where none was required."""
current_user: Any = LocalProxy(_user)
"""What the function registered with ``user_loader`` returns for that session."""


def csrf_token() -> str:
    """Return the CSRF token of the current session, for the hidden field of a form; empty: none."""
    return extension_here().make_csrf_token(current_visit())


def _admitted() -> Session:
    session = current_visit().session
    if session is None:
        raise TokenMissing
    return session


async def _refuse(error: ClusterPassError) -> Response:
    return respond(endpoints.error_answer(extension_here().gate, current_visit().request, error))


async def _template_values() -> dict[str, Any]:
    return {
        "current_session": current_session,
        "current_user": current_user,
        "csrf_token": csrf_token,
    }


__all__ = [
    "ClusterPass",
    "QuartRequest",
    "ServerSentEvent",
    "csrf_token",
    "current_session",
    "current_user",
    "session_required",
]
