"""The page for people: log in, see where you are logged in, log out there or here.

- GET shows, POST does; after a POST the browser is sent back and told what happened.
- It works without scripts. The tokens are in cookies that no script can read, never in the HTML.
- A fault of the store is 503 and leaves the cookies alone: nobody is logged out by it.
"""

from typing import Final

from fastapi import FastAPI
from starlette.responses import Response

from clusterpass.service.page.administration import ONLINE, SUBJECT, show_online, show_subject
from clusterpass.service.page.administration_actions import ACTS
from clusterpass.service.page.home import end_kind, end_one, end_others, log_out, show_home
from clusterpass.service.page.login import log_in
from clusterpass.service.page.step_up import CONFIRM, confirming, guarding
from clusterpass.service.page.steps import HOME, LOGIN, Step, acting, answering, back, viewing
from clusterpass.service.page.views import STYLE, STYLE_PATH, STYLE_VERSION
from clusterpass.service.page.visit import Visit

_FOREVER: Final = "public, max-age=31536000, immutable"


def mount_page(app: FastAPI) -> None:
    """Add the page at ``/``, what its forms are sent to, and its style sheet."""
    steps: list[tuple[str, str, Step]] = [
        ("GET", HOME, show_home),
        ("GET", STYLE_PATH, _style),
        ("POST", LOGIN, log_in),
        ("POST", "/page/logout", acting(log_out)),
        ("POST", "/page/sessions/revoke-others", acting(end_others)),
        ("POST", "/page/sessions/revoke-kind", acting(end_kind)),
        ("POST", "/page/sessions/{session_id}/revoke", acting(end_one)),
        ("GET", ONLINE, viewing(show_online)),
        ("GET", SUBJECT, viewing(show_subject)),
        ("POST", CONFIRM, acting(confirming(ACTS), for_administrators=True)),
        *(
            ("POST", f"{SUBJECT}/{name}", acting(guarding(name, act), for_administrators=True))
            for name, act in ACTS.items()
        ),
        # The address of a form, when it is opened or reloaded.
        ("GET", "/page/{rest:path}", _go_home),
    ]
    for method, path, step in steps:
        app.add_route(path, answering(step), methods=[method], include_in_schema=False)


async def _go_home(_: Visit) -> Response:
    return back()


async def _style(visit: Visit) -> Response:
    is_current = visit.request.query_params.get("v") == STYLE_VERSION
    headers = {"Cache-Control": _FOREVER if is_current else "no-cache"}
    return Response(STYLE, headers=headers, media_type="text/css")
