"""``clusterpass authz``: which rule decides and why, and a table of requests as a test."""

import json
import time
from pathlib import Path

import pytest

from clusterpass import Config, KeyRing, SessionManager, TokenIssuer

from .conftest import IMPATIENT, assert_refused

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

[[rules]]
name = "closed"
hosts = "app.example"
paths = "/closed"
access = "denied"

[[rules]]
name = "rest"
hosts = "app.example"
outage_grace = 30

[[policies.open.rules]]
name = "all"
hosts = "*"
access = "public"
"""
CASES = """
policy_file = "policy.toml"

[[cases]]
url = "https://app.example/public/style.css?v=1"
expect = "allow"
rule = "public"

[[cases]]
name = "nobody orders"
url = "https://app.example/orders/1"
method = "POST"
expect = "login"
rule = "orders"

[[cases]]
name = "who may, orders"
url = "https://app.example/orders/1"
method = "POST"
session = { subject = "alice", scopes = ["orders:*"] }
expect = "allow"

[[cases]]
name = "who may not"
url = "https://app.example/orders/1"
method = "POST"
session = { scopes = ["orders:read"] }
expect = "deny"

[[cases]]
name = "who is banned"
url = "https://app.example/orders/1"
method = "POST"
session = { scopes = ["orders:*"], banned = ["orders"] }
expect = "deny"

[[cases]]
name = "a preflight"
url = "https://app.example/orders/1"
preflight_for = "POST"
expect = "allow"
rule = "orders"

[[cases]]
name = "a weak login"
url = "https://app.example/admin/users"
session = {}
expect = "step_up"

[[cases]]
name = "a strong login"
url = "https://app.example/admin"
session = { level = "3", auth_age = 60 }
expect = "allow"

[[cases]]
name = "an old login"
url = "https://app.example/admin"
session = { level = "2", auth_age = 1000 }
expect = "step_up"

[[cases]]
name = "around the rule"
url = "https://app.example/public/..%2fadmin"
session = { level = "3" }
expect = "deny"

[[cases]]
name = "another host"
url = "https://other.example/"
session = {}
expect = "deny"

[[cases]]
name = "another policy"
url = "https://other.example/"
policy = "open"
expect = "allow"
rule = "all"
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> Path:
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "cases.toml").write_text(CASES)
    return tmp_path


def explain(run, url, *more, **given):
    return run("authz", "explain", "--policy", "policy.toml", "--url", url, *more, **given)


def test_the_rule_that_decides_and_why(run):
    told = explain(run, "https://app.example/orders/1?x=1", "--method", "post")
    assert told.returncode == 3
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
    told = explain(run, "https://app.example/orders/1")
    assert "rule      rest\n" in told.stdout
    assert "passed over orders: another method\n" in told.stdout
    assert "passed over admin: another path\n" in told.stdout
    assert "outage grace 30 s" in told.stdout


@pytest.mark.parametrize(
    ("target", "more", "status", "rule", "decision", "reason"),
    [
        ("https://app.example/public/x", (), 0, "public", "allow", None),
        ("https://app.example/closed", (), 3, "closed", "deny", "denied_by_rule"),
        ("https://app.example/public/../x", (), 3, None, "deny", "unsafe_path"),
        ("https://other.example", (), 3, None, "deny", "unknown_host"),
        ("https://other.example", ("--policy-name", "open"), 0, "all", "allow", None),
        ("http://app.example:8080?x=1", (), 3, "rest", "login", "token_missing"),
        ("https://app.example/x", ("--method", "a b"), 3, None, "deny", "invalid_method"),
    ],
)
def test_explained_as_json(run, target, more, status, rule, decision, reason):
    told = explain(run, target, "--json", *more)
    assert told.returncode == status
    members = json.loads(told.stdout)
    assert (members["rule"], members["decision"]) == (rule, decision)
    assert (members["reason"], members["subject"]) == (reason, None)


