"""The middleware: lazy authentication of requests, cookies, and error responses."""

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.functional import SimpleLazyObject

from clusterpass.integrations.django.request_state import RequestState, attach, current
from clusterpass.integrations.django.requests import add_headers, refusal_of
from clusterpass.model.errors import ClusterPassError
from clusterpass.model.refusals import open_refusal
from clusterpass.web.caching import VARY, protect

GetResponse = Callable[[HttpRequest], Any]


class ClusterPassMiddleware:
    """Comes after Django's own middleware.

    - ``request.clusterpass_session`` is the session; false when nobody is logged in.
    - ``request.user`` is the user of that session. A user of ``django.contrib.auth`` whose session
      has ended is logged out.
    - A bearer token needs no CSRF token, and no cookie counts beside it.
    - A ClusterPassError of a view gets problem details, or leads a browser to the login.
    - Where it cannot be found who sends a request, the answer is 503, whoever asked.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer ``request``."""
        if self._is_async:
            return self._answer(request)
        state = _begin(request)
        before = current.set(state)
        try:
            with open_refusal():
                return _finish(state, self.get_response(request))
        finally:
            current.reset(before)

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        state = _begin(request)
        before = current.set(state)
        try:
            with open_refusal():
                return _finish(state, await self.get_response(request))
        finally:
            current.reset(before)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer an error of ours that a view raised."""
        return refusal_of(request, error) if isinstance(error, ClusterPassError) else None


def _begin(request: Any) -> RequestState:
    state = attach(request)
    if apps.is_installed("django.contrib.auth"):
        request.user = SimpleLazyObject(state.user)
        request.auser = sync_to_async(partial(_user, request))
    if state.is_by_header():
        request._dont_enforce_csrf_checks = True
    return state


def _user(request: Any) -> Any:
    """Return the user, found by now."""
    request.user.is_authenticated  # noqa: B018 (it is looked up)
    return request.user


def _finish(state: RequestState, response: HttpResponseBase) -> HttpResponseBase:
    if state.outage is not None and response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        # Other middleware asked for the user; Django shows process_exception errors of views alone.
        response = refusal_of(state.request, state.outage)
    visit, changed = state.visit, cast("Any", response)
    protect(visit, changed, [changed.get("Vary", "")])
    if visit.headers:
        patch_cache_control(changed, private=True)  # Django's own cache knows no other word for it
    add_headers(changed, visit.headers)
    if state.was_asked:
        patch_vary_headers(changed, VARY)
    return response
