"""The gate of the page, whose cookies end with the browser unless its user asked to be remembered.

A browser does not say how long it keeps a cookie. So a cookie of its own notes that the user asked:
whoever makes one up changes how long their own browser keeps its tokens, and nothing else.
"""

from typing import Final

from clusterpass import Config, TokenPair
from clusterpass.web.cookies import own_cookie
from clusterpass.web.gate import Gate, Visit
from clusterpass.web.sent_cookies import sent_cookies
from clusterpass.web.settings import WebSettings

_YES: Final = "1"


class PageGate(Gate):
    """The gate of the page."""

    def __init__(self, config: Config, settings: WebSettings) -> None:
        """As for :class:`clusterpass.web.gate.Gate`."""
        super().__init__(config, settings)
        self._remember: Final = own_cookie(
            "remember", secure=settings.cookie_secure, path=settings.cookies.access.path
        )

    def keep(self, visit: Visit, pair: TokenPair, *, remember: bool | None = None) -> None:
        """Have the response give ``pair`` to the browser.

        ``remember``: whether the browser keeps it when it is closed; None: as before.
        """
        noted = self._noted(visit)
        if remember is None:
            remember = noted == _YES
        self._set_tokens(visit, self.settings.cookies.keep(pair, None, is_lasting=remember))
        if remember:
            self._set_tokens(visit, (self._remember.header(_YES, pair.session_expires_in),))
        elif noted is not None:
            self._set_tokens(visit, (self._remember.header("", 0),))

    def forget(self, visit: Visit) -> None:
        """Have the response take the tokens away from the browser."""
        super().forget(visit)
        if self._noted(visit) is not None:
            self._set_tokens(visit, (self._remember.header("", 0),))

    def _noted(self, visit: Visit) -> str | None:
        return sent_cookies(visit.request.header("cookie")).get(self._remember.name)
