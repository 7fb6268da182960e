"""A front door that lets everybody in, over ASGI, with the 200 that ours sends about one session.

The variable ``AUTHZ_HEADERS`` names a JSON file with the headers of that answer.
"""

import json
import os
from pathlib import Path

from starlette.types import Receive, Scope, Send

_HEADERS = [
    (name.encode("latin-1"), value.encode("latin-1"))
    for name, value in json.loads(Path(os.environ["AUTHZ_HEADERS"]).read_text())
]


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI without a framework."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b""})
