"""A gRPC authorization server for Envoy that allows every request.

Run ``python -m benchmarks.peers.constant_authz_grpc PORT FILE``. FILE holds a CheckResponse of our
service for one session; it is the answer to every call.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc.aio
import uvloop
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from envoy.service.auth.v3.external_auth_pb2_grpc import add_AuthorizationServicer_to_server


class Constant:
    """Answers every call with the same message."""

    def __init__(self, response: Any) -> None:
        """``response``: the message."""
        self._response = response

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 (Envoy's name)
        """Return it."""
        return self._response


async def _serve(port: str, file: str) -> None:
    server = grpc.aio.server()
    response = CheckResponse.FromString(Path(file).read_bytes())  # noqa: ASYNC240 (once)
    add_AuthorizationServicer_to_server(Constant(response), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(*sys.argv[1:]))
