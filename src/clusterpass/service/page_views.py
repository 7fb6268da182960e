"""The page as HTML: templates, sentences, times, and the headers that keep it safe.

- Jinja2 escapes whatever is put into a template; no template uses ``safe``.
- No script runs and nothing is loaded from elsewhere: the Content-Security-Policy forbids both.
- Referrer-Policy is same-origin, not no-referrer: with that, browsers send ``Origin: null`` with
  our own forms.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from clusterpass.service.page_device import is_pocket_device

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
    "ended": "The device was logged out.",
    "gone": "That device was logged out already.",
    "none": "You are not logged in anywhere else.",
    "unchanged": "Nothing was changed, because another tab was faster. Please try again.",
    "loggedout": "You have been logged out.",
    "replaced": "You were logged out here because of a newer login.",
    "revoked": "You were logged out here. Somebody did that for you: you on another device, or an"
    " administrator.",
    "expired": "Your session has expired. Please log in again.",
    "overtaken": "Your session could not be renewed here. Please log in again.",
}
_GOOD: Final = frozenset({"out", "ended", "others"})


def render(
    template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> Response:
    """A page made from ``template``."""
    text = _environment.get_template(template).render(values)
    return HTMLResponse(text, status, headers={**_HEADERS, **(headers or {})})


def notice(code: str | None) -> dict[str, Any] | None:
    """What a template shows for the code of a notice; None for one that is not known."""
    kind, _, count = (code or "").partition("-")
    if kind == "others" and count:
        devices = "One other device was" if int(count) == 1 else f"{int(count)} other devices were"
        return {"text": f"{devices} logged out.", "is_good": True}
    if kind not in _SENTENCES:
        return None
    return {"text": _SENTENCES[kind], "is_good": kind in _GOOD}


def duration(seconds: int) -> str:
    """``seconds`` in words, rounded up."""
    if seconds <= 90:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"


def _readable(timestamp: int) -> str:
    when = datetime.fromtimestamp(timestamp, UTC)
    return f"{when.day} {_MONTH[when.month - 1]} {when:%Y, %H:%M} UTC"


def _machine_readable(timestamp: int) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%dT%H:%M:%SZ}"


# Not from the locale of the server, which is not the reader's.
_MONTH: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_environment: Final = Environment(
    loader=PackageLoader("clusterpass.service"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["readable"] = _readable
_environment.filters["machine_readable"] = _machine_readable
_environment.tests["pocket_device"] = is_pocket_device
_environment.globals["style"] = f"{STYLE_PATH}?v={STYLE_VERSION}"