def test_all_that_is_explained_as_json(run):
    told = explain(run, "https://app.example/orders/1", "--method", "POST", "--json")
    assert json.loads(told.stdout) == {
        "method": "POST",
        "host": "app.example",
        "path": "/orders/1",
        "rule": "orders",
        "requires": [
            "a live session",
            "scope orders:write",
            "no ban from orders at level 2",
            "a preflight passes",
        ],
        "subject": None,
        "decision": "login",
        "reason": "token_missing",
        "passed_over": [{"rule": "public", "because": "another path"}],
    }


def test_what_a_token_is_worth(run, url, files):
    keys = KeyRing.generate()
    keys.save(files / "no-keys.json")
    config = Config(issuer="http://127.0.0.1:8000", keys=keys)
    with SessionManager.from_url(url, config) as manager:

        def told(target: str, token: str, *more: str) -> tuple[int, dict[str, object]]:
            given = ("--url", target, "--token", "-", "--json", *more)
            outcome = run(
                "authz", "explain", "--policy", "policy.toml", *given, text_in=f"{token}\n"
            )
            assert token not in outcome.stdout + outcome.stderr
            return outcome.returncode, json.loads(outcome.stdout)

        pair = manager.login("alice", claims={"scope": "orders:write"})
        token = pair.access_token
        status, members = told("https://app.example/orders/1", token, "--method", "POST")
        assert (status, members["decision"], members["subject"]) == (0, "allow", "alice")
        status, members = told("https://app.example/admin", token)
        assert (status, members["decision"]) == (3, "step_up")
        manager.claims.set("alice", {"scope": "orders:read"})
        status, members = told("https://app.example/orders/1", token, "--method", "POST")
        assert (status, members["decision"], members["reason"]) == (
            3,
            "deny",
            "insufficient_scope",
        )
        manager.revoke_all("alice")
        status, members = told("https://app.example/x", token)
        assert (status, members["decision"], members["reason"]) == (3, "login", "revoked")


def test_a_store_that_is_away_decides_nothing(run, files):
    keys = KeyRing.generate()
    keys.save(files / "no-keys.json")
    config = Config(issuer="http://127.0.0.1:8000", keys=keys)
    issuer = TokenIssuer(
        keys.signing_key, issuer=config.issuer, audience=config.issuer, random_bytes=bytes
    )
    now = int(time.time())
    made = issuer.issue("alice", "A" * 22, issued_at=now, expires_at=now + 60, claims={})
    outcome = explain(
        run,
        "https://app.example/x",
        "--token",
        "-",
        text_in=made,
        CLUSTERPASS_STORE_URL=IMPATIENT,
    )
    assert_refused(outcome, saying="temporarily unavailable")


def test_a_table_of_requests_is_a_test(run):
    told = run("authz", "test", "cases.toml")
    assert (told.returncode, told.stdout, told.stderr) == (0, "12 cases, 0 failed\n", "")
    listed = json.loads(run("authz", "test", "cases.toml", "--json").stdout)
    assert all(each["passed"] for each in listed)
    assert listed[0]["name"] == "GET https://app.example/public/style.css?v=1"
    assert listed[1] == {
        "name": "nobody orders",
        "expect": "login",
        "decision": "login",
        "rule": "orders",
        "reason": "token_missing",
        "passed": True,
    }


