"""Parsing of JSON request bodies for the web integrations."""

import pytest

from clusterpass import InvalidInput
from clusterpass.web.json_bodies import is_json, json_member

from .web_request import FakeRequest


def test_a_member_of_an_object_is_read() -> None:
    assert json_member(b'{"refresh_token": "x"}', "refresh_token") == "x"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"5", b"null"])
def test_a_body_without_it_has_none(body: bytes) -> None:
    assert json_member(body, "refresh_token") is None


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000], ids=range(5)
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="no JSON"):
        json_member(body, "refresh_token")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/json", True),
        ("Application/JSON ; charset=utf-8", True),
        ("application/problem+json", True),
        ("text/plain", False),
        ("text/x+json", False),
        ("", False),
    ],
)
def test_what_says_that_it_is_json(kind: str, expected: bool) -> None:
    assert is_json(FakeRequest(headers={"Content-Type": kind})) is expected
