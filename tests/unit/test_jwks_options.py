"""Options of a verifier that fetches a JWKS, and the freshness of a response."""

import sys
from typing import Any

import pytest

from clusterpass import AsyncTokenVerifier, ConfigurationError, TokenVerifier
from clusterpass.jwks.cache import fresh_for

OPTIONS = {"issuer": "https://auth.example", "audience": "api"}


@pytest.mark.parametrize("kind", [TokenVerifier, AsyncTokenVerifier])
@pytest.mark.parametrize(
    "url",
    [
        *("http://auth.example/jwks.json", "http://10.0.0.1/", "http://127.0.0.1.evil.example/"),
        *("ftp://localhost/", "file:///etc/keys.json", "https:///x", "https://u:p@auth.example/"),
        *("auth.example/jwks.json", "", None, 5, "https://[::1", "https://auth.example:x/"),
    ],
)
def test_a_url_that_is_not_https_is_refused(kind: Any, url: Any) -> None:
    with pytest.raises(ConfigurationError, match="the URL of a key set"):
        kind.from_jwks_url(url, **OPTIONS)


@pytest.mark.parametrize("url", ["https://auth.example/", "http://localhost:1/", "http://[::1]/x"])
def test_a_url_that_is_accepted_is_not_asked_at_once(url: str) -> None:
    assert TokenVerifier.from_jwks_url(url, **OPTIONS)


@pytest.mark.parametrize("name", ["timeout", "interval"])
@pytest.mark.parametrize("value", [0, -1, 3601, float("nan"), "5", None])
def test_times_that_are_none(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        TokenVerifier.from_jwks_url("https://auth.example/", **OPTIONS, **{name: value})


@pytest.mark.parametrize("seconds", [0.001, 3600])
def test_the_shortest_and_the_longest_times(seconds: float) -> None:
    times = {"timeout": seconds, "interval": seconds}
    assert TokenVerifier.from_jwks_url("https://auth.example/", **OPTIONS, **times)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ConfigurationError, match=r"clusterpass\[jwks\]"):
        TokenVerifier.from_jwks_url("https://auth.example/", **OPTIONS)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"cache-control": ""}, 300),
        ({"cache-control": "max-age=600"}, 600),
        ({"cache-control": 'private, MAX-AGE="600"'}, 600),
        ({"cache-control": "s-maxage=900,max-age=600", "age": "100"}, 500),
        ({"cache-control": "max-age=600", "age": "-5"}, 600),
        ({"cache-control": "max-age=600", "age": "x"}, 600),
        ({"cache-control": "max-age=600", "age": "599"}, 60),
        ({"cache-control": "max-age=-5"}, 300),
        ({"cache-control": "no-store, max-age=600"}, 60),
        ({"cache-control": "no-cache"}, 60),
        ({"cache-control": "max-age=999999999"}, 3600),
        ({"cache-control": "max-age=9999999999999"}, 3600),
    ],
)
def test_how_long_an_answer_is_fresh(headers: dict[str, str], seconds: int) -> None:
    assert fresh_for(headers) == seconds
