"""The step-up to which a proxy sends a browser: asks for the password, then sends the browser back.

The page can ask for a password and nothing else. Users from whom more is required are told so, and
are not sent back: the proxy would only send them here again.
"""

from starlette.responses import Response

from clusterpass.service.authz.return_address import ReturnAddress
from clusterpass.service.page.forms import read_form
from clusterpass.service.page.html_responses import render
from clusterpass.service.page.returning import (
    FIELD,
    address_in,
    address_of_link,
    form_headers,
    form_values,
    go_on,
    to_login,
)
from clusterpass.service.page.step_up import Refusal, elevated
from clusterpass.service.page.visit import Anonymous, Visit, Visitor
from clusterpass.service.settings.service import TOKEN_FIELD


async def open_step_up(visit: Visit) -> Response:
    """Ask for the password; without a session, for a login, which is as good."""
    visitor, address = await visit.authenticate(), address_of_link(visit)
    if isinstance(visitor, Anonymous):
        return to_login(visit, address)
    if "level" in visit.request.query_params:
        say = visit.language.gettext
        text = say("This page requires a stronger authentication than a password.")
        title = say("Stronger authentication required")
        return render(visit, "message.html", 403, title=title, text=text)
    return _ask(visit, visitor, address)


async def step_up(visit: Visit) -> Response:
    """Check the password, and lead the browser back."""
    visit.require_own_origin()
    fields = await read_form(visit.request)
    visitor, address = await visit.authenticate(), address_in(visit, fields.get(FIELD, ""))
    if isinstance(visitor, Anonymous):
        return to_login(visit, address)
    visit.csrf.require(visitor.session.session_id, fields.get(TOKEN_FIELD, ""))
    pair = await elevated(visit, visitor.session, fields.get("password", ""))
    if isinstance(pair, Refusal):
        return _ask(visit, visitor, address, pair)
    return go_on(visit, address, pair.access_token)


def _ask(
    visit: Visit, visitor: Visitor, address: ReturnAddress | None, refused: Refusal | None = None
) -> Response:
    session = visitor.session
    headers = {} if refused is None else refused.headers
    return render(
        visit,
        "step_up.html",
        200 if refused is None else refused.status,
        {**headers, **form_headers(address)},
        username=session.subject,
        error="" if refused is None else refused.error,
        form_token=visit.csrf.make(session.session_id),
        **form_values(address),
    )
