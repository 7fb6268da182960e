"""Logins and step-ups of users whom the application has authenticated, and a request's actor."""

from contextlib import AbstractContextManager
from typing import Any, cast

from django.http import HttpRequest, HttpResponse

from clusterpass.integrations.django.request_state import RequestState, state_of
from clusterpass.integrations.django.requests import response_of
from clusterpass.integrations.login_options import login_options
from clusterpass.model.values import TokenPair
from clusterpass.sessions.options import LoginOptions
from clusterpass.web import endpoints
from clusterpass.web.acting import acting_in
from clusterpass.web.flow import run


def log_in(request: HttpRequest, user: Any, **options: Any) -> HttpResponse:
    """Open a session of ``user``, whom the application has authenticated; return the response.

    ``options``: as for ``SessionManager.login``; the claims come from the setting ``CLAIMS``, and
    device, type of device and address from the request, unless given. ``target`` (a path of this
    site) leads a form there. The response has the tokens in cookies for a browser, and in its body
    for an app. Django's own session is not used. ``allow_cross_site``: see
    :func:`clusterpass.web.endpoints.require_own_login`. Raises RequestRefused for a login that
    another site has made a browser send, unless Django's CSRF token says that it has not, and what
    ``SessionManager.login`` raises.
    """
    target = options.pop("target", None)
    allow_cross_site = options.pop("allow_cross_site", False)
    state = state_of(request)
    state.prepare_check()
    endpoints.require_own_login(
        state.installed.gate, state.visit, allow_cross_site=allow_cross_site
    )
    pair = open_session(state, user, options)
    return respond(request, pair, target=target, allow_cross_site=allow_cross_site)


def respond(
    request: HttpRequest,
    pair: TokenPair,
    *,
    target: str | None = None,
    allow_cross_site: bool = False,
) -> HttpResponse:
    """Return the response that delivers ``pair``, after a login or a step-up.

    ``target``, ``allow_cross_site``: as for :func:`log_in`. Raises RequestRefused.
    """
    state = state_of(request)
    state.prepare_check()
    answer = endpoints.pair_answer(
        state.installed.gate, state.visit, pair, target=target, allow_cross_site=allow_cross_site
    )
    return response_of(answer)


def acting(request: HttpRequest) -> AbstractContextManager[None]:
    """Return a block in which the sender of ``request`` acts, for the audit trail and the history.

    The actor is the subject of the session, or whoever impersonates it.
    """
    state = state_of(request)
    return acting_in(state.installed.gate, state.visit)


def open_session(state: RequestState, user: Any, options: dict[str, Any]) -> TokenPair:
    """Open a session of ``user`` with the claims and the device of the request.

    An attempt that the login throttle has counted is given back.
    """
    here = state.installed
    wanted = login_options(here.gate, state.visit.request, options)
    wanted.setdefault("claims", here.claims_of(user))
    pair = here.sessions.login(here.subject_of(user), **cast("LoginOptions", wanted))
    if state.visit.attempt is not None:
        run(here.throttle(), here.attempts.succeed(state.visit))
    return pair
