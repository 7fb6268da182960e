"""Clients that take their time, and bytes that are no requests, at a service as a process."""

import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from .conftest import PASSWORD, ServerProcess, bearer

ADDRESSES = ("127.0.0.2", "127.0.0.3")
BEGUN = (
    b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n{"
)


@contextmanager
def connected(server: ServerProcess, count: int, *, address: str) -> Iterator[list[socket.socket]]:
    place = urlsplit(server.url)
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                socket.create_connection(
                    (place.hostname, place.port), timeout=30, source_address=(address, 0)
                )
            )
            for _ in range(count)
        ]


def received(connection: socket.socket) -> tuple[int, dict[str, str], dict[str, str]]:
    """Status, headers and body of the answer; the server closes the connection after it."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body) if body else {}


def exchanged(server: ServerProcess, sent: bytes) -> tuple[int, dict[str, str], dict[str, str]]:
    with connected(server, 1, address=ADDRESSES[0]) as (connection,):
        connection.sendall(sent)
        return received(connection)


@pytest.mark.alternating
def test_three_hundred_slow_bodies_and_another_client_is_answered(serve, alice):
    server = serve(CLUSTERPASS_SLOW_BODIES="20", CLUSTERPASS_BODY_TIMEOUT="3")
    with connected(server, 300, address=ADDRESSES[0]) as slow:
        for connection in slow:
            connection.sendall(BEGUN)
        tokens = httpx.post(f"{server.url}/login", json={"username": alice, "password": PASSWORD})
        assert tokens.status_code == 200
        assert httpx.get(f"{server.url}/verify", headers=bearer(tokens.json())).status_code == 200
        answers = [received(connection) for connection in slow]
        statuses = [status for status, _, _ in answers]
        assert (statuses.count(408), statuses.count(429)) == (20, 280)
        for status, headers, body in answers:
            assert headers["connection"] == "close"
            assert headers["x-request-id"] and headers["cache-control"] == "no-store"
            code = "request_timeout" if status == 408 else "too_many_requests"
            assert body["error"] == code
            assert ("retry-after" in headers) is (status == 429)
        tokens = httpx.post(f"{server.url}/login", json={"username": alice, "password": PASSWORD})
        assert tokens.status_code == 200


@pytest.mark.alternating
def test_a_slow_form_and_a_slow_call_of_the_framework_have_a_deadline_too(serve):
    server = serve(CLUSTERPASS_BODY_TIMEOUT="0.3")
    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\na="
    for head in (
        b"POST /page/login HTTP/1.1\r\nHost: x\r\n" + form,
        b"PATCH /sessions/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"WEIRD /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ):
        status, _, body = exchanged(server, head)
        assert (status, body["error"]) == (408, "request_timeout")


def test_headers_have_a_deadline(serve):
    server = serve(CLUSTERPASS_HEADER_TIMEOUT="0.5")
    with connected(server, 2, address=ADDRESSES[0]) as (idle, begun):
        begun.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        assert idle.recv(1) == begun.recv(1) == b""
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_eleven_hundred_slow_bodies_leave_room_for_others(serve):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip("the system allows too few open files")
    server = serve()
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    try:
        with connected(server, 1_100, address=ADDRESSES[1]) as slow:
            for connection in slow:
                connection.sendall(BEGUN)
            assert httpx.get(f"{server.url}/healthz", timeout=30).status_code == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("path", [b"/login", b"/refresh", b"/sessions/x", b"/page/login", b"/x"])
@pytest.mark.parametrize(
    "chunks", [b"ZZ\r\nabc\r\n0\r\n\r\n", b"3\r\nabcd\r\n", b"2\r\n{}\r\n-1\r\n"]
)
def test_malformed_chunks_are_400_in_our_form(shared, path, chunks):
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path
    status, headers, body = exchanged(shared, head + chunks)
    assert (status, body["error"]) == (400, "invalid_request")
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"


@pytest.fixture(scope="module")
def shared(serve_all):
    return serve_all()


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: abc",
        b"Content-Length: -1",
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Content-Length: 99999999999999999999999",
        b"Cookie: \x1c__Host-clusterpass-access=x",
        b"Bad Name: x",
    ],
)
def test_what_the_server_cannot_read_is_400(shared, lines):
    sent = b"POST /login HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n\r\n"
    assert exchanged(shared, sent)[0] == 400


def test_two_hosts_and_an_encoded_slash_are_refused_on_every_path(shared):
    for path in (b"/verify", b"/healthz", b"/openapi.json", b"/"):
        for sent in (
            b"GET %s HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" % path,
            b"GET %s%%2Fx HTTP/1.1\r\nHost: x\r\n\r\n" % path,
            b"GET %s/../x HTTP/1.1\r\nHost: x\r\n\r\n" % path.rstrip(b"/"),
        ):
            status, headers, body = exchanged(shared, sent)
            assert (status, body["error"]) == (400, "invalid_request")
            assert headers["x-request-id"]


@pytest.mark.alternating
def test_only_configured_hosts_and_no_secret_of_the_others_in_the_log(serve):
    server = serve(CLUSTERPASS_HOSTS="auth.example")
    for path in (b"/verify", b"/", b"/x"):
        sent = b"GET %s?access_token=secret HTTP/1.1\r\nHost: evil.example\r\n\r\n" % path
        status, _, body = exchanged(server, sent)
        assert (status, body["error"]) == (421, "misdirected_request")
    answer = httpx.get(f"{server.url}/verify", headers={"Host": "Auth.Example:8000"})
    assert answer.status_code == 401
    assert "secret" not in server.log_file.read_text()
