"""Policy files of the front door: patterns, order of rules, grace and error messages."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from clusterpass import ConfigurationError
from clusterpass.service.authz.decision import Grace, rule_on
from clusterpass.service.authz.original_request import OriginalRequest
from clusterpass.service.authz.patterns import path_pattern
from clusterpass.service.authz.policy import EVERYWHERE, Policies, Ruling
from clusterpass.service.authz.policy_file import load_policies, read_policies
from clusterpass.service.authz.request_path import normal_path

FILE = """
[[rules]]
name = "health"
hosts = ["app.example", "*.tenants.example"]
paths = ["/healthz", "/static/**"]
methods = ["GET"]
access = "public"

[[rules]]
name = "preflight"
hosts = "app.example"
paths = "/api/**"
methods = ["PUT", "DELETE"]
scopes = ["api:write"]
allow_preflight = true

[[rules]]
name = "no options"
hosts = "app.example"
paths = "/api/closed/*"
methods = ["OPTIONS", "TRACE"]
access = "denied"

[[rules]]
name = "admin"
hosts = "app.example"
paths = ["/admin/**"]
paths_regex = ['/v[0-9]+/admin(/.*)?']
level = "2"
max_auth_age = 900
not_banned = ["staff"]
ban_level = 3
strict = true

[[rules]]
name = "reading"
hosts = "app.example"
methods = "GET"
outage_grace = 60

[[rules]]
name = "rest"
hosts = "app.example"

