"""Codes by which the portal hands a session over to a host that none of its cookies reaches.

A code works once, for half a minute, at one host, and only in the browser that this host has sent
to the portal.

- The host recognises its browser by a cookie with a random value, which it sets before the browser
  leaves. The portal learns only a digest of the value, and writes it into the code.
- Codes are signed under a secret derived from those of the deployment, so a server can check one
  without asking another server. Uses are counted in the store, which all servers share.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import parse_qs

from clusterpass import (
    AsyncLoginThrottle,
    AsyncSessionManager,
    Config,
    ThrottlePolicy,
    TooManyAttempts,
)
from clusterpass.service.calls.proxy_cookie import Ticket, decode_subject, encode_subject
from clusterpass.service.settings.cross_domain_hosts import FINISH
from clusterpass.service.settings.service import Settings
from clusterpass.web.cookies import own_cookie
from clusterpass.web.derived_secrets import derived_secrets

LIFETIME: Final = 30
"""Seconds between the portal and the host."""
MOST_LIFETIME: Final = 60
"""Seconds for which a code is accepted at most, whatever the clock says of the server that made
it."""
NONCE_SECONDS: Final = 3600
"""How long a browser may take at the portal."""
_USED_SECONDS: Final = 600
"""How long the store remembers that a code was used: longer than any clock accepts it."""
_PURPOSE: Final = "hand-over code"
_ID: Final = r"[A-Za-z0-9_-]{22}"
_CODE: Final = re.compile(
    rf"(?P<signed>1\.(?P<code_id>{_ID})\.(?P<expires_at>[0-9]{{1,12}})\.(?P<state>[0-9a-f]{{64}})"
    rf"\.(?P<session_id>{_ID})\.(?P<is_lasting>[01])\.(?P<step_up>[A-Za-z0-9_-]{{0,64}})"
    r"\.(?P<subject>[A-Za-z0-9_-]{2,344}))\.(?P<mac>[0-9a-f]{64})"
)
_NONCE: Final = re.compile(_ID)
_STATE: Final = re.compile(r"[0-9a-f]{64}")


class CodeRefused(Exception):
    """A code that admits nobody; ``reason`` is for the log."""

    def __init__(self, reason: str) -> None:
        """``reason``: why."""
        super().__init__(reason)
        self.reason: Final = reason


@dataclass(frozen=True, slots=True)
class Code:
    """The content of a genuine code."""

    code_id: str
    state: str
    ticket: Ticket


class HandOvers:
    """Makes and redeems the codes of one deployment."""

    def __init__(
        self,
        config: Config,
        hosts: frozenset[str],
        *,
        secure: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``hosts``: those that codes are made for, in lower case, with a port that is not the
        usual one. ``secure``: whether browsers reach them over HTTPS. ``clock``: returns seconds
        since the epoch."""
        self.hosts: Final = hosts
        self.cookie: Final = own_cookie("hand-over", secure=secure)
        """Carries the random value by which a host knows its browser again."""
        self._clock: Final = clock
        self.replace_keys(config)

    @classmethod
    def of(cls, settings: Settings, config: Config) -> Self | None:
        """Return those of the settings; None where no host is listed."""
        hosts = frozenset(settings.authz_hand_over_hosts)
        return cls(config, hosts, secure=settings.cookie_secure) if hosts else None

    def replace_keys(self, config: Config) -> None:
        """Make and accept codes by the keys and secrets of ``config`` from now on."""
        self._secrets = derived_secrets(config.keys, config.shared_secrets, _PURPOSE)

    def state_in(self, authority: str, rest: str) -> str | None:
        """Return the digest that a host asks a code with; None where an address asks for none.

        ``authority``: the host of the address. ``rest``: its path and query.
        """
        path, _, query = rest.partition("?")
        if path != FINISH or authority not in self.hosts:
            return None
        given = parse_qs(query).get("state", [])
        return given[0] if len(given) == 1 and _STATE.fullmatch(given[0]) else None

    def make(self, authority: str, state: str, ticket: Ticket) -> str:
        """Return a code for the host ``authority``; ``state``: as :func:`state_of` returned it."""
        code_id = secrets.token_urlsafe(16)
        expires_at = int(self._clock()) + LIFETIME
        step_up, subject = ticket.step_up or "", encode_subject(ticket.subject)
        lasting = int(ticket.is_lasting)
        parts = (1, code_id, expires_at, state, ticket.session_id, lasting, step_up, subject)
        signed = ".".join(map(str, parts))
        return f"{signed}.{_mac(self._secrets[0], authority, signed)}"

    async def redeem(
        self, sessions: AsyncSessionManager, code: str, authority: str, nonce: str
    ) -> Ticket:
        """Return whose session ``code`` hands over; it is used up by that.

        ``authority``: the host that the browser has brought it to. ``nonce``: the value of the
        host's cookie in that browser; empty: it has none. Raises CodeRefused; StoreUnavailable when
        nobody can tell whether the code was used.
        """
        found = self.read(code, authority)
        # Used up before the browser is looked at: in the wrong one it may have been stolen.
        await _use(sessions, found)
        if not _NONCE.fullmatch(nonce) or not hmac.compare_digest(state_of(nonce), found.state):
            raise CodeRefused("other_browser")
        return found.ticket

    def read(self, code: str, authority: str) -> Code:
        """Return what ``code`` says at the host ``authority``; raise CodeRefused.

        It may have been used, and be of another browser.
        """
        found = _CODE.fullmatch(code)
        if found is None:
            raise CodeRefused("malformed")
        # Every secret is tried, so the time tells nothing about which one it was.
        fits = [
            hmac.compare_digest(_mac(secret, authority, found["signed"]), found["mac"])
            for secret in self._secrets
        ]
        if not any(fits):
            raise CodeRefused("not_signed")
        if not 0 < int(found["expires_at"]) - self._clock() <= MOST_LIFETIME:
            raise CodeRefused("expired")
        ticket = Ticket(
            subject=decode_subject(found["subject"]),
            session_id=found["session_id"],
            step_up=found["step_up"] or None,
            issued_at=int(self._clock()),
            is_lasting=found["is_lasting"] == "1",
        )
        return Code(found["code_id"], found["state"], ticket)


def make_nonce() -> str:
    """Return a value that nobody guesses, for the cookie of a host."""
    return secrets.token_urlsafe(16)


def state_of(nonce: str) -> str:
    """Return the digest of the value of a host's cookie, which the portal may know."""
    return hashlib.sha256(nonce.encode("ascii", "replace")).hexdigest()


async def _use(sessions: AsyncSessionManager, code: Code) -> None:
    """Count the one use that a code has, in the slot of its subject. One round trip."""
    once = AsyncLoginThrottle(
        sessions,
        ThrottlePolicy(known_attempts=1, known_total_attempts=None, known_window=_USED_SECONDS),
    )
    try:
        await once.admit(code.ticket.subject, known=f"hand-over {code.code_id}")
    except TooManyAttempts:
        raise CodeRefused("used") from None


def _mac(secret: bytes, authority: str, signed: str) -> str:
    return hmac.digest(secret, f"{authority} {signed}".encode("ascii"), "sha256").hex()
