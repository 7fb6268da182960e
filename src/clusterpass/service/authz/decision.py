"""The flow of one authorization: the rule, the session that it requires, and what follows.

While the store cannot be asked, nothing is known about a session: the request is neither allowed
nor denied.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from clusterpass import (
    AccessDenied,
    AsyncSessionManager,
    AuthenticationError,
    ScopeMissing,
    Session,
    StoreUnavailable,
    SubjectBanned,
)
from clusterpass.service.authz.denial import denied
from clusterpass.service.authz.original_request import OriginalRequest
from clusterpass.service.authz.policy import EVERYWHERE, Policy, Rule, Ruling
from clusterpass.service.calls.verify import is_safe, verify_as_wanted

_KNOWN_TOO_LITTLE: Final = (None, "untrusted_proxy", "missing_header")
"""Faults that do not matter where every request needs the same."""


@dataclass(frozen=True, slots=True)
class Grace:
    """The time for which sessions are accepted during a store outage, in seconds."""

    usual: float
    """Where the rule says nothing: the setting ``outage_grace``."""
    most: float
    """Whatever a rule says: the setting ``authz_most_grace``."""

    def of(self, rule: Rule, method: str | None) -> float:
        """Return the grace of a request; none where it may change something, or might."""
        if method is None or not is_safe(method):
            return 0
        if rule.outage_grace is not None:
            return min(rule.outage_grace, self.most)
        return 0 if rule.verification else min(self.usual, self.most)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The proxy forwards the request."""

    ruling: Ruling
    session: Session | None = None
    """The session of the request; None: the rule requires none, and none was looked for."""
    is_from_memory: bool = True
    """Whether no round trip was made."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The proxy does not forward the request; the error says why."""

    ruling: Ruling
    error: AuthenticationError | ScopeMissing | SubjectBanned | AccessDenied


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody can tell whether the session lives: the client may try again."""

    ruling: Ruling
    error: StoreUnavailable


Decision = Allowed | Denied | Unavailable


def rule_on(policy: Policy | None, original: OriginalRequest) -> Ruling:
    """Return what the rules say of ``original``; ``policy``: None where there is no policy file.

    Without one every request needs a live session, whatever its host.
    """
    if policy is not None:
        return policy.rule_on(original)
    if original.fault in _KNOWN_TOO_LITTLE:
        return Ruling(EVERYWHERE)
    return Ruling(None, original.fault)


async def decide(
    sessions: AsyncSessionManager,
    ruling: Ruling,
    method: str | None,
    token: Callable[[], str],
    *,
    grace: Grace,
    fields: dict[str, Any],
) -> Decision:
    """Return the decision about a request of which the rules say ``ruling``.

    ``method``: of the original request; None: it is not known. ``token``: returns the access token,
    or raises AuthenticationError. ``fields``: of the log line.
    """
    rule = ruling.rule
    if ruling.refusal is not None or rule is None:
        return Denied(ruling, denied(ruling.refusal or "no_rule"))
    if rule.access == "public" or ruling.is_preflight:
        return Allowed(ruling)
    try:
        given = token()
        recalled = sessions.recall(given) if can_be_recalled(rule) else None
        seconds = grace.of(rule, method)
        session = await verify_as_wanted(sessions, given, rule, seconds, fields, recalled=recalled)
    except StoreUnavailable as error:
        return Unavailable(ruling, error)
    except (AuthenticationError, ScopeMissing, SubjectBanned) as error:
        return Denied(ruling, error)
    return Allowed(ruling, session, session is recalled)


def can_be_recalled(rule: Rule) -> bool:
    """Return whether a session from memory tells all that ``rule`` requires."""
    return rule.level is None and rule.max_auth_age is None and rule.verification is None
