"""HTML responses: templates, notices, and the security headers of a page.

- Jinja2 escapes every value in a template; no template uses ``safe``.
- No script runs and nothing is loaded from another host: the Content-Security-Policy forbids both.
- Referrer-Policy is same-origin, not no-referrer: under no-referrer, browsers send ``Origin: null``
  with the page's own forms.
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from clusterpass.service.page.device_types import device_icon, plural
from clusterpass.service.page.paths import STYLE as STYLE_PATH, Paths
from clusterpass.service.page.sentences import (
    Notice,
    is_moment,
    is_quoted,
    machine_readable,
    readable,
)

_STYLE_SHEETS: Final = ("layout.css", "lists.css", "forms.css")
"""Served as one, in this order."""
STYLE: Final = b"\n".join(
    files(__package__).joinpath("static", name).read_bytes() for name in _STYLE_SHEETS
)
STYLE_VERSION: Final = hashlib.sha256(STYLE).hexdigest()[:16]


def content_security_policy(form_target: str = "") -> str:
    """Return the policy of a page; ``form_target``: an origin that its form may lead to."""
    targets = f"'self' {form_target}".rstrip()
    return (
        "default-src 'none'; style-src 'self'; img-src 'self' data:;"
        f" form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
    )


_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": content_security_policy(),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_NOTICES: Final = {
    "out": "You have been logged out.",
    "outpending": "You have been logged out. The logout is still being copied to a second server.",
    "password": "Your password was changed, and your other devices were logged out.",
    "passwordkept": "Your password was changed. Your other devices are still logged in.",
    "linkused": "Your password was set. Log in with it.",
    "stopped": "You have stopped impersonating. Log in again with your own account.",
    "ended": "The device was logged out.",
    "gone": "That device had already been logged out.",
    "noothers": "No other devices were logged in.",
    "noall": "No devices were logged in.",
    "banned": "The user was banned.",
    "lifted": "The ban was lifted.",
    "unbanned": "That ban had already ended.",
}
_GOOD: Final = frozenset(
    {"out", "outpending", "ended", "banned", "lifted", "password", "passwordkept", "linkused"}
)
_COUNTS: Final = {
    "others": ("One other device was logged out.", "{} other devices were logged out."),
    "all": ("One device was logged out.", "{} devices were logged out."),
}


def render(
    paths: Paths,
    template: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> Response:
    """Return the HTML response made from ``template``; ``paths``: what its links lead to."""
    values |= {"at": paths.at, "style": paths.at(STYLE_PATH, v=STYLE_VERSION)}
    text = _environment.get_template(template).render(values)
    return HTMLResponse(text, status, headers={**_HEADERS, **(headers or {})})


def notice(code: str | None) -> Notice | None:
    """Return the notice that ``code`` stands for; None for an unknown code."""
    kind, _, count = (code or "").partition("-")
    if kind in _COUNTS and count:
        one, many = _COUNTS[kind]
        return Notice((one if int(count) == 1 else many.format(int(count)),), is_good=True)
    if kind not in _NOTICES:
        return None
    return Notice((_NOTICES[kind],), kind in _GOOD)


_environment: Final = Environment(
    loader=PackageLoader("clusterpass.service.page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["readable"] = readable
_environment.filters["machine_readable"] = machine_readable
_environment.filters["device_icon"] = device_icon
_environment.filters["plural"] = plural
_environment.tests["quoted"] = is_quoted
_environment.tests["moment"] = is_moment
