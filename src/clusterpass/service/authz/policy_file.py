"""Reads a policy from a TOML file. Every error says where it is and how to correct it.

A misspelt member would leave a request open that was to be closed, so unknown ones are refused.
"""

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from clusterpass import (
    ConfigurationError,
)
from clusterpass.limits import LEVEL_NAME, LONGEST_GRACE, LONGEST_LIFETIME, MOST_BAN_LEVEL
from clusterpass.service.authz.patterns import host_pattern, path_expression, path_pattern
from clusterpass.service.authz.policy import POLICY_NAME, Access, Policies, Policy, Rule
from clusterpass.web.needs import scope_names

_LARGEST_FILE: Final = 1024 * 1024
_DIGITS: Final = 32
_ACCESS: Final[Mapping[str, Access]] = {
    "public": "public",
    "authenticated": "authenticated",
    "denied": "denied",
}
_CONDITIONS: Final = (
    "scopes",
    "level",
    "max_auth_age",
    "not_banned",
    "ban_level",
    "strict",
    "outage_grace",
)
"""The members that require a session."""
_MEMBERS: Final = (
    "name",
    "hosts",
    "paths",
    "paths_regex",
    "methods",
    "access",
    *_CONDITIONS,
    "allow_preflight",
)
_METHOD: Final = re.compile(r"[A-Z](?:[A-Z_-]{0,30}[A-Z])?")


def load_policies(
    path: Path, *, levels: Sequence[str] | None = None, most_grace: int = LONGEST_GRACE
) -> Policies:
    """Return the policies in the file ``path``.

    ``levels``: those of the service, of which rules may require one; None: they are not known.
    ``most_grace``: the longest ``outage_grace`` of a rule, in seconds. Raises ConfigurationError.
    """
    try:
        # Without waiting for whoever writes into what is a pipe; nothing is read from one.
        with open(path, "rb", opener=_at_once) as file:
            text = file.read(_LARGEST_FILE + 1) or b""
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no such name"
        raise ConfigurationError(f"the policy file {path} cannot be read ({why})") from None
    if len(text) > _LARGEST_FILE:
        raise ConfigurationError(f"the policy file {path} is larger than {_LARGEST_FILE} bytes")
    try:
        members = tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the policy file {path} is not valid TOML: {error}") from None
    read = read_policies(members, str(path), levels=levels, most_grace=most_grace)
    return replace(read, digest=hashlib.sha256(text).hexdigest()[:_DIGITS])


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_policies(
    members: Mapping[str, Any],
    where: str,
    *,
    levels: Sequence[str] | None = None,
    most_grace: int = LONGEST_GRACE,
) -> Policies:
    """Return the policies of a parsed file, as :func:`load_policies` does.

    ``where``: names the file in errors.
    """
    bounds = _Bounds(levels, most_grace)
    refuse_unknown(members, ("rules", "policies"), f"the policy file {where}")
    named = members.get("policies", {})
    if not isinstance(named, Mapping):
        raise ConfigurationError(
            f"the policy file {where}: policies must be tables; write [[policies.NAME.rules]]"
        )
    policies = {}
    if "rules" in members:
        policies[""] = _policy(members["rules"], where, bounds)
    for name, each in named.items():
        of = f"{where}, policy {name}"
        if not POLICY_NAME.fullmatch(name):
            raise ConfigurationError(
                f"{of}: the name of a policy consists of lower-case letters, digits, _ and -"
            )
        if not isinstance(each, Mapping):
            raise ConfigurationError(f"{of}: write [[policies.{name}.rules]]")
        refuse_unknown(each, ("rules",), of)
        policies[name] = _policy(each.get("rules"), of, bounds)
    if not policies:
        raise ConfigurationError(
            f"the policy file {where} has no rules; write at least one [[rules]]"
        )
    return Policies(policies)


def refuse_unknown(members: Iterable[str], known: Sequence[str], where: str) -> None:
    """Raise ConfigurationError for a member that is not ``known``, with the nearest one."""
    for name in members:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(known)}"
            raise ConfigurationError(f"{where}: unknown member {name!r}; {hint}")


@dataclass(frozen=True, slots=True)
class _Bounds:
    levels: Sequence[str] | None
    most_grace: int


def _policy(rules: object, where: str, bounds: _Bounds) -> Policy:
    if not isinstance(rules, list) or not all(isinstance(each, dict) for each in rules):
        raise ConfigurationError(f"{where}: rules are tables; write [[rules]] before each")
    if not rules:
        raise ConfigurationError(f"{where}: there is no rule; write at least one [[rules]]")
    made = [_rule(each, number, where, bounds) for number, each in enumerate(rules, 1)]
    names = [rule.name for rule in made]
    for number, name in enumerate(names, 1):
        if name in names[: number - 1]:
            raise ConfigurationError(f"{where}, rule {number}: the name {name!r} is taken")
    return Policy(tuple(made))


