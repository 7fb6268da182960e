"""The page on which users change their password.

A wrong current password counts against the session, as it does when a user confirms an action. The
browser receives new tokens, and its previous ones end.
"""

from starlette.responses import Response

from clusterpass import (
    AsyncUserDirectory,
    InvalidCredentials,
    InvalidInput,
    TooManyAttempts,
)
from clusterpass.service.page.handler_wrappers import Fields, not_found, redirect
from clusterpass.service.page.html_responses import render
from clusterpass.service.page.refusals import password_refusal
from clusterpass.service.page.step_up import Refusal
from clusterpass.service.page.visit import Anonymous, Visit, Visitor


async def open_password(visit: Visit) -> Response:
    """Show the form; to visitors without a session, the login form."""
    visitor = await visit.authenticate()
    if isinstance(visitor, Anonymous):
        return redirect(visit)
    if visitor.session.act is not None:
        return not_found(visit)
    return _form(visit, visitor)


async def change_password(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
    """Replace the visitor's password, or show the form again with the reason."""
    users = visit.service.authenticator.users
    if users is None or visitor.session.act is not None:
        return not_found(visit)
    refused = unlike(visit, fields) or await _changed(visit, users, visitor, fields)
    if refused is not None:
        return _form(visit, visitor, refused)
    return redirect(visit, "passwordkept" if "keep" in fields else "password")


def unlike(visit: Visit, fields: Fields) -> Refusal | None:
    """Return why the new password, which is asked for twice, cannot be taken; None if it can."""
    if not fields.get("new"):
        return Refusal(400, visit.language.gettext("Enter a new password."))
    if fields["new"] != fields.get("again"):
        text = visit.language.gettext("The two new passwords are not the same.")
        return Refusal(400, text)
    return None


def explained(visit: Visit, error: InvalidInput) -> Refusal:
    """Return why a new password is refused, as a sentence."""
    shortest = visit.service.settings.shortest_password
    return Refusal(422, password_refusal(error, shortest, visit.language))


async def _changed(
    visit: Visit, users: AsyncUserDirectory, visitor: Visitor, fields: Fields
) -> Refusal | None:
    if not fields.get("current"):
        return Refusal(400, visit.language.gettext("Enter your current password."))
    try:
        pair = await users.change_password(
            visitor.session,
            fields["current"],
            fields["new"],
            address=visit.address,
            end_others="keep" not in fields,
            for_seconds=visit.service.settings.step_up_seconds,
        )
    except InvalidCredentials:
        return Refusal(401, visit.language.gettext("Your current password is incorrect."))
    except InvalidInput as error:
        return explained(visit, error)
    except TooManyAttempts as error:
        wait = error.retry_after
        return Refusal(429, visit.language.try_again_in(wait), wait)
    visit.set_tokens(pair)
    return None


def _form(visit: Visit, visitor: Visitor, refused: Refusal | None = None) -> Response:
    session = visitor.session
    return render(
        visit,
        "password.html",
        200 if refused is None else refused.status,
        {} if refused is None else refused.headers,
        username=session.subject,
        shortest=visit.service.settings.shortest_password,
        error="" if refused is None else refused.error,
        form_token=visit.csrf.make(session.session_id),
    )
