"""Test cases of a policy: requests and expected outcomes in a TOML file, judged without a store.

A case takes the same path as a real request: host and path are read in the same way, and the same
rules and checks of scopes and bans apply.
"""

import re
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from clusterpass import (
    Ban,
    ConfigurationError,
    ScopeMissing,
    Session,
    SubjectBanned,
)
from clusterpass.service.authz.original_request import Asked, OriginalRequest, read_original
from clusterpass.service.authz.policy import Policies, Rule, Ruling
from clusterpass.service.authz.policy_file import refuse_unknown
from clusterpass.service.calls.verify import check_conditions

Outcome = Literal["allow", "login", "step_up", "deny"]
"""200; 401 without a session; 401 for a stronger or more recent authentication; 403."""
_OUTCOMES: Final[Mapping[str, Outcome]] = {name: name for name in get_args(Outcome)}
_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#]*)(?P<uri>.*)", re.DOTALL)
_FILE_MEMBERS: Final = ("policy_file", "cases")
_CASE_MEMBERS: Final = (
    "name",
    "url",
    "method",
    "preflight_for",
    "policy",
    "session",
    "expect",
    "rule",
)
_SESSION_MEMBERS: Final = ("subject", "scopes", "level", "auth_age", "banned")


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and what is to become of it."""

    name: str
    original: OriginalRequest
    policy: str
    session: Session | None
    expect: Outcome
    rule: str | None
    """The name of the rule that is to decide; None: any."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a case."""

    outcome: Outcome
    rule: str | None
    reason: str | None
    """The reason of a denial, or the code of the error."""

    def meets(self, case: Case) -> bool:
        """Return whether the case expects this."""
        return self.outcome == case.expect and case.rule in (None, self.rule)


def original_of(url: str, method: str | None, preflight_for: str | None = None) -> OriginalRequest:
    """Return the request that a trusted proxy would report; raise ConfigurationError for no URL.

    ``preflight_for``: the method of the request after a CORS preflight.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigurationError(f"{url!r} is no URL; write it as https://app.example/path")
    uri = found["uri"].encode("utf-8", "replace").decode("latin-1")
    headers = {
        "x-forwarded-proto": [found["scheme"]],
        "x-forwarded-host": [found["host"]],
        "x-forwarded-uri": [uri if uri.startswith("/") else f"/{uri}"],
    }
    if method is not None:
        headers["x-forwarded-method"] = [method]
    if preflight_for is not None:
        headers["origin"] = ["https://elsewhere.example"]
        headers["access-control-request-method"] = [preflight_for]
    return read_original(Asked("forwarded", is_trusted=True, headers=headers))


def judge(policies: Policies, case: Case, levels: Sequence[str]) -> Verdict:
    """Return what becomes of a case. Raises ConfigurationError when there is no such policy."""
    policy = policies.named(case.policy)
    if policy is None:
        raise ConfigurationError(f"case {case.name!r}: there is no policy {case.policy!r}")
    ruling = policy.rule_on(case.original)
    outcome, reason = outcome_of(ruling, case.session, levels)
    return Verdict(outcome, ruling.rule.name if ruling.rule else None, reason)


def outcome_of(
    ruling: Ruling, session: Session | None, levels: Sequence[str]
) -> tuple[Outcome, str | None]:
    """Return what a ruling means for ``session``, with the reason; None: nobody is logged in."""
    rule = ruling.rule
    if ruling.refusal is not None or rule is None:
        return "deny", ruling.refusal
    if rule.access == "public" or ruling.is_preflight:
        return "allow", None
    if session is None:
        return "login", "token_missing"
    if not _is_authenticated_enough(session, rule, levels):
        return "step_up", "step_up_required"
    try:
        check_conditions(session, rule)
    except (ScopeMissing, SubjectBanned) as error:
        return "deny", error.code
    return "allow", None


def _is_authenticated_enough(session: Session, rule: Rule, levels: Sequence[str]) -> bool:
    if rule.level is not None and levels.index(session.acr) < levels.index(rule.level):
        return False
    return rule.max_auth_age is None or time.time() - session.auth_time <= rule.max_auth_age


def load_cases(path: Path, levels: Sequence[str]) -> tuple[Path | None, list[Case]]:
    """Return the policy file that ``path`` names, and its cases. Raises ConfigurationError.

    ``levels``: those of the service, in ascending order.
    """
    try:
        members = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"the file {path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the file {path} is not valid TOML: {error}") from None
    refuse_unknown(members, _FILE_MEMBERS, f"the file {path}")
    policy_file = members.get("policy_file")
    if policy_file is not None and not isinstance(policy_file, str):
        raise ConfigurationError(f"the file {path}: policy_file must be the path of a policy")
    cases = members.get("cases")
    if not isinstance(cases, list) or not cases or not all(isinstance(c, dict) for c in cases):
        raise ConfigurationError(f"the file {path} has no cases; write [[cases]] before each")
    found = [_case(each, f"{path}, case {n}", levels) for n, each in enumerate(cases, 1)]
    return None if policy_file is None else path.parent / policy_file, found


def _case(members: Mapping[str, Any], where: str, levels: Sequence[str]) -> Case:
    refuse_unknown(members, _CASE_MEMBERS, where)
    for name in _CASE_MEMBERS:
        if name != "session" and not isinstance(members.get(name, ""), str):
            raise ConfigurationError(f"{where}: {name} must be a text in quotes")
    url = members.get("url")
    if not url:
        raise ConfigurationError(f"{where}: url is required, such as https://app.example/path")
    expect = _OUTCOMES.get(members.get("expect", ""))
    if expect is None:
        raise ConfigurationError(f"{where}: expect must be one of {', '.join(_OUTCOMES)}")
    preflight_for = members.get("preflight_for")
    method = members.get("method", "GET" if preflight_for is None else "OPTIONS")
    session = members.get("session")
    return Case(
        name=members.get("name") or f"{method} {url}",
        original=original_of(url, method, preflight_for),
        policy=members.get("policy", ""),
        session=None if session is None else _session(session, where, levels),
        expect=expect,
        rule=members.get("rule"),
    )


def _session(members: object, where: str, levels: Sequence[str]) -> Session:
    if not isinstance(members, dict):
        raise ConfigurationError(f"{where}: session must be a table; write session = {{}}")
    refuse_unknown(members, _SESSION_MEMBERS, f"{where}, session")
    now = int(time.time())
    subject, level = members.get("subject", "someone"), members.get("level", levels[0])
    age = members.get("auth_age", 0)
    lists = {name: members.get(name, []) for name in ("scopes", "banned")}
    if (
        not isinstance(subject, str)
        or level not in levels
        or type(age) is not int
        or not all(
            isinstance(given, list) and all(isinstance(each, str) for each in given)
            for given in lists.values()
        )
    ):
        raise ConfigurationError(
            f"{where}: a session has a subject and a level ({', '.join(levels)}), which are texts,"
            " auth_age in seconds, and lists of scopes and banned scopes"
        )
    return Session(
        subject=subject,
        session_id="of-a-case",
        device=None,
        created_at=now - age,
        refreshed_at=now - age,
        expires_at=now + 3600,
        auth_time=now - age,
        acr=level,
        claims={"scope": lists["scopes"]},
        # The most severe ones: they count whatever ban_level a rule names.
        bans=tuple(Ban(scope, 1000, None, "", now) for scope in lists["banned"]),
    )
