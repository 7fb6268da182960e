"""The decorator of views that need a session."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from clusterpass.integrations.django.request_state import state_of
from clusterpass.web.caching import VARY
from clusterpass.web.gate import Needs
from clusterpass.web.needs import scope_names

View = TypeVar("View", bound=Callable[..., Any])


def session_required(
    *,
    scope: str | Iterable[str] = (),
    level: str | None = None,
    max_auth_age: int | None = None,
    not_banned: str | None = None,
    strict: bool = False,
) -> Callable[[View], View]:
    """Return a decorator for views that need a live session: ``request.clusterpass_session``.

    ``scope``: one scope or several, which the session must all have; wildcards count. ``level``,
    ``max_auth_age``: as for ``SessionManager.verify``. ``not_banned``: a scope from which the
    subject must not be banned. ``strict``: ask the store each time. A request that is refused gets
    problem details with a challenge; a browser that asks for a page is led to ``LOGIN_URL``. A view
    may be a coroutine function; ``method_decorator(..., name="dispatch")`` decorates a class.

    The view is exempt from the check of Django's CSRF middleware, and checked here: a cookie that
    changes something needs the CSRF token of its session, or Django's own.
    """
    needs = Needs(
        scopes=scope_names(scope),
        level=level,
        max_auth_age=max_auth_age,
        not_banned=not_banned,
        strict=strict,
    )

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def wrapped(request: Any, *args: Any, **kwargs: Any) -> Any:
            state_of(request).admit(needs)
            return _varied(view(request, *args, **kwargs))

        @functools.wraps(view)
        async def wrapped_coroutine(request: Any, *args: Any, **kwargs: Any) -> Any:
            await sync_to_async(state_of(request).admit)(needs)
            return _varied(await view(request, *args, **kwargs))

        found: Any = wrapped_coroutine if iscoroutinefunction(view) else wrapped
        found.csrf_exempt = True
        found.login_required = False  # LoginRequiredMiddleware: it is checked here
        return cast("View", found)

    return decorate


def _varied(response: Any) -> Any:
    """Return ``response`` as a response to this user alone, for a cache around the view."""
    if isinstance(response, HttpResponseBase):
        patch_vary_headers(cast("Any", response), VARY)
    return response
