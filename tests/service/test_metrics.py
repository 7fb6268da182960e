"""The metrics of a service with two workers, as processes, at one address."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from clusterpass.metrics.families import FAMILIES
from tests.ports import free_port
from tests.service.conftest import PASSWORD, ServerProcess, bearer
from tests.service.metrics_of import awaited, scraped, value


class Watched(NamedTuple):
    server: ServerProcess
    metrics: str

    def login(self, name: str, password: str = PASSWORD) -> httpx.Response:
        body = {"username": name, "password": password}
        return httpx.post(f"{self.server.url}/login", json=body)

    def verify(self, tokens: dict[str, Any]) -> int:
        # A connection each, so that both workers get some.
        return httpx.get(f"{self.server.url}/verify", headers=bearer(tokens)).status_code


@pytest.fixture
def watched(serve: Callable[..., ServerProcess]) -> Iterator[Watched]:
    address = f"127.0.0.1:{free_port()}"
    server = serve("--workers", "2", CLUSTERPASS_METRICS_ADDRESS=address)
    awaited(address, lambda values: value(values, "clusterpass_processes") == 2)
    yield Watched(server, address)


@pytest.mark.alternating
def test_what_both_workers_do_is_added(watched: Watched, alice: str) -> None:
    assert watched.login(alice, "wrong password").status_code == 401
    tokens = watched.login(alice).json()
    assert {watched.verify(tokens) for _ in range(30)} == {200}
    assert watched.verify({"access_token": "no token"}) == 401
    refresh = {"refresh_token": tokens["refresh_token"]}
    assert httpx.post(f"{watched.server.url}/refresh", json=refresh).status_code == 200
    # The session has changed, so both ask once more before one of them ends it.
    assert {watched.verify(tokens) for _ in range(30)} == {200}
    assert httpx.get(f"{watched.server.url}/no/such/route").status_code == 404
    assert httpx.get(f"{watched.server.url}/a%2fb").status_code == 400
    logout = httpx.post(f"{watched.server.url}/logout", headers=bearer(tokens))
    assert logout.status_code == 204
    assert {watched.verify(tokens) for _ in range(4)} == {401}

    requests = "clusterpass_http_requests_total"
    values = awaited(
        watched.metrics,
        lambda found: (
            value(found, requests, route="/verify", status="401") == 5
            and value(found, "clusterpass_endings_total", outcome="confirmed") == 1
        ),
    )
    assert value(values, requests, route="/verify", status="200") == 60
    assert value(values, requests, route="/login", status="401") == 1
    assert value(values, requests, route="(none)", status="404") == 1
    assert value(values, requests, route="(rejected)", status="400") == 1
    assert value(values, "clusterpass_events_total", kind="login") == 1
    assert value(values, "clusterpass_events_total", kind="refresh") == 1
    assert value(values, "clusterpass_events_total", kind="logged_out") == 1
    # One of each worker at least; those that came while it was asked may have asked, too.
    by_store = value(values, "clusterpass_verifies_total", result="ok", source="store")
    by_memory = value(values, "clusterpass_verifies_total", result="ok", source="memory")
    assert by_store >= 4
    assert by_memory == value(values, "clusterpass_cache_hits_total")
    assert by_memory > 0
    assert value(values, "clusterpass_verifies_total", result="session_revoked") == 4
    assert value(values, "clusterpass_verifies_total", result="token_malformed") == 1
    for duration in ("store_call", "store_node_call", "http_request", "hashing"):
        assert value(values, f"clusterpass_{duration}_duration_seconds_count") > 0, duration
        assert value(values, f"clusterpass_{duration}_duration_seconds_sum") > 0, duration
    assert value(values, "clusterpass_store_node_up") == 3
    assert value(values, "clusterpass_node_leases") > 0
    assert value(values, "clusterpass_revocation_sight_seconds_count") == 1
    assert value(values, "clusterpass_cache_entries") >= 2
    exported = {re.sub("_(bucket|sum|count)$", "", name) for name, _ in values}
    assert exported == {family.name for family in FAMILIES}, "the reference is made of these"


@pytest.mark.alternating
def test_no_label_has_what_a_client_has_chosen(watched: Watched) -> None:
    url = watched.server.url
    httpx.request("PROPFIND", f"{url}/verify")
    httpx.get(f"{url}/authz/nginx/chosen-by-me")
    httpx.get(f"{url}/sessions/chosen-by-me")
    httpx.get(f"{url}/chosen-by-me")
    values = awaited(
        watched.metrics,
        lambda found: (
            value(found, "clusterpass_http_requests_total", route="(none)") == 1
            and value(found, "clusterpass_http_requests_total", route="/verify", method="OTHER")
            == 1
            and value(found, "clusterpass_http_requests_total", route="/authz/nginx") == 1
        ),
    )
    assert "chosen-by-me" not in str(values)


@pytest.mark.alternating
def test_another_worker_takes_the_address_over_and_no_counter_falls(
    watched: Watched, alice: str
) -> None:
    assert watched.login(alice).status_code == 200
    logins = "clusterpass_events_total"
    awaited(watched.metrics, lambda found: value(found, logins, kind="login") == 1)
    killed = watched.server.children()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
        values = awaited(
            watched.metrics,
            lambda found, pid=pid: (
                value(found, "clusterpass_processes") == 2 and str(pid) not in _lock_files(watched)
            ),
        )
        assert value(values, logins, kind="login") == 1
    assert watched.login(alice).status_code == 200
    awaited(watched.metrics, lambda found: value(found, logins, kind="login") == 2)
    assert not set(killed) & set(watched.server.children())


def test_the_folder_is_private_and_leaves_with_the_service(watched: Watched) -> None:
    scraped(watched.metrics)
    (folder,) = _folders(watched)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert watched.server.stop() == 0
    assert not folder.exists()


@pytest.mark.alternating
def test_the_address_has_to_be_free(serve: Callable[..., ServerProcess], watched: Watched) -> None:
    with pytest.raises(AssertionError, match=r"in use by another process; .* metrics_address"):
        serve(CLUSTERPASS_METRICS_ADDRESS=watched.metrics)


def _folders(watched: Watched) -> list[Path]:
    return list(Path("/dev/shm").glob(f"clusterpass-metrics-*-{watched.server.process.pid}-*"))


def _lock_files(watched: Watched) -> str:
    return str([path.name for folder in _folders(watched) for path in folder.glob("*.alive")])
