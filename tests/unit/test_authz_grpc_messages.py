"""Envoy's ext_authz messages: parsing of requests and encoding of responses."""

from types import SimpleNamespace
from typing import Any

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from google.protobuf.json_format import MessageToDict

from clusterpass import Actor, Session
from clusterpass.service.authz import grpc_server
from clusterpass.service.authz.grpc_messages import (
    asked_in,
    headers_in,
    peer_address,
    policy_in,
    response_of,
    source_in,
    with_header,
)
from clusterpass.service.authz.identity import Identity
from clusterpass.service.authz.original_request import read_original
from clusterpass.service.authz.renewal import COPY_COOKIES
from clusterpass.service.hot.responder import Answer, answer_problem
from clusterpass.web.problems import of_status


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:4711", "192.0.2.7"),
        ("ipv6:%5B2001:db8::1%5D:4711", "2001:db8::1"),
        ("ipv6:[::1]:4711", "::1"),
        ("ipv6:%5B::ffff:10.0.0.1%5D:80", "::ffff:10.0.0.1"),
        ("unix:/run/10.0.0.1:80", None),
        ("unix:", None),
        ("ipv4:", None),
        ("", None),
    ],
)
def test_the_address_of_a_peer(peer, address):
    assert peer_address(peer) == address


def test_headers_come_as_bytes_or_as_texts():
    as_texts = CheckRequest()
    http = as_texts.attributes.request.http
    http.headers["X-Name"] = "ä,b"
    assert headers_in(as_texts) == {"x-name": ["\xc3\xa4,b"]}
    as_bytes = CheckRequest()
    added = as_bytes.attributes.request.http.header_map.headers
    added.add(key="X-Name", raw_value=b"\xff")
    added.add(key="x-name", value="ä")
    added.add(key="empty")
    assert headers_in(as_bytes) == {"x-name": ["\xff", "\xc3\xa4"], "empty": [""]}
    http.header_map.SetInParent()
    assert headers_in(as_texts) == {}, "one of the two forms counts, never a mixture"


def test_the_attributes_describe_the_request():
    request = CheckRequest()
    attributes = request.attributes
    attributes.context_extensions["policy"] = "staff"
    attributes.context_extensions["other"] = "x"
    attributes.source.address.socket_address.address = "203.0.113.5"
    http = attributes.request.http
    http.method, http.host, http.path, http.scheme = "put", "App.Example:443", "/é?a=1", "https"
    assert (policy_in(request), source_in(request)) == ("staff", "203.0.113.5")
    theirs = {"host": ["other.example"], "x-forwarded-host": ["other.example"]}
    original = read_original(asked_in(request, theirs, is_trusted=True))
    assert (original.method, original.host, original.path) == ("PUT", "app.example", "/é")
    assert (original.scheme, original.fault) == ("https", None)
    seen = {**theirs, "x-forwarded-proto": ["http"], ":path": ["/b"]}
    original = read_original(asked_in(request, seen, is_trusted=True))
    assert (original.scheme, original.path) == ("http", "/b")
    untrusted = read_original(asked_in(request, theirs, is_trusted=False))
    assert (untrusted.fault, untrusted.host) == ("untrusted_proxy", None)
    http.host = ""
    assert read_original(asked_in(request, theirs, is_trusted=True)).fault == "missing_header"


def test_the_upstream_behind_envoy_gets_no_cookie_of_the_service():
    asked = asked_in(CheckRequest(), {}, is_trusted=True)
    assert asked.proxy in COPY_COOKIES


def test_nothing_but_identities_reaches_the_upstream():
    identities = [(b"x-auth-subject", b"alice"), (b"x-auth-actor", b"")]
    answer = Answer(200, [(b"content-length", b"0"), *identities])
    response = response_of(answer, b"id")
    assert (response.status.code, response.WhichOneof("http_response")) == (0, "ok_response")
    sent = [(each.header.key, each.header.value) for each in response.ok_response.headers]
    assert sent == [("x-auth-subject", "alice"), ("x-auth-actor", "")]
    assert not response.ok_response.response_headers_to_add
    assert not response.ok_response.headers_to_remove


