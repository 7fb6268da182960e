"""The page for people: log in, see where you are logged in, log out there or here.

- GET shows, POST does; after a POST the browser is sent back to ``/`` and told what happened.
- It works without scripts. The tokens are in cookies that no script can read, never in the HTML.
- A fault of the store is 503 and leaves the cookies alone: nobody is logged out by it.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clusterpass.errors import (
    ClusterPassError,
    InvalidCredentials,
    InvalidInput,
    SessionNotFound,
    StoreUnavailable,
    TooManyAttempts,
)
from clusterpass.service import problems
from clusterpass.service.client_address import client_address
from clusterpass.service.logs import describe_fault
from clusterpass.service.page_device import device_name
from clusterpass.service.page_forms import (
    make_form_token,
    read_form,
    require_form_token,
    require_same_origin,
)
from clusterpass.service.page_views import (
    STYLE,
    STYLE_PATH,
    STYLE_VERSION,
    duration,
    notice,
    render,
)
from clusterpass.service.page_visit import Stranger, Visit, Visitor

_HOME: Final = "/"
_HOME_AGAIN: Final = "/?again=1"
_LOGIN: Final = "/page/login"
_FOREVER: Final = "public, max-age=31536000, immutable"

Step = Callable[[Visit], Awaitable[Response]]
Act = Callable[[Visit, Visitor], Awaitable[Response]]


def mount_page(app: FastAPI) -> None:
    """Add the page at ``/``, what its forms are sent to, and its style sheet."""
    steps: list[tuple[str, str, Step]] = [
        ("GET", _HOME, _show),
        ("GET", STYLE_PATH, _style),
        ("POST", _LOGIN, _log_in),
        ("POST", "/page/logout", _acting(_log_out)),
        ("POST", "/page/sessions/revoke-others", _acting(_end_others)),
        ("POST", "/page/sessions/{session_id}/revoke", _acting(_end_one)),
        # The address of a form, when it is opened or reloaded.
        ("GET", "/page/{rest:path}", _go_home),
    ]
    for method, path, step in steps:
        app.add_route(path, _answering(step), methods=[method], include_in_schema=False)


def _answering(step: Step) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        visit = Visit.of(request)
        try:
            response = await step(visit)
        except ClusterPassError as error:
            response = _failure(visit, error)
        if visit.renewed is not None:
            visit.cookies.keep(response, visit.renewed)
        return response

    return answer


def _acting(act: Act) -> Step:
    """``act``, for a form that comes from a page made for the visitor's session."""

    async def step(visit: Visit) -> Response:
        _require_same_origin(visit)
        fields = await read_form(visit.request)
        visitor = await visit.recognise()
        if isinstance(visitor, Stranger):
            # The page says why, and clears the cookies when they are of no more use.
            return _back(visit, "unchanged" if visitor.is_overtaken else None)
        require_form_token(visit.service.sessions.config, visitor.session.session_id, fields)
        return await act(visit, visitor)

    return step


async def _show(visit: Visit) -> Response:
    visitor = await visit.recognise()
    is_second_try = "again" in visit.request.query_params
    if isinstance(visitor, Stranger):
        if visitor.is_overtaken and not is_second_try:
            return RedirectResponse(_HOME_AGAIN, 303)
        return _show_login(visit, visitor)
    if is_second_try:
        return RedirectResponse(_HOME, 303)
    session = visitor.session
    found = await visit.service.sessions.sessions(session.subject)
    response = render(
        "sessions.html",
        session=session,
        others=[each for each in found if each.session_id != session.session_id],
        form_token=make_form_token(visit.service.sessions.config, session.session_id),
        notice=notice(visit.cookies.notice(visit.request)),
    )
    visit.cookies.drop_notice(response)
    return response


def _show_login(visit: Visit, stranger: Stranger) -> Response:
    code = visit.cookies.notice(visit.request) or stranger.notice
    response = render("login.html", notice=notice(code), error=None, username="")
    if stranger.notice is not None and not stranger.is_overtaken:
        visit.renewed = None
        visit.cookies.clear(response)
    visit.cookies.drop_notice(response)
    return response


