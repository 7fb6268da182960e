"""The ASGI application: routes, error handlers and middleware.

The settings are validated when the application is created. The store is opened when a worker's
event loop starts, and closed with it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

import clusterpass
from clusterpass import (
    AsyncSessionManager,
    ClusterPassError,
    Config,
)
from clusterpass.service.api import (
    administration,
    health_and_keys,
    sessions,
    tokens as token_routes,
    verify,
)
from clusterpass.service.api.dependencies import Service
from clusterpass.service.api.openapi import openapi_document
from clusterpass.service.api.password_check import PasswordCheck, load_check, make_authenticator
from clusterpass.service.asgi.body_limits import BodyLimits
from clusterpass.service.asgi.exit_with_parent import exit_with_parent
from clusterpass.service.asgi.head_as_get import HeadAsGet
from clusterpass.service.asgi.request_log import (
    LOG_FIELDS,
    RequestLog,
    describe_exception,
    make_logger,
)
from clusterpass.service.asgi.security_headers import SecurityHeaders
from clusterpass.service.asgi.warm_verify import Recall, WarmVerify
from clusterpass.service.bodies.problem_responses import (
    of_http_exception,
    of_validation,
    problem_response,
)
from clusterpass.service.page.forms import FORM_PATHS
from clusterpass.service.page.routes import mount_page
from clusterpass.service.settings.service import Settings
from clusterpass.web.gate import Gate
from clusterpass.web.problems import of_error

_METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")


def create_app(settings: Settings, *, logger: Any = None, parent: int | None = None) -> FastAPI:
    """Return the application; raise ConfigurationError when the settings are unsafe or invalid.

    ``logger``: a structlog logger; by default, one that writes to standard output. ``parent``: the
    id of the parent process; this process exits when the parent does.
    """
    config = settings.session_config()
    check = load_check(settings.password_check)
    app = _Application(
        title="ClusterPass",
        description="Distributed JWT sessions: valid on every server, revoked on all of them at"
        " once.",
        version=clusterpass.__version__,
        lifespan=_lifespan(settings, config, check, parent),
        docs_url=None,  # it loads scripts from another host
        redoc_url=None,
        openapi_url=None,  # served below, including error responses
        redirect_slashes=False,
    )
    app.include_router(token_routes.router)
    app.include_router(verify.router)
    app.include_router(sessions.router)
    app.include_router(health_and_keys.router)
    app.include_router(administration.router)
    if settings.login_enabled:
        app.include_router(token_routes.login_router)
        mount_page(app)
    _add_openapi(app)
    _add_error_handlers(app)
    # The last one added is the outermost.
    app.add_middleware(BodyLimits, form_paths=FORM_PATHS)
    app.add_middleware(HeadAsGet)
    app.add_middleware(SecurityHeaders)
    if settings.log_warm_verifies:
        app.add_middleware(WarmVerify, recall=app.recall, adds_id=False)
    app.add_middleware(RequestLog, logger=logger or make_logger(settings.log_format))
    if not settings.log_warm_verifies:
        app.outermost = WarmVerify(super(_Application, app).__call__, recall=app.recall)
    return app


class _Application(FastAPI):
    """A FastAPI application with one ASGI application in front of its middleware."""

    outermost: WarmVerify | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        await (self.outermost or super().__call__)(scope, receive, send)

    def recall(self) -> Recall:
        """Return the lookup of cached sessions by token; available once the lifespan has begun."""
        service: Service = self.state.service
        return service.sessions.recall


def _lifespan(
    settings: Settings, config: Config, check: PasswordCheck | None, parent: int | None
) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store_url = settings.store_url.get_secret_value()
        async with AsyncSessionManager.from_url(store_url, config) as manager:
            authenticator = make_authenticator(settings, manager, check)
            app.state.service = Service(
                settings,
                manager,
                authenticator,
                config.keys.public_jwks(),
                Gate(config, settings.web()),
            )
            watch = asyncio.create_task(exit_with_parent(parent)) if parent else None
            try:
                yield
            finally:
                if watch is not None:
                    watch.cancel()
                await authenticator.close()

    return lifespan


def _add_openapi(app: FastAPI) -> None:
    document: dict[str, Any] = {}

    async def openapi(_: Request) -> Response:
        if not document:
            document.update(openapi_document(app))
        return JSONResponse(document)

    app.add_route("/openapi.json", openapi, methods=["GET"], include_in_schema=False)


def _add_error_handlers(app: FastAPI) -> None:
    async def library_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ClusterPassError)
        fields = request.scope.get(LOG_FIELDS, {})
        fields["error"] = error.code
        if error.reason is not None:
            fields["reason"] = error.reason
        problem = of_error(error)
        if problem.status == 500:
            fields.update(describe_exception(error))
        return problem_response(problem)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = problem_response(of_http_exception(error))
        if error.status_code == 405:
            response.headers["Allow"] = ", ".join(_methods_at(app.routes, request))
        return response

    async def invalid_request(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(of_validation(error))

    app.add_exception_handler(ClusterPassError, library_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid_request)


def _methods_at(routes: list[BaseRoute], request: Request) -> list[str]:
    """Return every method that the path supports; the router reports its first match only."""
    supported = {
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes
        )
    }
    return sorted(supported | {"HEAD"} if "GET" in supported else supported)
