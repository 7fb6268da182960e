"""One request for a key set, by httpx: no redirects, at most half a megabyte, one time limit.

The limits hold whatever a server does. Those of httpx would not suffice: its timeout starts again
with each byte of the headers, and a kilobyte of gzip can unpack to a megabyte.
"""

import asyncio
import socket
import ssl
import threading
import zlib
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from types import ModuleType, TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from clusterpass.model.errors import ConfigurationError

_LARGEST: Final = 512 * 1024
_OK: Final = 200
_ACCEPTED: Final = {
    "accept": "application/jwk-set+json, application/json",
    "accept-encoding": "gzip",
}
_GZIP: Final = 16 + zlib.MAX_WBITS
_CONNECTED: Final = "connection.connect_tcp.complete"
_TOO_LONG: Final = "it takes too long"

Answer = tuple[bytes, Mapping[str, str]]
"""The body, and the headers by names in lower case."""


class FetchFailed(Exception):
    """The key set could not be fetched."""


def check_url(url: object) -> str:
    """Return ``url`` if it is https, or http to this machine; raise ConfigurationError if not."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        host = parts.hostname if parts else None
        _ = parts.port if parts else None
    except ValueError:
        parts = host = None
    if parts is None or not host or parts.username is not None:
        raise ConfigurationError(
            "the URL of a key set is https://HOST/PATH, without a user or a password"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ConfigurationError(
            "the URL of a key set must be https: whoever changes the keys on the way can sign"
            " tokens. Only localhost may be http"
        )
    return parts.geturl()


def load_client() -> ModuleType:
    """Return httpx; raise ConfigurationError, which says what to install, when it is missing."""
    try:
        import httpx  # noqa: PLC0415 (only the extra installs it)
    except ModuleNotFoundError:
        raise ConfigurationError(
            'fetching keys needs httpx; install it with: pip install "clusterpass[jwks]"'
        ) from None
    return httpx


def fetch(url: str, seconds: float, context: ssl.SSLContext | bool) -> Answer:
    """Return the answer of ``url``; raise FetchFailed when there is none in so many ``seconds``."""
    import httpx  # noqa: PLC0415

    with _Hurry(seconds) as hurry:
        try:
            with (
                httpx.Client(**_options(seconds, context)) as client,
                client.stream(
                    "GET", url, headers=_ACCEPTED, extensions={"trace": hurry.trace}
                ) as answer,
            ):
                body = _Body(answer.status_code, answer.headers)
                for piece in answer.iter_raw():
                    body.add(piece)
                hurry.check()  # a body that does not tell its length ends where it is cut off
                return body.whole(), answer.headers
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            hurry.check()
            raise FetchFailed(type(error).__name__) from None


async def fetch_async(url: str, seconds: float, context: ssl.SSLContext | bool) -> Answer:
    """Return the answer of ``url``; raise FetchFailed when there is none in so many ``seconds``."""
    import httpx  # noqa: PLC0415

    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(**_options(seconds, context)) as client,
            client.stream("GET", url, headers=_ACCEPTED) as answer,
        ):
            body = _Body(answer.status_code, answer.headers)
            async for piece in answer.aiter_raw():
                body.add(piece)
            return body.whole(), answer.headers
    except TimeoutError:
        raise FetchFailed(_TOO_LONG) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise FetchFailed(type(error).__name__) from None


def _options(seconds: float, context: ssl.SSLContext | bool) -> dict[str, Any]:
    # What this machine serves without TLS goes through no proxy that the environment names.
    return {
        "timeout": seconds,
        "verify": context,
        "follow_redirects": False,
        "trust_env": context is not False,
    }


class _Body:
    """The body of an answer, kept and decompressed only up to the size limit of a key set."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        """Raises FetchFailed for an answer that is of no use."""
        if status != _OK:
            raise FetchFailed(f"it answers with the status {status}")
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", "x-gzip", ""}:
            raise FetchFailed("it is compressed by another method than gzip")
        self._gzip = zlib.decompressobj(_GZIP) if "gzip" in encoding else None
        self._bytes = bytearray()

    def add(self, piece: bytes) -> None:
        """Take a piece; raise FetchFailed when that is too much."""
        if self._gzip is not None:
            try:
                piece = self._gzip.decompress(piece, _LARGEST + 1)
            except zlib.error:
                raise FetchFailed("it is not compressed as it says") from None
        self._bytes += piece
        if len(self._bytes) > _LARGEST:
            raise FetchFailed(f"it is larger than {_LARGEST} bytes")

    def whole(self) -> bytes:
        """All of it; raises FetchFailed where the end is missing."""
        if self._gzip is not None and not self._gzip.eof:
            raise FetchFailed("it is not compressed as it says")
        return bytes(self._bytes)


class _Hurry:
    """Ends a request that takes too long in a thread, by shutting down its connections."""

    def __init__(self, seconds: float) -> None:
        self._timer: Final = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._lock: Final = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_over = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            while self._sockets:
                self._sockets.pop().close()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of a connection, as the extension ``trace`` of httpx tells of it."""
        if event == _CONNECTED:
            # Another descriptor, as TLS and whoever closes take the first one away.
            found = info["return_value"].get_extra_info("socket").dup()
            with self._lock:
                self._sockets.append(found)
                if self._is_over:
                    _shut(found)

    def check(self) -> None:
        """Raise FetchFailed when the time is over."""
        if self._is_over:
            raise FetchFailed(_TOO_LONG)

    def _end(self) -> None:
        with self._lock:
            self._is_over = True
            for each in self._sockets:
                _shut(each)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side was quicker
        connection.shutdown(socket.SHUT_RDWR)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
