"""Responses to login, refresh, logout and the list of devices, for a browser and for an app.

- A browser gets cookies, and never sees a token in a body; an app gets a body (RFC 6749 section
  5.1). A client that sends Sec-Fetch-Site or ``X-Client: web`` counts as a browser.
- A form is answered by a redirect, to a path of this site only.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_plus, urlencode

from clusterpass.model.authentication_errors import (
    AuthenticationError,
    InvalidRefreshToken,
    StepUpRequired,
    TokenMissing,
)
from clusterpass.model.errors import ClusterPassError, InvalidInput
from clusterpass.model.values import Ended, Session, TokenPair
from clusterpass.web.credentials import QUERY_NAME, Credentials
from clusterpass.web.flow import Ask, WebFlow
from clusterpass.web.gate import Gate, Needs, Visit
from clusterpass.web.messages import NO_STORE, WebAnswer, WebRequest, redirect
from clusterpass.web.problems import MEDIA_TYPE, of_error

logger: Final = logging.getLogger("clusterpass.web")
_FRESH: Final = Needs(strict=True)
_CLIENT: Final = "x-client"
_FORM_TYPES: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


def is_browser(request: WebRequest) -> bool:
    """Return whether cookies are the right place for the tokens of who sends ``request``."""
    return bool(request.header("sec-fetch-site")) or "web" in request.header(_CLIENT)


def is_navigation(request: WebRequest) -> bool:
    """Return whether a browser asks for a page, and can be led to another one."""
    modes = request.header("sec-fetch-mode")
    if modes:
        return list(modes) == ["navigate"]
    return any("text/html" in value for value in request.header("accept"))


def is_form(request: WebRequest) -> bool:
    """Return whether ``request`` submits a form of a page."""
    types = request.header("content-type")
    return bool(types) and types[0].partition(";")[0].strip().lower() in _FORM_TYPES


def safe_target(target: str | None, default: str = "/") -> str:
    """Return ``target`` if it is a path of this site, and ``default`` otherwise.

    Browsers take a backslash for a slash, and drop tabs and line breaks.
    """
    if (
        not target
        or not target.startswith("/")
        or target[1:2] in {"/", "\\"}
        or not target.isprintable()
    ):
        return default
    return target


def require_own_login(
    gate: Gate,
    visit: Visit,
    *,
    to_browser: bool | None = None,
    allow_cross_site: bool = False,
) -> None:
    """Return if the answer to ``visit`` may log a browser in, before a session is opened.

    Raises RequestRefused when it would set cookies, and another site made the browser send the
    request, which is none of :data:`~clusterpass.web.messages.SAFE_METHODS`. ``to_browser``:
    overrides :func:`is_browser`. ``allow_cross_site``: for a single sign-on that ends with a form
    of another site (``response_mode=form_post``, SAML), whose ``state`` the application has
    checked.
    """
    if not allow_cross_site and gives_cookies(visit.request, to_browser):
        gate.require_own_login(visit)


def gives_cookies(request: WebRequest, to_browser: bool | None) -> bool:
    """Return whether tokens go to who sends ``request`` in cookies; ``to_browser`` overrides."""
    return is_form(request) or is_browser(request) if to_browser is None else to_browser


def pair_answer(
    gate: Gate,
    visit: Visit,
    pair: TokenPair,
    *,
    target: str | None = None,
    to_browser: bool | None = None,
    allow_cross_site: bool = False,
) -> WebAnswer:
    """Return the answer that delivers ``pair``, after a login, a refresh or a step-up.

    ``target``: where a form leads, a path of this site. ``to_browser``: overrides
    :func:`is_browser`. ``allow_cross_site``: as for :func:`require_own_login`, which this raises.
    """
    by_form = is_form(visit.request)
    to_browser = gives_cookies(visit.request, to_browser)
    require_own_login(gate, visit, to_browser=to_browser, allow_cross_site=allow_cross_site)
    if not to_browser:
        return WebAnswer(members=pair_members(pair), headers=(NO_STORE,))
    gate.keep(visit, pair)
    if by_form or target is not None:
        return redirect(safe_target(target))
    members: dict[str, Any] = {
        "subject": pair.subject,
        "session_id": pair.session_id,
        "expires_in": pair.expires_in,
        "durable": pair.durable,
    }
    if gate.csrf is not None:
        members["csrf_token"] = gate.csrf.make(pair.session_id)
    return WebAnswer(members=members, headers=(NO_STORE,))


def pair_members(pair: TokenPair) -> dict[str, Any]:
    """Return the members of a token response (RFC 6749 section 5.1)."""
    return {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "token_type": pair.token_type,
        "expires_in": pair.expires_in,
        "session_id": pair.session_id,
        "durable": pair.durable,
        "acr": pair.acr,
    }


def refresh(gate: Gate, visit: Visit, refresh_token: object = None) -> WebFlow[WebAnswer]:
    """Exchange the refresh token in a body, or in a cookie.

    Raises InvalidRefreshToken, RequestRefused for a forged request, and TokenMissing without a
    token.
    """
    address = gate.address(visit.request)
    if refresh_token is not None:
        if not isinstance(refresh_token, str):
            raise InvalidInput("refresh_token must be a string")
        pair: TokenPair = yield Ask("refresh", refresh_token, address=address)
        return pair_answer(gate, visit, pair, to_browser=False)
    found = visit.look(gate.settings)
    if found.refresh_token is None:
        raise TokenMissing
    try:
        gate.require_no_forgery_by(visit, found)
        if visit.renewed is not None:  # the request was admitted by it before it came here
            return pair_answer(gate, visit, visit.renewed, to_browser=True)
        pair = yield Ask("refresh", found.refresh_token, address=address)
    except InvalidRefreshToken:
        gate.forget(visit)
        raise
    # The request was judged above; and it renews a login, so that nobody changes accounts.
    return pair_answer(gate, visit, pair, to_browser=True, allow_cross_site=True)


def logout(gate: Gate, visit: Visit, *, form_token: str = "") -> WebFlow[WebAnswer]:
    """End the session of the request. A session that has ended already is no error.

    Raises RequestRefused for a forged request, TokenMissing without a token, and RevocationPending.
    """
    found = visit.look(gate.settings)
    if found.place != "cookie":
        if found.access_token is None:
            raise TokenMissing
        yield Ask("logout", found.access_token, address=gate.address(visit.request))
        return _done(gate, visit)
    tokens: Sequence[str] = ()
    with suppress(AuthenticationError):  # the browser forgets tokens that are of no use
        tokens = yield from _tokens_to_end(gate, visit, found, form_token)
    for token in tokens:
        with suppress(AuthenticationError):
            yield Ask("logout", token, address=gate.address(visit.request))
    gate.forget(visit)
    return _done(gate, visit)


def _tokens_to_end(
    gate: Gate, visit: Visit, found: Credentials, form_token: str
) -> WebFlow[Sequence[str]]:
    """Return the tokens by which the session of a browser can be ended.

    Raises AuthenticationError when it has none, and RequestRefused for a forged request.
    """
    if visit.renewed is not None:
        gate.require_no_forgery_by(visit, found, form_token)
        return [visit.renewed.refresh_token]
    if found.is_old:  # nothing tells that its tokens belong together
        gate.require_no_forgery_by(visit, found, form_token)
        return [token for token in (found.refresh_token, found.access_token) if token]
    if found.refresh_token is not None:
        gate.require_no_forgery_by(visit, found, form_token)
        return [found.refresh_token]
    assert found.access_token is not None
    session: Session = yield Ask("verify", found.access_token)
    gate.require_no_forgery(visit, session.session_id, form_token)
    return [found.access_token]


def logout_everywhere(gate: Gate, visit: Visit, *, form_token: str = "") -> WebFlow[WebAnswer]:
    """End every session of the caller."""
    session = yield from gate.admit(visit, _FRESH, form_token=form_token)
    ended: Ended = yield Ask("revoke_all", session.subject)
    if visit.is_by_cookie:
        gate.forget(visit)
    if is_form(visit.request):
        return _done(gate, visit)
    return WebAnswer(members={"ended": ended.count}, headers=(NO_STORE,))


def devices(gate: Gate, visit: Visit) -> WebFlow[WebAnswer]:
    """List the caller's sessions, newest first."""
    session = yield from gate.admit(visit)
    listed: list[Session] = yield Ask("sessions", session.subject)
    return WebAnswer(
        members=[device_members(each, session.session_id) for each in listed],
        headers=(NO_STORE,),
    )


