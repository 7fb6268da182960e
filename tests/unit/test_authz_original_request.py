"""The original request as each proxy describes it to the front door; ambiguous paths."""

from typing import Any

import pytest

from clusterpass.service.authz.endpoints import find_endpoint
from clusterpass.service.authz.original_request import (
    FAMILIES,
    Asked,
    OriginalRequest,
    read_original,
)
from clusterpass.service.authz.request_path import LONGEST_PATH, normal_path

FORWARDED = {
    "x-forwarded-method": ["POST"],
    "x-forwarded-proto": ["https"],
    "x-forwarded-host": ["app.example"],
    "x-forwarded-uri": ["/orders?next=1"],
}
ORIGINAL = {name.replace("forwarded", "original"): value for name, value in FORWARDED.items()}
ENVOY = {"host": ["app.example"], "x-forwarded-proto": ["https"]}


def read(proxy: str, headers: dict[str, list[str]], **more: Any) -> OriginalRequest:
    asked = {"is_trusted": True, "method": "GET", "suffix": "", **more}
    return read_original(Asked(FAMILIES[proxy], headers=headers, **asked))


@pytest.mark.parametrize(
    ("proxy", "headers"),
    [
        ("nginx", ORIGINAL),
        ("haproxy", ORIGINAL),
        ("apache", ORIGINAL),
        ("traefik", FORWARDED),
        ("caddy", FORWARDED),
        ("forward-auth", FORWARDED),
    ],
)
def test_each_proxy_is_read_by_its_own_headers(proxy, headers):
    found = read(proxy, headers)
    assert (found.method, found.scheme, found.host) == ("POST", "https", "app.example")
    assert (found.path, found.uri, found.fault) == ("/orders", "/orders", None)


def test_envoy_sends_the_request_itself():
    found = read("envoy", {**ENVOY, **FORWARDED}, method="PUT", suffix="/a%20b?x=1")
    assert (found.method, found.host, found.path) == ("PUT", "app.example", "/a b")
    assert (found.scheme, found.fault) == ("https", None)


@pytest.mark.parametrize(("proxy", "theirs"), [("nginx", FORWARDED), ("traefik", ORIGINAL)])
def test_headers_of_another_family_are_the_clients(proxy, theirs):
    assert read(proxy, theirs) == OriginalRequest(fault="missing_header")
    ours = ORIGINAL if proxy == "nginx" else FORWARDED
    other = {name: ["/public" if name.endswith("uri") else "GET"] for name in theirs}
    assert read(proxy, {**ours, **other}) == read(proxy, ours)


@pytest.mark.parametrize("name", sorted(FORWARDED))
def test_a_header_that_comes_twice_is_refused(name):
    twice = {**FORWARDED, name: FORWARDED[name] * 2}
    assert read("traefik", twice) == OriginalRequest(fault="repeated_header")


def test_nothing_of_a_proxy_that_is_not_trusted_is_believed():
    for proxy in FAMILIES:
        found = read(proxy, {**FORWARDED, **ORIGINAL, **ENVOY}, is_trusted=False, suffix="/x")
        assert found == OriginalRequest(fault="untrusted_proxy")


def test_a_method_that_is_missing_is_not_known():
    found = read("nginx", {n: v for n, v in ORIGINAL.items() if n != "x-original-method"})
    assert (found.method, found.path, found.fault) == (None, "/orders", None)


@pytest.mark.parametrize(
    ("given", "method", "fault"),
    [
        ("get", "GET", None),
        ("M-SEARCH", "M-SEARCH", None),
        ("VERSION_CONTROL", "VERSION_CONTROL", None),
        ("GET POST", None, "invalid_method"),
        ("GET,POST", None, "invalid_method"),
        ("X" * 33, None, "invalid_method"),
        ("é", None, "invalid_method"),
        ("", None, None),
    ],
)
def test_methods(given, method, fault):
    found = read("traefik", {**FORWARDED, "x-forwarded-method": [given]})
    assert (found.method, found.fault) == (method, fault)


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("App.Example", "app.example"),
        ("app.example:8443", "app.example"),
        ("app.example.", "app.example"),
        ("app.example.:443", "app.example"),
        ("my_app.example", "my_app.example"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("[2001:db8:0:0:0:0:0:1]", "[2001:db8::1]"),
        ("[2001:0db8::0001]", "[2001:db8::1]"),
        ("a", "a"),
    ],
)
def test_hosts(given, host):
    found = read("traefik", {**FORWARDED, "x-forwarded-host": [given]})
    assert (found.host, found.fault) == (host, None)


@pytest.mark.parametrize(
    "given",
    [
        "app.example, evil.example",
        "user@app.example",
        "app.example/x",
        "app.example:port",
        "app.example:443:443",
        "app example",
        "app.example\x00",
        "äpp.example",
        ".example",
        "-",
        "a" * 300,
    ],
)
def test_what_is_no_host(given):
    found = read("traefik", {**FORWARDED, "x-forwarded-host": [given]})
    assert (found.host, found.fault) == (None, "invalid_host")


@pytest.mark.parametrize("name", ["x-forwarded-host", "x-forwarded-uri"])
@pytest.mark.parametrize("value", [[], [""], ["  "]])
def test_a_proxy_that_does_not_say_what_is_asked_for(name, value):
    assert read("caddy", {**FORWARDED, name: value}).fault == "missing_header"


