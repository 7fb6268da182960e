"""The log fields of a request that the front door refuses: client, rule, and redacted path.

The path is logged without its query, and long segments are cut: either may hold a token.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

from clusterpass import (
    AuthenticationError,
    Config,
    subject_of_token,
)
from clusterpass.service.authz.original_request import OriginalRequest
from clusterpass.service.authz.policy import Ruling

_LONG_SEGMENT: Final = re.compile(r"[^/]{41,}")
_LONGEST_URI: Final = 200
_SHOWN: Final = "/[]:@-._~!$&'()*+,;=%"


def audit_fields(
    original: OriginalRequest, ruling: Ruling, address: str | None, policy: str
) -> dict[str, Any]:
    """Return the fields of the log line that say who asked for what, and which rule decided.

    ``address``: of the client.
    """
    cut = _LONG_SEGMENT.sub("[cut]", original.uri)[:_LONGEST_URI]
    fields = {
        "client": address,
        "original_method": original.method,
        "original_host": original.host,
        "original_uri": quote(cut, safe=_SHOWN, errors="replace") or None,
        "policy": policy or None,
        "rule": ruling.rule.name if ruling.rule is not None else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def attempted_subject(config: Config, token: Callable[[], str]) -> str | None:
    """Return whose token a request brought although no session was found; None: it has none.

    The token of a session that has ended is genuine; of a refresh token nothing but its form is
    checked. ``token``: returns the token, or raises AuthenticationError.
    """
    with suppress(AuthenticationError):
        return subject_of_token(config, token())
    return None
