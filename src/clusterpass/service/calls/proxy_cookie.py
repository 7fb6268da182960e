"""The cookie that identifies a browser's session to proxies, and is accepted nowhere else.

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
from collections.abc import Callable, Iterable
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
from clusterpass.service.settings.portal import Portal
from clusterpass.service.settings.service import Settings
from clusterpass.web.cookies import Cookie, own_cookie
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
class Place:
    """The hosts that browsers send one cookie to."""

    cookie: Cookie
    """The name and the attributes of the cookie."""
    scope: str
    """The host or the domain, for which alone its value is good."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The content of a genuine cookie."""

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
        others: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``domain``: of the hosts that browsers send the cookie to; None: the host of ``portal``
        alone. ``secure``: whether browsers reach these over HTTPS. ``others``: hosts that no cookie
        of the portal reaches, without ports; each has a cookie of its own. ``clock``: returns
        seconds since the epoch."""
        self._domain: Final = domain
        # What one deployment has issued counts at no other that has the same keys.
        self._home: Final = Place(
            own_cookie("proxy", secure=secure, domain=domain), domain or portal.host
        )
        own = own_cookie("proxy", secure=secure)
        self._others: Final = {host: Place(own, host) for host in others}
        self.names: Final = frozenset({self.cookie.name, own.name})
        """The names of the cookies, which no upstream has to see."""
        self._clock: Final = clock
        self._period: Final = config.access_lifetime
        self._slack: Final = self._period + config.activity_interval + _MINUTE
        self.replace_keys(config)

    @classmethod
    def of(cls, settings: Settings, config: Config) -> Self | None:
        """Return those of the settings; None where no browser is led to the page."""
        if settings.portal is None:
            return None
        return cls(
            config,
            settings.portal,
            settings.authz_cookie_domain,
            secure=settings.cookie_secure,
            others=[each.partition(":")[0] for each in settings.authz_hand_over_hosts],
        )

    @property
    def cookie(self) -> Cookie:
        """The cookie that the portal sets."""
        return self._home.cookie

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

    def place_of(self, host: str | None) -> Place | None:
        """Return where the cookie of ``host`` is good; None where browsers send it none.

        ``host``: in lower case, without a port.
        """
        if host is None:
            return None
        is_home = (
            host == self._home.scope
            if self._domain is None
            else f".{host}".endswith(f".{self._domain}")
        )
        return self._home if is_home else self._others.get(host)

    def for_pair(self, pair: TokenPair, *, is_lasting: bool) -> tuple[str, str]:
        """Return the header that gives a browser a cookie beside the tokens ``pair``."""
        ends_at = int(self._clock()) + pair.session_expires_in
        return self._header(self._home, self.ticket_for(pair.access_token, is_lasting), ends_at)

    def for_session(
        self, session: Session, access_token: str, *, is_lasting: bool
    ) -> tuple[str, str]:
        """Return the header that gives a browser a cookie; ``access_token``: of its session."""
        ticket = self.ticket_for(access_token, is_lasting)
        return self._header(self._home, ticket, session.expires_at)

    def ticket_for(self, access_token: str, is_lasting: bool) -> Ticket:
        """Return what a cookie says of the session of ``access_token``, which is genuine.

        ``is_lasting``: whether the browser keeps it when it is closed.
        """
        claims = self._verifier.verify(access_token, allow_expired=True)
        now = int(self._clock())
        return Ticket(claims.subject, claims.session_id, claims.step_up, now, is_lasting)

    def renewed(self, ticket: Ticket, session: Session, place: Place) -> tuple[str, str]:
        """Return the header that gives a browser at ``place`` a cookie for that of ``ticket``.

        ``session``: as it is now.
        """
        return self._header(place, ticket, session.expires_at)

    def forgotten(self) -> tuple[str, str]:
        """Return the header that deletes the cookie."""
        return self.cookie.header("", 0)

    def read(self, value: str, place: Place | None = None) -> Ticket:
        """Return what the cookie ``value`` says; its session may have ended.

        ``place``: where a browser has sent it; None: to the portal. Raises TokenMalformed,
        TokenSignatureInvalid and TokenExpired.
        """
        scope = (place or self._home).scope
        found = _VALUE.fullmatch(value)
        if found is None:
            raise TokenMalformed("The cookie is none of this service.")
        # Every secret is tried, so the time tells nothing about which one it was.
        fits = [
            hmac.compare_digest(_mac(secret, scope, found["signed"]), found["mac"])
            for secret in self._secrets
        ]
        if not any(fits):
            raise TokenSignatureInvalid("The cookie is none of this service.")
        if self._clock() >= int(found["expires_at"]):
            raise TokenExpired("The cookie has expired.")
        return Ticket(
            subject=decode_subject(found["subject"]),
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

    def _header(self, place: Place, ticket: Ticket, ends_at: int) -> tuple[str, str]:
        now = int(self._clock())
        # The use of the session until the next renewal may put its end off, but not that of this.
        expires_at = ends_at + self._slack
        subject, step_up = encode_subject(ticket.subject), ticket.step_up or ""
        parts = (1, ticket.session_id, now, expires_at, int(ticket.is_lasting), step_up, subject)
        signed = ".".join(map(str, parts))
        value = f"{signed}.{_mac(self._secrets[0], place.scope, signed)}"
        return place.cookie.header(value, expires_at - now if ticket.is_lasting else None)


def _mac(secret: bytes, scope: str, signed: str) -> str:
    return hmac.digest(secret, f"{scope} {signed}".encode("ascii"), "sha256").hex()


def encode_subject(subject: str) -> str:
    """Return ``subject`` in the characters of base64url."""
    return base64.urlsafe_b64encode(subject.encode()).rstrip(b"=").decode("ascii")


def decode_subject(text: str) -> str:
    """Return the subject that :func:`encode_subject` has made ``text`` of."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
