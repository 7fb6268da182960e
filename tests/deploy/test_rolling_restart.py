"""A rolling restart of the service: requests in progress are answered, none is refused."""

import json
import signal
import socket
import threading
import time

import httpx
import pytest

from clusterpass import Config, KeyRing, SessionManager, UserDirectory

PASSWORD = "correct horse battery"


@pytest.fixture
def token(cluster_url, keys_file, subject):
    config = Config(issuer="http://127.0.0.1:8000", keys=KeyRing.load(keys_file))
    with SessionManager.from_url(cluster_url, config) as sessions:
        UserDirectory(sessions).add(subject, PASSWORD)
        yield sessions.login(subject).access_token


def test_a_request_that_has_begun_is_answered(serve, token, subject):
    server = serve()
    body = json.dumps({"username": subject, "password": PASSWORD}).encode()
    head = (
        f"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode())
        # The service has begun: it waits for the body.
        assert connection.recv(1024).startswith(b"HTTP/1.1 100")
        server.process.send_signal(signal.SIGTERM)
        give_up_at = time.monotonic() + 30
        while accepts(server.port):
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        connection.sendall(body)
        assert connection.recv(1024).startswith(b"HTTP/1.1 200")
    assert server.process.wait(30) == 0


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.alternating
def test_one_after_the_other_refuses_nobody(serve, token):
    servers = [serve(), serve()]
    headers = {"Authorization": f"Bearer {token}"}
    statuses: list[int] = []
    is_over = threading.Event()

    def keep_asking() -> None:
        """As a balancer: another server where one refuses the connection, or ends it unanswered.

        A server that stops closes a connection that idles, perhaps as the next request is on its
        way; what is idempotent may be sent again (RFC 9110 section 9.2.2).
        """
        with httpx.Client(headers=headers, timeout=30) as client:
            while not is_over.is_set():
                for server in servers:
                    try:
                        statuses.append(client.get(f"{server.url}/verify").status_code)
                        break
                    except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
                        continue
                else:
                    statuses.append(0)

    client = threading.Thread(target=keep_asking)
    client.start()
    try:
        for place, server in enumerate(list(servers)):
            before = len(statuses)
            server.stop(signal.SIGTERM)
            servers[place] = serve(port=server.port)
            assert httpx.get(f"{server.url}/readyz").status_code == 200
            while client.is_alive() and len(statuses) < before + 20:
                time.sleep(0.01)
    finally:
        is_over.set()
        client.join()
    assert set(statuses) == {200}
