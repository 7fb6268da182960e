"""The security scheme and the required scopes in the OpenAPI schema of a Litestar application."""

from typing import Final

from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Components, SecurityScheme

from clusterpass.integrations.litestar_requests import Guard, provide_session

SESSION: Final = "session"
"""The name of the dependency that is the live session of a request."""
_SCHEME: Final = "ClusterPass"


def security_scheme() -> Components:
    """Return the security scheme of bearer tokens."""
    scheme = SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
    return Components(security_schemes={_SCHEME: scheme})


def describe(handler: HTTPRouteHandler) -> None:
    """Describe which scopes ``handler`` needs, if it needs a session."""
    described = handler.security or []
    if any(_SCHEME in each for each in described):  # a handler of several paths
        return
    guards = [guard for guard in handler.resolve_guards() if isinstance(guard, Guard)]
    provider = handler.resolve_dependencies().get(SESSION)
    takes_ours = (
        provider is not None
        and provider.dependency is provide_session
        and SESSION in handler.parsed_fn_signature.parameters
    )
    if guards or takes_ours:
        scopes = [scope for guard in guards for scope in guard.needs.scopes]
        handler.security = [*described, {_SCHEME: scopes}]
