"""Sessions and pairs of tokens as JSON, byte for byte as the framework renders their models."""

import marshal
from typing import Any, Final

from pydantic_core import to_json

from clusterpass import (
    Session,
    TokenPair,
)
from clusterpass.service.asgi.messages import Headers
from clusterpass.service.bodies.responses import pair_json
from clusterpass.service.hot.responder import Answer
from clusterpass.web.identity_headers import identity_headers
from clusterpass.web.session_json import session_json

_CONTENT_TYPE: Final = (b"content-type", b"application/json")


def render_session(session: Session) -> bytes:
    """Return the headers and the body of the response about ``session``, packed into bytes."""
    body = _json(session_json(session))
    own = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in identity_headers(session).items()
    ]
    return marshal.dumps((_headers(body) + own, body))


def unpack_session(rendered: bytes) -> tuple[Headers, bytes]:
    """Return the headers and the body that :func:`render_session` has packed."""
    headers, body = marshal.loads(rendered)  # noqa: S302 (the bytes are of this process)
    return headers, body


def answer_pair(pair: TokenPair) -> Answer:
    """Return the answer that delivers ``pair``."""
    return answer_json(pair_json(pair))


def answer_json(members: dict[str, Any]) -> Answer:
    """Return an answer with a JSON object."""
    body = _json(members)
    return Answer(200, _headers(body), body)


def _json(members: dict[str, Any]) -> bytes:
    return to_json(members, inf_nan_mode="null")


def _headers(body: bytes) -> Headers:
    return [(b"content-length", b"%d" % len(body)), _CONTENT_TYPE]
