"""The ASGI application: routes, errors and middleware put together.

Everything that can be wrong with the settings is found when the application is made; the store is
opened when a worker's event loop starts, and closed with it.
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
from clusterpass.service.api import administration, tokens as token_routes
from clusterpass.service.api.dependencies import Service
from clusterpass.service.api.openapi import openapi_document
from clusterpass.service.api.password_check import PasswordCheck, load_check, make_doorkeeper
from clusterpass.service.api.sessions import router
from clusterpass.service.asgi.body_limits import BodyLimits
from clusterpass.service.asgi.end_with_parent import end_with_parent
from clusterpass.service.asgi.request_log import FACTS, RequestLog, describe_fault, make_logger
from clusterpass.service.asgi.safe_headers import HeadAsGet, SafeHeaders
from clusterpass.service.asgi.warm_verify import Recall, WarmVerify
from clusterpass.service.bodies import problems
from clusterpass.service.page.forms import FORM_PATHS
from clusterpass.service.page.routes import mount_page
from clusterpass.service.settings.service import Settings

_METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")


def create_app(settings: Settings, *, logger: Any = None, parent: int | None = None) -> FastAPI:
    """The application; raises ConfigurationError when it could not work safely.

    ``logger``: a structlog logger; by default one that writes to the standard output. ``parent``:
    the process without which this one is to end.
    """
    config = settings.session_config()
    check = load_check(settings.password_check)
    app = _Application(
        title="ClusterPass",
        description="Sessions that are known on every server, and dead everywhere at once.",
        version=clusterpass.__version__,
        lifespan=_lifespan(settings, config, check, parent),
        docs_url=None,  # its scripts would come from another host
        redoc_url=None,
        openapi_url=None,  # served below, with the errors described
        redirect_slashes=False,
    )
    app.include_router(token_routes.router)
    app.include_router(router)
    app.include_router(administration.router)
    if settings.login_enabled:
        app.include_router(token_routes.login_router)
        mount_page(app)
    _add_description(app)
    _add_error_handlers(app)
    # The last one added is the outermost.
    app.add_middleware(BodyLimits, form_paths=FORM_PATHS)
    app.add_middleware(HeadAsGet)
    app.add_middleware(SafeHeaders)
    if settings.log_warm_verifies:
        app.add_middleware(WarmVerify, recall=app.recall, adds_id=False)
    app.add_middleware(RequestLog, logger=logger or make_logger(settings.log_format))
    if not settings.log_warm_verifies:
        app.outermost = WarmVerify(super(_Application, app).__call__, recall=app.recall)
    return app


class _Application(FastAPI):
    """With something in front of all that FastAPI does."""

    outermost: WarmVerify | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await (self.outermost or super().__call__)(scope, receive, send)

    def recall(self) -> Recall:
        """What recalls the session of a token; there is one once the lifespan has begun."""
        service: Service = self.state.service
        return service.sessions.recall


def _lifespan(
    settings: Settings, config: Config, check: PasswordCheck | None, parent: int | None
) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store_url = settings.store_url.get_secret_value()
        async with AsyncSessionManager.from_url(store_url, config) as sessions:
            doorkeeper = make_doorkeeper(settings, sessions, check)
            app.state.service = Service(settings, sessions, doorkeeper, config.keys.public_jwks())
            watch = asyncio.create_task(end_with_parent(parent)) if parent else None
            try:
                yield
            finally:
                if watch is not None:
                    watch.cancel()
                await doorkeeper.close()

    return lifespan


def _add_description(app: FastAPI) -> None:
    document: dict[str, Any] = {}

    async def openapi(_: Request) -> Response:
        if not document:
            document.update(openapi_document(app))
        return JSONResponse(document)

    app.add_route("/openapi.json", openapi, methods=["GET"], include_in_schema=False)


def _add_error_handlers(app: FastAPI) -> None:
    async def library_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ClusterPassError)
        facts = request.scope.get(FACTS, {})
        facts["error"] = error.code
        if error.reason is not None:
            facts["reason"] = error.reason
        problem = problems.of_error(error)
        if problem.status == 500:
            facts.update(describe_fault(error))
        return problem.response()

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = problems.of_http_exception(error).response()
        if error.status_code == 405:
            response.headers["Allow"] = ", ".join(_methods_at(app.routes, request))
        return response

    async def unexpected_content(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problems.of_validation(error).response()

    app.add_exception_handler(ClusterPassError, library_error)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, unexpected_content)


def _methods_at(routes: list[BaseRoute], request: Request) -> list[str]:
    """Every method that the path knows; the router itself names those of its first route only."""
    known = {
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes
        )
    }
    return sorted(known | {"HEAD"} if "GET" in known else known)
