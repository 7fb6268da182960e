"""The page's cookies in requests and responses: the two tokens, and a notice for the next page.

The notice is a code that stands for one of the page's own messages, never text: whoever forges the
cookie can only select another message.
"""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from clusterpass import TokenPair
from clusterpass.web.cookies import Cookie, session_cookies

_NOTICE_SECONDS: Final = 60
_NOTICE: Final = re.compile(r"[a-z]{1,20}(-[0-9]{1,3})?")


class PageCookies:
    """Reads and writes the cookies of one deployment."""

    def __init__(self, *, secure: bool) -> None:
        """``secure``: whether browsers reach the page over HTTPS."""
        self._cookies: Final = session_cookies(secure=secure)

    def access_token(self, request: Request) -> str | None:
        """Return the access token that the browser sent, if any."""
        return request.cookies.get(self._cookies.access.name) or None

    def refresh_token(self, request: Request) -> str | None:
        """Return the refresh token that the browser sent, if any."""
        return request.cookies.get(self._cookies.refresh.name) or None

    def notice(self, request: Request) -> str | None:
        """Return the code of the notice to show; None when there is none or it is malformed."""
        code = request.cookies.get(self._cookies.notice.name, "")
        return code if _NOTICE.fullmatch(code) else None

    def keep(self, response: Response, pair: TokenPair) -> None:
        """Set both tokens, for as long as the session lasts without a refresh."""
        self._set(response, self._cookies.access, pair.access_token, pair.session_expires_in)
        self._set(response, self._cookies.refresh, pair.refresh_token, pair.session_expires_in)

    def clear(self, response: Response) -> None:
        """Delete both tokens from the browser."""
        self._set(response, self._cookies.access, "", 0)
        self._set(response, self._cookies.refresh, "", 0)

    def leave_notice(self, response: Response, code: str) -> None:
        """Have the next page show the message that ``code`` stands for."""
        self._set(response, self._cookies.notice, code, _NOTICE_SECONDS)

    def drop_notice(self, response: Response) -> None:
        """Delete the notice from the browser."""
        self._set(response, self._cookies.notice, "", 0)

    def _set(self, response: Response, cookie: Cookie, value: str, seconds: int) -> None:
        response.set_cookie(
            cookie.name,
            value,
            max_age=seconds,
            path=cookie.path,
            secure=cookie.secure,
            httponly=cookie.http_only,
            samesite=cookie.same_site,
        )
