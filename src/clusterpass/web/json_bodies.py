"""Bodies of requests that are JSON, read alike in every framework."""

import json
from typing import Any

from clusterpass.model.errors import InvalidInput
from clusterpass.web.messages import WebRequest


def is_json(request: WebRequest) -> bool:
    """Return whether ``request`` says that its body is JSON."""
    types = request.header("content-type")
    kind = types[0].partition(";")[0].strip().lower() if types else ""
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def json_member(body: bytes | str, name: str) -> Any:
    """Return a member of the object in ``body``; None: there is no body, object or member.

    Raises InvalidInput for a body that is no JSON.
    """
    if not body:
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # or that is nested too deeply
        raise InvalidInput("the body is no JSON that can be read") from None
    return found.get(name) if isinstance(found, dict) else None
