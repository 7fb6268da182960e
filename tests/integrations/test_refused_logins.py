"""A refused password is in the audit trail and in the user's history, once, in each framework.

Django's part is in :mod:`tests.integrations.test_django_refused_logins`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient as FastAPIClient
from litestar import Litestar
from litestar.exceptions import NotAuthorizedException
from litestar.testing import TestClient as LitestarClient

from clusterpass import (
    AsyncSessionManager,
    AsyncUserDirectory,
    AuditEntry,
    AuditPolicy,
    Config,
    EmbeddedCluster,
    InvalidCredentials,
    SessionManager,
    ThrottlePolicy,
)
from clusterpass.integrations import fastapi, litestar

from .login_apps import APPS

ADDRESS = "2001:db8:77::1"
AUDITED = AuditPolicy()


@pytest.fixture
def sessions_of(cluster: EmbeddedCluster, config: Config) -> Iterator[Callable[..., Any]]:
    """Opens a manager on a namespace, by which a test looks at what was noted there."""
    opened: list[SessionManager] = []

    def open_one(namespace: str) -> SessionManager:
        changed = Config(issuer=config.issuer, keys=config.keys, audit=AUDITED)
        opened.append(SessionManager.from_url(f"{cluster.url}?namespace={namespace}", changed))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def settings_of(cluster: EmbeddedCluster, config: Config, namespace: str) -> dict[str, Any]:
    return {
        "store_url": f"{cluster.url}?namespace={namespace}",
        "issuer": config.issuer,
        "keys": config.keys,
        "audit": True,
        "cookie_secure": False,
        "account_attempts": 3,
        "trusted_proxies": ["127.0.0.1/32"],
    }


def refusals(manager: SessionManager, subject: str) -> list[AuditEntry]:
    """Return the audit entries of refused logins of ``subject``, the oldest first."""
    entries = manager.audit.page(limit=1000).entries
    return [each for each in entries if each.outcome == "refused" and each.subject == subject]


@pytest.mark.parametrize("framework", APPS)
def test_what_is_refused_is_noted_once(framework, cluster, config, sessions_of, subject) -> None:
    namespace = f"refused-{framework}"
    app, serve = APPS[framework](settings_of(cluster, config, namespace))
    headers = {"X-Forwarded-For": ADDRESS}
    guess = {"username": subject, "password": "a guess"}
    with (
        serve(app) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client,
    ):
        pair = client.post("/login", json={"username": subject, "password": "pw"}).json()
        statuses = [client.post("/login", json=guess).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]
        assert client.post("/login", json={**guess, "username": "nobody"}).status_code == 401
        bearer = {"Authorization": f"Bearer {pair['access_token']}"}
        assert client.post("/end", json={"username": subject}, headers=bearer).status_code == 200
        # Entries of logins are written soon after; the one of the revocation is written behind.
        manager = sessions_of(namespace)
        while len(found := refusals(manager, subject)) < 4 or not refusals(manager, "nobody"):
            pass
    codes = [each.error for each in found]
    assert codes == ["invalid_credentials"] * 3 + ["too_many_attempts"]
    assert {(each.action, each.address) for each in found} == {("login", ADDRESS)}
    assert "a guess" not in repr(found)
    (line,) = [each for each in manager.history(subject) if each.kind == "refused"]
    assert (line.count, line.address) == (3, ADDRESS)
    (revoked,) = [each for each in manager.audit.page().entries if each.action == "revoke_all"]
    assert (revoked.actor, revoked.via, revoked.address) == (subject, "http", ADDRESS)


def in_fastapi(owner: AsyncSessionManager, authenticate: Any, throttle: bool) -> Any:
    cp = fastapi.ClusterPass(owner, cookie_secure=False)
    app = FastAPI(lifespan=cp.lifespan)
    cp.install(app)
    app.include_router(cp.router(authenticate=authenticate, throttle=throttle))
    return FastAPIClient(app, raise_server_exceptions=False)


def in_litestar(owner: AsyncSessionManager, authenticate: Any, throttle: bool) -> Any:
    cp = litestar.ClusterPass(owner, cookie_secure=False)
    router = cp.router("/", authenticate=authenticate, throttle=throttle)
    return LitestarClient(Litestar([router], plugins=[cp]), raise_server_exceptions=False)


def by_directory(owner: AsyncSessionManager, throttle: ThrottlePolicy) -> Any:
    users = AsyncUserDirectory(owner, throttle=throttle)

    async def authenticate(username: str, password: str) -> str:
        await users.authenticate(username, password)
        return username

    return authenticate


def by_directory_quietly(owner: AsyncSessionManager, throttle: ThrottlePolicy) -> Any:
    users = AsyncUserDirectory(owner, throttle=throttle)

    async def authenticate(username: str, password: str) -> str | None:
        try:
            await users.authenticate(username, password)
        except InvalidCredentials:
            return None
        return username

    return authenticate


def by_own_note(owner: AsyncSessionManager, _: ThrottlePolicy) -> Any:
    async def authenticate(username: str, password: str) -> None:
        await owner.login_failed(username)

    return authenticate


def by_answer_of_fastapi(owner: AsyncSessionManager, _: ThrottlePolicy) -> Any:
    def authenticate(username: str, password: str) -> None:
        raise HTTPException(401)

    return authenticate


def by_answer_of_litestar(owner: AsyncSessionManager, _: ThrottlePolicy) -> Any:
    def authenticate(username: str, password: str) -> None:
        raise NotAuthorizedException

    return authenticate


@pytest.mark.parametrize(
    ("make", "refuse", "action"),
    [
        (in_fastapi, by_directory, "authenticate"),
        (in_litestar, by_directory, "authenticate"),
        (in_fastapi, by_directory_quietly, "authenticate"),
        (in_fastapi, by_own_note, "login"),
        (in_litestar, by_own_note, "login"),
        (in_fastapi, by_answer_of_fastapi, "login"),
        (in_litestar, by_answer_of_litestar, "login"),
    ],
)
def test_what_the_check_has_noted_is_not_noted_again(
    make, refuse, action, cluster, config, sessions_of, subject
) -> None:
    url = f"{cluster.url}?namespace={subject}"
    audited = Config(issuer=config.issuer, keys=config.keys, audit=AUDITED)
    manager = sessions_of(subject)
    manager.login(subject)
    owner = AsyncSessionManager.from_url(url, audited)
    with make(owner, refuse(owner, ThrottlePolicy()), False) as client:
        for name in (subject, f"after-{subject}"):
            form = {"username": name, "password": "a guess"}
            assert client.post("/login", json=form).status_code == 401
        while not refusals(manager, f"after-{subject}"):  # with all that was noted before
            pass
        (entry,) = refusals(manager, subject)
        assert (entry.action, entry.error) == (action, "invalid_credentials")
        (line,) = [each for each in manager.history(subject) if each.kind == "refused"]
        assert line.count == 1


@pytest.mark.parametrize("make", [in_fastapi, in_litestar])
def test_without_a_store_a_wrong_password_is_still_a_wrong_password(make, config) -> None:
    owner = AsyncSessionManager.from_url("redis+cluster://127.0.0.1:1", config)
    with make(owner, lambda username, password: None, False) as client:
        answer = client.post("/login", json={"username": "alice", "password": "a guess"})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_credentials")
