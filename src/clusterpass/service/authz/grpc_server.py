"""The front door for Envoy's ext_authz over gRPC: ``envoy.service.auth.v3.Authorization/Check``.

The same :class:`FrontDoor` judges calls over gRPC and over HTTP. Every call is answered with the
gRPC status OK: what Envoy does about another status depends on its configuration, which may be to
let the request pass (``failure_mode_allow``).

Each worker listens on the port by itself, and the system divides the connections among them
(SO_REUSEPORT).
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc.aio
from envoy.service.auth.v3.external_auth_pb2 import DESCRIPTOR
from envoy.service.auth.v3.external_auth_pb2_grpc import add_AuthorizationServicer_to_server

from clusterpass.service.asgi.request_counts import ANY_METHOD
from clusterpass.service.asgi.request_log import REQUEST_ID, Line, log_request, request_id
from clusterpass.service.authz.grpc_messages import (
    asked_in,
    headers_in,
    peer_address,
    policy_in,
    response_of,
    source_in,
)
from clusterpass.service.authz.handler import FrontDoor
from clusterpass.service.authz.warm_grpc import WarmChecks
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.hot.responder import Answer, settled
from clusterpass.web.client_address import client_address, is_trusted_peer

_CALL: Final = f"/{DESCRIPTOR.services_by_name['Authorization'].full_name}/Check"
_DRAIN_SECONDS: Final = 5.0
"""How long calls may take that run when the worker stops."""
_OPTIONS: Final = (
    ("grpc.so_reuseport", 1),
    # Envoy keeps its few connections for ever: they would stay with the workers of their beginning.
    ("grpc.max_connection_age_ms", 60_000),
    # Envoys that send pings (connection_keepalive) are not sent away for it.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
)


class Authorization:
    """Answers the calls."""

    def __init__(self, door: FrontDoor, service: Service, logger: Any) -> None:
        """``door``: judges what is asked. ``logger``: as for the other paths."""
        self._door: Final = door
        self._networks: Final = service.gate.settings.networks
        self._logger: Final = logger
        self._requests: Final = service.requests
        self._traces: Final = service.traces
        self._warm_count: Final = service.requests.warm[_CALL, ANY_METHOD]
        self._warm: Final = WarmChecks(door.warm, door.identity, self._networks)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 (Envoy's name)
        """Return the CheckResponse to a CheckRequest."""
        if self._traces is None:
            return await self._check(request, context)
        with self._traces.span("POST", _encoded(headers_in(request)), _CALL):
            return await self._check(request, context)

    async def _check(self, request: Any, context: Any) -> Any:
        response = self._warm.response(request, context.peer())
        if response is not None:
            self._warm_count.count += 1
            return response
        started, fields = time.perf_counter(), dict[str, Any]()
        status, is_logged = 0, True
        headers = headers_in(request)
        given = headers.get(REQUEST_ID.decode())
        this_id = request_id(given[0].encode() if given else None)
        try:
            answering = self._answer(request, headers, peer_address(context.peer()), fields)
            answer = await settled(answering, fields)
            status, is_logged = answer.status, answer.is_logged
            return response_of(answer, this_id)
        finally:
            self._requests.note(_CALL, ANY_METHOD, status, started)
            if is_logged:
                log_request(self._logger, "POST", Line(_CALL, status, started, this_id), fields)

    async def _answer(
        self, request: Any, headers: dict[str, list[str]], peer: str | None, fields: dict[str, Any]
    ) -> Answer:
        asked = asked_in(request, headers, is_trusted=is_trusted_peer(peer, self._networks))
        source = source_in(request)

        def address() -> str | None:
            seen = [*headers.get("x-forwarded-for", ()), *([source] if source else ())]
            return client_address(peer, seen, self._networks)

        return await self._door.judge(asked, policy_in(request), address, fields)


def _encoded(headers: dict[str, list[str]]) -> list[tuple[bytes, bytes]]:
    """Return ``headers`` as ASGI has them."""
    return [
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, values in headers.items()
        for value in values
    ]


@asynccontextmanager
async def serving(authorization: Authorization, address: str) -> AsyncIterator[None]:
    """Answer calls at ``address`` (HOST:PORT) meanwhile; those that run at the end are finished.

    Raises RuntimeError when the address cannot be listened on.
    """
    server = grpc.aio.server(options=_OPTIONS)
    add_AuthorizationServicer_to_server(authorization, server)
    server.add_insecure_port(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(_DRAIN_SECONDS)
