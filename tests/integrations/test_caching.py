"""Cache headers of the integrations.

No cache may store renewed tokens, nor serve one user's page to another. Django's headers are tested
in :mod:`tests.integrations.django`.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager, TokenPair

from .cached_apps import APPS, PUBLIC

COOKIES = {"clusterpass-access", "clusterpass-refresh", "clusterpass-csrf"}
EVERYONE = "Accept, cookie"
EACH_USER = "Accept, cookie, Authorization"


@pytest.fixture(scope="module", params=APPS)
def url(request: pytest.FixtureRequest, cluster: EmbeddedCluster, config: Config) -> Iterator[str]:
    settings: dict[str, Any] = {
        "store_url": cluster.url,
        "issuer": config.issuer,
        "audience": config.audience,
        "keys": config.keys,
        "cookie_secure": False,
    }
    app, serve = APPS[request.param](settings)
    with serve(app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url) as made:
        yield made


@pytest.fixture
def pair(sessions: SessionManager, subject: str) -> TokenPair:
    return sessions.login(subject)


def test_renewed_tokens_are_stored_by_no_cache(client, pair) -> None:
    client.cookies.set("clusterpass-refresh", pair.refresh_token)
    answer = client.get("/page")
    assert (answer.status_code, set(answer.cookies)) == (200, COOKIES)
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert "cdn-cache-control" not in answer.headers
    assert answer.headers.get_list("vary") == [EACH_USER]


def test_deleted_tokens_are_stored_by_no_cache(client, pair, sessions) -> None:
    sessions.logout(pair.refresh_token)
    client.cookies.set("clusterpass-refresh", pair.refresh_token)
    answer = client.get("/page")
    assert answer.status_code == 401
    assert len(answer.headers.get_list("set-cookie")) == len(COOKIES)
    assert answer.headers.get_list("cache-control") == ["no-store"]


def test_a_view_that_fails_keeps_the_renewed_tokens(client, pair) -> None:
    client.cookies.set("clusterpass-refresh", pair.refresh_token)
    answer = client.get("/broken")
    assert (answer.status_code, set(answer.cookies)) == (500, COOKIES)
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert answer.text, "the page of the framework"


@pytest.mark.parametrize("place", ["cookie", "header"])
def test_a_page_of_one_user_is_for_no_other(client, pair, place) -> None:
    if place == "cookie":
        client.cookies.set("clusterpass-access", pair.access_token)
    else:
        client.headers["Authorization"] = f"Bearer {pair.access_token}"
    for _ in range(2):  # the second time from memory
        answer = client.get("/page")
        assert (answer.status_code, answer.headers.get_list("vary")) == (200, [EACH_USER])
        assert {name: answer.headers[name] for name in PUBLIC} == PUBLIC


def test_a_page_that_needs_nobody_is_as_the_application_says(client, pair) -> None:
    client.cookies.set("clusterpass-refresh", pair.refresh_token)
    answer = client.get("/open")
    assert (answer.text, answer.headers.get_list("vary")) == ("open", [EVERYONE])
    assert {name: answer.headers[name] for name in PUBLIC} == PUBLIC
