"""The language that the reader of a page chooses: a form at the foot of each page, and a cookie."""

import re
from typing import Final

from starlette.responses import Response

from clusterpass import InvalidInput
from clusterpass.service.language.choice import LANGUAGES
from clusterpass.service.language.marks import mark
from clusterpass.service.page.forms import read_form
from clusterpass.service.page.handler_wrappers import redirect
from clusterpass.service.page.visit import Visit

_BACK: Final = re.compile(
    r"/(?:page/(?:login|step-up|password|link|online|subject))?(?:\?[!-\[\]-~]*)?"
)
"""The pages that can be opened by their address, with any query."""


async def choose_language(visit: Visit) -> Response:
    """Keep the chosen language in a cookie, and lead the browser back to where it was chosen."""
    visit.require_own_origin()
    fields = await read_form(visit.request)
    chosen, back = fields.get("language", ""), fields.get("back", "")
    if chosen not in LANGUAGES:
        raise InvalidInput(mark("Choose one of the languages."))
    visit.keep_language(chosen)
    prefix = visit.paths.prefix
    is_ours = back.startswith(prefix) and _BACK.fullmatch(back[len(prefix) :]) is not None
    return redirect(visit, to=back if is_ours else None)
