"""The page as HTML: templates, notices, and the headers that keep it safe.

- Jinja2 escapes whatever is put into a template; no template uses ``safe``.
- No script runs and nothing is loaded from elsewhere: the Content-Security-Policy forbids both.
- Referrer-Policy is same-origin, not no-referrer: with that, browsers send ``Origin: null`` with
  our own forms.
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from clusterpass.service.page.device import device_icon, plural
from clusterpass.service.page.sentences import (
    Notice,
    is_moment,
    is_quoted,
    machine_readable,
    readable,
)

STYLE: Final = files(__package__).joinpath("static/page.css").read_bytes()
STYLE_VERSION: Final = hashlib.sha256(STYLE).hexdigest()[:16]
STYLE_PATH: Final = "/page/page.css"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:;"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SENTENCES: Final = {
    "out": "You are logged out.",
    "outpending": "You are logged out. Until a second server has noted it, we keep trying.",
    "stopped": "You act for nobody any more. Log in again as yourself.",
    "ended": "The device was logged out.",
    "gone": "That device was logged out already.",
    "noothers": "No other device was logged in.",
    "noall": "No device was logged in.",
    "banned": "The ban is in force.",
    "lifted": "The ban was lifted.",
    "unbanned": "There was no such ban any more.",
}
_GOOD: Final = frozenset({"out", "outpending", "ended", "banned", "lifted"})
_COUNTS: Final = {
    "others": ("One other device was logged out.", "{} other devices were logged out."),
    "all": ("One device was logged out.", "{} devices were logged out."),
}


def render(
    template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> Response:
    """A page made from ``template``."""
    text = _environment.get_template(template).render(values)
    return HTMLResponse(text, status, headers={**_HEADERS, **(headers or {})})


def notice(code: str | None) -> Notice | None:
    """The notice of a code; None for one that is not known."""
    kind, _, count = (code or "").partition("-")
    if kind in _COUNTS and count:
        one, many = _COUNTS[kind]
        return Notice((one if int(count) == 1 else many.format(int(count)),), is_good=True)
    if kind not in _SENTENCES:
        return None
    return Notice((_SENTENCES[kind],), kind in _GOOD)


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
_environment.globals["style"] = f"{STYLE_PATH}?v={STYLE_VERSION}"