[[policies.open.rules]]
name = "all"
hosts = "*"
access = "public"
"""


def policies(text: str = FILE, **more: Any) -> Policies:
    return read_policies(tomllib.loads(text), "policy.toml", **more)


def ruling(
    uri: str,
    method: str | None = "GET",
    host: str | None = "app.example",
    name: str = "",
    following: str | None = None,
) -> Ruling:
    policy = policies().named(name)
    assert policy is not None
    path = normal_path(uri)
    fault = None if path else "unsafe_path"
    return policy.rule_on(
        OriginalRequest(method, "https", host, path, uri, preflight_for=following, fault=fault)
    )


def name_of(found: Ruling) -> str | None:
    return found.rule.name if found.rule else None


@pytest.mark.parametrize(
    ("method", "host", "uri", "rule", "refusal"),
    [
        ("GET", "app.example", "/healthz", "health", None),
        ("HEAD", "app.example", "/healthz", "health", None),
        ("GET", "a.tenants.example", "/static/a/b.css", "health", None),
        ("GET", "app.example", "/static", "health", None),
        ("GET", "app.example", "/static/", "health", None),
        ("GET", "app.example", "/staticky", "reading", None),
        ("GET", "a.b.tenants.example", "/healthz", None, "unknown_host"),
        ("GET", "tenants.example", "/healthz", None, "unknown_host"),
        ("GET", "app.example.evil", "/healthz", None, "unknown_host"),
        ("GET", "a.tenants.example", "/other", None, "no_rule"),
        ("POST", "a.tenants.example", "/healthz", None, "no_rule"),
        ("POST", "app.example", "/healthz", "rest", None),
        ("GET", "app.example", "/admin", "admin", None),
        ("GET", "app.example", "/admin/users", "admin", None),
        ("GET", "app.example", "/admin/", "admin", None),
        ("GET", "app.example", "/%61dmin/users", "admin", None),
        ("GET", "app.example", "/admin//users", "admin", None),
        ("GET", "app.example", "//admin/users", None, "unsafe_path"),
        ("GET", "app.example", "/admin/a\u000ab", None, "unsafe_path"),
        ("GET", "app.example", "/v2/admin/x", "admin", None),
        ("GET", "app.example", "/v2/administrator", "reading", None),
        ("GET", "app.example", "/x/v2/admin", "reading", None),
        ("GET", "app.example", "/static/../admin", None, "unsafe_path"),
        ("GET", "app.example", "/static/..%2fadmin", None, "unsafe_path"),
        ("GET", "app.example", "/static/;/admin", None, "unsafe_path"),
        ("PUT", "app.example", "/api/x", "preflight", None),
        ("OPTIONS", "app.example", "/api/x", "rest", None),
        ("OPTIONS", "app.example", "/api/closed/x", "no options", "denied_by_rule"),
        (None, "app.example", "/healthz", "health", "unknown_method"),
        (None, "app.example", "/admin", "admin", None),
        (None, "app.example", "/x", "reading", "unknown_method"),
    ],
)
def test_the_first_rule_that_matches_decides(method, host, uri, rule, refusal):
    found = ruling(uri, method, host)
    assert (name_of(found), found.refusal) == (rule, refusal)


@pytest.mark.parametrize(
    ("pattern", "covered", "others"),
    [
        ("/", ["/"], ["/a"]),
        ("/a", ["/a", "/a/"], ["/", "/ab", "/a/b", "/A", "//a"]),
        ("/a/", ["/a", "/a/"], ["/a/b"]),
        ("/a/*", ["/a/", "/a/b", "/a/b/"], ["/a", "/a/b/c"]),
        ("/a/*/c", ["/a/b/c", "/a//c"], ["/a/c", "/a/b/b/c"]),
        ("/*.css", ["/x.css", "/.css"], ["/a/x.css", "/xacss"]),
        ("/**.css", ["/x.css", "/a/b/x.css"], ["/x.css.map"]),
        ("/**", ["/", "/a", "/a/b\nc"], []),
        ("/a/**", ["/a", "/a/", "/a/b/c"], ["/ab", "/b/a"]),
        ("/a/**/", ["/a", "/a/", "/a/b/c"], ["/ab", "/b/a"]),
        ("/**/a**/a*", ["/a/.aa/aaa./", "/a/x/a"], ["/a", "/xa/a/b"]),
        ("/**/*a*/**b/**", ["/a/bbb/a/a", "/xay/z/b"], ["/a", "/b/b", "/a/bc"]),
        ("/**/b", ["/b", "/a/b", "/a/a/b", "/a/b/"], ["/ab", "/b/a"]),
        ("/a/**/b/**", ["/a/b", "/a/x/b", "/a/x/b/y/z"], ["/a", "/a/xb"]),
        ("/a*z*/**/b", ["/az/b", "/a1z2/x/b"], ["/a/z/b"]),
        ("/cafe\u0301", ["/caf\u00e9"], ["/cafe"]),
        ("/a.(b)+", ["/a.(b)+"], ["/axb"]),
    ],
)
def test_what_a_pattern_covers(pattern, covered, others):
    made = path_pattern(pattern)
    assert [path for path in covered if not made.fullmatch(path)] == []
    assert [path for path in others if made.fullmatch(path)] == []


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/**/*a*/*a*/**/b", "/aaaaa" * 1365),
        ("/**/*a*/*a*/*a*/*a*/**/*a*/b", "/aaaaa" * 1365),
        ("/**a/*a*/*a*/*a*/**b", "/aaaaaaaaa" * 819),
        ("/*a*b/*a*/*a*b/*-*b", f"/{'a' * 2700}b/{'a' * 2700}/{'a' * 2700}"),
    ],
)
@pytest.mark.timeout(20)
def test_no_long_path_takes_longer_than_its_length(pattern, path):
    made = path_pattern(pattern)
    for _ in range(50):
        assert not made.fullmatch(path)


def test_every_host_is_a_choice_of_its_own():
    assert name_of(ruling("/admin", host="any.where", name="open")) == "all"
    assert policies().named("closed") is None


def test_a_preflight_passes_where_the_request_after_it_would_be_judged():
    passed = ruling("/api/x", "OPTIONS", following="PUT")
    assert (name_of(passed), passed.is_preflight, passed.refusal) == ("preflight", True, None)
    other = ruling("/api/x", "OPTIONS", following="PATCH")
    assert (name_of(other), other.is_preflight) == ("rest", False)
    assert ruling("/healthz", "OPTIONS", following="GET").is_preflight is False


def test_a_preflight_is_no_way_around_a_rule_about_options():
    text = FILE.replace('name = "preflight"', 'name = "later"').replace(
        'paths = "/api/**"', 'paths = "/else/**"'
    )
    policy = policies(text).named("")
    assert policy is not None
    original = OriginalRequest(
        "OPTIONS", "https", "app.example", "/api/closed/x", preflight_for="GET"
    )
    assert policy.rule_on(original).refusal == "denied_by_rule"


def test_what_a_rule_requires_is_read():
    rule = ruling("/admin").rule
    assert rule is not None
    assert (rule.level, rule.max_auth_age, rule.not_banned) == ("2", 900, ("staff",))
    assert (rule.ban_level, rule.verification, rule.access) == (3, "strict", "authenticated")
    assert ruling("/api/x", "PUT").rule.scope == ("api:write",)  # type: ignore[union-attr]


@pytest.mark.parametrize("fault", ["untrusted_proxy", "repeated_header", "missing_header"])
def test_a_request_that_is_not_known_is_denied_for_that_reason(fault):
    policy = policies().named("open")
    assert rule_on(policy, OriginalRequest(fault=fault)) == Ruling(None, fault)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        (OriginalRequest("GET", host="any", path="/x"), Ruling(EVERYWHERE)),
        (OriginalRequest(fault="untrusted_proxy"), Ruling(EVERYWHERE)),
        (OriginalRequest("GET", fault="missing_header"), Ruling(EVERYWHERE)),
        (OriginalRequest(fault="repeated_header"), Ruling(None, "repeated_header")),
        (OriginalRequest("GET", fault="unsafe_path"), Ruling(None, "unsafe_path")),
    ],
)
def test_without_a_file_a_live_session_is_required_everywhere(original, expected):
    assert rule_on(None, original) == expected
    assert EVERYWHERE.access == "authenticated"


@pytest.mark.parametrize(
    ("uri", "method", "seconds"),
    [
        ("/x", "GET", 60),
        ("/x", "HEAD", 60),
        ("/x", "POST", 0),
        ("/admin", "GET", 0),
        ("/admin", None, 0),
    ],
)
def test_the_grace_of_a_rule(uri, method, seconds):
    rule = ruling(uri, method).rule
    assert rule is not None
    assert Grace(usual=20, most=300).of(rule, method) == seconds


def test_the_operator_bounds_the_grace():
    rule = ruling("/x").rule
    assert rule is not None
    assert Grace(usual=20, most=5).of(rule, "GET") == 5
    assert Grace(usual=20, most=5).of(EVERYWHERE, "GET") == 5
    assert Grace(usual=20, most=300).of(EVERYWHERE, "OPTIONS") == 20
    assert Grace(usual=20, most=300).of(EVERYWHERE, None) == 0
    with pytest.raises(ConfigurationError, match=r"rule 5: outage_grace .* authz_most_grace"):
        policies(most_grace=59)


def rule(**members: Any) -> dict[str, Any]:
    return {"rules": [{"hosts": "app.example"}, {"hosts": "app.example", **members}]}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, ["no rules", "[[rules]]"]),
        ({"rule": []}, ["unknown member 'rule'", "did you mean 'rules'"]),
        ({"rules": []}, ["no rule", "[[rules]]"]),
        ({"rules": {"hosts": "*"}}, ["[[rules]]"]),
        ({"rules": ["x"]}, ["[[rules]]"]),
        ({"policies": 1}, ["policies must be tables"]),
        ({"policies": {"a": 1}}, ["policy a", "[[policies.a.rules]]"]),
        ({"policies": {"A/b": {"rules": []}}}, ["policy A/b", "lower-case"]),
        ({"policies": {"a": {"rule": []}}}, ["policy a", "did you mean 'rules'"]),
        ({"policies": {"a": {}}}, ["policy a", "[[rules]]"]),
        (rule(path="/x"), ["rule 2", "unknown member 'path'", "did you mean 'paths'"]),
        (rule(scope="x"), ["rule 2", "did you mean 'scopes'"]),
        (rule(acces="public"), ["rule 2", "did you mean 'access'"]),
        (rule(zzz=1), ["rule 2", "unknown member 'zzz'", "known: name, hosts"]),
        ({"rules": [{"paths": "/x"}]}, ["rule 1", "hosts", "required"]),
        (rule(hosts=[]), ["rule 2", "hosts", "empty"]),
        (rule(hosts=7), ["rule 2", "hosts", "a text or a list"]),
        (rule(hosts="App.example"), ["rule 2", "hosts", "lower case"]),
        (rule(hosts="https://app.example"), ["rule 2", "hosts", "without scheme"]),
        (rule(hosts="app.example:443"), ["rule 2", "hosts", "port"]),
        (rule(hosts="app*.example"), ["rule 2", "hosts"]),
        (rule(paths="x"), ["rule 2", "paths", "slash"]),
        (rule(paths="/a?b"), ["rule 2", "paths", "path alone"]),
        (rule(paths="/a%20b"), ["rule 2", "paths", "escape"]),
        (rule(paths="/a/../b"), ["rule 2", "paths", "dot segment"]),
        (rule(paths="/a//b"), ["rule 2", "paths", "//"]),
        (rule(paths="*"), ["rule 2", "paths", "slash"]),
        (rule(paths="/a/***"), ["rule 2", "paths", "stars"]),
        (rule(paths="/***/a"), ["rule 2", "paths", "stars"]),
        (rule(paths="/a*b*c*"), ["rule 2", "paths", "stars"]),
        (rule(paths="/a**b*"), ["rule 2", "paths", "stars"]),
        (rule(paths="/**/a/**/b/**/c"), ["rule 2", "paths", "stars"]),
        (rule(paths_regex="("), ["rule 2", "paths_regex", "regular expression"]),
        (rule(paths_regex="^/admin"), ["rule 2", "paths_regex", "/admin.*"]),
        (rule(paths_regex="(?i)^/admin"), ["rule 2", "paths_regex", "whole path"]),
        (rule(paths_regex="/admin$"), ["rule 2", "paths_regex", "whole path"]),
        (rule(paths_regex=r"\.php$"), ["rule 2", "paths_regex", "slash"]),
        (rule(paths_regex="^admin$"), ["rule 2", "paths_regex", "slash"]),
        (rule(hosts="bücher.example"), ["rule 2", "hosts", "xn--"]),
        (rule(hosts="[0:0:0:0:0:0:0:1]"), ["rule 2", "hosts", "write [::1]"]),
        (rule(methods="get"), ["rule 2", "methods", "capitals"]),
        (rule(methods=["GET "]), ["rule 2", "methods", "capitals"]),
        (rule(access="open"), ["rule 2", "access", "'public'"]),
        (rule(access="public", scopes="x"), ["rule 2", "scopes", "requires a session"]),
        (rule(access="denied", outage_grace=3), ["rule 2", "outage_grace", "session"]),
        (rule(scopes="a b"), ["rule 2", "scopes", "orders:read"]),
        (rule(scopes=[1]), ["rule 2", "scopes", "list of texts"]),
        (rule(level=2), ["rule 2", "level", "in quotes"]),
        (rule(level="9"), ["rule 2", "level", "1, 2, 3"]),
        (rule(max_auth_age="9"), ["rule 2", "max_auth_age", "whole number"]),
        (rule(max_auth_age=True), ["rule 2", "max_auth_age", "whole number"]),
        (rule(max_auth_age=-1), ["rule 2", "max_auth_age", "from 0"]),
        (rule(ban_level=2), ["rule 2", "ban_level", "not_banned"]),
        (rule(ban_level=0, not_banned="x"), ["rule 2", "ban_level", "from 1 to 1000"]),
        (rule(outage_grace=3601), ["rule 2", "outage_grace", "3600"]),
        (rule(outage_grace=61), ["rule 2", "outage_grace", "authz_most_grace"]),
        (rule(strict="yes"), ["rule 2", "strict", "true or false"]),
        (rule(allow_preflight=1), ["rule 2", "allow_preflight", "true or false"]),
        (rule(name=""), ["rule 2", "name", "text"]),
        (rule(name="a\x1b"), ["rule 2", "name", "text"]),
        (rule(name="rule 1"), ["rule 2", "'rule 1' is taken"]),
    ],
)
def test_an_error_says_where_it_is_and_what_to_do(members, words):
    with pytest.raises(ConfigurationError) as caught:
        read_policies(members, "policy.toml", levels=("1", "2", "3"), most_grace=60)
    assert "policy.toml" in caught.value.message
    for word in words:  # whole ones: they are what to look for in the file
        assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)", caught.value.message), word


def test_files_that_cannot_be_read(tmp_path: Path):
    file = tmp_path / "policy.toml"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_policies(file)
    file.write_text("[[rules]\n")
    with pytest.raises(ConfigurationError, match=r"policy\.toml is not valid TOML"):
        load_policies(file)
    file.write_bytes(b"# \xff\n")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load_policies(file)
    file.write_bytes(b"#" * 1024 * 1024 + b"\n")
    with pytest.raises(ConfigurationError, match="larger than"):
        load_policies(file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_policies(tmp_path)
    file.write_text(FILE)
    assert len(load_policies(file).all_rules()) == 7


def test_the_rules_before_the_one_that_decides_are_told_with_the_reason():
    policy = policies().named("")
    assert policy is not None

    def passed_over(host: str, path: str, method: str) -> list[tuple[str, str]]:
        original = OriginalRequest(method, "https", host, path)
        return [(rule.name, why) for rule, why in policy.passed_over(original)]

    assert passed_over("app.example", "/healthz", "GET") == []
    assert passed_over("app.example", "/api/x", "POST") == [
        ("health", "another path"),
        ("preflight", "another method"),
        ("no options", "another path"),
        ("admin", "another path"),
        ("reading", "another method"),
    ]
    elsewhere = passed_over("a.tenants.example", "/other", "GET")
    assert elsewhere[:2] == [("health", "another path"), ("preflight", "another host")]
    assert len(elsewhere) == 6
    assert policy.passed_over(OriginalRequest("GET", fault="unsafe_path")) == []