def end_device(
    gate: Gate, visit: Visit, session_id: str, *, form_token: str = ""
) -> WebFlow[WebAnswer]:
    """End one session of the caller. Raises SessionNotFound when the caller has none of that id."""
    session = yield from gate.admit(visit, _FRESH, form_token=form_token)
    ended: Ended = yield Ask("revoke", session.subject, session_id)
    if session_id == session.session_id and visit.is_by_cookie:
        gate.forget(visit)
    return WebAnswer(members={"ended": ended.count}, headers=(NO_STORE,))


def device_members(session: Session, current: str) -> dict[str, Any]:
    """Return what a list of devices shows; ``current``: the id of the caller's own session."""
    return {
        "id": session.session_id,
        "device": session.device,
        "device_type": session.device_type,
        "created_at": session.created_at,
        "active_at": session.active_at,
        "expires_at": session.expires_at,
        "current": session.session_id == current,
        "impersonated_by": None if session.act is None else session.act.subject,
    }


def error_answer(gate: Gate, request: WebRequest, error: ClusterPassError) -> WebAnswer:
    """Return the answer to a request that was refused.

    A browser that asks for a page is led to the login, or to where it authenticates again, if the
    settings name such pages. Everyone else gets problem details (RFC 9457) with a challenge
    (RFC 6750, RFC 9470). What the client is not told, as it is a fault of ours, is logged as an
    error of ``clusterpass.web``.
    """
    settings = gate.settings
    if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("a request was answered with 500: %s: %s", error.code, error.message)
    if request.method in {"GET", "HEAD"} and is_navigation(request):
        url = None
        if isinstance(error, StepUpRequired):
            url = settings.step_up_url
        elif error.status == HTTPStatus.UNAUTHORIZED:
            url = settings.login_url
        if url is not None:
            return redirect(_with_next(url, request.target))
    problem = of_error(error)
    return WebAnswer(
        status=problem.status,
        media_type=MEDIA_TYPE,
        text=problem.body(),
        headers=(*problem.headers.items(), NO_STORE),
    )


def _with_next(url: str, target: str) -> str:
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}{urlencode({'next': safe_target(_without_token(target))})}"


def _without_token(target: str) -> str:
    """Return ``target`` without an access token in its query, which would be kept in histories."""
    path, _, query = target.partition("?")
    kept = [each for each in query.split("&") if unquote_plus(each.partition("=")[0]) != QUERY_NAME]
    return f"{path}?{'&'.join(kept)}" if any(kept) else path


def _done(gate: Gate, visit: Visit) -> WebAnswer:
    """Return the answer after the last session of a browser, or of an app, has ended."""
    if visit.is_by_cookie and is_form(visit.request):
        return redirect(gate.settings.login_url or "/")
    return WebAnswer(status=204, headers=(NO_STORE,))
