"""The cookie by which a browser's session counts behind proxies, and nowhere else.

It names the session, under an HMAC whose secret is derived from the signing key. Nothing about it
is stored: it is good for as long as its session, which the store is asked about as for an access
token. So it needs no refresh token, which no application may see, and any number of tabs can renew
it at once. It is no access token: neither the calls nor the page nor any verifier takes it for one.
"""

import base64
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from clusterpass import (
    Config,
    Session,
    TokenExpired,
    TokenIssuer,
    TokenMalformed,
    TokenPair,
    TokenSignatureInvalid,
    TokenVerifier,
)
from clusterpass.service.settings.browsers import Portal
from clusterpass.service.settings.service import Settings
from clusterpass.web.cookies import own_cookie
from clusterpass.web.derived_secrets import derived_secrets

_PURPOSE: Final = "proxy cookie"
_VALUE: Final = re.compile(
    r"(?P<signed>1\.(?P<session_id>[A-Za-z0-9_-]{22})\.(?P<issued_at>[0-9]{1,12})"
    r"\.(?P<expires_at>[0-9]{1,12})\.(?P<is_lasting>[01])\.(?P<step_up>[A-Za-z0-9_-]{0,64})"
    r"\.(?P<subject>[A-Za-z0-9_-]{2,344}))\.(?P<mac>[0-9a-f]{64})"
)
_MINUTE: Final = 60
_TOKEN_LIFETIME: Final = 3600
"""Seconds. The tokens stay in this process."""
_MOST_TOKENS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a genuine cookie says."""

    subject: str
    session_id: str
    step_up: str | None
    """The step-up that it was issued after."""
    issued_at: int
    """Seconds since the epoch."""
    is_lasting: bool
    """Whether the browser keeps it when it is closed."""


class ProxyCookies:
    """Makes and reads the cookies of one deployment."""

    def __init__(
        self,
        config: Config,
        portal: Portal,
        domain: str | None,
        *,
        secure: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``domain``: of the hosts that browsers send the cookie to; None: the host of ``portal``
        alone. ``secure``: whether browsers reach these over HTTPS. ``clock``: returns seconds since
        the epoch."""
        self.cookie: Final = own_cookie("proxy", secure=secure, domain=domain)
        self._host: Final = portal.host
        self._domain: Final = domain
        # What one deployment has issued counts at no other that has the same keys.
        self._scope: Final = domain or portal.host
        self._clock: Final = clock
        self._period: Final = config.access_lifetime
        self._slack: Final = self._period + config.activity_interval + _MINUTE
        self.replace_keys(config)

    @classmethod
    def of(cls, settings: Settings, config: Config) -> Self | None:
        """Return those of the settings; None where no browser is led to the page."""
        if settings.portal is None:
            return None
        domain = settings.authz_cookie_domain
        return cls(config, settings.portal, domain, secure=settings.cookie_secure)

    def replace_keys(self, config: Config) -> None:
        """Make and accept cookies by the keys and secrets of ``config`` from now on."""
        self._secrets = derived_secrets(config.keys, config.shared_secrets, _PURPOSE)
        self._issuer = TokenIssuer(
            config.keys.signing_key,
            issuer=config.issuer,
            audience=config.audience,
            random_bytes=secrets.token_bytes,
        )
        self._verifier = TokenVerifier(
            config.keys, issuer=config.issuer, audience=config.audience, clock=self._clock
        )
        self._tokens: OrderedDict[tuple[str, str, str | None], tuple[int, str]] = OrderedDict()

    def is_sent_to(self, host: str | None) -> bool:
        """Return whether browsers send the cookie to ``host``, in lower case, without a port."""
        if host is None:
            return False
        if self._domain is None:
            return host == self._host
        return f".{host}".endswith(f".{self._domain}")

    def for_pair(self, pair: TokenPair, *, is_lasting: bool) -> tuple[str, str]:
        """Return the header that gives a browser a cookie beside the tokens ``pair``."""
        ends_at = int(self._clock()) + pair.session_expires_in
        step_up = self._verifier.verify(pair.access_token, allow_expired=True).step_up
        return self._header(pair.subject, pair.session_id, ends_at, step_up, is_lasting=is_lasting)

    def for_session(
        self, session: Session, access_token: str, *, is_lasting: bool
    ) -> tuple[str, str]:
        """Return the header that gives a browser a cookie; ``access_token``: of its session."""
        step_up = self._verifier.verify(access_token, allow_expired=True).step_up
        given = (session.subject, session.session_id, session.expires_at, step_up)
        return self._header(*given, is_lasting=is_lasting)

    def renewed(self, ticket: Ticket, session: Session) -> tuple[str, str]:
        """Return the header that replaces the cookie of ``ticket``; ``session``: as it is now."""
        given = (ticket.subject, ticket.session_id, session.expires_at, ticket.step_up)
        return self._header(*given, is_lasting=ticket.is_lasting)

    def forgotten(self) -> tuple[str, str]:
        """Return the header that deletes the cookie."""
        return self.cookie.header("", 0)

    def read(self, value: str) -> Ticket:
        """Return what the cookie ``value`` says; its session may have ended.

        Raises TokenMalformed, TokenSignatureInvalid and TokenExpired.
        """
        found = _VALUE.fullmatch(value)
        if found is None:
            raise TokenMalformed("The cookie is none of this service.")
        # Every secret is tried, so the time tells nothing about which one it was.
        fits = [
            hmac.compare_digest(self._mac(secret, found["signed"]), found["mac"])
            for secret in self._secrets
        ]
        if not any(fits):
            raise TokenSignatureInvalid("The cookie is none of this service.")
        if self._clock() >= int(found["expires_at"]):
            raise TokenExpired("The cookie has expired.")
        return Ticket(
            subject=_decode(found["subject"]),
            session_id=found["session_id"],
            step_up=found["step_up"] or None,
            issued_at=int(found["issued_at"]),
            is_lasting=found["is_lasting"] == "1",
        )

    def is_due(self, ticket: Ticket) -> bool:
        """Return whether the browser is to be given another cookie: once in ``access_lifetime``."""
        return self._clock() - ticket.issued_at >= self._period

    def access_token(self, ticket: Ticket) -> str:
        """Return an access token of the session, for this process to verify.

        Nobody else may get it. The cookies of one session have the same one, so that what is in
        memory serves all of them.
        """
        key = (ticket.subject, ticket.session_id, ticket.step_up)
        now = int(self._clock())
        kept = self._tokens.get(key)
        if kept is not None and kept[0] - now > _TOKEN_LIFETIME // 2:
            return kept[1]
        expires_at = now + _TOKEN_LIFETIME
        token = self._issuer.issue(
            ticket.subject,
            ticket.session_id,
            issued_at=now,
            expires_at=expires_at,
            claims={},
            authentication={} if ticket.step_up is None else {"step_up": ticket.step_up},
        )
        self._tokens[key] = (expires_at, token)
        self._tokens.move_to_end(key)
        if len(self._tokens) > _MOST_TOKENS:
            self._tokens.popitem(last=False)
        return token

    def _header(
        self, subject: str, session_id: str, ends_at: int, step_up: str | None, *, is_lasting: bool
    ) -> tuple[str, str]:
        now = int(self._clock())
        # The use of the session until the next renewal may put its end off, but not that of this.
        expires_at = ends_at + self._slack
        parts = (1, session_id, now, expires_at, int(is_lasting), step_up or "", _encode(subject))
        signed = ".".join(map(str, parts))
        value = f"{signed}.{self._mac(self._secrets[0], signed)}"
        return self.cookie.header(value, expires_at - now if is_lasting else None)

    def _mac(self, secret: bytes, signed: str) -> str:
        return hmac.digest(secret, f"{self._scope} {signed}".encode("ascii"), "sha256").hex()


def _encode(subject: str) -> str:
    return base64.urlsafe_b64encode(subject.encode()).rstrip(b"=").decode("ascii")


def _decode(text: str) -> str:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
