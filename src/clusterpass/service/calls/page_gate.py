"""The gate of the page, whose cookies end with the browser unless its user asked to be remembered.

Browsers do not report how long they keep a cookie, so a second cookie records that the user asked.
Forging it only changes how long one's own browser keeps its tokens.
"""

from typing import Final

from clusterpass import Config, Session, TokenPair
from clusterpass.service.calls.proxy_cookie import ProxyCookies
from clusterpass.web.cookies import own_cookie
from clusterpass.web.gate import Gate, Visit
from clusterpass.web.sent_cookies import sent_cookies
from clusterpass.web.settings import WebSettings

_YES: Final = "1"


class PageGate(Gate):
    """The gate of the page."""

    def __init__(
        self,
        config: Config,
        settings: WebSettings,
        proxy_cookies: ProxyCookies | None = None,
    ) -> None:
        """``proxy_cookies``: of browsers behind proxies. The others: as for
        :class:`clusterpass.web.gate.Gate`."""
        super().__init__(config, settings)
        self._proxy_cookies: Final = proxy_cookies
        self._remember: Final = own_cookie(
            "remember", secure=settings.cookie_secure, path=settings.cookies.access.path
        )

    def keep(self, visit: Visit, pair: TokenPair, *, remember: bool | None = None) -> None:
        """Have the response give ``pair`` to the browser.

        ``remember``: whether the browser keeps it when it is closed; None: as before.
        """
        visit.undelivered = pair.access_token
        noted = self._noted(visit)
        if remember is None:
            remember = noted == _YES
        self._set_tokens(visit, self.settings.cookies.keep(pair, None, is_lasting=remember))
        if remember:
            self._set_tokens(visit, (self._remember.header(_YES, pair.session_expires_in),))
        elif noted is not None:
            self._set_tokens(visit, (self._remember.header("", 0),))
        if self._proxy_cookies is not None:
            header = self._proxy_cookies.for_pair(pair, is_lasting=remember)
            self._set_tokens(visit, (header,))

    def admit_to_proxies(self, visit: Visit, session: Session, access_token: str) -> None:
        """Have the response give the browser the cookie by which ``session`` counts behind proxies.

        ``access_token``: of the session.
        """
        if self._proxy_cookies is not None:
            given = (session, access_token)
            header = self._proxy_cookies.for_session(*given, is_lasting=self.is_kept_by(visit))
            self._set_tokens(visit, (header,))

    def forget(self, visit: Visit) -> None:
        """Have the response take the tokens away from the browser."""
        super().forget(visit)
        if self._noted(visit) is not None:
            self._set_tokens(visit, (self._remember.header("", 0),))
        if self._proxy_cookies is not None:
            self._set_tokens(visit, (self._proxy_cookies.forgotten(),))

    def is_kept_by(self, visit: Visit) -> bool:
        """Return whether the browser keeps its tokens when it is closed."""
        return self._noted(visit) == _YES

    def _noted(self, visit: Visit) -> str | None:
        return sent_cookies(visit.request.header("cookie")).get(self._remember.name)
