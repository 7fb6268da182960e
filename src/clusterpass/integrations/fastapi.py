"""ClusterPass in FastAPI: a dependency that is a security scheme, a router, an error handler.

cp = ClusterPass.from_env()
app = FastAPI(lifespan=cp.lifespan)
cp.install(app)
app.include_router(cp.router(authenticate=check), prefix="/auth")

@app.get("/orders")
async def orders(session: Annotated[Session, Security(cp.session, scopes=["orders:read"])]):
    return {"subject": session.subject}
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import OAuth2 as OAuth2Model, OAuthFlowPassword, OAuthFlows
from fastapi.routing import APIRoute
from fastapi.security import OAuth2PasswordRequestForm, SecurityScopes
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from clusterpass.integrations import starlette
from clusterpass.integrations.grants import Authenticate, Grant, ask_application
from clusterpass.integrations.starlette import ServerSentEvent, visit_of
from clusterpass.integrations.starlette_requests import note_recalled
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.values import Session
from clusterpass.web import endpoints
from clusterpass.web.gate import Gate, Needs

_BEARER: Final = b"bearer "


class ClusterPass(starlette.ClusterPass):
    """Sessions in one FastAPI application."""

    def __init__(self, *args: Any, token_url: str = "auth/token", **settings: Any) -> None:  # noqa: S107
        """``token_url``: where the Authorize button of the documentation logs in, relative to the
        application; the route ``/token`` of :meth:`router`. The others are those of
        :class:`clusterpass.integrations.starlette.ClusterPass`.
        """
        super().__init__(*args, **settings)
        self._token_url: Final = token_url
        self.session: Final = SessionDependency(self, token_url, Needs())
        """The dependency that returns the session of a request. Use it with ``Depends``, or with
        ``Security(cp.session, scopes=[...])`` to require scopes."""

    def session_with(self, **needs: Any) -> "SessionDependency":
        """Return a dependency that requires more of a session.

        ``needs``: as for :class:`clusterpass.web.gate.Needs`: ``level``, ``max_auth_age``,
        ``not_banned``, ``strict``.
        """
        return SessionDependency(self, self._token_url, Needs(**needs))

    def install(self, app: Starlette) -> None:
        """Add the error handler to ``app``, and wrap it, with all of its middleware, in our own.

        Raises ConfigurationError when ``app`` has started, or is none of FastAPI.
        """
        if not isinstance(app, FastAPI):
            raise ConfigurationError("install takes a FastAPI application")
        super().install(app)

    def router(
        self, authenticate: Authenticate | None = None, *, throttle: bool = True
    ) -> APIRouter:
        """Return the routes every application needs, to be included under a prefix of its choice.

        ``POST /refresh``, ``POST /logout``, ``POST /logout-all``, ``GET /devices`` and
        ``DELETE /devices/{id}``; with ``authenticate`` also ``POST /login`` (JSON) and
        ``POST /token`` (the form of the Authorize button). ``authenticate``: a function,
        which runs on a thread, or a coroutine function, of user name and password. ``throttle``:
        whether the attempts are limited before that, as the settings say.
        """
        router = APIRouter(tags=["sessions"], route_class=_SilentRoute)
        _add_session_routes(router, self)
        if authenticate is not None:
            _add_login_routes(router, self, authenticate, throttle=throttle)
        return router


class SessionDependency(SecurityBase):
    """A dependency that returns the live session of a request."""

    def __init__(self, owner: ClusterPass, token_url: str, needs: Needs) -> None:
        flow = OAuthFlowPassword(tokenUrl=token_url, scopes={})
        self.model = OAuth2Model(flows=OAuthFlows(password=flow))
        self.scheme_name = "ClusterPass"
        self._owner: Final = owner
        self._needs: Final = needs
        self._is_plain: Final = needs == Needs() and "header" in owner.gate.settings.token_places

    async def __call__(
        self, connection: HTTPConnection, security_scopes: SecurityScopes
    ) -> Session:
        """Return the session, which has all ``security_scopes``.

        Raises what :meth:`clusterpass.web.gate.Gate.admit` raises.
        """
        scopes = security_scopes.scopes
        if self._is_plain:
            session = self._remembered(connection)
            if session is not None:
                if Gate.on_admitted is not None:
                    Gate.on_admitted(session)
                for scope in scopes:
                    session.require_scope(scope)
                return session
        needs = self._needs
        if scopes:
            needs = Needs(
                scopes=(*needs.scopes, *scopes),
                level=needs.level,
                max_auth_age=needs.max_auth_age,
                not_banned=needs.not_banned,
                strict=needs.strict,
            )
        return await self._owner.admit(connection, needs)

    def _remembered(self, connection: HTTPConnection) -> Session | None:
        """Return the session of a bearer token if it can be served from memory now."""
        found = None
        for name, value in connection.scope["headers"]:
            if name == b"authorization":
                if found is not None:
                    return None
                found = value
        if found is None or found[:7].lower() != _BEARER:
            return None
        token = found[7:].decode("latin-1")
        session = self._owner.sessions.recall(token)
        if session is not None:
            note_recalled(connection, session, token)
        return session


class LoginBody(BaseModel):
    """The body of a login."""

    username: str
    password: str = Field(repr=False)
    device: str | None = None
    remember: bool = False


class RefreshBody(BaseModel):
    """The body of a refresh by an app; a browser sends its cookie."""

    refresh_token: str | None = Field(default=None, repr=False)


class _SilentRoute(APIRoute):
    """A route that does not echo what was sent when it refuses it: a password, or a token."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler; called by FastAPI."""
        handle = super().get_route_handler()

        async def handle_silently(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                kept = [
                    {name: each[name] for name in ("type", "loc", "msg")} for each in error.errors()
                ]
                raise RequestValidationError(kept) from None

        return handle_silently


def _add_session_routes(router: APIRouter, owner: ClusterPass) -> None:
    gate = owner.gate

    @router.post("/refresh")
    async def refresh(request: Request, body: RefreshBody | None = None) -> Response:
        """Exchange a refresh token for new tokens."""
        token = None if body is None else body.refresh_token
        return await owner.answer(endpoints.refresh(gate, visit_of(request), token))

    @router.post("/logout", status_code=204)
    async def logout(request: Request) -> Response:
        """End the session of the request."""
        return await owner.answer(
            endpoints.logout(gate, visit_of(request), form_token=await form_token(owner, request))
        )

    @router.post("/logout-all")
    async def logout_all(request: Request) -> Response:
        """End every session of the caller."""
        return await owner.answer(
            endpoints.logout_everywhere(
                gate, visit_of(request), form_token=await form_token(owner, request)
            )
        )

    @router.get("/devices", dependencies=[Depends(owner.session)])
    async def devices(request: Request) -> Response:
        """List the caller's sessions, newest first."""
        return await owner.answer(endpoints.devices(gate, visit_of(request)))

    @router.delete("/devices/{session_id}", dependencies=[Depends(owner.session)])
    async def end_device(request: Request, session_id: str) -> Response:
        """End one session of the caller."""
        return await owner.answer(endpoints.end_device(gate, visit_of(request), session_id))


def _add_login_routes(
    router: APIRouter, owner: ClusterPass, authenticate: Authenticate, *, throttle: bool
) -> None:
    async def log_in(request: Request, username: str, password: str, **options: Any) -> Response:
        if throttle:
            await owner.count_attempt(request, username)
        note = partial(owner.login_failed, request, username)
        own = await ask_application(authenticate, username, password, note)
        return await owner.log_in(request, own.pop("subject"), **options, **own)

    @router.post("/login")
    async def login(request: Request, body: LoginBody) -> Response:
        """Log in: tokens in cookies for a browser, in the body for an app."""
        return await log_in(
            request, body.username, body.password, device=body.device, remember=body.remember
        )

    @router.post("/token")
    async def token(
        request: Request, form: Annotated[OAuth2PasswordRequestForm, Depends()]
    ) -> Response:
        """Log in with the form of OAuth 2.0's password grant, for the Authorize button."""
        return await log_in(request, form.username, form.password, to_browser=False)


async def form_token(owner: ClusterPass, request: Request) -> str:
    """Return the CSRF token in a submitted form; empty when there is none, or a header has it."""
    return await owner.form_token(request)


__all__ = [
    "Authenticate",
    "ClusterPass",
    "Grant",
    "ServerSentEvent",
    "SessionDependency",
    "form_token",
]
