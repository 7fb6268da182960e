"""An issuer of tokens that serves its JWK Set on this machine, and can be made to misbehave."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from clusterpass import AccessClaims, AsyncTokenVerifier, KeyRing, TlsFiles, TokenIssuer
from clusterpass.jwks.verifiers import UrlTokenVerifier

ISSUER, AUDIENCE, NOW = "https://auth.example", "api", 1_800_000_000
SESSION_ID = "A" * 22


class JwksIssuer:
    """The responses to serve, and the number of requests."""

    def __init__(self) -> None:
        self.ring = KeyRing.generate()
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: bytes | None = None
        self.requests = 0
        self.came = threading.Semaphore(0)
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.url = ""

    def token(self, ring: KeyRing | None = None) -> str:
        key = (ring or self.ring).signing_key
        issuer = TokenIssuer(key, issuer=ISSUER, audience=AUDIENCE, random_bytes=bytes)
        return issuer.issue("alice", SESSION_ID, issued_at=NOW, expires_at=NOW + 900, claims={})

    def rotate(self) -> None:
        """Sign with a new key; the old one is published too."""
        self.ring = KeyRing([*KeyRing.generate().all(), *self.ring.all()])

    def answer(self) -> bytes:
        return json.dumps(self.ring.public_jwks()).encode() if self.body is None else self.body


@contextmanager
def served(tls: TlsFiles | None = None) -> Iterator[JwksIssuer]:
    issuer = JwksIssuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests += 1
            issuer.came.release()
            issuer.may_answer.wait(30)
            body = issuer.answer()
            self.send_response(issuer.status)
            for name, value in issuer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that gave up is none of the server's business."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.cert_file, tls.key_file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    issuer.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/jwks.json"
    try:
        yield issuer
    finally:
        issuer.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Threads:
    """The face for threads."""

    made = UrlTokenVerifier

    def verify(self, verifier: Any, token: str, **options: Any) -> AccessClaims:
        claims: AccessClaims = verifier.verify(token, **options)
        return claims

    def verify_at_once(self, verifier: Any, tokens: list[str]) -> list[Any]:
        """Return what becomes of each, all at the same time."""
        return [each() for each in self.begin(verifier, tokens)]

    def begin(self, verifier: Any, tokens: list[str]) -> list[Any]:
        outcomes: list[Any] = [None] * len(tokens)

        def run(place: int) -> None:
            try:
                outcomes[place] = verifier.verify(tokens[place])
            except Exception as error:
                outcomes[place] = error

        threads = [threading.Thread(target=run, args=(place,)) for place in range(len(tokens))]
        for thread in threads:
            thread.start()

        def result(place: int) -> Any:
            threads[place].join(30)
            return outcomes[place]

        return [lambda place=place: result(place) for place in range(len(tokens))]

    def close(self) -> None:
        """Nothing is open."""


class Loop:
    """The face for event loops, on a loop in a thread."""

    made = AsyncTokenVerifier

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def verify(self, verifier: Any, token: str, **options: Any) -> AccessClaims:
        future = asyncio.run_coroutine_threadsafe(verifier.verify(token, **options), self.loop)
        claims: AccessClaims = future.result(30)
        return claims

    def verify_at_once(self, verifier: Any, tokens: list[str]) -> list[Any]:
        return [each() for each in self.begin(verifier, tokens)]

    def begin(self, verifier: Any, tokens: list[str]) -> list[Any]:
        futures = [
            asyncio.run_coroutine_threadsafe(verifier.verify(token), self.loop) for token in tokens
        ]

        def result(future: Any) -> Any:
            return future.exception(30) or future.result()

        return [lambda future=future: result(future) for future in futures]

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
