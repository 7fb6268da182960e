"""Sends browsers to the page: to the login without a session, to the step-up if more is required.

Only navigations are redirected. A script or an image that gets a login form in place of what it
asked for cannot tell what has happened, and a form would lose its input: both get a 401.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from clusterpass import (
    AuthenticationError,
    InvalidToken,
    StepUpRequired,
)
from clusterpass.service.authz.original_request import OriginalRequest
from clusterpass.service.authz.return_address import ReturnAddresses
from clusterpass.service.settings.cross_domain_hosts import BEGIN, PREFIX
from clusterpass.service.settings.service import Settings
from clusterpass.web.problems import Problem

Headers = Mapping[str, Sequence[str]]
LOGIN: Final = "/page/login"
STEP_UP: Final = "/page/step-up"
REDIRECT: Final = "X-Auth-Redirect"
"""The header that tells nginx where to lead a browser: of a refusal it passes 401 and 403 alone."""
_IN_HEADER: Final = frozenset({"nginx"})
_METADATA: Final = ("sec-fetch-mode", "sec-fetch-dest", "sec-fetch-site")


def is_navigation(method: str | None, headers: Headers) -> bool:
    """Return whether a browser asks for a page that it is going to show.

    ``method``: of the original request; None: it is not known. ``headers``: the values of each, by
    its name in lower case.
    """
    if method != "GET" or headers.get("authorization"):
        return False
    if any(headers.get(name) for name in _METADATA):
        return list(headers.get("sec-fetch-mode", ())) == ["navigate"]
    accepted = (each for value in headers.get("accept", ()) for each in value.split(","))
    return any(each.partition(";")[0].strip().lower() == "text/html" for each in accepted)


class Leading:
    """Redirects of browsers to the page."""

    def __init__(
        self,
        portal: str,
        addresses: ReturnAddresses,
        lowest: str,
        handed_over: frozenset[str] = frozenset(),
    ) -> None:
        """``portal``: the URL of the page, without a slash at its end. ``lowest``: the level of
        authentication that the page can give. ``handed_over``: the hosts that the cookies of the
        page do not reach; a browser gets one of theirs there before it leaves for the page."""
        self._handed_over: Final = handed_over
        self._portal: Final = portal
        self._addresses: Final = addresses
        self._lowest: Final = lowest

    def away(
        self, original: OriginalRequest, headers: Headers, error: AuthenticationError
    ) -> str | None:
        """Return the URL that a browser is led to which was refused by ``error``; None: to none."""
        if not is_navigation(original.method, headers):
            return None
        address = self._addresses.of_request(original)
        if address is None:
            return None
        query = {}
        if isinstance(error, StepUpRequired):
            if error.acr_values and self._lowest not in error.acr_values:
                query["level"] = error.acr_values[0]
        elif not isinstance(error, InvalidToken):
            return None
        is_step_up = isinstance(error, StepUpRequired)
        if address.authority not in self._handed_over:
            query = {"rd": address.url, **query}
            return f"{self._portal}{STEP_UP if is_step_up else LOGIN}?{urlencode(query)}"
        if address.rest.startswith(PREFIX):
            return None  # the proxy should have passed it to the service, and would again ask here
        query = {"rd": address.rest, **({"for": "step-up"} if is_step_up else {}), **query}
        return f"{address.origin}{BEGIN}?{urlencode(query)}"


def leading_of(settings: Settings) -> Leading | None:
    """Return where browsers are led; None where they are led nowhere."""
    addresses = ReturnAddresses.of(settings, secure=settings.cookie_secure)
    if settings.portal is None or addresses is None:
        return None
    handed_over = frozenset(settings.authz_hand_over_hosts)
    return Leading(settings.portal.url, addresses, settings.levels[0], handed_over)


def redirecting(problem: Problem, url: str, proxy: str) -> Problem:
    """Return the answer that has ``proxy``, a key of ``FAMILIES``, lead its client to ``url``."""
    if proxy in _IN_HEADER:
        return replace(problem, headers={**problem.headers, REDIRECT: url})
    return replace(problem, status=int(HTTPStatus.FOUND), headers={"Location": url})
