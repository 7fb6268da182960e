"""A collector of traces by OTLP over HTTP, as far as a test needs one."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    has_failed: bool
    attributes: dict[str, Any]
    service: str


class Collector:
    """The exported traces."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []

    def spans(self) -> list[Span]:
        found = []
        for body in list(self.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                (service,) = (
                    each.value.string_value
                    for each in resource.resource.attributes
                    if each.key == "service.name"
                )
                for scope in resource.scope_spans:
                    found += [_span(each, service) for each in scope.spans]
        return found

    def awaited(self, is_enough: Callable[[dict[str, Span]], bool]) -> dict[str, Span]:
        """The spans by name, as soon as there are enough."""
        deadline = time.monotonic() + 20
        while True:
            spans = {span.name: span for span in self.spans()}
            if is_enough(spans):
                return spans
            assert time.monotonic() < deadline, sorted(spans)
            time.sleep(0.05)


def _span(each: Any, service: str) -> Span:
    attributes = {
        one.key: getattr(one.value, one.value.WhichOneof("value")) for one in each.attributes
    }
    return Span(
        each.name,
        each.trace_id.hex(),
        each.span_id.hex(),
        each.parent_span_id.hex(),
        each.kind,
        each.status.code == 2,
        attributes,
        service,
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            collector.bodies.append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
