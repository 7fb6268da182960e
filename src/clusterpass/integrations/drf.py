"""ClusterPass in Django REST framework, beside ``clusterpass.integrations.django``.

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["clusterpass.integrations.drf.SessionAuthentication"],
    "EXCEPTION_HANDLER": "clusterpass.integrations.drf.exception_handler",
}

@permission_classes([HasScope("orders:write")])
"""

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission

from clusterpass.integrations.django.request_state import state_of
from clusterpass.integrations.django.requests import refusal_of
from clusterpass.model.authentication_errors import TokenMissing
from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.model.values import Session
from clusterpass.web.caching import varying
from clusterpass.web.gate import Needs


class SessionAuthentication(BaseAuthentication):
    """``request.user`` is the user of the session, and ``request.auth`` the session.

    A bearer token needs no CSRF token; a cookie that changes something does. A request without a
    token is anonymous: permissions refuse it.
    """

    def authenticate(self, request: Any) -> tuple[Any, Session] | None:
        """Return the user and the session; None without a token.

        Raises what ``Gate.admit`` raises, and AuthenticationFailed without an active user.
        """
        state = state_of(request._request)
        _vary(request)
        try:
            session = state.admit(request=request)
        except TokenMissing:
            return None
        user = state.installed.user_of(session)
        if user is None:
            raise exceptions.AuthenticationFailed(_("The session has no active user."))
        return user, session

    def authenticate_header(self, request: Any) -> str:
        """Return the challenge for a request without a token."""
        return "Bearer"


def HasScope(  # noqa: N802 (it stands for a class)
    *scopes: str,
    level: str | None = None,
    max_auth_age: int | None = None,
    not_banned: str | None = None,
    strict: bool = False,
) -> type[BasePermission]:
    """Return a permission class for sessions that have all of ``scopes``; wildcards count.

    ``level``, ``max_auth_age``: as for ``SessionManager.verify``. ``not_banned``: a scope from
    which the subject must not be banned. ``strict``: ask the store each time. Combine permissions
    with ``&``, ``|`` and ``~`` as usual.
    """
    needs = Needs(
        scopes=scopes,
        level=level,
        max_auth_age=max_auth_age,
        not_banned=not_banned,
        strict=strict,
    )

    class _HasScope(BasePermission):
        def has_permission(self, request: Any, view: Any) -> bool:
            state = state_of(request._request)
            try:
                if not isinstance(request.auth, Session):
                    raise TokenMissing
                if needs.options:
                    state.admit(needs, request)
                else:
                    needs.check(request.auth)
            except StoreUnavailable:
                raise
            except ClusterPassError as error:
                state.refusal = error
                return False
            return True

    return _HasScope


def _vary(request: Any) -> None:
    """Have the response vary with the session already where a cache around the view sees it."""
    headers = getattr(request.parser_context.get("view"), "headers", None)
    if headers is not None:  # which the view gives its response
        headers["Vary"] = varying([headers.get("Vary", "")])


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """Answer an error of ours, and a refusal for want of a session or of a scope.

    The answer has problem details (RFC 9457) with a challenge (RFC 6750, RFC 9470). All other
    errors are left to the handler of Django REST framework.
    """
    # This module is imported while that one is, for it is named in the settings.
    from rest_framework.views import (  # noqa: PLC0415
        exception_handler as default,
        set_rollback,
    )

    request = context["request"]._request
    found: Exception | None = error
    if isinstance(error, exceptions.NotAuthenticated | exceptions.PermissionDenied):
        found = state_of(request).refusal
        if found is None and isinstance(error, exceptions.NotAuthenticated):
            found = TokenMissing()
    if isinstance(found, ClusterPassError):
        set_rollback()
        return refusal_of(request, found)
    return default(error, context)


__all__ = ["HasScope", "SessionAuthentication", "exception_handler"]
