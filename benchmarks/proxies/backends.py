"""The backends that the proxies ask: ClusterPass, and servers that let everybody in."""

import http.client
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.ports import free_port
from tests.proxies.programs import DEPLOY, HOST

from benchmarks.http_paths.peers import granian
from benchmarks.web import await_port, processor_seconds, running, serving
from clusterpass import Config, EmbeddedCluster

GRPC: Final = "envoy-grpc"
"""The proxy that asks over gRPC."""
_OF_SERVERS: Final = ("connection", "date")
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Backend:
    """A process that answers the questions of proxies."""

    pid: int | None
    """None: nobody is asked."""
    port: int
    grpc_port: int

    def processor_seconds(self) -> float:
        """The CPU seconds that the process and its children have used."""
        return 0.0 if self.pid is None else processor_seconds(self.pid)


@dataclass(frozen=True, slots=True)
class Backends:
    """All backends: ours, and the constants that let everybody in."""

    ours: Backend
    constant: Backend
    constant_grpc: Backend | None

    def constant_of(self, proxy: str) -> Backend:
        """Return the constant that a proxy can ask."""
        if proxy != GRPC:
            return self.constant
        assert self.constant_grpc is not None
        return self.constant_grpc


def start(
    cluster: EmbeddedCluster, config: Config, token: str, folder: Path, stack: ExitStack
) -> Backends:
    """Start all of them, with one worker each, until ``stack`` is closed.

    ``token``: of the session whose headers the constants send.
    """
    ours = _start_ours(cluster, config, folder, stack)
    headers_file, message_file = folder / "headers.json", folder / "message"
    headers_file.write_text(json.dumps(_headers_of_ours(ours.port, token)))
    port = free_port()
    environment = {"AUTHZ_HEADERS": str(headers_file)}
    process = stack.enter_context(running(granian("constant_authz:asgi")(port), port, environment))
    constant = Backend(process.pid, port, port)
    message_file.write_bytes(_message_of_ours(ours.grpc_port, token))
    port = free_port()
    command = ["benchmarks.peers.constant_authz_grpc", str(port), str(message_file)]
    process = stack.enter_context(serving(command, port, {}))
    return Backends(ours, constant, Backend(process.pid, port, port))


def start_application(stack: ExitStack) -> int:
    """Start what is behind the proxies, a constant; return its port."""
    port = free_port()
    stack.enter_context(running(granian("constant:asgi")(port), port, {}))
    return port


def _start_ours(
    cluster: EmbeddedCluster, config: Config, folder: Path, stack: ExitStack
) -> Backend:
    keys_file = folder / "keys.json"
    keys_file.unlink(missing_ok=True)
    config.keys.save(keys_file)
    port, grpc_port = free_port(), free_port()
    environment: Mapping[str, str] = {
        "CLUSTERPASS_STORE_URL": cluster.url,
        "CLUSTERPASS_KEYS_FILE": str(keys_file),
        "CLUSTERPASS_ISSUER": config.issuer,
        "CLUSTERPASS_ACCESS_LIFETIME": str(config.access_lifetime),
        "CLUSTERPASS_TRUSTED_PROXIES": "127.0.0.1",
        "CLUSTERPASS_AUTHZ_POLICY": str(DEPLOY / "policy.toml"),
        "CLUSTERPASS_AUTHZ_GRPC_ADDRESS": f"127.0.0.1:{grpc_port}",
    }
    command = ["clusterpass", "serve", "--port", str(port)]
    process = stack.enter_context(serving(command, port, environment))
    await_port(grpc_port)
    return Backend(process.pid, port, grpc_port)


def _headers_of_ours(port: int, token: str) -> list[tuple[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    headers = {
        "Authorization": f"Bearer {token}",
        "X-Original-Method": "GET",
        "X-Original-Proto": "http",
        "X-Original-Host": HOST,
        "X-Original-URI": "/",
    }
    connection.request("GET", "/authz/nginx", headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"the service answers with {answer.status}")
    # What is about a connection or a moment is for the server of the constant to say.
    return [pair for pair in answer.getheaders() if pair[0].lower() not in _OF_SERVERS]


def _message_of_ours(port: int, token: str) -> bytes:
    import grpc
    from envoy.service.auth.v3.external_auth_pb2 import CheckRequest
    from envoy.service.auth.v3.external_auth_pb2_grpc import AuthorizationStub

    request: Any = CheckRequest()
    http = request.attributes.request.http
    http.method, http.host, http.scheme, http.path = "GET", HOST, "http", "/"
    http.header_map.headers.add(key="authorization", raw_value=f"Bearer {token}".encode())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        response = AuthorizationStub(channel).Check(request, timeout=_PATIENCE)
    if response.status.code:
        raise RuntimeError(f"the service denies the request: {response}")
    message: bytes = response.SerializeToString()
    return message
