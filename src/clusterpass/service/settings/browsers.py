"""The settings of the page's place, and of browsers that a proxy asks about."""

import re
from dataclasses import dataclass
from typing import Final

from pydantic import Field, field_validator

from clusterpass.service.settings.door import DoorSettings
from clusterpass.web.cookies import session_cookies
from clusterpass.web.settings import WebSettings

_PREFIX: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_LONGEST_PREFIX: Final = 100
_TAKEN: Final = frozenset(
    {
        ".well-known",
        "admin",
        "authz",
        "healthz",
        "login",
        "logout",
        "openapi.json",
        "page",
        "readyz",
        "refresh",
        "sessions",
        "step-up",
        "verify",
    }
)
"""First segments of the paths that the service has, whatever the prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings(WebSettings):
    """How the page uses cookies."""

    page_path: str = "/"
    """The only paths that browsers send the cookies of the page to."""

    def __post_init__(self) -> None:
        WebSettings.__post_init__(self)
        cookies = session_cookies(secure=self.cookie_secure, path=self.page_path)
        object.__setattr__(self, "cookies", cookies)


class BrowserSettings(DoorSettings):
    """Where the page is, and which browsers are led to it."""

    page_prefix: str = Field(
        default="",
        max_length=_LONGEST_PREFIX,
        description="The path under which the page is, such as `/auth`, so that an application on"
        " the same host has all others. The page's cookies are sent to these paths alone. Empty:"
        " the page is at `/`.",
    )

    @field_validator("page_prefix")
    @classmethod
    def _usable_prefix(cls, value: str) -> str:
        if not _PREFIX.fullmatch(value):
            raise ValueError("give a path such as /auth, with a slash before it and none behind it")
        if value.split("/")[1:2] and value.split("/")[1] in _TAKEN:
            raise ValueError("the service has calls at this path; choose another, such as /auth")
        return value

    @property
    def page_path(self) -> str:
        """The path of the page's cookies."""
        return self.page_prefix or "/"