def test_a_cookie_is_for_the_browser_beside_those_of_the_application():
    cookie = (b"set-cookie", b"clusterpass-proxy=1")
    response = response_of(Answer(200, [(b"x-auth-subject", b"a"), cookie]), b"id").ok_response
    assert [each.header.key for each in response.headers] == ["x-auth-subject"]
    (added,) = response.response_headers_to_add
    assert (added.header.key, added.header.value) == ("set-cookie", "clusterpass-proxy=1")
    assert added.append_action == added.APPEND_IF_EXISTS_OR_ADD


@pytest.mark.parametrize(
    ("status", "code"), [(401, 16), (403, 7), (404, 13), (500, 13), (503, 14), (302, 16), (204, 13)]
)
def test_whatever_is_no_200_is_a_denial(status, code):
    response = response_of(answer_problem(of_status(status)), b"id")
    assert response.status.code == code
    assert response.WhichOneof("http_response") == "denied_response"
    assert response.denied_response.status.code == status
    assert '"error"' in response.denied_response.body
    headers = {each.header.key: each.header.value for each in response.denied_response.headers}
    assert (headers["x-request-id"], headers["cache-control"]) == ("id", "no-store")
    assert not {"content-length", "server"} & set(headers)


def test_what_other_filters_learn_of_who_calls():
    session = Session(
        "anna & é\n",
        "s" * 22,
        None,
        1,
        1,
        2,
        claims={"scope": "orders:read staff"},
        acr="2",
        act=Actor("root", "a" * 22),
    )
    answer = Answer(200, Identity(()).encoded(session, "an.asser.tion"))
    told = response_of(answer, b"id").dynamic_metadata
    assert MessageToDict(told) == {
        "subject": "anna%20&%20%C3%A9%0A",
        "session": "s" * 22,
        "level": "2",
        "actor": "root",
        "scopes": ["orders:read", "staff"],
    }
    copied = with_header(response_of(answer, b"id"), b"cookie", b"a=b")
    assert copied.dynamic_metadata == told
    assert [each.header.key for each in copied.ok_response.headers][-1] == "cookie"


def test_of_nobody_and_of_a_denial_nothing_is_told():
    for answer in (Answer(200, Identity(()).encoded(None)), answer_problem(of_status(403))):
        assert not response_of(answer, b"id").HasField("dynamic_metadata")


class Listening:
    """Stands for the server of gRPC; notes what it is told."""

    def __init__(self) -> None:
        self.did: list[Any] = []

    def __call__(self, *, options: Any) -> "Listening":
        self.options = dict(options)
        return self

    def add_registered_method_handlers(self, *_: Any) -> None:
        """Which calls there are."""

    add_generic_rpc_handlers = add_registered_method_handlers

    def add_insecure_port(self, address: str) -> None:
        self.did.append(address)

    async def start(self) -> None:
        self.did.append("start")

    async def stop(self, seconds: float) -> None:
        self.did.append(seconds)


async def test_connections_move_to_other_workers_and_calls_at_the_end_are_finished(monkeypatch):
    server = Listening()
    monkeypatch.setattr(grpc_server.grpc.aio, "server", server)
    async with grpc_server.serving(SimpleNamespace(Check=None), "127.0.0.1:9000"):
        assert server.did == ["127.0.0.1:9000", "start"]
    assert server.did[2:] == [5.0]
    assert server.options["grpc.so_reuseport"] == 1
    assert server.options["grpc.max_connection_age_ms"] == 60_000
    assert server.options["grpc.keepalive_permit_without_calls"] == 1
    assert server.options["grpc.http2.min_ping_interval_without_data_ms"] == 1000
