"""The cache of an issuer's key set: whether it is fresh, and when to request it again. No I/O.

Times are in seconds, by a clock that never goes back.
"""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from clusterpass.model.errors import KeyRejected, KeysUnavailable
from clusterpass.tokens.encoding import decode_json_object
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.verifier import TokenVerifier

logger: Final = logging.getLogger("clusterpass.keys")

SHORTEST_FRESH: Final = 60
"""Seconds for which a set is fresh at least, whatever its Cache-Control says."""
LONGEST_FRESH: Final = 3600
"""Seconds for which a set is fresh at most."""
_USUALLY_FRESH: Final = 300
_FIRST_INTERVAL: Final = 1.0
_MAX_AGE: Final = re.compile(r'(?:^|[,\s])max-age="?([0-9]{1,9})', re.IGNORECASE)
_NO_CACHE: Final = re.compile(r"(?:^|[,\s])no-(?:cache|store)\b", re.IGNORECASE)
_PUBLIC_MEMBERS: Final = frozenset(
    {"kty", "kid", "alg", "use", "key_ops", "crv", "x", "y", "n", "e"}
)


class JwksCache:
    """The latest good key set of an issuer, and the verifier that holds the keys."""

    def __init__(
        self, url: str, make: Callable[[KeyRing], TokenVerifier], *, interval: float
    ) -> None:
        """``make``: returns the verifier of a ring. ``interval``: seconds between two requests."""
        self._url: Final = url
        self._make: Final = make
        self._interval: Final = interval
        self._fresh_until = 0.0
        self._next_try = float("-inf")
        self.requests = 0
        self.verifier: TokenVerifier | None = None
        self._ring: KeyRing | None = None

    def may_ask(self, now: float) -> bool:
        """Return whether the last request is at least an interval ago."""
        return now >= self._next_try

    def is_due(self, now: float) -> bool:
        """Return whether a set is to be asked for: there is none, or it is no longer fresh."""
        return self.may_ask(now) and (self.verifier is None or now >= self._fresh_until)

    def ask(self, now: float) -> None:
        """Note that a request begins."""
        self.requests += 1
        self._wait_from(now)

    def current(self, now: float) -> TokenVerifier:
        """Return the verifier of the set in force; raise KeysUnavailable when there is none yet."""
        if self.verifier is None:
            raise KeysUnavailable(retry_after=max(1, round(max(0.0, self._next_try - now))))
        return self.verifier

    def keep(self, body: bytes, headers: Mapping[str, str], now: float) -> None:
        """Put the set in ``body`` in force, or go on with the last one where it is not fit."""
        try:
            ring = KeyRing.from_jwks(_public_alone(body))
        except (KeyRejected, ValueError) as error:
            self.fail(str(error), now)
            return
        self._fresh_until = now + fresh_for(headers)
        if self._ring is None or self._ring != ring:
            for why in ring.ignored:
                logger.warning("ignored in %s: %s", self._url, why)
            self._ring, self.verifier = ring, self._make(ring)
        self._wait_from(now)

    def fail(self, trouble: str, now: float) -> None:
        """Log why a request brought no set; the last good one stays in force."""
        self._wait_from(now)
        logger.warning("the keys at %s cannot be had: %s", self._url, trouble)

    def _wait_from(self, now: float) -> None:
        # Without a set nothing can be verified, so it is asked for sooner.
        wait = self._interval if self.verifier else min(self._interval, _FIRST_INTERVAL)
        self._next_try = now + wait


def fresh_for(headers: Mapping[str, str]) -> float:
    """Return the seconds for which an answer is fresh (RFC 9111), from a minute to an hour."""
    control = headers.get("cache-control", "")
    found = _MAX_AGE.search(control)
    if _NO_CACHE.search(control):
        return SHORTEST_FRESH
    if found is None:
        return _USUALLY_FRESH
    age = headers.get("age", "0")
    passed = int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0
    return min(max(int(found[1]) - passed, SHORTEST_FRESH), LONGEST_FRESH)


def _public_alone(body: bytes) -> dict[str, Any]:
    """Return the set without symmetric keys, which everybody can read there, and private halves."""
    keys = decode_json_object(body).get("keys")
    if not isinstance(keys, list):
        raise ValueError("it has no list of keys")  # noqa: TRY004 (as of the parser)
    public = [
        {name: value for name, value in key.items() if name in _PUBLIC_MEMBERS}
        for key in keys
        if isinstance(key, dict) and key.get("kty") != "oct"
    ]
    return {"keys": public}
