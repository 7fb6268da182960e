"""What every step of the page shares: how it is answered, who may act, and what a failure says.

- A form is looked at in this order: its origin, the session, the right to do it, its token. Only
  then anything is done.
- A fault of the store is 503 and leaves the cookies alone: nobody is logged out by it.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clusterpass import (
    ClusterPassError,
    InvalidToken,
    RevocationPending,
    StoreUnavailable,
)
from clusterpass.service.asgi.request_log import describe_fault
from clusterpass.service.bodies import problems
from clusterpass.service.page.forms import read_form, require_form_token, require_same_origin
from clusterpass.service.page.views import render
from clusterpass.service.page.visit import Stranger, Visit, Visitor

HOME: Final = "/"
LOGIN: Final = "/page/login"

Fields = dict[str, str]
Step = Callable[[Visit], Awaitable[Response]]
View = Callable[[Visit, Visitor], Awaitable[Response]]
Act = Callable[[Visit, Visitor, Fields], Awaitable[Response]]


def answering(step: Step) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that takes ``step``."""

    async def answer(request: Request) -> Response:
        visit = Visit.of(request)
        try:
            response = await step(visit)
        except InvalidToken as error:
            # The session ended while the step was taken: the page says why.
            response = back() if request.method == "POST" else _failure(visit, error)
        except ClusterPassError as error:
            response = _failure(visit, error)
        visit.settle(response)
        return response

    return answer


def acting(act: Act, *, for_administrators: bool = False) -> Step:
    """``act``, for a form that comes from a page made for the visitor's session."""

    async def step(visit: Visit) -> Response:
        check_origin(visit)
        fields = await read_form(visit.request)
        visitor = await visit.recognise()
        if isinstance(visitor, Stranger):
            # The page says why, and clears the cookies when they are of no more use.
            return back()
        if for_administrators and not visit.administers(visitor.session):
            return not_found()
        require_form_token(visit.service.sessions.config, visitor.session.session_id, fields)
        return await act(visit, visitor, fields)

    return step


def viewing(view: View) -> Step:
    """``view``, for administrators; whoever else is logged in finds nothing there."""

    async def step(visit: Visit) -> Response:
        visitor = await visit.recognise()
        if isinstance(visitor, Stranger):
            return back()
        if not visit.administers(visitor.session):
            return not_found()
        return await view(visit, visitor)

    return step


def check_origin(visit: Visit) -> None:
    """Return when the request comes from this very page; raises RequestRefused."""
    require_same_origin(visit.request.headers, secure=visit.service.settings.cookie_secure)


def back(visit: Visit | None = None, code: str | None = None, *, to: str = HOME) -> Response:
    """Send the browser to another page of ours, which shows the notice ``code``."""
    response = RedirectResponse(to, 303)
    if visit is not None and code is not None:
        visit.cookies.leave_notice(response, code)
    return response


def not_found() -> Response:
    """Nothing is here, or not for you."""
    return render("message.html", 404, title="There is nothing here", text="Look on the page.")


def _failure(visit: Visit, error: ClusterPassError) -> Response:
    problem = problems.of_error(error)
    visit.note(error=error.code, **({"reason": error.reason} if error.reason else {}))
    if problem.status == 500:
        visit.note(**describe_fault(error))
    title, text = _explain(visit, error, problem)
    return render("message.html", problem.status, problem.headers, title=title, text=text)


def _explain(visit: Visit, error: ClusterPassError, problem: problems.Problem) -> tuple[str, str]:
    if isinstance(error, RevocationPending):
        text = (
            "What you ended is over here already. Until a second server has noted it, we keep"
            " trying; you need not do it again."
        )
        return "Nearly done", text
    if isinstance(error, StoreUnavailable):
        if visit.request.url.path == LOGIN:
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
