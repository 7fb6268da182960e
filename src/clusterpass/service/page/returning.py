"""Leads a browser back to the address that it came from, after a login or a step-up.

The address comes with the link, and travels on in a field of each form, so that a wrong password
loses nothing. The address is checked on every request, whoever sent it.
"""

from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from clusterpass.service.authz.return_address import ReturnAddress, ReturnAddresses
from clusterpass.service.page.handler_wrappers import redirect
from clusterpass.service.page.paths import LOGIN
from clusterpass.service.page.template_environments import content_security_policy
from clusterpass.service.page.visit import Visit

FIELD: Final = "rd"
"""The name of the parameter of a link, and of the field of a form."""
CODE: Final = "code"
"""The name of the parameter by which a host of another domain is handed a session."""


def address_in(visit: Visit, text: str) -> ReturnAddress | None:
    """Return the return address ``text``; None when nobody may be led to it."""
    settings = visit.service.settings
    addresses = ReturnAddresses.of(settings, secure=settings.cookie_secure)
    return None if addresses is None else addresses.read(text)


def address_of_link(visit: Visit) -> ReturnAddress | None:
    """Return the return address in the query of the request; None where there is not one."""
    given = visit.request.query_params.getlist(FIELD)
    return address_in(visit, given[0]) if len(given) == 1 else None


def go_on(
    visit: Visit,
    address: ReturnAddress | None,
    access_token: str | None = None,
    *,
    remember: bool | None = None,
) -> Response:
    """Lead the browser to ``address``, by default to the home page.

    ``access_token``: of the session that the browser has, which is handed over to a host of another
    domain; None: it has none. ``remember``: whether the browser keeps it when it is closed; None:
    as it does here.
    """
    if address is None:
        return redirect(visit)
    code = None
    if access_token is not None:
        code = visit.code_for(address.authority, address.rest, access_token, remember=remember)
    more = "" if code is None else f"&{urlencode({CODE: code})}"
    return redirect(visit, to=f"{address.url}{more}")


def to_login(visit: Visit, address: ReturnAddress | None) -> Response:
    """Lead the browser to the login form, and to ``address`` afterwards."""
    query = {} if address is None else {FIELD: address.url}
    return redirect(visit, to=visit.paths.at(LOGIN, **query))


def form_values(address: ReturnAddress | None) -> dict[str, str]:
    """Return the value by which a template keeps ``address`` in its form."""
    return {"rd": "" if address is None else address.url}


def form_headers(address: ReturnAddress | None) -> dict[str, str]:
    """Return the headers of a page whose form leads to ``address``.

    Browsers that follow CSP 3 stop a form whose answer redirects to where it may not be sent.
    """
    if address is None:
        return {}
    return {"Content-Security-Policy": content_security_policy(address.origin)}