def test_what_is_decided_otherwise_is_shown(run, files):
    opened = POLICY.replace('"/public/**"', '"/**"')
    (files / "open.toml").write_text(opened)
    told = run("authz", "test", "cases.toml", "--policy", "open.toml")
    assert told.returncode == 1
    lines = told.stdout.splitlines()
    assert "nobody orders: expected login by orders, got allow by public" in lines
    assert "around the rule: " not in told.stdout
    assert lines[-1] == "12 cases, 6 failed"
    failed = run("authz", "test", "cases.toml", "--policy", "open.toml", "--json")
    assert failed.returncode == 1
    assert sum(not each["passed"] for each in json.loads(failed.stdout)) == 6


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        ("", "has no cases"),
        ("[[cases]", "not valid TOML"),
        ("[[case]]\nurl = 'x'", "did you mean 'cases'"),
        ("cases = 1", "[[cases]]"),
        ("policy_file = 1", "policy_file must be"),
        ("[[cases]]\nexpect = 'allow'", "case 1: url is required"),
        ("[[cases]]\nurl = 'app.example'\nexpect = 'allow'", "is no URL"),
        ("[[cases]]\nurl = 'https://a/'", "case 1: expect must be one of allow, login"),
        ("[[cases]]\nurl = 'https://a/'\nexpect = '200'", "case 1: expect must be one of"),
        ("[[cases]]\nurl = 1", "case 1: url must be a text"),
        ("[[cases]]\nurl = 'https://a/'\nexpects = 'deny'", "did you mean 'expect'"),
        (
            "[[cases]]\nurl = 'https://a/'\nexpect = 'deny'\nsession = 1",
            "case 1: session must be a table",
        ),
        (
            "[[cases]]\nurl = 'https://a/'\nexpect = 'deny'\nsession = { scope = [] }",
            "did you mean 'scopes'",
        ),
        (
            "[[cases]]\nurl = 'https://a/'\nexpect = 'deny'\nsession = { level = '9' }",
            "level (1, 2, 3)",
        ),
        (
            "[[cases]]\nurl = 'https://a/'\nexpect = 'deny'\nsession = { banned = 'x' }",
            "lists of scopes",
        ),
        (
            "[[cases]]\nurl = 'https://a/'\nexpect = 'deny'\npolicy = 'other'",
            "there is no policy 'other'",
        ),
    ],
)
def test_a_file_of_cases_that_is_wrong(run, files, text, saying):
    (files / "wrong.toml").write_text(text)
    outcome = run("authz", "test", "wrong.toml", "--policy", "policy.toml")
    assert_refused(outcome, saying=saying)


def test_files_that_are_not_there_and_policies_that_are_broken(run, files):
    assert_refused(run("authz", "test", "none.toml"), saying="none.toml cannot be read")
    url = ("--url", "https://app.example/")
    assert_refused(run("authz", "explain", *url), saying="--policy")
    assert_refused(
        run("authz", "explain", "--policy", "none.toml", *url), saying="none.toml cannot be read"
    )
    (files / "broken.toml").write_text(POLICY.replace("paths", "path", 1))
    assert_refused(
        run("authz", "explain", "--policy", "broken.toml", *url), saying="did you mean 'paths'"
    )
    named = ("--policy", "policy.toml", "--policy-name", "none")
    assert_refused(run("authz", "explain", *named, *url), saying="named policies: open")


def test_levels_and_the_longest_grace_are_those_of_the_settings(run, files):
    url = ("--url", "https://app.example/")
    (files / "gold.toml").write_text(
        '[[rules]]\nname = "gold"\nhosts = "app.example"\nlevel = "gold"\n'
    )
    named = ("authz", "explain", "--policy", "gold.toml", *url)
    assert_refused(run(*named), saying="level")
    told = run(*named, CLUSTERPASS_LEVELS="bronze,gold")
    assert "requires  a live session, level gold\n" in told.stdout
    (files / "grace.toml").write_text(
        '[[rules]]\nname = "x"\nhosts = "app.example"\noutage_grace = 60\n'
    )
    named = ("authz", "explain", "--policy", "grace.toml", *url)
    assert "outage grace 60 s" in run(*named).stdout
    assert_refused(run(*named, CLUSTERPASS_AUTHZ_MOST_GRACE="59"), saying="outage_grace")


def test_the_policy_of_the_settings(run, files):
    environment = {
        "CLUSTERPASS_AUTHZ_POLICY": str(files / "policy.toml"),
        "CLUSTERPASS_TRUSTED_PROXIES": "10.0.0.0/8",
    }
    told = run("authz", "explain", "--url", "https://app.example/public/x", **environment)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain"],
        ["test"],
        ["explain", "--url", "https://a/", "--token", "secret"],
        ["nothing"],
    ],
)
def test_wrong_usage_is_explained(run, arguments):
    outcome = run("authz", *arguments)
    assert (outcome.returncode, outcome.stdout) == (2, "")