@pytest.mark.parametrize(
    ("given", "scheme"), [("wss", "https"), ("WS", "http"), ("gopher", None), ("", None)]
)
def test_schemes(given, scheme):
    assert read("traefik", {**FORWARDED, "x-forwarded-proto": [given]}).scheme == scheme


PREFLIGHT = {"origin": ["https://a.example"], "access-control-request-method": ["post"]}


@pytest.mark.parametrize(
    ("method", "headers", "following"),
    [
        ("OPTIONS", PREFLIGHT, "POST"),
        ("GET", PREFLIGHT, None),
        ("OPTIONS", {"origin": ["https://a.example"]}, None),
        ("OPTIONS", {"access-control-request-method": ["POST"]}, None),
        ("OPTIONS", {**PREFLIGHT, "access-control-request-method": ["POST", "GET"]}, None),
        ("OPTIONS", {**PREFLIGHT, "access-control-request-method": ["P ST"]}, None),
    ],
)
def test_what_is_a_preflight(method, headers, following):
    found = read("envoy", {**ENVOY, **headers}, method=method, suffix="/")
    assert found.preflight_for == following


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a?b=/../c", "/a"),
        ("/%61dmin", "/admin"),
        ("/a%20b", "/a b"),
        ("/caf%C3%A9", "/café"),
        ("/caf\xc3\xa9", "/café"),
        ("/a//b", "/a/b"),
        ("/a///b/", "/a/b/"),
        ("/100%25", "/100%"),
        ("/...", "/..."),
        ("/a..b/.c", "/a..b/.c"),
        ("/%2A", "/*"),
        ("/a:b@c", "/a:b@c"),
        ("/cafe%CC%81", "/café"),
        ("/" + "a" * (LONGEST_PATH - 1) + "?" + "b" * 9000, "/" + "a" * (LONGEST_PATH - 1)),
    ],
)
def test_a_path_has_one_reading(uri, path):
    assert normal_path(uri) == path


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "admin",
        "*",
        "http://app.example/admin",
        "?x=/admin",
        "//public/admin",
        "///admin",
        "/public/../admin",
        "/public/./admin",
        "/public/..",
        "/public/%2e%2e/admin",
        "/public/.%2E/admin",
        "/public/%2e/admin",
        "/public%2fadmin",
        "/public%2Fadmin",
        "/public/..%2fadmin",
        "/public\\admin",
        "/public/..\\admin",
        "/public%5cadmin",
        "/public%5Cadmin",
        "/%252e%252e/admin",
        "/public%252fadmin",
        "/%25%32%66admin",
        "/public/..;/admin",
        "/admin;x=1/users",
        "/admin%3bx",
        "/admin%00",
        "/admin\x00",
        "/admin%0d%0aX: 1",
        "/admin%7f",
        "/admin%",
        "/admin%2",
        "/admin%zz",
        "/admin#x",
        "/ad min",
        "/ad\tmin",
        "/%c0%af/admin",
        "/%c0%ae%c0%ae/admin",
        "/%ff",
        "/\xff",
        "/%ed%a0%80",
        "/%c2%85admin",
        "/%e2%80%a8",
        "/" + "a" * LONGEST_PATH,
        "/Ā",
    ],
)
def test_a_path_that_programs_read_differently_is_not_judged(uri):
    assert normal_path(uri) is None
    found = read("traefik", {**FORWARDED, "x-forwarded-uri": [uri]})
    assert found.fault in {"unsafe_path", "missing_header"}
    assert found.path is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/authz/nginx", ("nginx", "", "")),
        ("/authz/forward-auth", ("forward-auth", "", "")),
        ("/authz/nginx/strict", ("nginx", "strict", "")),
        ("/authz/envoy", ("envoy", "", "")),
        ("/authz/envoy/admin", ("envoy", "", "/admin")),
        ("/authz/envoy//a%2fb", ("envoy", "", "//a%2fb")),
        ("/authz/envoy:strict", ("envoy", "strict", "")),
        ("/authz/envoy:strict/admin", ("envoy", "strict", "/admin")),
        ("/authz/envoy/:strict/admin", ("envoy", "", "/:strict/admin")),
    ],
)
def test_the_endpoint_and_its_policy(path, expected):
    assert find_endpoint(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/authz/",
        "/authz/nginx/",
        "/authz/nginx/a/b",
        "/authz/nginx:strict",
        "/authz/nginx/Strict",
        "/authz/nginx/..",
        "/authz/lighttpd",
        "/authz/NGINX",
        "/authz/envoy*",
        "/authz/envoys",
        "/authz/envoy:",
        "/authz/envoy:../admin",
        "/authz/%6eginx",
        "/authz%2fnginx",
        "/authz/nginx\n",
        "",
    ],
)
def test_what_is_no_endpoint(path):
    assert find_endpoint(path) is None


def test_the_log_shows_of_a_path_what_no_client_chooses():
    for path in ("/authz/nginx/strict", "/authz/envoy:strict", "/authz/envoy", "/authz/caddy"):
        found = find_endpoint(path)
        assert found is not None
        assert found.shown == path
    with_token = find_endpoint("/authz/envoy:strict/reset/SECRET")
    assert with_token is not None
    assert with_token.shown == "/authz/envoy:strict"
