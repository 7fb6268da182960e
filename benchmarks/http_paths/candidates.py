"""A server of the benchmark over HTTP, with the requests that it is asked."""

from dataclasses import dataclass

from benchmarks.http_paths.load_requests import Requests
from benchmarks.http_paths.store_cpu import Store


@dataclass(slots=True)
class Candidate:
    """A row of the table, on a server that runs."""

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
