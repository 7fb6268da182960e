"""Options of a login in an integration: the device, its type and the address of a request."""

from typing import Any

import pytest

from clusterpass import Config, KeyRing
from clusterpass.integrations.login_options import login_options
from clusterpass.web.gate import Gate
from clusterpass.web.settings import WebSettings

from .web_request import FakeRequest

GATE = Gate(Config(issuer="i", keys=KeyRing.generate()), WebSettings())
CHROME = "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36"


@pytest.mark.parametrize(
    ("options", "device"),
    [
        ({}, "Chrome on Linux"),
        ({"device": None}, "Chrome on Linux"),
        ({"device": ""}, "Chrome on Linux"),
        ({"device": "phone"}, "phone"),
        ({"device": "\ud800"}, "?"),
    ],
)
def test_the_device_of_a_login(options: dict[str, Any], device: str) -> None:
    request = FakeRequest(headers={"User-Agent": CHROME})
    assert login_options(GATE, request, options) == {
        "device": device,
        "device_type": "computer",
        "address": "192.0.2.7",
    }


def test_what_is_not_known_is_left_out() -> None:
    assert login_options(GATE, FakeRequest(peer=None), {"remember": True}) == {"remember": True}
    found = login_options(GATE, FakeRequest(), {"address": "203.0.113.1", "device_type": "tv"})
    assert found == {"address": "203.0.113.1", "device_type": "tv"}
