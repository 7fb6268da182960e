"""The FastAPI application: every route, the OpenAPI document, and the page.

The hot paths (:mod:`clusterpass.service.hot`) stand in front of it, and pass on what they do not
answer. Importing this module takes longer than all else that a worker needs to start.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route

import clusterpass
from clusterpass import (
    ClusterPassError,
)
from clusterpass.service.api import (
    admin_accounts,
    administration,
    audit,
    health_and_keys,
    sessions,
    tokens as token_routes,
    verify,
)
from clusterpass.service.api.openapi import openapi_document
from clusterpass.service.asgi.body_limits import BodyLimits
from clusterpass.service.asgi.head_as_get import HeadAsGet
from clusterpass.service.asgi.request_log import LOG_FIELDS, RequestLog, note_error
from clusterpass.service.asgi.security_headers import SecurityHeaders
from clusterpass.service.bodies.problem_responses import of_http_exception, of_validation
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.page.forms import FormPaths
from clusterpass.service.page.paths import Paths
from clusterpass.service.page.routes import mount_hand_over, mount_page
from clusterpass.service.page.template_environments import Pages
from clusterpass.web.problems import MEDIA_TYPE, Problem

_ROUTERS: Final = (
    token_routes.router,
    verify.router,
    sessions.router,
    health_and_keys.router,
    administration.router,
    admin_accounts.router,
    audit.router,
)
_METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")


def build_framework(service: Service, logger: Any) -> FastAPI:
    """Return the application of all routes, with its middleware.

    ``logger``: as from :func:`clusterpass.service.asgi.log_lines.make_logger`.
    """
    app = FastAPI(
        title="ClusterPass",
        description="Distributed JWT sessions: valid on every server, revoked on all of them at"
        " once.",
        version=clusterpass.__version__,
        docs_url=None,  # it loads scripts from another host
        redoc_url=None,
        openapi_url=None,  # served below, including error responses
        redirect_slashes=False,
        # Its own spans would tell paths and queries as they were sent, in which secrets may be.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.service = service
    for router in _ROUTERS:
        app.include_router(router)
    has_directory = service.settings.password_check is None
    if has_directory:
        app.include_router(admin_accounts.directory_router)
    if service.settings.login_enabled:
        app.include_router(token_routes.login_router)
        if has_directory:
            app.include_router(token_routes.directory_router)
        pages = Pages.as_far_as_possible(service.settings, logger)
        paths = Paths(service.settings.page_prefix)
        mount_page(app, paths, pages, has_directory=has_directory)
    if service.settings.authz_hand_over_hosts:
        mount_hand_over(app)
    _add_openapi(app)
    _add_error_handlers(app)
    # The last one added is the outermost.
    form_paths = FormPaths(service.settings.page_prefix)
    app.add_middleware(BodyLimits, form_paths=form_paths, reader=service.bodies)
    app.add_middleware(HeadAsGet)
    app.add_middleware(
        RequestLog, logger=logger, requests=service.requests, route_of=_route_finder(app)
    )
    app.add_middleware(SecurityHeaders)
    return app


def _route_finder(app: FastAPI) -> Callable[[str], str]:
    """Return a function that returns the pattern that a path matches: there are few of them."""
    routers = (app, *_ROUTERS, token_routes.login_router)
    routes = [
        (route.path_regex, route.path)
        for router in routers
        for route in router.routes
        if isinstance(route, Route)
    ]

    def find(path: str) -> str:
        return next((shown for regex, shown in routes if regex.match(path)), "(none)")

    return find


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
        return _response(note_error(request.scope.get(LOG_FIELDS, {}), error))

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        allowed = {}
        if error.status_code == 405:
            allowed["Allow"] = ", ".join(_methods_at(app.routes, request))
        return _response(of_http_exception(error), allowed)

    async def invalid_request(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _response(of_validation(error))

    app.add_exception_handler(ClusterPassError, library_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid_request)


def _response(problem: Problem, more: Mapping[str, str] | None = None) -> Response:
    headers = {**problem.headers, **(more or {})}
    return Response(problem.body(), problem.status, headers=headers, media_type=MEDIA_TYPE)


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
