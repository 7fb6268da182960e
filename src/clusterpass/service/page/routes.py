"""The routes of the page.

- GET shows, POST changes; after a POST the browser is redirected to a page that reports the result.
- The page works without its script. Tokens are in cookies that no script reads, never in the HTML.
"""

from typing import Final

from fastapi import FastAPI
from starlette.responses import Response

from clusterpass.service.page.account_actions import ACCOUNT_ACTIONS, DIRECTORY_ACTIONS, export
from clusterpass.service.page.administration_actions import ACTIONS
from clusterpass.service.page.administration_pages import show_online, show_subject
from clusterpass.service.page.change_password import change_password, open_password
from clusterpass.service.page.hand_over import begin_hand_over, finish_hand_over
from clusterpass.service.page.handler_wrappers import (
    Handler,
    administrator_view,
    endpoint,
    form_handler,
    not_found,
    redirect,
)
from clusterpass.service.page.home import end_kind, end_one, end_others, log_out, show_home
from clusterpass.service.page.login import log_in, open_login
from clusterpass.service.page.paths import (
    CONFIRM,
    EXPORT,
    HOME,
    LANGUAGE,
    LINK,
    LOGIN,
    LOGO,
    LOGOUT,
    OF_KIND,
    ONLINE,
    OTHERS,
    PASSWORD,
    STEP_UP,
    STYLE as STYLE_PATH,
    SUBJECT,
    Paths,
)
from clusterpass.service.page.proxy_step_up import open_step_up, step_up
from clusterpass.service.page.reader import choose_language
from clusterpass.service.page.set_password import open_link, use_link
from clusterpass.service.page.step_up import confirmation, requiring_recent_login
from clusterpass.service.page.template_environments import Pages
from clusterpass.service.page.visit import Visit
from clusterpass.service.settings.cross_domain_hosts import BEGIN, FINISH

_LOGO_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""For an SVG that is opened by itself: no script in it runs, and it loads nothing."""
_FOREVER: Final = "public, max-age=31536000, immutable"


def mount_hand_over(app: FastAPI) -> None:
    """Add the paths at which hosts of other domains are handed sessions, which have no prefix."""
    for path, handler in ((BEGIN, begin_hand_over), (FINISH, finish_hand_over)):
        app.add_route(path, endpoint(handler), methods=["GET"], include_in_schema=False)


def mount_page(app: FastAPI, paths: Paths, pages: Pages, *, has_directory: bool) -> None:
    """Add the page, the targets of its forms, and its style sheet to ``app``, at ``paths``.

    ``pages``: what its HTML is made of. ``has_directory``: whether users have a password that they
    can change here.
    """
    app.state.pages = pages
    actions = {**ACTIONS, **ACCOUNT_ACTIONS, **(DIRECTORY_ACTIONS if has_directory else {})}
    handlers: list[tuple[str, str, Handler]] = [
        ("GET", HOME, show_home),
        ("GET", STYLE_PATH, _style),
        ("GET", LOGO, _logo),
        ("POST", LANGUAGE, choose_language),
        ("GET", LOGIN, open_login),
        ("POST", LOGIN, log_in),
        ("GET", STEP_UP, open_step_up),
        ("POST", STEP_UP, step_up),
        ("POST", LOGOUT, form_handler(log_out)),
        ("POST", OTHERS, form_handler(end_others)),
        ("POST", OF_KIND, form_handler(end_kind)),
        ("POST", "/page/sessions/{session_id}/revoke", form_handler(end_one)),
        ("GET", ONLINE, administrator_view(show_online)),
        ("GET", SUBJECT, administrator_view(show_subject)),
        ("GET", EXPORT, administrator_view(export)),
        ("POST", CONFIRM, form_handler(confirmation(actions), for_administrators=True)),
    ]
    if has_directory:
        handlers += [
            ("GET", PASSWORD, open_password),
            ("POST", PASSWORD, form_handler(change_password)),
            ("GET", LINK, open_link),
            ("POST", LINK, use_link),
        ]
    for name, action in actions.items():
        guarded = requiring_recent_login(name, action)
        handler = form_handler(guarded, for_administrators=True)
        handlers.append(("POST", f"{SUBJECT}/{name}", handler))
    # The target of a form, when it is opened or reloaded.
    handlers.append(("GET", "/page/{rest:path}", _go_home))
    if paths.prefix:
        app.add_route(paths.prefix, endpoint(_go_home), methods=["GET"], include_in_schema=False)
    for method, path, handler in handlers:
        app.add_route(paths.at(path), endpoint(handler), methods=[method], include_in_schema=False)


async def _go_home(visit: Visit) -> Response:
    return redirect(visit)


async def _style(visit: Visit) -> Response:
    pages = visit.pages
    return Response(pages.style, headers=_kept(visit, pages.style_version), media_type="text/css")


async def _logo(visit: Visit) -> Response:
    logo = visit.pages.brand.logo
    if logo is None:
        return not_found(visit)
    headers = {
        **_kept(visit, logo.version),
        "Content-Security-Policy": _LOGO_POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return Response(logo.content, headers=headers, media_type=logo.media_type)


def _kept(visit: Visit, version: str) -> dict[str, str]:
    is_current = visit.request.query_params.get("v") == version
    return {"Cache-Control": _FOREVER if is_current else "no-cache"}
