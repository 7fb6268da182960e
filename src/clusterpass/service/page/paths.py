"""The paths of the page, all of them under the prefix that the settings give it."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from clusterpass.service.settings.accounts import LINK_PATH

HOME: Final = "/"
LOGIN: Final = "/page/login"
LOGOUT: Final = "/page/logout"
CONFIRM: Final = "/page/confirm"
PASSWORD: Final = "/page/password"  # noqa: S105 (a path)
LINK: Final = LINK_PATH
OTHERS: Final = "/page/sessions/revoke-others"
OF_KIND: Final = "/page/sessions/revoke-kind"
STEP_UP: Final = "/page/step-up"
ONLINE: Final = "/page/online"
SUBJECT: Final = "/page/subject"
EXPORT: Final = "/page/subject/export"
LANGUAGE: Final = "/page/language"
LOGO: Final = "/page/logo"
STYLE: Final = "/page/page.css"


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths of the page."""

    prefix: str = ""
    """``/auth``, for example; empty: the page is at ``/``."""

    def at(self, path: str, **query: str) -> str:
        """Return the path that browsers send: ``path``, one of the page's, with its prefix."""
        return f"{self.prefix}{path}{'?' if query else ''}{urlencode(query)}"

    def is_at(self, path: str, sent: str) -> bool:
        """Return whether ``sent``, the path of a request, is ``path``."""
        return sent == f"{self.prefix}{path}"
