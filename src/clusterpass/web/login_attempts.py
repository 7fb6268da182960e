"""Limits password attempts in an application: flows for sync and async login throttles.

An attempt is counted before the application checks the password, and given back when a session
opens. The count is kept on the visit of the request, so an application cannot forget to give an
attempt back, nor give back a failed one. A successful login leaves the client a token that
identifies the device (:mod:`clusterpass.web.known_devices`).
"""

import logging
from contextlib import suppress
from functools import cached_property
from ipaddress import ip_address
from typing import Final

from clusterpass.config import Config
from clusterpass.model.authentication_errors import InvalidCredentials
from clusterpass.model.errors import (
    ClusterPassError,
    InvalidInput,
    StoreUnavailable,
)
from clusterpass.web.endpoints import gives_cookies
from clusterpass.web.flow import Ask, WebFlow
from clusterpass.web.gate import Attempt, Gate, Visit
from clusterpass.web.known_devices import DEVICE_HEADER, LIFETIME, KnownDevices
from clusterpass.web.messages import WebRequest
from clusterpass.web.sent_cookies import sent_cookies

logger: Final = logging.getLogger("clusterpass.web")


class LoginAttempts:
    """The attempts to log in to one application. Flows are run with a login throttle."""

    def __init__(self, gate: Gate, config: Config) -> None:
        """``config``: that of the manager."""
        self._gate: Final = gate
        self._config: Final = config
        self._has_warned = False

    @cached_property
    def _devices(self) -> KnownDevices:
        settings = self._gate.settings
        return KnownDevices(
            self._config.keys,
            self._config.shared_secrets,
            secure=settings.cookie_secure,
            same_site="none" if settings.cookie_same_site == "none" else "strict",
        )

    def count(self, visit: Visit, username: str) -> WebFlow[None]:
        """Count an attempt of ``visit`` at the account ``username``, as its user has typed it.

        Raises TooManyAttempts when a limit is exceeded, and InvalidCredentials for a name that no
        account can have.
        """
        known = self._known_as(visit.request, username)
        try:
            yield Ask("admit", username, address=self._address(visit.request), known=known)
        except InvalidInput:
            raise InvalidCredentials from None
        visit.attempt = Attempt(username, known)

    def refuse(self, visit: Visit, username: str, error: str) -> WebFlow[None]:
        """Note that ``visit`` could not log in as ``username``; run with a session manager.

        ``error``: the code of the error. What the client is told depends on neither the store nor
        the name, so that no error of ours is raised.
        """
        with suppress(ClusterPassError):
            address = self._gate.address(visit.request)
            yield Ask("login_failed", username, error=error, address=address)

    def succeed(self, visit: Visit, *, to_browser: bool | None = None) -> WebFlow[None]:
        """Give back the attempt of ``visit``, if one was counted, and have its device known.

        ``to_browser``: whether by a cookie; None: as the request suggests. While the store cannot
        be reached the attempt stays counted: the session is there already.
        """
        attempt, visit.attempt = visit.attempt, None
        if attempt is None:
            return
        with suppress(StoreUnavailable):
            yield Ask("forget", attempt.username, known=attempt.known)
        token = self._devices.make(attempt.username, attempt.known)
        if gives_cookies(visit.request, to_browser):
            visit.headers.append(self._devices.cookie.header(token, LIFETIME))
        else:
            visit.headers.append((DEVICE_HEADER, token))

    def _known_as(self, request: WebRequest, username: str) -> str | None:
        """Return the id of the device, if ``username`` has logged in on it; None for a stranger."""
        sent = list(request.header(DEVICE_HEADER))
        if len(sent) != 1:
            sent = [sent_cookies(request.header("cookie")).get(self._devices.cookie.name, "")]
        return self._devices.known(sent[0], username)

    def _address(self, request: WebRequest) -> str | None:
        """Return the address whose attempts are limited; None: the client's is not known.

        The path of a socket, or a proxy that the settings do not name, would be everybody's.
        """
        address = self._gate.address(request)
        try:
            parsed = ip_address(address or "")
        except ValueError:
            return None
        is_private = not parsed.is_global  # that of a provider's network address translation, too
        told = [each for value in request.header("x-forwarded-for") for each in value.split(",")]
        # Where the address is told, the server has taken it from there already.
        is_told = any(each.strip() == address for each in told)
        is_proxy = bool(told) and is_private and address == request.peer and not is_told
        if is_proxy and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "logins come through a proxy that TRUSTED_PROXIES does not name, so attempts are"
                " not limited by address"
            )
        return None if is_proxy else address