async def _log_in(visit: Visit) -> Response:
    _require_same_origin(visit)
    fields = await read_form(visit.request)
    username, password = fields.get("username", ""), fields.get("password", "")
    if not username or not password:
        return _refuse_login(400, "Enter your user name and your password.", username)
    request = visit.request
    address = client_address(
        request.client.host if request.client else None,
        request.headers.getlist("x-forwarded-for"),
        visit.service.settings.trusted_proxies,
    )
    device = device_name(request.headers.get("user-agent", ""))
    try:
        pair = await visit.service.doorkeeper.login(
            username, password, device=device, address=address
        )
    except (InvalidCredentials, InvalidInput):
        # What cannot be a user's name is answered as one that is not known.
        headers = {"WWW-Authenticate": "Bearer"}
        return _refuse_login(401, "The user name or the password is wrong.", username, headers)
    except TooManyAttempts as error:
        sentence = f"Too many attempts. Try again in {duration(error.retry_after)}."
        return _refuse_login(429, sentence, username, {"Retry-After": str(error.retry_after)})
    visit.note(subject=pair.subject)
    await visit.end_session_of_browser()
    visit.renewed = pair
    response = RedirectResponse(_HOME, 303)
    visit.cookies.drop_notice(response)
    return response


def _refuse_login(
    status: int, sentence: str, username: str, headers: dict[str, str] | None = None
) -> Response:
    return render("login.html", status, headers, notice=None, error=sentence, username=username)


async def _log_out(visit: Visit, visitor: Visitor) -> Response:
    await visit.service.sessions.logout(visitor.access_token)
    response = _back(visit, "out")
    visit.renewed = None
    visit.cookies.clear(response)
    return response


async def _end_others(visit: Visit, visitor: Visitor) -> Response:
    session = visitor.session
    ended = await visit.service.sessions.revoke_all(session.subject, keep=session.session_id)
    return _back(visit, f"others-{ended.count}" if ended.count else "none")


async def _end_one(visit: Visit, visitor: Visitor) -> Response:
    session_id = visit.request.path_params["session_id"]
    try:
        ended = await visit.service.sessions.revoke(visitor.session.subject, session_id)
    except SessionNotFound:
        return _back(visit, "gone")
    return _back(visit, "ended" if ended.count else "gone")


async def _go_home(_: Visit) -> Response:
    return RedirectResponse(_HOME, 303)


async def _style(visit: Visit) -> Response:
    is_current = visit.request.query_params.get("v") == STYLE_VERSION
    headers = {"Cache-Control": _FOREVER if is_current else "no-cache"}
    return Response(STYLE, headers=headers, media_type="text/css")


def _back(visit: Visit, code: str | None) -> Response:
    response = RedirectResponse(_HOME, 303)
    if code is not None:
        visit.cookies.leave_notice(response, code)
    return response


def _require_same_origin(visit: Visit) -> None:
    require_same_origin(visit.request.headers, secure=visit.service.settings.cookie_secure)


def _failure(visit: Visit, error: ClusterPassError) -> Response:
    problem = problems.of_error(error)
    visit.note(error=error.code, **({"reason": error.reason} if error.reason else {}))
    if problem.status == 500:
        visit.note(**describe_fault(error))
    title, text = _explain(visit, error, problem)
    return render("message.html", problem.status, problem.headers, title=title, text=text)


def _explain(visit: Visit, error: ClusterPassError, problem: problems.Problem) -> tuple[str, str]:
    if isinstance(error, StoreUnavailable):
        if visit.request.url.path == _LOGIN:
            text = "You could not be logged in just now. Try again in a moment."
        elif visit.request.method == "POST":
            text = (
                "You are still logged in here. Go back and see whether your click was carried out."
            )
        else:
            text = "You are still logged in; nobody was logged out. Try again in a moment."
        return "The session store cannot be reached", text
    if problem.status >= 500:
        return "Something went wrong", "That is not your fault. Try again in a moment."
    return "The request was refused", problem.detail
