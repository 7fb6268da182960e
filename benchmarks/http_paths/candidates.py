"""A server in the benchmark over HTTP, and the requests that the load generator sends to it."""

from dataclasses import dataclass

from benchmarks.http_paths.load_requests import Requests
from benchmarks.http_paths.store_cpu import Store


@dataclass(slots=True)
class Candidate:
    """A running server, which is one row of the table."""

    label: str
    pid: int
    port: int
    requests: Requests
    store: Store
    notices_logout: bool | None = None
    """Whether it refused a session after its logout; None for what checks nothing."""
    most: int = 1
    """The number of different requests, each of which is made before the first measurement."""
    asked: int = 0
    """So many requests were made: where the next load begins."""
