"""HTML responses: the security headers of a page, and notices.

Referrer-Policy is same-origin, not no-referrer: under no-referrer, browsers send ``Origin: null``
with the page's own forms.
"""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import HTMLResponse, Response

from clusterpass.service.language.marks import mark, mark_plural
from clusterpass.service.language.translation import Language
from clusterpass.service.page.paths import HOME, LOGIN, PASSWORD, STEP_UP, STYLE as STYLE_PATH
from clusterpass.service.page.sentences import Notice
from clusterpass.service.page.template_environments import content_security_policy
from clusterpass.service.page.visit import Visit

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": content_security_policy(),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_NOTICES: Final = {
    "out": mark("You have been logged out."),
    "outpending": mark(
        "You have been logged out. The logout is still being copied to a second server."
    ),
    "password": mark("Your password was changed, and your other devices were logged out."),
    "passwordkept": mark("Your password was changed. Your other devices are still logged in."),
    "linkused": mark("Your password was set. Log in with it."),
    "stopped": mark("You have stopped impersonating. Log in again with your own account."),
    "ended": mark("The device was logged out."),
    "gone": mark("That device had already been logged out."),
    "noothers": mark("No other devices were logged in."),
    "noall": mark("No devices were logged in."),
    "banned": mark("The user was banned."),
    "lifted": mark("The ban was lifted."),
    "unbanned": mark("That ban had already ended."),
    "deleted": mark("The user was deleted."),
    "erased": mark("The data of the user was erased."),
}
_GOOD: Final = frozenset(
    {
        *("out", "outpending", "ended", "banned", "lifted", "password", "passwordkept"),
        *("linkused", "deleted", "erased"),
    }
)
_COUNTS: Final = {
    "others": mark_plural(
        "One other device was logged out.", "{count} other devices were logged out."
    ),
    "all": mark_plural("One device was logged out.", "{count} devices were logged out."),
}


def render(
    visit: Visit,
    template: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> Response:
    """Return the HTML response made from ``template``, in the language of the visitor."""
    pages, language = visit.pages, visit.language
    values |= {
        "at": visit.paths.at,
        "style": visit.paths.at(STYLE_PATH, v=pages.style_version),
        "here": _here(visit, str(values.get("rd", ""))),
    }
    more = {"Content-Language": language.tag, **(headers or {})}
    text = pages.html(template, language, values)
    return HTMLResponse(text, status, headers={**_HEADERS, **more})


def notice(code: str | None, language: Language) -> Notice | None:
    """Return the notice that ``code`` stands for; None for an unknown code."""
    kind, _, count = (code or "").partition("-")
    if kind in _COUNTS and count:
        return Notice((language.counted(_COUNTS[kind], int(count)),), is_good=True)
    if kind not in _NOTICES:
        return None
    return Notice((language.gettext(_NOTICES[kind]),), kind in _GOOD)


def _here(visit: Visit, return_to: str) -> str:
    """Return where a visitor goes on who chooses another language: as far as possible, here."""
    url = visit.request.url
    if visit.request.method in {"GET", "HEAD"}:
        return f"{url.path}?{url.query}" if url.query else url.path
    for path in (LOGIN, STEP_UP, PASSWORD):
        if visit.paths.is_at(path, url.path):
            return visit.paths.at(path, **({"rd": return_to} if return_to else {}))
    return visit.paths.at(HOME)
