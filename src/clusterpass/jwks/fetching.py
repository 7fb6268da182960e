"""One request for a key set, by httpx: no redirects, at most half a megabyte, one time limit."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from ipaddress import ip_address
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

from clusterpass.model.errors import ConfigurationError

_LARGEST: Final = 512 * 1024
_OK: Final = 200
_ACCEPTED: Final = {"accept": "application/jwk-set+json, application/json"}

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

    body, deadline = bytearray(), time.monotonic() + seconds
    try:
        with (
            httpx.Client(**_options(seconds, context)) as client,
            client.stream("GET", url, headers=_ACCEPTED) as answer,
        ):
            _check_status(answer.status_code)
            for piece in answer.iter_bytes():
                _add(body, piece)
                if time.monotonic() > deadline:
                    raise FetchFailed("it takes too long")
            return bytes(body), answer.headers
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise FetchFailed(type(error).__name__) from None


async def fetch_async(url: str, seconds: float, context: ssl.SSLContext | bool) -> Answer:
    """Return the answer of ``url``; raise FetchFailed when there is none in so many ``seconds``."""
    import httpx  # noqa: PLC0415

    body = bytearray()
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(**_options(seconds, context)) as client,
            client.stream("GET", url, headers=_ACCEPTED) as answer,
        ):
            _check_status(answer.status_code)
            async for piece in answer.aiter_bytes():
                _add(body, piece)
            return bytes(body), answer.headers
    except TimeoutError:
        raise FetchFailed("it takes too long") from None
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


def _check_status(status: int) -> None:
    if status != _OK:
        raise FetchFailed(f"it answers with the status {status}")


def _add(body: bytearray, piece: bytes) -> None:
    body += piece
    if len(body) > _LARGEST:
        raise FetchFailed(f"it is larger than {_LARGEST} bytes")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
