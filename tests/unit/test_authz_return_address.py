"""Return addresses after a login: listed hosts only, against open redirects."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from clusterpass.service.authz.original_request import OriginalRequest
from clusterpass.service.authz.return_address import LONGEST, ReturnAddresses
from clusterpass.service.settings.loading import make_settings

HOSTS = frozenset({"app.example", "other.example:8443"})
ADDRESSES = ReturnAddresses(HOSTS, None, secure=True)


def read(text: object, addresses: ReturnAddresses = ADDRESSES) -> str | None:
    found = addresses.read(text)
    return None if found is None else found.url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://app.example/", "https://app.example/"),
        ("https://app.example/a/b?c=d&e=%20f", "https://app.example/a/b?c=d&e=%20f"),
        ("https://app.example:443/a", "https://app.example/a"),
        ("HTTPS://App.EXAMPLE/Path", "https://app.example/Path"),
        ("https://other.example:8443/x", "https://other.example:8443/x"),
        ("https://app.example/a//evil.example/", "https://app.example/a//evil.example/"),
        ("https://app.example/@evil.example", "https://app.example/@evil.example"),
        ("https://app.example/?u=https://evil", "https://app.example/?u=https://evil"),
        ("https://app.example/a?b?c", "https://app.example/a?b?c"),
        ("https://app.example/" + "a" * (LONGEST - 20), "https://app.example/" + "a" * 1980),
    ],
)
def test_an_address_of_a_listed_host(text: str, url: str) -> None:
    assert read(text) == url


@pytest.mark.parametrize(
    "text",
    [
        # Relative, and of other schemes.
        *("", "/", "/a", "//evil.example", "//app.example/", "///app.example", "app.example/"),
        *("javascript:alert(1)", "JavaScript://app.example/%0aalert(1)", "data:text/html,x"),
        *("http://app.example/", "ftp://app.example/", "https:app.example/", "https:/app.example/"),
        *("https:///app.example/", "https:\\\\app.example/", "blob:https://app.example/"),
        "view-source:https://app.example/",
        # Other hosts, ports, and what only looks like a listed one.
        *("https://evil.example/", "https://evil.example/app.example/", "https://example/"),
        *(
            "https://app.example.evil.example/",
            "https://evilapp.example/",
            "https://a.app.example/",
        ),
        *("https://app.example:8443/", "https://app.example:80/", "https://other.example/"),
        *("https://app.example:/", "https://app.example:0443/", "https://app.example:99999/"),
        *("https://app.example:443@evil.example/", "https://app.example@evil.example/"),
        *("https://user@app.example/", "https://user:pass@app.example/", "https://@app.example/"),
        *("https://app.example./", "https://.app.example/", "https://app..example/"),
        *(
            "https://[::1]/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://app.example%2f/",
        ),
        *("https://app.example%00.evil/", "https://app.example%40evil.example/"),
        # Without a path, with a fragment, with backslashes.
        *("https://app.example", "https://app.example?x", "https://app.example#x"),
        *("https://app.example/#x", "https://app.example/a#@evil.example/"),
        *("https://app.example\\@evil.example/", "https://app.example\\.evil.example/"),
        *("https://evil.example\\@app.example/", "https://app.example/\\evil.example"),
        "https://app.example/\\\\evil.example",
        "https://app.example//evil.example/",
        # White space, control characters, and what a header or HTML could break on.
        *(" https://app.example/", "https://app.example/ ", "https://app.example/a b"),
        *(
            "https://app.example/\n",
            "https://app.example/\r\nSet-Cookie: a=b",
            "https://app.example/\0",
        ),
        *("ht\ttps://app.example/", "https://app.ex\tample/", "https://app.example/\tx"),
        *("\x01https://app.example/", "https://app.example/\x7f", "https://app.example/\x85"),
        *('https://app.example/"x', "https://app.example/<x>", "https://app.example/?<x>"),
        *("https://app.example/?a=[1]", "https://app.example/?{x}", "https://app.example/?a|b^`"),
        # Broken escapes, other alphabets, lengths, types.
        *("https://app.example/%", "https://app.example/%0", "https://app.example/%zz?"),
        *("https://\u0430pp.example/", "https://app.example。/", "https://app。example/"),
        *("https://app.example/é", "http\u017f://app.example/", "https://app.examp\u0131e/"),
        *("https://\uff41pp.example/", "https://app.example\u200b/", "\ufeffhttps://app.example/"),
        "https://app.example/" + "a" * LONGEST,
        *(None, 7, b"https://app.example/", ["https://app.example/"]),
    ],
)
def test_an_address_that_nobody_is_led_to(text: object) -> None:
    assert read(text) is None


def test_a_letter_that_folds_to_an_ascii_one_is_none() -> None:
    addresses = ReturnAddresses(frozenset({"kiosk.example"}), None, secure=True)
    assert read("https://kiosk.example/", addresses)
    for text in ("https://\u212aiosk.example/", "https://kio\u017fk.example/"):
        assert read(text, addresses) is None


def test_the_hosts_of_a_domain() -> None:
    addresses = ReturnAddresses(frozenset({"auth.corp.example"}), "corp.example", secure=True)
    for host in ("corp.example", "app.corp.example", "a.b.corp.example", "auth.corp.example"):
        assert read(f"https://{host}/x", addresses) == f"https://{host}/x"
    for host in ("example", "evilcorp.example", "corp.example.evil", "app.corp.example:8443"):
        assert read(f"https://{host}/x", addresses) is None


def test_plain_http_where_the_settings_say_so() -> None:
    addresses = ReturnAddresses(frozenset({"app.localhost:8080"}), None, secure=False)
    assert read("http://app.localhost:8080/x", addresses) == "http://app.localhost:8080/x"
    assert read("http://app.localhost/x", addresses) is None
    assert read("javascript://app.localhost:8080/x", addresses) is None


def original(target: str, authority: str = "app.example", **more: Any) -> OriginalRequest:
    host = authority.partition(":")[0]
    given = {"scheme": "https", "host": host, "authority": authority, "target": target, **more}
    return OriginalRequest(method="GET", **given)


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("/a/b?c=d", "https://app.example/a/b?c=d"),
        ("/a?b=https://x/?y", "https://app.example/a?b=https://x/?y"),
        ("/a%20b", "https://app.example/a%20b"),
        ("/100%?q=5%&r=%41%4", "https://app.example/100%25?q=5%25&r=%41%254"),
        ('/a?b={1}|[2]^`"<>\\', "https://app.example/a?b=%7B1%7D%7C%5B2%5D%5E%60%22%3C%3E%5C"),
        ("/\xc3\xa9", "https://app.example/%C3%A9"),
        ("//evil.example/", "https://app.example/"),
        ("/a?" + "x" * LONGEST, "https://app.example/a"),
        ("/" + "x" * LONGEST, "https://app.example/"),
    ],
)
def test_the_address_of_a_request(target: str, url: str) -> None:
    found = ADDRESSES.of_request(original(target))
    assert found is not None
    assert found.url == url


def test_the_address_of_a_request_to_another_host_or_to_none() -> None:
    assert ADDRESSES.of_request(original("/", "evil.example")) is None
    assert ADDRESSES.of_request(original("http://evil.example/")) is None
    assert ADDRESSES.of_request(original("", "app.example")) is None
    assert ADDRESSES.of_request(OriginalRequest(method="GET", target="/")) is None


def test_a_port_that_only_the_proxy_knows_is_left_out() -> None:
    inside = original("/a", "app.example:8080", scheme="http")
    found = ADDRESSES.of_request(inside)
    assert found is not None
    assert found.url == "https://app.example/a"
    found = ADDRESSES.of_request(original("/a", "other.example:8443"))
    assert found is not None
    assert (found.url, found.origin) == (
        "https://other.example:8443/a",
        "https://other.example:8443",
    )


def test_what_is_read_is_what_other_parsers_read() -> None:
    """What a random address says is the same for us and for the standard library."""
    import random

    seed = random.randrange(2**32)
    random.seed(seed)
    parts = ["https", "http", ":", "//", "/", "app.example", "evil.example", "@", "\\", "?", "#"]
    parts += ["%40", "%2f", ".", ":443", ":1", "\t", " ", "[", "]", "a", "&", "..", "é", "\0"]
    accepted = 0
    for _ in range(40_000):
        text = "https://app.example" * random.randrange(2)
        text += "".join(random.choice(parts) for _ in range(random.randrange(6)))
        found = ADDRESSES.read(text)
        if found is None:
            continue
        accepted += 1
        split = urlsplit(found.url)
        assert (split.scheme, split.netloc) == ("https", "app.example"), (seed, text)
        assert re.fullmatch(r"[!-~]+", found.url), (seed, text)
        assert read(found.url) == found.url, (seed, text)
    assert accepted > 100, seed


def test_the_addresses_of_the_settings() -> None:
    proxies = {"trusted_proxies": "10.0.0.1"}
    assert ReturnAddresses.of(make_settings({}), secure=True) is None
    portal = make_settings(
        {**proxies, "page_prefix": "/auth", "authz_portal": "https://app.example/auth"}
    )
    found = ReturnAddresses.of(portal, secure=True)
    assert found is not None
    assert read("https://app.example/x", found)
    assert read("https://app.example:8443/x", found) is None
    given = {**proxies, "authz_portal": "https://auth.example.org"}
    given["authz_cookie_domain"] = "example.org"
    found = ReturnAddresses.of(make_settings(given), secure=True)
    assert found is not None
    assert read("https://shop.example.org/x", found)
    given["authz_hosts"] = "shop.example.org:443,shop.example.org:8443"
    found = ReturnAddresses.of(make_settings(given), secure=True)
    assert found is not None
    for address in ("https://shop.example.org/", "https://shop.example.org:8443/"):
        assert read(address, found) == address
    assert read("https://forum.example.org/", found) is None
