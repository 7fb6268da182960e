"""The Litestar integration: layers of guards, dependencies, the OpenAPI schema, JSON login."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from litestar import Controller, Litestar, Request, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from clusterpass import Config, EmbeddedCluster, Session
from clusterpass.integrations.litestar import ClusterPass, requires

from .conftest import asgi_server


class Orders(Controller):
    path = "/orders"
    guards = (requires("orders:read"),)

    @get()
    async def listed(self, session: NamedDependency[Session]) -> str:
        return session.subject

    @get(["/one", "/other"], guards=[requires("orders:write")])
    async def one(self) -> str:
        return "one"


@get("/mine")
async def mine(session: NamedDependency[Session]) -> dict[str, Any]:
    return {"subject": session.subject}


@get("/open/{name:str}")
async def anyone(name: FromPath[str]) -> str:
    return name


@get("/theirs", dependencies={"session": Provide(lambda: "theirs", sync_to_thread=False)})
async def theirs(session: NamedDependency[str]) -> str:
    return session


@get("/cached", guards=[requires()], cache=True)
async def cached(session: NamedDependency[Session]) -> str:
    return session.subject


@get("/cached-open", cache=True)
async def cached_for_all(request: Request[Any, Any, Any]) -> str:
    return request.headers["number"]


@get("/cached-mine", cache=True)
async def cached_mine(session: NamedDependency[Session]) -> str:
    return session.subject


@post("/form", status_code=200)
async def form(request: Request[Any, Any, Any], session: NamedDependency[Session]) -> str:
    return str((await request.form())["text"])


async def check(username: str, password: str) -> Any:
    if password != "pw":
        return None
    return {"subject": username, "claims": {"scope": "orders:read"}}


def make_app(settings: dict[str, Any]) -> Litestar:
    cp = ClusterPass(**settings)
    pages = [mine, anyone, theirs, form, cached, cached_for_all, cached_mine]
    routes = [Orders, *pages, cp.router("/auth", authenticate=check)]
    return Litestar(routes, plugins=[cp])


@pytest.fixture(scope="module")
def settings(cluster: EmbeddedCluster, config: Config) -> dict[str, Any]:
    return {
        "store_url": cluster.url,
        "issuer": config.issuer,
        "audience": config.audience,
        "keys": config.keys,
        "cookie_secure": False,
    }


@pytest.fixture(scope="module")
def url(settings) -> Iterator[str]:
    with asgi_server(make_app(settings)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    # Other tests on this cluster fail so many logins from 127.0.0.1 that it has to wait.
    transport = httpx.HTTPTransport(local_address="127.0.35.1")
    with httpx.Client(base_url=url, transport=transport) as made:
        yield made


@pytest.fixture
def bearer(client: httpx.Client, subject: str) -> dict[str, str]:
    answer = client.post("/auth/login", json={"username": subject, "password": "pw"})
    assert answer.status_code == 200
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_a_login_with_a_wrong_password_or_body_is_refused(client) -> None:
    wrong = client.post("/auth/login", json={"username": "alice", "password": "no"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_credentials")
    assert client.post("/auth/login", json={"username": "alice"}).status_code == 400


def test_guards_of_all_layers_count(client, bearer, subject) -> None:
    assert client.get("/orders", headers=bearer).text == subject
    refused = client.get("/orders/one", headers=bearer)
    assert (refused.status_code, refused.json()["error"]) == (403, "scope_missing")
    assert client.get("/orders").status_code == 401
    assert client.get("/open/door").text == "door"


def test_the_dependency_alone_needs_a_session(client, bearer, subject) -> None:
    assert client.get("/mine", headers=bearer).json() == {"subject": subject}
    assert client.get("/mine").status_code == 401


def test_a_dependency_of_the_application_comes_first(client) -> None:
    assert client.get("/theirs").text == "theirs"


@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
def test_a_form_is_checked_and_left_to_the_handler(client, subject, kind) -> None:
    body = {"username": subject, "password": "pw"}
    token = client.post("/auth/login", json=body, headers={"X-Client": "web"}).json()["csrf_token"]

    def send(**fields: str) -> httpx.Response:
        if kind == "urlencoded":
            return client.post("/form", data=fields)
        return client.post("/form", data=fields, files={"file": b"content"})

    assert send(text="hello").status_code == 403
    assert send(text="hello", csrf_token=token).text == "hello"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"refresh_token": 1}'])
def test_a_refresh_with_a_body_that_is_of_no_use(client, body) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/auth/refresh", content=body, headers=headers)
    assert answer.status_code in {400, 401, 422}
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/cached", "/cached-mine"])
def test_the_cache_of_litestar_keeps_users_apart(url, client, sessions, new_subject, path) -> None:
    subjects = [new_subject(), new_subject()]
    for subject in subjects:
        refresh_token = sessions.login(subject).refresh_token
        with httpx.Client(base_url=url) as browser:
            # For the host, as the server sets it: a second cookie of that name would void both.
            browser.cookies.set("clusterpass-refresh", refresh_token, domain="127.0.0.1")
            first = browser.get(path)
            assert (first.text, "set-cookie" in first.headers) == (subject, True)
            again = browser.get(path)
            assert (again.text, "set-cookie" in again.headers) == (subject, False)
            assert "Authorization" in again.headers["vary"]
    assert client.get(path).status_code == 401


def test_the_cache_of_litestar_keeps_what_is_for_everyone(client, bearer) -> None:
    assert client.get("/cached-open", headers={"number": "1"}).text == "1"
    assert client.get("/cached-open", headers={"number": "2", **bearer}).text == "1"


def test_the_schema_says_who_may_do_what(settings) -> None:
    with asgi_server(make_app(settings)) as port:
        schema = httpx.get(f"http://127.0.0.1:{port}/schema/openapi.json").json()
    assert schema["components"]["securitySchemes"] == {
        "ClusterPass": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    device = schema["paths"]["/auth/devices/{session_id}"]["delete"]
    assert device["security"] == [{"ClusterPass": []}]
    for name, status in (("login", 200), ("refresh", 200), ("logout", 204), ("logout-all", 200)):
        operation = schema["paths"][f"/auth/{name}"]["post"]
        assert (operation["tags"], operation.get("security")) == (["sessions"], None)
        assert str(status) in operation["responses"]
    needs = {path: item.get("get", {}).get("security") for path, item in schema["paths"].items()}
    assert needs["/orders"] == [{"ClusterPass": ["orders:read"]}]
    assert needs["/orders/one"] == [{"ClusterPass": ["orders:read", "orders:write"]}]
    assert needs["/orders/other"] == needs["/orders/one"]
    assert needs["/mine"] == needs["/auth/devices"] == [{"ClusterPass": []}]
    assert needs["/open/{name}"] is None
    assert needs["/theirs"] is None


def test_a_guard_without_the_plugin_is_a_fault_and_admits_nobody(bearer) -> None:
    @get("/guarded", guards=[requires()])
    async def guarded() -> str:
        return "admitted"

    with asgi_server(Litestar([guarded])) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/guarded", headers=bearer)
    assert answer.status_code == 500
