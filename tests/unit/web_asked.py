"""Asks an application of any framework in this process: a request goes in, an answer comes out."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from wsgiref.util import setup_testing_defaults

from aiohttp import web
from aiohttp.test_utils import TestServer

Headers = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """The response of a site."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name]


Ask = Callable[[str, str, Headers, bytes], Answer]
"""Sends a request: method, path and query, headers, of which a character is a byte, and body."""


def asked_by_wsgi(app: Any) -> Ask:
    def ask(method: str, target: str, headers: Headers, body: bytes) -> Answer:
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path}
        setup_testing_defaults(environ)
        environ |= {"QUERY_STRING": query, "CONTENT_LENGTH": str(len(body))}
        environ["wsgi.input"] = BytesIO(body)
        for name, value in headers:
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        answer = Answer()

        def start(status: str, sent: list[tuple[str, str]], *_: Any) -> None:
            answer.status, answer.headers = (
                int(status[:3]),
                [
                    (name, value.strip())
                    for name, value in sent  # as servers do
                ],
            )

        answer.body = b"".join(app(environ, start))
        return answer

    return ask


def asked_by_asgi(app: Any) -> Ask:
    def ask(method: str, target: str, headers: Headers, body: bytes) -> Answer:
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (name.lower().encode(), value.encode("latin-1")) for name, value in headers
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        answer, requests = Answer(), [{"type": "http.request", "body": body, "more_body": False}]

        is_answered = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if requests:
                return requests.pop()
            await is_answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = [
                    (bytes(name).decode(), bytes(value).decode("latin-1"))
                    for name, value in message["headers"]
                ]
            answer.body += message.get("body", b"")
            if message["type"] == "http.response.body" and not message.get("more_body"):
                is_answered.set()

        asyncio.run(app(scope, receive, send))
        return answer

    return ask


def asked_by_aiohttp(make: Callable[[], web.Application]) -> Ask:
    async def exchange(sent: bytes) -> bytes:
        async with TestServer(make()) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(sent)
            received = await reader.read()
            writer.close()
            return received

    def ask(method: str, target: str, headers: Headers, body: bytes) -> Answer:
        lines = [("Connection", "close"), ("Content-Length", str(len(body))), *headers]
        text = "".join(f"{name}: {value}\r\n" for name, value in lines)
        head, _, received = asyncio.run(
            exchange(f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode("latin-1") + body)
        ).partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        found = [(name, value.strip()) for name, _, value in (each.partition(":") for each in rest)]
        return Answer(int(first.split()[1]), found, received)

    return ask
