"""Calls of Envoy's ext_authz, as Envoy makes them."""

from collections.abc import Iterable
from typing import Any

import grpc.aio
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from envoy.service.auth.v3.external_auth_pb2_grpc import AuthorizationStub

from clusterpass.service.settings.service import Settings
from tests.ports import free_port

Pairs = Iterable[tuple[str, str]]


def grpc_address() -> str:
    return f"127.0.0.1:{free_port()}"


def check_request(
    path: str,
    method: str = "GET",
    headers: Pairs = (),
    *,
    host: str = "app.example",
    policy: str | None = None,
    source: str = "203.0.113.5",
    is_raw: bool = True,
) -> Any:
    """A request as of Envoy with ``encode_raw_headers``, or without (``is_raw``).

    Each character of ``path`` and of ``headers`` is a byte.
    """
    request = CheckRequest()
    attributes = request.attributes
    if policy is not None:
        attributes.context_extensions["policy"] = policy
    if source:
        attributes.source.address.socket_address.address = source
    http = attributes.request.http
    http.method, http.host, http.scheme = method, host, "https"
    http.path = path if path.isascii() else "!"
    pseudo = [(":method", method), (":authority", host), (":path", path), (":scheme", "https")]
    if not is_raw:
        for name, value in (*pseudo, *headers):
            there = http.headers.get(name)
            http.headers[name] = value if there is None else f"{there},{value}"
        return request
    http.header_map.SetInParent()
    for name, value in (*pseudo, *headers):
        http.header_map.headers.add(key=name, raw_value=value.encode("latin-1"))
    return request


async def check(settings: Settings, request: Any) -> Any:
    """Return the CheckResponse of a service with these settings."""
    assert settings.authz_grpc_address is not None
    async with grpc.aio.insecure_channel(settings.authz_grpc_address) as channel:
        return await AuthorizationStub(channel).Check(request, timeout=30, wait_for_ready=True)


def headers_of(response: Any) -> dict[str, str]:
    """Return the headers that a response adds; each has to be there once, and to overwrite."""
    of = response.ok_response if response.status.code == 0 else response.denied_response
    options = of.headers
    assert {each.append_action for each in options} == {2}  # OVERWRITE_IF_EXISTS_OR_ADD
    found = {each.header.key: each.header.value for each in options}
    assert len(found) == len(options)
    return found


def status_of(response: Any) -> int:
    """Return the status that the client gets; 200 where the request is forwarded."""
    if response.status.code == 0:
        assert response.WhichOneof("http_response") == "ok_response"
        return 200
    assert response.WhichOneof("http_response") == "denied_response"
    return int(response.denied_response.status.code)
