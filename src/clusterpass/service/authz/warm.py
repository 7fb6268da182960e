"""Decisions from memory alone, for requests whose session and rule are both cached.

Nothing here denies, reports an error, or asks the store. Whatever is in doubt goes to
:class:`FrontDoor`, which decides from scratch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from clusterpass import (
    AsyncSessionManager,
    AuthenticationError,
    ScopeMissing,
    Session,
    SubjectBanned,
)
from clusterpass.service.authz.caches import Allowance, KnownRule, KnownRules
from clusterpass.service.authz.decision import can_be_recalled, rule_on
from clusterpass.service.authz.original_request import Asked, read_original
from clusterpass.service.authz.policy import Policies, Rule
from clusterpass.service.authz.renewal import COPY_COOKIES, without_cookies
from clusterpass.service.calls.proxy_cookie import Place, ProxyCookies
from clusterpass.service.calls.verify import check_conditions
from clusterpass.web.sent_cookies import sent_cookies

if TYPE_CHECKING:
    from clusterpass.service.authz.assertion import Assertions

_SCHEME: Final = b"Bearer "
_NOT_HERE: Final = KnownRule(None, "")
"""Of requests that are not answered here."""


class Warm:
    """Allows what memory is enough to allow."""

    def __init__(
        self,
        sessions: AsyncSessionManager,
        policies: Callable[[], Policies | None] | None,
        assertions: "Assertions | None",
        cookie: str,
        proxy_cookies: ProxyCookies | None,
    ) -> None:
        """As for :class:`FrontDoor`. ``cookie``: the name of the cookie with an access token.
        ``proxy_cookies``: those that count in its place; None: where no browser is led to the
        page."""
        self._recall: Final = sessions.recall
        self._policies: Final = policies
        self._assertions: Final = assertions
        self._cookie: Final = cookie
        self._proxy_cookies: Final = proxy_cookies
        self._rules: Final = KnownRules()

    def allows(
        self,
        key: tuple[bytes, ...],
        policy: str,
        asked: Callable[[], Asked],
        headers: Mapping[bytes, bytes],
    ) -> Allowance | None:
        """Return what a request is allowed as; None where that takes more than memory.

        ``key``: all that a rule depends on. ``policy``: the name of the policy. ``asked``: returns
        what a trusted proxy says. ``headers``: of the request, none of which came twice.
        """
        policies = None if self._policies is None else self._policies()
        if policies is None and self._policies is not None:
            return None
        known = self._rules.find(policies, key)
        if known is None:
            known = _known(policies, policy, asked())
            self._rules.keep(key, known)
        if known.rule is None:
            return None
        if known.rule.access == "public":
            return Allowance("", None, "")
        token = self._token(headers, known.host)
        session = self._recall(token) if token else None
        if session is None or not _meets(session, known.rule):
            return None
        assertion = "" if self._assertions is None else self._assertions.of(session, known.host)
        return Allowance(token, session, assertion)

    def other_cookies(self, proxy: str, headers: Mapping[bytes, bytes]) -> bytes | None:
        """Return the Cookie header that ``proxy`` passes to the upstream in place of its client's.

        None where it passes on what the client sent. ``proxy``: as :class:`Asked` names it.
        """
        sent = headers.get(b"cookie")
        if sent is None or self._proxy_cookies is None or proxy not in COPY_COOKIES:
            return None
        others = without_cookies(sent.decode("latin-1"), self._proxy_cookies.names)
        return others.encode("latin-1")

    def _token(self, headers: Mapping[bytes, bytes], host: str) -> str:
        """Return the access token in its usual form; empty where there is none."""
        authorization = headers.get(b"authorization")
        if authorization is not None:
            usual = authorization[:7] == _SCHEME
            return authorization[7:].decode("latin-1") if usual else ""
        sent = headers.get(b"cookie")
        if sent is None:
            return ""
        cookies = sent_cookies((sent.decode("latin-1"),))
        if self._proxy_cookies is None:
            return cookies.get(self._cookie, "")
        place = self._proxy_cookies.place_of(host)
        value = "" if place is None else cookies.get(place.cookie.name, "")
        return _token_of(self._proxy_cookies, value, place) if place and value else ""


def _token_of(cookies: ProxyCookies, value: str, place: Place) -> str:
    """Return the token that a cookie stands for; empty where it is none, or has to be renewed."""
    try:
        ticket = cookies.read(value, place)
    except AuthenticationError:
        return ""
    return "" if cookies.is_due(ticket) else cookies.access_token(ticket)


def decoded(headers: Mapping[bytes, bytes]) -> dict[str, Sequence[str]]:
    """Return ``headers`` as :class:`Asked` has them."""
    return {name.decode("latin-1"): (value.decode("latin-1"),) for name, value in headers.items()}


def _known(policies: Policies | None, name: str, asked: Asked) -> KnownRule:
    policy = None if policies is None else policies.named(name)
    if policy is None and (policies is not None or name):
        return _NOT_HERE
    original = read_original(asked)
    if original.fault is not None or original.host is None:
        return _NOT_HERE
    # More headers than a key has decide about a preflight.
    if original.method is None or original.method == "OPTIONS":
        return _NOT_HERE
    ruling = rule_on(policy, original)
    if ruling.rule is None or ruling.refusal is not None or not can_be_recalled(ruling.rule):
        return _NOT_HERE
    return KnownRule(ruling.rule, original.host)


def _meets(session: Session, rule: Rule) -> bool:
    if rule.scope or rule.not_banned:
        try:
            check_conditions(session, rule)
        except (ScopeMissing, SubjectBanned):
            return False
    return True
