"""The table of the hot paths, which are answered in front of the framework."""

from collections.abc import Mapping
from typing import Any

from clusterpass.service.asgi.messages import App
from clusterpass.service.bodies.requests import LoginRequest, RefreshRequest, StepUpRequest
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.hot.health import Health, alive
from clusterpass.service.hot.responder import Responder
from clusterpass.service.hot.tokens import Post, TokenCalls, no_body, parser
from clusterpass.service.hot.verify import Verify


def hot_routes(service: Service, logger: Any, framework: App) -> Mapping[str, App]:
    """Return the handlers by path. ``framework``: answers what a handler passes on."""
    responder, calls = Responder(logger, service.requests), TokenCalls(service)
    routes: dict[str, App] = {
        "/verify": Verify(service, responder, framework),
        "/refresh": Post(
            responder, framework, parser(RefreshRequest), calls.refresh, service.bodies
        ),
        "/logout": Post(responder, framework, no_body, calls.logout, service.bodies),
        "/healthz": Health(responder, framework, alive),
        "/readyz": Health(responder, framework, service.sessions.ping),
    }
    if service.settings.login_enabled:
        routes["/login"] = Post(
            responder, framework, parser(LoginRequest), calls.login, service.bodies
        )
        routes["/step-up"] = Post(
            responder, framework, parser(StepUpRequest), calls.step_up, service.bodies
        )
    return routes
