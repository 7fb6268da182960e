"""Wraps the routes of the page: checks of forms, access of administrators, and error pages.

- A form is checked in this order: its origin, the session, the permission, its form token. Nothing
  is changed before all four checks have passed.
- A store outage is answered with 503 and leaves the cookies alone, so it logs nobody out.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clusterpass import (
    AdministratorRequired,
    ClusterPassError,
    InvalidToken,
    MailFailed,
    RevocationPending,
    StoreUnavailable,
    acting,
)
from clusterpass.service.asgi.request_log import describe_exception
from clusterpass.service.calls.requests import actor_of
from clusterpass.service.page.forms import read_form
from clusterpass.service.page.html_responses import render
from clusterpass.service.page.paths import HOME, LINK, LOGIN
from clusterpass.service.page.refusals import refusal
from clusterpass.service.page.visit import Anonymous, Visit, Visitor
from clusterpass.service.settings.service import TOKEN_FIELD
from clusterpass.web.problems import Problem, of_error

Fields = dict[str, str]
Handler = Callable[[Visit], Awaitable[Response]]
View = Callable[[Visit, Visitor], Awaitable[Response]]
Action = Callable[[Visit, Visitor, Fields], Awaitable[Response]]


def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return the Starlette endpoint that calls ``handler`` and renders its errors."""

    async def respond(request: Request) -> Response:
        visit = Visit.of(request)
        try:
            with acting(via="page", address=visit.address):
                response = await handler(visit)
        except InvalidToken as error:
            # The session ended during the request; the home page explains why.
            response = redirect(visit) if request.method == "POST" else _error_page(visit, error)
        except ClusterPassError as error:
            response = _error_page(visit, error)
        visit.set_cookies(response)
        return response

    return respond


def form_handler(action: Action, *, for_administrators: bool = False) -> Handler:
    """Return the handler that runs ``action`` for a form made for the visitor's session.

    ``for_administrators``: everyone else gets 404.
    """

    async def handle(visit: Visit) -> Response:
        visit.require_own_origin()
        fields = await read_form(visit.request)
        visitor = await visit.authenticate()
        if isinstance(visitor, Anonymous):
            # The home page explains why, and deletes cookies that are no longer valid.
            return redirect(visit)
        with acting(actor_of(visitor.session)):
            if for_administrators and not visit.is_administrator(visitor.session):
                await _note_refusal(visit, visitor)
                return not_found(visit)
            visit.csrf.require(visitor.session.session_id, fields.get(TOKEN_FIELD, ""))
            return await action(visit, visitor, fields)

    return handle


def administrator_view(view: View) -> Handler:
    """Return the handler that shows ``view`` to administrators; other users get 404."""

    async def handle(visit: Visit) -> Response:
        visitor = await visit.authenticate()
        if isinstance(visitor, Anonymous):
            return redirect(visit)
        if not visit.is_administrator(visitor.session):
            await _note_refusal(visit, visitor)
            return not_found(visit)
        return await view(visit, visitor)

    return handle


async def _note_refusal(visit: Visit, visitor: Visitor) -> None:
    with acting(actor_of(visitor.session)):
        path = visit.request.url.path
        await visit.service.note_refusal("administration", AdministratorRequired(), path=path)


def redirect(visit: Visit, code: str | None = None, *, to: str | None = None) -> Response:
    """Redirect the browser to another page (303), which shows the notice that ``code`` names.

    ``to``: its path, with the prefix; by default, that of the home page.
    """
    if code is not None:
        visit.leave_notice(code)
    return RedirectResponse(visit.paths.at(HOME) if to is None else to, 303)


def not_found(visit: Visit) -> Response:
    """Return the 404 page, which does not tell whether the address exists for administrators."""
    say = visit.language.gettext
    text = say("This page does not exist, or you do not have access to it.")
    return render(visit, "message.html", 404, title=say("Page not found"), text=text)


def _error_page(visit: Visit, error: ClusterPassError) -> Response:
    problem = of_error(error)
    visit.log(error=error.code, **({"reason": error.reason} if error.reason else {}))
    if problem.status == 500:
        visit.log(**describe_exception(error))
    title, text = _explain(visit, error, problem)
    return render(visit, "message.html", problem.status, problem.headers, title=title, text=text)


def _explain(visit: Visit, error: ClusterPassError, problem: Problem) -> tuple[str, str]:
    say = visit.language.gettext
    if isinstance(error, RevocationPending) and error.is_retried:
        text = say(
            "The change is in effect here but has not been copied to a second server yet. This is"
            " retried automatically; you do not need to repeat it."
        )
        return say("Your change is being confirmed"), text
    if isinstance(error, RevocationPending):
        text = say("Your change could not be confirmed. Try again in a moment.")
        return say("Service temporarily unavailable"), text
    if isinstance(error, StoreUnavailable):
        return say("Service temporarily unavailable"), _explain_outage(visit)
    if isinstance(error, MailFailed):
        return say("Something went wrong"), refusal(error, problem.detail, visit.language)
    if problem.status >= 500:
        text = say("An error occurred on our side. Try again in a moment.")
        return say("Something went wrong"), text
    return say("Request rejected"), refusal(error, problem.detail, visit.language)


def _explain_outage(visit: Visit) -> str:
    say = visit.language.gettext
    if visit.paths.is_at(LINK, visit.request.url.path):
        if visit.request.method != "POST":
            return say("The link was not used up. Try again in a moment.")
        return say(
            "Your new password may have been set. Try to log in with it in a moment; if you cannot,"
            " use the link again."
        )
    if visit.request.method != "POST":
        return say("You have not been logged out. Try again in a moment.")
    if visit.paths.is_at(LOGIN, visit.request.url.path):
        return say("You could not be logged in. Try again in a moment.")
    return say("You are still logged in. Go back and check whether your change was made.")