def _rule(members: Mapping[str, Any], number: int, where: str, bounds: _Bounds) -> Rule:
    here = f"{where}, rule {number}"
    refuse_unknown(members, _MEMBERS, here)
    read = _Reader(members, here)
    access = _ACCESS.get(read.text("access", "authenticated"))
    if access is None:
        raise read.wrong("access", "must be 'public', 'authenticated' or 'denied'")
    needless = [name for name in _CONDITIONS if name in members]
    if access != "authenticated" and needless:
        raise read.wrong(
            needless[0], f"requires a session, but access is {access!r}; drop one of the two"
        )
    hosts = read.texts("hosts")
    if not hosts:
        raise read.wrong("hosts", "is required; name the hosts, or write hosts = '*' for all")
    patterns = [read.pattern("paths", path_pattern, each) for each in read.texts("paths")]
    patterns += [
        read.pattern("paths_regex", path_expression, each) for each in read.texts("paths_regex")
    ]
    level = members.get("level")
    if level is not None:
        _check_level(read, level, bounds)
    not_banned = read.scopes("not_banned")
    if "ban_level" in members and not not_banned:
        raise read.wrong("ban_level", "needs not_banned; name the scope of the ban")
    return Rule(
        name=read.text("name", f"rule {number}"),
        hosts=tuple(read.pattern("hosts", host_pattern, each) for each in hosts),
        paths=tuple(patterns),
        methods=_methods(read),
        access=access,
        scope=read.scopes("scopes"),
        level=level,
        max_auth_age=read.number("max_auth_age", 0, LONGEST_LIFETIME),
        not_banned=not_banned,
        ban_level=read.number("ban_level", 1, MOST_BAN_LEVEL),
        verification="strict" if read.flag("strict") else None,
        outage_grace=_grace(read, bounds),
        allow_preflight=read.flag("allow_preflight"),
    )


def _check_level(read: "_Reader", level: object, bounds: _Bounds) -> None:
    if not isinstance(level, str) or not LEVEL_NAME.fullmatch(level):
        raise read.wrong("level", "must be the name of a level, in quotes, such as '2'")
    if bounds.levels is not None and level not in bounds.levels:
        known = ", ".join(bounds.levels)
        raise read.wrong("level", f"is none of the levels of the service ({known})")


def _methods(read: "_Reader") -> frozenset[str]:
    methods = read.texts("methods")
    for method in methods:
        if not _METHOD.fullmatch(method):
            raise read.wrong("methods", "must be methods in capitals, such as ['GET', 'POST']")
    return frozenset(methods)


def _grace(read: "_Reader", bounds: _Bounds) -> int | None:
    grace = read.number("outage_grace", 0, LONGEST_GRACE)
    if grace is not None and grace > bounds.most_grace:
        raise read.wrong(
            "outage_grace",
            f"is above the {bounds.most_grace} seconds of the setting authz_most_grace; lower it,"
            " or raise the setting",
        )
    return grace


class _Reader:
    """Reads the members of one rule. Every method raises ConfigurationError."""

    def __init__(self, members: Mapping[str, Any], where: str) -> None:
        self._members = members
        self._where = where

    def wrong(self, name: str, why: str) -> ConfigurationError:
        return ConfigurationError(f"{self._where}: {name} {why}")

    def text(self, name: str, default: str) -> str:
        value = self._members.get(name, default)
        if not isinstance(value, str) or not value or not value.isprintable():
            raise self.wrong(name, "must be a text in quotes, without control characters")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return one text or a list of them; empty only when the member is absent."""
        value = self._members.get(name)
        if value is None:
            return ()
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise self.wrong(name, "must be a text or a list of texts")
        if not values or not all(values):
            raise self.wrong(name, "is empty; drop it, or say what it stands for")
        return tuple(values)

    def scopes(self, name: str) -> tuple[str, ...]:
        try:
            return scope_names(self.texts(name))
        except ConfigurationError as error:
            if error.message.startswith(self._where):
                raise
            raise self.wrong(name, "must be scopes such as 'orders:read'") from None

    def number(self, name: str, least: int, most: int) -> int | None:
        value = self._members.get(name)
        if value is not None and (type(value) is not int or not least <= value <= most):
            raise self.wrong(name, f"must be a whole number from {least} to {most}")
        return value

    def flag(self, name: str) -> bool:
        value = self._members.get(name, False)
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return value

    def pattern(self, name: str, make: Any, text: str) -> re.Pattern[str]:
        try:
            made: re.Pattern[str] = make(text)
        except ValueError as error:
            raise self.wrong(name, f"{text!r} {error}") from None
        return made
