"""Round trips of a visit to an app, and the delay of a revocation on another server."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from benchmarks.apps.check_endings import SOON, current_device, warm
from benchmarks.apps.visitor import Visitor, expect

REQUESTS = 10


@dataclass(frozen=True, slots=True)
class Visit:
    """The number of requests and round trips of a visit."""

    requests: int
    round_trips: int


def of_client(visitor: Visitor) -> Visit:
    """A client of the API, which refreshes before its access token is over."""

    def visit() -> int:
        client, pair = visitor.phone("bob")
        spent = 1
        for number in range(REQUESTS):
            if number == REQUESTS // 2 and pair.get("refresh_token"):
                pair = visitor.renewed(pair)
                client.headers["Authorization"] = f"Bearer {pair['access_token']}"
                spent += 1
            spent += _ask(client)
        expect(client.post("/logout-all").is_success, "logout")
        return spent + 1

    return _measured(visitor, visit)


def of_browser(visitor: Visitor) -> Visit:
    """A browser whose access token is over half-way; it refreshes if a request is refused."""
    app = visitor.served.candidate
    refreshes = visitor.client().post("/refresh").status_code != 404

    def visit() -> int:
        client = visitor.browser("bob")
        spent = 1
        for number in range(REQUESTS):
            if number == REQUESTS // 2 and refreshes:
                client.cookies.delete(app.access_cookie)
                spent += _ask_or_refresh(visitor, client)
            else:
                spent += _ask(client)
        expect(client.post("/logout-all", headers=visitor.csrf(client)).is_success, "logout")
        return spent + 1

    return _measured(visitor, visit)


def heard_after(visitor: Visitor, *, times: int = 5) -> float:
    """The longest of ``times``: seconds from an acknowledged logout of a device to the refusal."""
    return max(_heard_after(visitor) for _ in range(times))


def _heard_after(visitor: Visitor) -> float:
    client, _ = visitor.phone("bob")
    lost, _ = visitor.phone("bob")
    id_of_lost = current_device(lost)
    warm(visitor, lost)
    expect(client.delete(f"/devices/{id_of_lost}").is_success, "not ended")
    acknowledged = time.monotonic()
    visitor.await_refusal(lost, visitor.elsewhere("/me"), SOON)
    return time.monotonic() - acknowledged


def _measured(visitor: Visitor, visit: Callable[[], int]) -> Visit:
    """The median of three visits after a first one, which opens connections and loads scripts."""
    requests, spent = visit(), []
    for _ in range(3):
        before = visitor.served.round_trips()
        requests = visit()
        spent.append(visitor.served.round_trips() - before)
    return Visit(requests, statistics.median_low(spent))


def _ask(client: httpx.Client) -> int:
    answer = client.get("/me")
    expect(answer.status_code == 200, f"/me: {answer.status_code}")
    return 1


def _ask_or_refresh(visitor: Visitor, client: httpx.Client) -> int:
    if client.get("/me").status_code == 200:
        return 1
    renewed = client.post("/refresh", headers=visitor.csrf(client, refresh=True))
    expect(renewed.is_success, f"refresh: {renewed.status_code}")
    return 2 + _ask(client)
