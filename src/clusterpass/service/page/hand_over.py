"""The hand-over of a browser's session from the portal to a host of another domain.

Both routes are on that host and only redirect: one to the portal, one back. If a code is refused,
the browser is sent to the portal again, where it uses its own session or logs in. So nobody gains
anything by sending a browser here with a code of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from clusterpass import AuthenticationError, Session
from clusterpass.service.authz.navigation import LOGIN, STEP_UP, is_navigation
from clusterpass.service.authz.return_address import ReturnAddress
from clusterpass.service.calls.hand_over import (
    NONCE_SECONDS,
    CodeRefused,
    HandOvers,
    make_nonce,
    state_of,
)
from clusterpass.service.calls.proxy_cookie import Ticket
from clusterpass.service.calls.requests import log_session
from clusterpass.service.calls.verify import STRICT
from clusterpass.service.page.handler_wrappers import not_found, redirect
from clusterpass.service.page.returning import CODE, FIELD, address_in
from clusterpass.service.page.visit import Visit
from clusterpass.service.settings.cross_domain_hosts import BEGIN, FINISH
from clusterpass.web.sent_cookies import sent_cookies

_FOR: Final = "for"
_FOR_STEP_UP: Final = "step-up"
_LEVEL: Final = "level"
_REFUSED: Final = "hand_over_refused"
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


async def begin_hand_over(visit: Visit) -> Response:
    """Give the browser a cookie of this host, and lead it to the portal."""
    hand_overs, portal = _hand_overs(visit), visit.service.settings.portal
    address = _wanted(visit, hand_overs)
    if address is None or portal is None or not _is_navigation(visit):
        return not_found(visit)
    nonce = make_nonce()
    visit.web.headers.append(hand_overs.cookie.header(nonce, NONCE_SECONDS))
    query = {FIELD: _way_back(visit, address, state_of(nonce))}
    is_step_up = _only(visit, _FOR) == _FOR_STEP_UP
    level = _only(visit, _LEVEL) if is_step_up else ""
    if level:
        query[_LEVEL] = level
    target = STEP_UP if is_step_up else LOGIN
    return redirect(visit, to=f"{portal.url}{target}?{urlencode(query)}")


async def finish_hand_over(visit: Visit) -> Response:
    """Give the browser the cookie of the session that it brings a code of."""
    hand_overs = _hand_overs(visit)
    address = _wanted(visit, hand_overs)
    if address is None or not _is_navigation(visit):
        return not_found(visit)
    try:
        ticket, session = await _redeemed(visit, hand_overs, address.authority)
    except CodeRefused as error:
        visit.log(error=_REFUSED, reason=error.reason)
        return redirect(visit, to=f"{address.origin}{BEGIN}?{urlencode({FIELD: address.rest})}")
    cookies = visit.service.proxy_cookies
    place = None if cookies is None else cookies.place_of(address.authority.partition(":")[0])
    assert cookies is not None and place is not None
    _log(visit, session)
    visit.web.headers.append(cookies.renewed(ticket, session, place))
    visit.web.headers.append(hand_overs.cookie.header("", 0))
    return redirect(visit, to=address.url)


async def _redeemed(visit: Visit, hand_overs: HandOvers, authority: str) -> tuple[Ticket, Session]:
    """Return whose session the code of the request hands over; raise CodeRefused for none."""
    sessions, cookies = visit.service.sessions, visit.service.proxy_cookies
    sent = sent_cookies(visit.web.request.header("cookie")).get(hand_overs.cookie.name, "")
    ticket = await hand_overs.redeem(sessions, _only(visit, CODE), authority, sent)
    assert cookies is not None
    try:
        return ticket, await sessions.verify(cookies.access_token(ticket), verification=STRICT)
    except AuthenticationError as error:
        raise CodeRefused(error.code) from None


def _log(visit: Visit, session: Session) -> None:
    """Add whose session was handed over to the log line."""
    fields = dict[str, Any]()
    log_session(fields, session)
    visit.log(**fields)


def _hand_overs(visit: Visit) -> HandOvers:
    hand_overs = visit.service.hand_overs
    assert hand_overs is not None  # there is no route otherwise
    return hand_overs


def _wanted(visit: Visit, hand_overs: HandOvers) -> ReturnAddress | None:
    """Return where the browser goes on at the host that it asks; None at a host that is not
    listed."""
    scheme = "https" if visit.service.settings.cookie_secure else "http"
    hosts = visit.web.request.header("host")
    authority = hosts[0].lower().removesuffix(_DEFAULT_PORTS[scheme]) if len(hosts) == 1 else ""
    if authority not in hand_overs.hosts:
        return None
    rest = _only(visit, FIELD) or "/"
    found = address_in(visit, f"{scheme}://{authority}{rest}") if rest.startswith("/") else None
    if found is None or found.authority != authority:
        return ReturnAddress(f"{scheme}://{authority}", "/")
    return found


def _way_back(visit: Visit, address: ReturnAddress, state: str) -> str:
    """Return the URL at which a code is expected, for the portal; with the page that the browser
    asked for, unless that is too long."""
    for rest in dict.fromkeys((address.rest, address.rest.partition("?")[0], "/")):
        url = f"{address.origin}{FINISH}?{urlencode({FIELD: rest, 'state': state})}"
        if address_in(visit, url) is not None:
            return url
    raise AssertionError(address.origin)  # it is listed


def _is_navigation(visit: Visit) -> bool:
    names = ("authorization", "accept", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-site")
    headers: Mapping[str, Sequence[str]] = {
        name: list(visit.web.request.header(name)) for name in names
    }
    return is_navigation("GET", headers)


def _only(visit: Visit, name: str) -> str:
    """Return the one value of a parameter; empty where there is none, or more than one."""
    given = visit.request.query_params.getlist(name)
    return given[0] if len(given) == 1 else ""
