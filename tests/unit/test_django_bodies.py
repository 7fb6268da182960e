"""What views of the integration with Django make of a body that any client may send."""

from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass.integrations.django.requests import json_body


def sent(body: bytes) -> Any:
    """What is looked at of a request; a real one needs the settings of a site."""
    return SimpleNamespace(content_type="application/json", body=body)


def test_a_json_object_is_read():
    assert json_body(sent(b'{"refresh_token": "x"}')) == {"refresh_token": "x"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000], ids=range(6)
)
def test_anything_else_is_an_empty_one(body):
    assert json_body(sent(body)) == {}
