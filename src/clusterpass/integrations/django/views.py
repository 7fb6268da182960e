"""The routes every application needs: refresh, logout and devices.

These views check for themselves who asks, so Django's LoginRequiredMiddleware and CSRF middleware
leave them alone.
"""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clusterpass.integrations.django.request_state import RequestState, state_of
from clusterpass.integrations.django.requests import response_of
from clusterpass.web import endpoints
from clusterpass.web.flow import WebFlow, run
from clusterpass.web.json_bodies import is_json, json_member
from clusterpass.web.messages import WebAnswer


@login_not_required
@csrf_exempt
@require_POST
def refresh(request: HttpRequest) -> HttpResponse:
    """Exchange a refresh token, in a cookie or in a JSON body."""
    state = state_of(request)
    state.prepare_check()
    token = None
    if is_json(state.visit.request):
        token = json_member(request.body, "refresh_token")
    return _answer(state, endpoints.refresh(state.installed.gate, state.visit, token))


@login_not_required
@csrf_exempt
@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """End the session of the request, and Django's own."""
    state = state_of(request)
    token = state.prepare_check()
    answer = endpoints.logout(state.installed.gate, state.visit, form_token=token)
    return _leave(state, _answer(state, answer))


@login_not_required
@csrf_exempt
@require_POST
def logout_all(request: HttpRequest) -> HttpResponse:
    """End all sessions of the caller."""
    state = state_of(request)
    token = state.prepare_check()
    answer = endpoints.logout_everywhere(state.installed.gate, state.visit, form_token=token)
    return _leave(state, _answer(state, answer))


@login_not_required
@require_safe
def devices(request: HttpRequest) -> HttpResponse:
    """List the caller's sessions, newest first."""
    state = state_of(request)
    return _answer(state, endpoints.devices(state.installed.gate, state.visit))


@login_not_required
@csrf_exempt
@require_http_methods(["DELETE"])
def end_device(request: HttpRequest, session_id: str) -> HttpResponse:
    """End one session of the caller."""
    state = state_of(request)
    token = state.prepare_check()
    return _answer(
        state,
        endpoints.end_device(state.installed.gate, state.visit, session_id, form_token=token),
    )


def _answer(state: RequestState, flow: WebFlow[WebAnswer]) -> HttpResponse:
    state.was_asked = True
    return response_of(run(state.installed.sessions, flow))


def _leave(state: RequestState, response: HttpResponse) -> HttpResponse:
    """End Django's session too, if it lives with the session that has ended."""
    if state.visit.is_by_cookie and state.tie() is not None:
        state.log_out_of_django()
    return response
