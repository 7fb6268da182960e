"""Verifiers that fetch the key set of their issuer: one for threads, and one for event loops.

The first call that finds the set no longer fresh fetches it, while other calls go on with the old
set. If tokens name a key that is not in the set, all their calls wait for one request. Two requests
are at least an interval apart.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Self, TypeVar
from weakref import WeakKeyDictionary

from clusterpass.jwks.cache import JwksCache
from clusterpass.jwks.fetching import FetchFailed, check_url, fetch, fetch_async, load_client
from clusterpass.model.authentication_errors import TokenKeyUnknown
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.values import AccessClaims
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.verifier import TokenVerifier

_LONGEST_WAIT: Final = 3600
Result = TypeVar("Result")


class UrlTokenVerifier(TokenVerifier):
    """A ``TokenVerifier`` whose keys are those that a URL serves; share it between threads."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        interval: float,
        ssl_context: ssl.SSLContext | None,
        steady: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        """Options: those of ``TokenVerifier.from_jwks_url``. ``steady``: never goes back."""
        self._cache, self._fetch = _parts(
            fetch, url, options, timeout=timeout, interval=interval, ssl_context=ssl_context
        )
        self._patience: Final = 2 * timeout
        self._steady: Final = steady
        self._flight: Final = threading.Lock()

    def verify(self, token: str, *, allow_expired: bool = False) -> AccessClaims:
        """Return the claims of ``token`` if it is valid; fetch keys where they are needed.

        As ``TokenVerifier.verify``; raises KeysUnavailable when no keys could be fetched yet.
        """
        cache, requests = self._cache, self._cache.requests
        if cache.verifier is None or cache.is_due(self._steady()):
            self._renew(requests, may_wait=cache.verifier is None)
        verifier = cache.current(self._steady())
        try:
            return verifier.verify(token, allow_expired=allow_expired)
        except TokenKeyUnknown:
            self._renew(requests, may_wait=True)
            newer = cache.current(self._steady())
            if newer is verifier:
                raise
        return newer.verify(token, allow_expired=allow_expired)

    def _renew(self, requests: int, *, may_wait: bool) -> None:
        """Fetch the set, or wait for whoever does.

        ``requests``: how many there were when the caller looked at the set; nothing is done when
        there was another one since.
        """
        # The lock is not waited for endlessly: a process may have been forked while it was held.
        if not self._flight.acquire(timeout=self._patience if may_wait else 0):
            return
        try:
            now = self._steady()
            if self._cache.requests != requests or not self._cache.may_ask(now):
                return
            self._cache.ask(now)
            try:
                body, headers = self._fetch()
            except FetchFailed as error:
                self._cache.fail(str(error), self._steady())
            else:
                self._cache.keep(body, headers, self._steady())
        finally:
            self._flight.release()


class AsyncTokenVerifier:
    """Verifies access tokens by the keys that a URL serves, on event loops.

    As ``TokenVerifier``, awaited: it never asks the store, so it accepts the tokens of a revoked
    session until they expire.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        interval: float,
        ssl_context: ssl.SSLContext | None,
        steady: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        """:meth:`from_jwks_url` makes verifiers, and has the defaults."""
        self._cache, self._fetch = _parts(
            fetch_async, url, options, timeout=timeout, interval=interval, ssl_context=ssl_context
        )
        self._steady: Final = steady
        self._flights: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]]] = (
            WeakKeyDictionary()
        )

    @classmethod
    def from_jwks_url(
        cls,
        url: str,
        *,
        issuer: str,
        audience: str,
        clock_leeway: int = 30,
        expiry_leeway: int = 0,
        clock: Callable[[], float] = time.time,
        timeout: float = 2.0,
        interval: float = 10.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> Self:
        """Return a verifier of the key set at ``url``; see ``TokenVerifier.from_jwks_url``."""
        return cls(
            url,
            timeout=timeout,
            interval=interval,
            ssl_context=ssl_context,
            issuer=issuer,
            audience=audience,
            clock_leeway=clock_leeway,
            expiry_leeway=expiry_leeway,
            clock=clock,
        )

    async def verify(self, token: str, *, allow_expired: bool = False) -> AccessClaims:
        """Return the claims of ``token`` if it is valid; fetch keys where they are needed.

        As ``TokenVerifier.verify``; raises KeysUnavailable when no keys could be fetched yet.
        """
        cache = self._cache
        if cache.verifier is None or cache.is_due(self._steady()):
            await self._renew(may_wait=cache.verifier is None)
        verifier = cache.current(self._steady())
        try:
            return verifier.verify(token, allow_expired=allow_expired)
        except TokenKeyUnknown:
            await self._renew(may_wait=True)
            newer = cache.current(self._steady())
            if newer is verifier:
                raise
        return newer.verify(token, allow_expired=allow_expired)

    async def _renew(self, *, may_wait: bool) -> None:
        """Fetch the set, or wait for the task of this loop that does."""
        loop, now = asyncio.get_running_loop(), self._steady()
        flight = self._flights.get(loop)
        if flight is None or flight.done():
            if not self._cache.may_ask(now):
                return
            self._cache.ask(now)
            flight = self._flights[loop] = loop.create_task(self._fetch_and_keep())
        elif not may_wait:
            return
        # A caller who gives up does not take the request away from the others.
        await asyncio.shield(flight)

    async def _fetch_and_keep(self) -> None:
        try:
            body, headers = await self._fetch()
        except FetchFailed as error:
            self._cache.fail(str(error), self._steady())
        else:
            self._cache.keep(body, headers, self._steady())


def _parts(
    fetch: Callable[..., Result],
    url: str,
    options: dict[str, Any],
    *,
    timeout: float,
    interval: float,
    ssl_context: ssl.SSLContext | None,
) -> tuple[JwksCache, Callable[[], Result]]:
    """Return what both kinds of verifiers hold; raise ConfigurationError."""
    checked = check_url(url)
    for name, seconds in (("timeout", timeout), ("interval", interval)):
        if not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST_WAIT:
            raise ConfigurationError(f"{name} must be a number of seconds up to {_LONGEST_WAIT}")
    client = load_client()

    def make(ring: KeyRing) -> TokenVerifier:
        return TokenVerifier(ring, **options)

    cache = JwksCache(checked, make, interval=interval)
    context: ssl.SSLContext | bool = False  # nothing is encrypted on the way to this machine
    if checked.startswith("https:"):
        # Made once, as reading all certificates takes long.
        context = client.create_ssl_context() if ssl_context is None else ssl_context
    return cache, partial(fetch, checked, timeout, context)
