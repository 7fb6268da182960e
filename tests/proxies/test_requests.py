"""Requests through each proxy: methods, bodies, headers, WebSockets and the identity."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from clusterpass.service.authz.identity import HEADER_SETS, OWN_HEADERS

from .conftest import COOKIE, VISITOR, Seen, logged, visitor
from .programs import HOST

IDENTITY = [*OWN_HEADERS, *HEADER_SETS["remote"]]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def test_nobody_gets_in_without_a_session(anonymous):
    answer = anonymous.get("/private")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "x-upstream" not in answer.headers


def test_a_token_that_is_none_does_not_get_in(anonymous):
    answer = anonymous.get("/private", headers={"Authorization": "Bearer e30.e30.e30"})
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_bearer_token_gets_in_and_the_application_learns_whose_it_is(proxy, login, subject):
    pair = login(claims={"scope": "reports:read x", "email": "a@example", "groups": ["a", "b"]})
    with visitor(proxy, pair) as client:
        seen = Seen.of(client.get("/private"))
    assert seen.values("X-Auth-Subject") == seen.values("Remote-User") == [subject]
    assert seen.values("X-Auth-Session") == [pair.session_id]
    assert seen.values("X-Auth-Level") == ["1"]
    assert seen.values("X-Auth-Scope") == ["reports:read x"]
    assert seen.values("Remote-Groups") == ["a,b"]
    assert seen.values("Remote-Email") == ["a@example"]
    (assertion,) = seen.values("X-Auth-Assertion")
    assert assertion.count(".") == 2


def test_the_cookie_gets_in_and_reaches_the_application(anonymous, login, subject):
    cookie = f"theme=dark; {COOKIE}={login().access_token}"
    seen = Seen.of(anonymous.get("/private", headers={"Cookie": cookie}))
    assert seen.values("X-Auth-Subject") == [subject]
    assert seen.values("Cookie") == [cookie]


@pytest.mark.parametrize("method", METHODS)
def test_every_method(alice, anonymous, services, method):
    answer = alice.request(method, "/private")
    assert answer.status_code == 200
    if method != "HEAD":
        assert Seen.of(answer).said["method"] == method
    path = f"/private/{method.lower()}"
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9"}
    assert anonymous.request(method, path, headers=forged).status_code == 401
    denial = logged(services[0], original_method=method, original_uri=path)
    assert (denial["original_host"], denial["client"]) == (HOST, VISITOR)
    assert denial["rule"] == "all the rest"


@pytest.mark.parametrize("size", [3, 200_000])
def test_a_body_arrives_whole(alice, size):
    said = Seen.of(alice.post("/private", content="x" * size)).said
    assert said["body"] == "x" * size


def test_the_body_of_a_request_that_is_refused_is_no_request(proxy):
    """On a connection that stays open, a body that nobody has read could be taken for one."""
    hidden = f"GET /public/hidden HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    refused = f"POST /private HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(hidden)}\r\n\r\n"
    last = f"GET /public/last HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    with connected(proxy) as socket:
        socket.sendall(f"{refused}{hidden}{last}".encode())
        answers = b"".join(iter(lambda: socket.recv(65536), b""))
    assert answers.startswith(b"HTTP/1.1 401 ")
    assert answers.count(b"HTTP/1.1 ") <= 2
    assert b"/public/hidden" not in answers


@pytest.mark.parametrize(
    "query",
    ["a=1&b=2", "outage_grace=3600", "scope=x&level=9", "a=%2F%2e%2e&b=%00", "policy=public&?/x"],
)
def test_a_query_string_reaches_the_application_and_decides_nothing(alice, anonymous, query):
    said = Seen.of(alice.get(f"/private?{query}")).said
    assert (said["path"], said["query"]) == ("/private", query)
    assert anonymous.get(f"/private?{query}").status_code == 401


def spellings(name: str) -> set[str]:
    """The names that an application may take for ``name``."""
    first, *rest = name.split("-")
    found = {first}
    for part in rest:
        found = {f"{each}{between}{part}" for each in found for between in "-_"}
    return found | {each.lower() for each in found} | {each.upper() for each in found}


@pytest.mark.parametrize("name", IDENTITY)
def test_an_identity_that_a_client_claims_is_not_believed(alice, anonymous, name):
    for spelling in sorted(spellings(name)):
        headers = {spelling: "mallory"}
        for client, path in ((alice, "/private"), (anonymous, "/public/page")):
            seen = Seen.of(client.get(path, headers=headers))
            assert "mallory" not in str(seen.said["headers"]), (spelling, path)


def test_an_identity_may_be_as_long_as_claims_are(proxy, login):
    scope = "%" * 4000
    with visitor(proxy, login(claims={"scope": scope})) as client:
        seen = Seen.of(client.get("/private"))
    assert seen.values("X-Auth-Scope") == ["%25" * len(scope)]


def test_an_address_and_a_host_that_a_client_claims_are_not_believed(alice):
    claimed = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "other.example",
        "X-Forwarded-Proto": "https",
        "X-Real-IP": "203.0.113.9",
        "Forwarded": "for=203.0.113.9;host=other.example;proto=https",
    }
    seen = Seen.of(alice.get("/private", headers=claimed))
    (addresses,) = seen.values("X-Forwarded-For")
    assert addresses.rpartition(",")[2].strip() == VISITOR
    assert set(seen.values("X-Real-IP")) <= {VISITOR}
    assert set(seen.values("X-Forwarded-Proto")) <= {"http"}
    assert "other.example" not in str(seen.said["headers"])


@pytest.mark.parametrize("path", ["//public/private", "///public/private"])
def test_a_host_in_the_place_of_a_path_leads_nowhere(proxy, path):
    sent = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    with connected(proxy) as socket:
        socket.sendall(sent.encode())
        answer = b"".join(iter(lambda: socket.recv(65536), b""))
    # Some proxies send the path on with a single slash.
    assert answer.startswith(b"HTTP/1.1 403 ") or b'"path": "/public/private"' in answer


def test_users_at_the_same_time_keep_their_identities(proxy, manager, new_subject):
    pairs = {name: manager.login(name) for name in (new_subject(), new_subject(), new_subject())}
    pages = range(40)

    def visit(name: str) -> list[list[str]]:
        with visitor(proxy, pairs[name]) as client:
            paths = (f"/private/{page}?{name}" for page in pages)
            return [Seen.of(client.get(path)).values("X-Auth-Subject") for path in paths]

    with ThreadPoolExecutor(12) as pool:
        names = [*pairs] * 4
        for name, subjects in zip(names, pool.map(visit, names), strict=True):
            assert subjects == [[name]] * len(pages)


@pytest.mark.parametrize("prefix", ["X-Original", "X-Forwarded"])
def test_what_is_asked_for_is_what_the_proxy_saw(anonymous, prefix):
    headers = {
        f"{prefix}-{name}": value
        for name, value in (
            ("Method", "GET"),
            ("URI", "/public/page"),
            ("Host", HOST),
            ("Proto", "https"),
        )
    }
    for spelling in (headers, {name.replace("-", "_"): headers[name] for name in headers}):
        assert anonymous.get("/private", headers=spelling).status_code == 401


@pytest.mark.parametrize("name", IDENTITY)
def test_a_client_cannot_have_the_proxy_drop_an_identity(alice, anonymous, subject, name):
    headers = {"Connection": f"keep-alive, {name}", name: "mallory"}
    answer, plain = alice.get("/private", headers=headers), Seen.of(alice.get("/private"))
    assert plain.values("X-Auth-Subject") == [subject]
    if answer.status_code != 400:  # Caddy refuses these
        assert any(Seen.of(answer).values(name)) == any(plain.values(name))
    assert "mallory" not in answer.text
    assert anonymous.get("/private", headers=headers).status_code in {400, 401}


@pytest.mark.parametrize("part", ["Method", "Proto", "Host", "Uri", "For"])
@pytest.mark.parametrize("prefix", ["X-Original", "X-Forwarded"])
def test_a_client_cannot_have_the_proxy_drop_what_it_says(alice, anonymous, subject, prefix, part):
    headers = {"Connection": f"keep-alive, {prefix}-{part}"}
    answer = alice.get("/private", headers=headers)
    if answer.status_code != 400:  # Envoy refuses some of these
        assert Seen.of(answer).values("X-Auth-Subject") == [subject]
    assert anonymous.get("/private", headers=headers).status_code in {400, 401}


def test_an_identity_is_that_of_its_request_alone(alice, subject):
    """On one connection, which the proxy keeps open to the service and to the application."""
    token = alice.headers.pop("Authorization")
    for _ in range(3):
        named = Seen.of(alice.get("/private", headers={"Authorization": token}))
        assert named.values("X-Auth-Subject") == [subject]
        assert "".join(Seen.of(alice.get("/public/page")).values("X-Auth-Subject")) == ""
        assert alice.get("/private").status_code == 401


def test_a_preflight_reaches_the_application_where_a_rule_allows_it(anonymous):
    preflight = {"Origin": "https://spa.localhost", "Access-Control-Request-Method": "PUT"}
    seen = Seen.of(anonymous.options("/catalogue/1", headers=preflight))
    assert seen.said["method"] == "OPTIONS"
    assert anonymous.options("/catalogue/1").status_code == 401
    assert anonymous.options("/private", headers=preflight).status_code == 401


def test_what_is_public_needs_no_session(anonymous):
    seen = Seen.of(anonymous.get("/public/page"))
    assert "".join(seen.values("X-Auth-Subject")) == ""


def test_a_host_without_a_rule_is_not_forwarded(alice):
    answer = alice.get("/private", headers={"Host": "other.localhost"})
    assert answer.status_code in {200, 403, 404}  # Caddy has an empty page for other hosts
    assert "x-upstream" not in answer.headers


@pytest.mark.parametrize("path", ["/public/%2e%2e/private", "/public/..%2fprivate"])
def test_a_path_with_two_meanings_leads_nowhere(anonymous, path):
    answer = anonymous.get(path)
    assert answer.status_code in {400, 401, 403, 404}
    assert "x-upstream" not in answer.headers


def test_a_websocket_opens_for_who_is_logged_in(proxy, login, subject):
    headers = {"Authorization": f"Bearer {login().access_token}", "X-Auth-Subject": "mallory"}
    url = f"ws://{HOST}:{proxy.port}/live?topic=1"
    options = {"sock": connected(proxy), "proxy": None}
    with connect(url, additional_headers=headers, **options) as socket:
        seen = Seen(json.loads(socket.recv(10)))
        assert seen.values("X-Auth-Subject") == [subject]
        assert seen.said["query"] == "topic=1"
        for text in ("one", "two" * 1000):
            socket.send(text)
            assert socket.recv(10) == text


def test_a_websocket_opens_for_nobody_else(proxy):
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://{HOST}:{proxy.port}/live", sock=connected(proxy), proxy=None)
    assert refused.value.response.status_code == 401


def connected(proxy):
    import socket

    return socket.create_connection(("127.0.0.1", proxy.port), 10)


@pytest.mark.parametrize("status", [201, 401, 403, 404, 500, 503])
def test_a_status_of_the_application_stays_its_own(alice, status):
    path = f"/private/status/{status}"
    answer = alice.get(path)
    assert answer.status_code == status
    assert Seen.of(answer).said["path"] == path
    assert "retry-after" not in answer.headers
