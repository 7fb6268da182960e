"""The port for gRPC in operation: several workers, ends, settings that cannot work."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import httpx
import pytest
from envoy.service.auth.v3.external_auth_pb2_grpc import AuthorizationStub

from clusterpass import ConfigurationError
from clusterpass.service.app import create_app
from clusterpass.service.authz.handler import FrontDoor
from clusterpass.service.settings.loading import load_settings
from tests.ports import free_port

from ..conftest import COMMAND, command_environment
from .asking import PROXY
from .grpc_calls import check, check_request, grpc_address, status_of
from .test_running import await_that


def ask(address, **options):
    """Return the answer to an anonymous request, over a connection of its own."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        asking = AuthorizationStub(channel).Check
        return asking(check_request("/x"), timeout=30, wait_for_ready=True, **options)


def environment(policy, address, **more):
    return {
        "CLUSTERPASS_AUTHZ_POLICY": str(policy),
        "CLUSTERPASS_TRUSTED_PROXIES": PROXY,
        "CLUSTERPASS_AUTHZ_GRPC_ADDRESS": address,
        **more,
    }


def listeners(port):
    """Return how many sockets listen on a port."""
    listening = "0A"
    rows = []
    for table in ("tcp", "tcp6"):  # gRPC listens on IPv4 by IPv6, where there is any
        rows += [line.split() for line in Path("/proc/net", table).read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == listening for row in rows)


@pytest.mark.alternating
def test_every_worker_listens_and_one_that_dies_is_replaced(serve, policy, cluster_url, keys_file):
    address = grpc_address()
    port = int(address.rpartition(":")[2])
    server = serve("--workers", "2", **environment(policy, address))
    await_that(lambda: listeners(port) == 2)
    assert {status_of(ask(address)) for _ in range(20)} == {401}
    another = run(cluster_url, keys_file, COMMAND, address)
    assert another.returncode == 1
    assert "in use by another process" in another.stderr
    killed, _ = server.children()
    os.kill(killed, signal.SIGKILL)
    await_that(lambda: killed not in server.children() and listeners(port) == 2)
    assert status_of(ask(address)) == 401
    before = set(server.children())
    server.process.send_signal(signal.SIGHUP)
    await_that(lambda: not before & set(server.children()) and len(server.children()) == 2)
    assert status_of(ask(address)) == 401
    assert server.stop() == 0
    assert listeners(port) == 0


@pytest.mark.alternating
def test_a_connection_that_is_open_does_not_hold_up_the_end(serve, policy):
    address = grpc_address()
    server = serve(**environment(policy, address))
    with grpc.insecure_channel(address) as channel:
        asking = AuthorizationStub(channel).Check
        assert status_of(asking(check_request("/x"), timeout=30, wait_for_ready=True)) == 401
        assert server.stop() == 0
    assert "ERROR" not in server.log_file.read_text()


async def test_what_was_asked_is_answered_before_the_end(make, policy, monkeypatch):
    settings = make(authz_policy=policy, authz_grpc_address=grpc_address())
    asked, ending = asyncio.Event(), asyncio.Event()
    judge = FrontDoor.judge

    async def slow(*arguments):
        asked.set()
        await ending.wait()
        return await judge(*arguments)

    monkeypatch.setattr(FrontDoor, "judge", slow)
    app = create_app(settings)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.running())
        # What is public is answered from memory, without a judgement.
        answering = asyncio.create_task(check(settings, check_request("/x")))
        await asked.wait()
        asyncio.get_running_loop().call_soon(ending.set)
    assert status_of(await answering) == 401


async def test_who_gives_up_waiting_leaves_a_line(start, make, policy, monkeypatch):
    settings = make(authz_policy=policy, authz_grpc_address=grpc_address())
    service = await start(settings)

    async def endless(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr(FrontDoor, "judge", endless)
    async with grpc.aio.insecure_channel(settings.authz_grpc_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await AuthorizationStub(channel).Check(check_request("/x"), timeout=0.5)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(10):
        while not service.lines():
            await asyncio.sleep(0.01)
    assert service.lines()[-1]["status"] == 0


def test_a_port_that_is_taken_is_one_sentence(cluster_url, keys_file):
    with socket.socket() as taken:
        # As another service would: the system would let both have the port.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = run(cluster_url, keys_file, COMMAND, f"127.0.0.1:{port}")
    assert outcome.returncode == 1
    assert outcome.stderr == (
        f"clusterpass: port {port} on 127.0.0.1 is in use by another process;"
        " choose another with authz_grpc_address\n"
    )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("missing", ["grpc", "envoy.service", "google.protobuf"])
def test_an_extra_that_is_missing_is_named(cluster_url, keys_file, missing):
    hidden = f"import sys; sys.modules[{missing!r}] = None; from clusterpass.cli import main; "
    command = [sys.executable, "-c", f"{hidden}main()"]
    outcome = run(cluster_url, keys_file, command, grpc_address())
    assert outcome.returncode == 1
    assert outcome.stderr.count("\n") == 1
    assert 'pip install "clusterpass[envoy]"' in outcome.stderr


def run(cluster_url, keys_file, command, address):
    variables = {"CLUSTERPASS_AUTHZ_GRPC_ADDRESS": address}
    return subprocess.run(
        [*command, "serve", "--port", str(free_port())],
        env=command_environment(cluster_url, keys_file, **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_the_setting_nothing_of_grpc_is_loaded(serve, policy):
    server = serve(CLUSTERPASS_AUTHZ_POLICY=str(policy), CLUSTERPASS_TRUSTED_PROXIES=PROXY)
    assert httpx.get(f"{server.url}/authz/nginx").status_code == 403
    for worker in server.children():
        with open(f"/proc/{worker}/maps") as mapped:
            assert "cygrpc" not in mapped.read()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("unix:/run/clusterpass.sock", "Unix socket"),
        ("127.0.0.1", "HOST:PORT"),
        ("::1:9001", "HOST:PORT"),
        ("127.0.0.1:0", "HOST:PORT"),
        ("127.0.0.1:65536", "HOST:PORT"),
        ("http://127.0.0.1:9001", "HOST:PORT"),
        ("127.0.0.1:8000", "port of its own"),
    ],
)
def test_an_address_that_is_none_is_refused(address, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_settings(None, {"authz_grpc_address": address})
    assert "authz_grpc_address" in str(caught.value)


def test_addresses_of_both_families(keys_file):
    for address, host in (("[::1]:9001", "::1"), ("127.0.0.1:9001", "127.0.0.1")):
        settings = load_settings(None, {"authz_grpc_address": address})
        assert settings.grpc_host_and_port() == (host, 9001)
    assert load_settings().grpc_host_and_port() == ("", None)
