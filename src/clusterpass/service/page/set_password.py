"""The page on which the user of a one-time link sets a password.

Opening the page changes nothing, so programs that open the links in mails use none up. The token is
in a hidden field of the form; it alone authorises the change.
"""

from starlette.responses import Response

from clusterpass import AsyncUserDirectory, InvalidInput, LinkInvalid
from clusterpass.service.page.change_password import explained, unlike
from clusterpass.service.page.forms import read_form
from clusterpass.service.page.handler_wrappers import not_found, redirect
from clusterpass.service.page.html_responses import render
from clusterpass.service.page.step_up import Refusal
from clusterpass.service.page.visit import Visit


async def open_link(visit: Visit) -> Response:
    """Show the form of a link that can be used."""
    users = visit.service.authenticator.users
    given = visit.request.query_params.getlist("token")
    if users is None or len(given) != 1:
        return not_found(visit)
    return await _form(visit, users, given[0])


async def use_link(visit: Visit) -> Response:
    """Set the password, and lead the browser to the login form."""
    visit.require_own_origin()
    fields = await read_form(visit.request)
    users, token = visit.service.authenticator.users, fields.get("token", "")
    if users is None:
        return not_found(visit)
    refused = unlike(visit, fields)
    if refused is None:
        try:
            await users.use_link(token, fields["new"])
        except LinkInvalid:
            return _gone(visit)
        except InvalidInput as error:
            refused = explained(visit, error)
    if refused is not None:
        return await _form(visit, users, token, refused)
    return redirect(visit, "linkused")


async def _form(
    visit: Visit, users: AsyncUserDirectory, token: str, refused: Refusal | None = None
) -> Response:
    try:
        username = await users.user_of_link(token)
    except LinkInvalid:
        return _gone(visit)
    return render(
        visit,
        "link.html",
        200 if refused is None else refused.status,
        username=username,
        shortest=visit.service.settings.shortest_password,
        error="" if refused is None else refused.error,
        token=token,
    )


def _gone(visit: Visit) -> Response:
    say = visit.language.gettext
    text = say("It was used, it has expired, or a newer one was made. Ask for a new link.")
    title = say("This link is not valid any more")
    return render(visit, "message.html", 404, title=title, text=text)
