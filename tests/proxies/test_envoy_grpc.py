"""Envoy over gRPC: policies of routes, denials, and the access log."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.service.conftest import ServerProcess

from .conftest import Seen, logged, visitor
from .programs import HOST, Proxy, proxying, require

NAME = "envoy-grpc"


@pytest.fixture(scope="module")
def envoy(
    services: tuple[ServerProcess, ServerProcess],
    grpc_port: int,
    app_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    require(NAME)
    folder = tmp_path_factory.mktemp(NAME) / "files"
    with proxying(NAME, services[0].port, grpc_port, app_port, folder) as running:
        yield running


def test_a_route_has_a_policy_of_its_own(envoy, login, services):
    with visitor(envoy, login(claims={"scope": "staff"})) as client:
        assert Seen.of(client.get("/staff/rota")).said["path"] == "/staff/rota"
    with visitor(envoy, login()) as client:
        assert client.get("/private").status_code == 200
        answer = client.get("/staff/rota?x=1")
    assert answer.status_code == 403
    assert answer.json()["error"] == "scope_missing"
    assert 'scope="staff"' in answer.headers["www-authenticate"]
    denial = logged(services[0], original_uri="/staff/rota")
    assert (denial["policy"], denial["rule"]) == ("staff", "staff")


SPELLINGS = [
    b"/staff",
    b"/staff/rota",
    b"//staff/rota",
    b"/x/../staff/rota",
    b"/x/%2e%2e/staff/rota",
    b"/%73taff/rota",
    b"/staff%2frota",
    b"/./staff//rota",
    b"/staff;x=1/rota",
]


@pytest.mark.parametrize("path", SPELLINGS, ids=bytes.decode)
def test_no_spelling_of_a_path_evades_the_policy_of_its_route(envoy, login, path):
    token = login().access_token.encode()
    status, body = fetch(envoy, path, b"Authorization: Bearer %s\r\npolicy: x\r\n" % token)
    assert status in {400, 403}, body


def test_a_denial_has_all_headers_of_the_service(envoy):
    with visitor(envoy) as client:
        answer = client.get("/private", headers={"X-Request-ID": "mine"})
    assert answer.status_code == 401
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "application/problem+json"
    for name in ("content-type", "content-length", "www-authenticate", "server"):
        assert len(answer.headers.get_list(name)) == 1, name
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.json()["error"] == "token_missing"


def test_two_tokens_are_refused(envoy, login):
    token = login().access_token
    for second in (token, "x"):
        headers = [("Host", HOST), ("Authorization", f"Bearer {token}")]
        headers.append(("Authorization", f"Bearer {second}"))
        with visitor(envoy) as client:
            answer = client.get("/private", headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "token_malformed")


@pytest.mark.parametrize("raw", [b"/public/\xff", b"/public/\xc3\x28", b"/public/%ff"])
def test_a_path_that_is_no_text_leads_nowhere(envoy, raw):
    """Envoy refuses it, or the service does."""
    status, body = fetch(envoy, raw)
    assert status in {400, 403}, body
    if status == 403:
        assert json.loads(body)["reason"] == "unsafe_path"


def accessed(envoy: Proxy, path: str) -> dict[str, Any]:
    """The line of Envoy's own access log about a path."""
    deadline = time.monotonic() + 20
    while True:
        lines = [line for line in envoy.log_file.read_text().splitlines() if line[:1] == "{"]
        for line in map(json.loads, lines):
            if line["path"] == path:
                return dict(line)
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def test_the_access_log_says_who_called(envoy, login, subject):
    pair = login(claims={"scope": "staff orders:read"})
    with visitor(envoy, pair) as client:
        assert client.get("/private/seen?token=secret").status_code == 200
        assert client.get("/private/seen-again").status_code == 200
    for path in ("/private/seen", "/private/seen-again"):
        line = accessed(envoy, path)
        assert line["subject"] == subject
        assert line["session"] == pair.session_id
        assert (line["level"], line["scopes"]) == ("1", ["staff", "orders:read"])
        assert (line["status"], line["actor"]) == (200, None)
    assert "token=secret" not in envoy.log_file.read_text()


def test_the_access_log_names_nobody_without_a_session(envoy, login):
    with visitor(envoy) as client:
        assert client.get("/public/seen").status_code == 200
        assert client.get("/private/unseen").status_code == 401
    for path, status in (("/public/seen", 200), ("/private/unseen", 401)):
        line = accessed(envoy, path)
        assert (line["status"], line["subject"], line["scopes"]) == (status, None, None)


RBAC = """                  - name: envoy.filters.http.rbac
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
                      rules:
                        action: ALLOW
                        policies:
                          staff:
                            permissions: [{any: true}]
                            principals:
                              - metadata:
                                  filter: envoy.filters.http.ext_authz
                                  path: [{key: scopes}]
                                  value: {list_match: {one_of: {string_match: {exact: staff}}}}
"""


def test_a_filter_of_envoy_decides_by_what_the_service_says(
    services, grpc_port, app_port, login, tmp_path
):
    require(NAME)
    router = "                  - name: envoy.filters.http.router\n"
    given = (NAME, services[0].port, grpc_port, app_port, tmp_path / "files")
    with proxying(*given, changes={router: RBAC + router}) as envoy:
        with visitor(envoy, login(claims={"scope": "orders staff"})) as client:
            assert Seen.of(client.get("/private"))
        with visitor(envoy, login(claims={"scope": "orders"})) as client:
            forged = {"X-Auth-Scope": "staff", "scopes": "staff"}
            answer = client.get("/private", headers=forged)
            assert (answer.status_code, answer.text) == (403, "RBAC: access denied")


def fetch(envoy: Proxy, target: bytes, headers: bytes = b"") -> tuple[int, bytes]:
    """Send a request for exactly this target."""
    with socket.create_connection(("127.0.0.1", envoy.port), 10) as connection:
        start = b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n" % (target, HOST.encode())
        connection.sendall(b"%s%s\r\n" % (start, headers))
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body
