"""The forms of the page: the paths that accept them, and their fields."""

import re
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from clusterpass import InvalidInput
from clusterpass.service.language.marks import mark

_MOST_FIELDS: Final = 8
_FORM_PATH: Final = (
    r"/page/(login|logout|confirm|step-up|password|link|language|sessions/revoke-(others|kind)|sessions/[^/]+/revoke"
    r"|subject/(revoke|revoke-all|ban|lift|impersonate|invite|reset-link|delete|erase))"
)


class FormPaths:
    """The paths that accept forms, as a container of strings."""

    def __init__(self, prefix: str = "") -> None:
        """``prefix``: of all paths of the page."""
        self._form: Final = re.compile(re.escape(prefix) + _FORM_PATH)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._form.fullmatch(path) is not None


async def read_form(request: Request) -> dict[str, str]:
    """Return the form fields in the request body.

    Raises InvalidInput when the body is malformed, has too many fields, or repeats one.
    """
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise InvalidInput(mark("The form data is malformed.")) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidInput(mark("A form field was sent more than once."))
    return fields
