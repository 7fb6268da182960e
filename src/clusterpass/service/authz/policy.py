"""Access rules, and the choice of the rule that applies to a request. No I/O.

The first rule that matches decides. A request that matches none is denied, so that hosts and paths
that nobody has thought of stay closed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from clusterpass.service.authz.original_request import OriginalRequest

Access = Literal["public", "authenticated", "denied"]
POLICY_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_READING: Final = "GET"
_DIFFERENCES: Final = ("another host", "another path", "another method")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule: the requests that it decides about, and its requirements."""

    name: str
    hosts: tuple[re.Pattern[str], ...]
    paths: tuple[re.Pattern[str], ...] = ()
    """Empty: every path."""
    methods: frozenset[str] = frozenset()
    """In capitals; empty: every method. GET covers HEAD."""
    access: Access = "authenticated"
    scope: tuple[str, ...] = ()
    """Scopes that the session must all have."""
    level: str | None = None
    max_auth_age: int | None = None
    not_banned: tuple[str, ...] = ()
    ban_level: int | None = None
    verification: Literal["strict"] | None = None
    outage_grace: int | None = None
    """Seconds; None: the setting of that name."""
    allow_preflight: bool = False

    def covers_host(self, host: str) -> bool:
        """Return whether the rule is about ``host``."""
        return any(pattern.fullmatch(host) for pattern in self.hosts)

    def covers_path(self, path: str) -> bool:
        """Return whether the rule is about ``path``."""
        return not self.paths or any(pattern.fullmatch(path) for pattern in self.paths)

    def covers_method(self, method: str) -> bool:
        """Return whether the rule is about ``method``."""
        wanted = _READING if method == "HEAD" else method
        return not self.methods or method in self.methods or wanted in self.methods


@dataclass(frozen=True, slots=True)
class Ruling:
    """The decision of the rules about one request."""

    rule: Rule | None
    """The rule that decides; None: there is none."""
    refusal: str | None = None
    """Why the request is denied, whoever sends it: a reason of ``denial``; None: it is not."""
    is_preflight: bool = False
    """Whether the request is a CORS preflight that the rule lets through to the upstream."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in their order."""

    rules: tuple[Rule, ...]

    def passed_over(self, original: OriginalRequest) -> Sequence[tuple[Rule, str]]:
        """Return the rules before the one that decides, each with what of it does not match."""
        found = []
        decisive = self.rule_on(original).rule
        host, path = original.host, original.path
        if host is None or path is None:
            return []
        for rule in self.rules:
            if rule is decisive:
                break
            covers = rule.covers_host(host), rule.covers_path(path)
            found.append((rule, _DIFFERENCES[covers.index(False) if not all(covers) else 2]))
        return found

    def rule_on(self, original: OriginalRequest) -> Ruling:
        """Return what the rules say of ``original``."""
        host, path, method = original.host, original.path, original.method
        if original.fault is not None or host is None or path is None:
            return Ruling(None, original.fault or "missing_header")
        rules = [rule for rule in self.rules if rule.covers_host(host)]
        found = (_ruling(rule, method, original) for rule in rules if rule.covers_path(path))
        nothing = Ruling(None, "no_rule" if rules else "unknown_host")
        return next((ruling for ruling in found if ruling is not None), nothing)


def _ruling(rule: Rule, method: str | None, original: OriginalRequest) -> Ruling | None:
    """Return what a rule about the host and the path says; None when the method is another one."""
    following = original.preflight_for if rule.allow_preflight else None
    is_preflight = following is not None and rule.covers_method(following)
    if method is None:
        if rule.methods:  # it might be the one, and the next one less strict
            return Ruling(rule, "unknown_method")
    elif not is_preflight and not rule.covers_method(method):
        return None
    if rule.access == "denied":
        return Ruling(rule, "denied_by_rule")
    return Ruling(rule, is_preflight=following is not None)


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy of each name; that of the endpoints without a name is ``""``."""

    by_name: Mapping[str, Policy]
    digest: str = ""
    """The first half of the SHA-256 of the file, in hexadecimal; empty: of no file."""

    def named(self, name: str) -> Policy | None:
        """Return a policy; None when there is none of that name."""
        return self.by_name.get(name)

    def all_rules(self) -> Sequence[Rule]:
        """Return the rules of all policies."""
        return [rule for policy in self.by_name.values() for rule in policy.rules]


EVERYWHERE: Final = Rule(name="authenticated everywhere", hosts=(re.compile(r".*", re.DOTALL),))
"""What decides where there is no policy file: a live session is required, and nothing else."""
