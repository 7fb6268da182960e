"""``clusterpass authz``: explanations of decisions, and tables of requests, without a store."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clusterpass import ConfigurationError
from clusterpass.cli.authz import authz

POLICY = """
[[rules]]
name = "public"
hosts = "app.example"
paths = "/public/**"
access = "public"

[[rules]]
name = "orders"
hosts = "app.example"
paths = "/orders/**"
methods = ["POST"]
scopes = ["orders:write"]
not_banned = ["orders"]
ban_level = 2
allow_preflight = true

[[rules]]
name = "admin"
hosts = "app.example"
paths = "/admin/**"
level = "2"
max_auth_age = 900
strict = true
outage_grace = 30

[[rules]]
name = "closed"
hosts = "app.example"
paths = "/closed"
access = "denied"

[[policies.open.rules]]
name = "all"
hosts = "*"
access = "public"
"""
SITE = "https://app.example"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "policy.toml").write_text(POLICY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLUSTERPASS_AUTHZ_MOST_GRACE", "60")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(authz, arguments)


def explain(url: str, *more: str) -> Result:
    return run("explain", "--policy", "policy.toml", "--url", url, *more)


@pytest.mark.parametrize(
    ("url", "more", "status", "rule", "decision", "reason"),
    [
        (f"{SITE}/public/x", (), 0, "public", "allow", None),
        (f"{SITE}/closed", (), 3, "closed", "deny", "denied_by_rule"),
        (f"{SITE}/public/../x", (), 3, None, "deny", "unsafe_path"),
        (f"{SITE}/orders/1", ("--method", "post"), 3, "orders", "login", "token_missing"),
        (f"{SITE}/admin/a", ("--method", "a b"), 3, None, "deny", "invalid_method"),
        ("https://other.example", (), 3, None, "deny", "unknown_host"),
        ("https://other.example", ("--policy-name", "open"), 0, "all", "allow", None),
    ],
)
def test_the_decision_about_a_request(
    url: str, more: tuple[str, ...], status: int, rule: Any, decision: str, reason: Any
) -> None:
    told = explain(url, "--json", *more)
    assert told.exit_code == status
    members = json.loads(told.stdout)
    assert (members["rule"], members["decision"]) == (rule, decision)
    assert (members["reason"], members["subject"]) == (reason, None)


def test_what_the_rule_requires_and_which_ones_were_passed_over() -> None:
    told = explain(f"{SITE}/orders/1?x=1", "--method", "POST")
    assert told.stdout.splitlines() == [
        "method    POST",
        "host      app.example",
        "path      /orders/1",
        "rule      orders",
        "requires  a live session, scope orders:write, no ban from orders at level 2,"
        " a preflight passes",
        "decision  login",
        "reason    token_missing",
        "passed over public: another path",
    ]
    told = json.loads(explain(f"{SITE}/admin/users", "--json").stdout)
    assert told["requires"] == [
        "a live session",
        "level 2",
        "authenticated within 900 s",
        "the store is asked each time",
        "outage grace 30 s",
    ]
    assert told["passed_over"] == [
        {"rule": "public", "because": "another path"},
        {"rule": "orders", "because": "another path"},
    ]
    for path, requires in (("public/x", "nothing"), ("closed", "denied to everybody")):
        assert json.loads(explain(f"{SITE}/{path}", "--json").stdout)["requires"] == [requires]


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("explain", "--url", SITE), "Name its file with --policy"),
        (("explain", "--policy", "policy.toml", "--url", "app.example"), "is no URL"),
        (
            ("explain", "--policy", "policy.toml", "--url", SITE, "--policy-name", "x"),
            "there is no policy 'x'; named policies: open",
        ),
    ],
)
def test_what_cannot_be_explained(arguments: tuple[str, ...], advice: str) -> None:
    with pytest.raises(ConfigurationError, match=advice):
        CliRunner().invoke(authz, arguments, catch_exceptions=False)


def test_the_levels_of_rules_are_those_of_the_settings(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "policy.toml").write_text(POLICY.replace('level = "2"', 'level = "gold"'))
    with pytest.raises(ConfigurationError, match="none of the levels"):
        CliRunner().invoke(
            authz, ("explain", "--policy", "policy.toml", "--url", SITE), catch_exceptions=False
        )
    monkeypatch.setenv("CLUSTERPASS_LEVELS", "plain,gold")
    told = json.loads(explain(f"{SITE}/admin/users", "--json").stdout)
    assert told["requires"][1] == "level gold"


CASES = """
policy_file = "policy.toml"
[[cases]]
name = "nobody orders"
url = "https://app.example/orders/1"
method = "POST"
expect = "{expect}"
rule = "{rule}"

[[cases]]
name = "a preflight"
url = "https://app.example/orders/1"
preflight_for = "POST"
expect = "allow"
"""


@pytest.mark.parametrize(
    ("expect", "rule", "said"),
    [
        ("login", "orders", []),
        (
            "deny",
            "orders",
            ["nobody orders: expected deny by orders, got login by orders (token_missing)"],
        ),
        (
            "login",
            "admin",
            ["nobody orders: expected login by admin, got login by orders (token_missing)"],
        ),
    ],
)
def test_a_table_of_requests(folder: Path, expect: str, rule: str, said: list[str]) -> None:
    (folder / "cases.toml").write_text(CASES.format(expect=expect, rule=rule))
    outcome = run("test", "cases.toml")
    assert outcome.stdout.splitlines() == [*said, f"2 cases, {len(said)} failed"]
    assert outcome.exit_code == len(said)
    told = json.loads(run("test", "cases.toml", "--json").stdout)
    assert [each["passed"] for each in told] == [not said, True]
    assert told[0] == {
        "name": "nobody orders",
        "expect": expect,
        "decision": "login",
        "rule": "orders",
        "reason": "token_missing",
        "passed": not said,
    }


@pytest.mark.parametrize(("level", "decision"), [("1", "step_up"), ("2", "allow"), ("3", "allow")])
def test_a_level_that_is_as_high_or_higher_is_enough(
    folder: Path, level: str, decision: str
) -> None:
    (folder / "cases.toml").write_text(
        'policy_file = "policy.toml"\n[[cases]]\nname = "an administrator"\nexpect = "allow"\n'
        f'url = "{SITE}/admin/users"\nsession = {{level = "{level}"}}\n'
    )
    (told,) = json.loads(run("test", "cases.toml", "--json").stdout)
    assert told["decision"] == decision


@pytest.mark.parametrize(
    ("session", "decision"),
    [
        ('{scopes = ["orders:write"]}', "allow"),
        ('{scopes = ["orders:*", "other"]}', "allow"),
        ('{scopes = ["orders:read"]}', "deny"),
        ('{scopes = ["orders:write"], banned = ["orders"]}', "deny"),
    ],
)
def test_what_a_session_of_a_case_may_do(folder: Path, session: str, decision: str) -> None:
    (folder / "cases.toml").write_text(
        'policy_file = "policy.toml"\n[[cases]]\nname = "an order"\nexpect = "allow"\n'
        f'url = "{SITE}/orders/1"\nmethod = "POST"\nsession = {session}\n'
    )
    (told,) = json.loads(run("test", "cases.toml", "--json").stdout)
    assert told["decision"] == decision
