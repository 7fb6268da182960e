"""The page's cookies: the two tokens, and a notice for the next page.

- ``__Host-`` cookies (RFC 6265bis section 4.1.3.2): Secure, HttpOnly, Path=/, no Domain, so that no
  other host, subdomain or plain connection can set or read them. SameSite=Lax.
- Without ``cookie_secure`` (loopback only) the same without the prefix and Secure.
- The notice is the code of a sentence, never text: whoever forges one shows a sentence of ours.
"""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from clusterpass import (
    AccessToken,
    TokenPair,
)

_PREFIX: Final = "__Host-"
_NOTICE_SECONDS: Final = 60
_NOTICE: Final = re.compile(r"[a-z]{1,20}(-[0-9]{1,3})?")


class PageCookies:
    """Reads and writes the cookies of one deployment."""

    def __init__(self, *, secure: bool) -> None:
        """``secure``: whether they travel over HTTPS only."""
        prefix = _PREFIX if secure else ""
        self._secure = secure
        self.access_name: Final = f"{prefix}clusterpass-access"
        self.refresh_name: Final = f"{prefix}clusterpass-refresh"
        self.notice_name: Final = f"{prefix}clusterpass-notice"

    def access_token(self, request: Request) -> str | None:
        """The access token that the browser sent."""
        return request.cookies.get(self.access_name) or None

    def refresh_token(self, request: Request) -> str | None:
        """The refresh token that the browser sent."""
        return request.cookies.get(self.refresh_name) or None

    def notice(self, request: Request) -> str | None:
        """The code of the notice that the browser is to show."""
        code = request.cookies.get(self.notice_name, "")
        return code if _NOTICE.fullmatch(code) else None

    def keep(self, response: Response, pair: TokenPair) -> None:
        """Give the browser both tokens, for as long as the session may live without a refresh."""
        self._set(response, self.access_name, pair.access_token, pair.session_expires_in)
        self._set(response, self.refresh_name, pair.refresh_token, pair.session_expires_in)

    def keep_access(self, response: Response, token: AccessToken) -> None:
        """Give the browser an access token alone, for as long as it lives."""
        self._set(response, self.access_name, token.access_token, token.expires_in)

    def clear(self, response: Response) -> None:
        """Make the browser forget both tokens."""
        self._set(response, self.access_name, "", 0)
        self._set(response, self.refresh_name, "", 0)

    def leave_notice(self, response: Response, code: str) -> None:
        """Have the next page show the sentence of ``code``."""
        self._set(response, self.notice_name, code, _NOTICE_SECONDS)

    def drop_notice(self, response: Response) -> None:
        """Make the browser forget the notice."""
        self._set(response, self.notice_name, "", 0)

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
