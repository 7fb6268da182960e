"""The front door, which authorizes requests for proxies: decisions, responses and the log."""

from typing import Any

import pytest

from clusterpass import StoreUnavailable

from .service_scene import ADDRESS, ALICE, Served

RULES: list[dict[str, Any]] = [
    {"hosts": "open.example", "access": "public"},
    {"hosts": "shut.example", "access": "denied"},
    {
        "name": "admin",
        "hosts": "app.example",
        "paths": "/admin/*",
        "level": "2",
        "max_auth_age": 60,
        "scopes": "orders:read",
        "not_banned": "orders",
        "strict": True,
        "outage_grace": 30,
    },
    {"hosts": "app.example", "scopes": "orders:read"},
    {"hosts": "billing.example", "scopes": "billing"},
]
PROXY = {"x-forwarded-proto": "https", "x-forwarded-method": "GET"}


@pytest.fixture(scope="module")
def service() -> Served:
    return Served({}, rules=RULES, trusted_proxies=[ADDRESS], outage_grace=20)


async def asked(
    service: Served, host: str, uri: str = "/x", *, token: str | None = "alice", **more: str
) -> Any:
    service.sessions.asked.clear()
    headers = {
        **PROXY,
        "x-forwarded-host": host,
        "x-forwarded-uri": uri,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return await service("GET", "/authz/traefik", token=token, headers=headers)


async def test_a_session_that_is_as_the_rule_says_is_passed_on(service: Served) -> None:
    answer = await asked(service, "app.example")
    assert (answer.status_code, answer.text) == (200, "")
    assert answer.headers["x-auth-subject"] == "alice"
    assert answer.headers["x-auth-session"] == ALICE.session_id
    plain = {"level": None, "max_auth_age": None, "verification": None, "outage_grace": 20}
    assert service.sessions.asked == [("verify", "alice", plain)]
    line = service.lines()[-1]
    assert (line["status"], line["subject"]) == (200, "alice")


@pytest.mark.parametrize(("method", "grace"), [("GET", 30), ("POST", 0)])
async def test_each_condition_of_a_rule_is_asked_for(
    service: Served, method: str, grace: int
) -> None:
    answer = await asked(service, "app.example", "/admin/x?y=1", x_forwarded_method=method)
    assert answer.status_code == 200
    options = {"level": "2", "max_auth_age": 60, "verification": "strict", "outage_grace": grace}
    assert service.sessions.asked == [("verify", "alice", options)]


async def test_what_is_public_needs_no_session(service: Served) -> None:
    answer = await asked(service, "open.example", token=None)
    assert (answer.status_code, service.sessions.asked) == (200, [])
    assert answer.headers["x-auth-subject"] == ""


@pytest.mark.parametrize(
    ("host", "token", "status", "error"),
    [
        ("shut.example", "alice", 403, "access_denied"),
        ("unknown.example", "alice", 403, "access_denied"),
        ("app.example", None, 401, "token_missing"),
        ("app.example", "over", 401, "token_expired"),
        ("app.example", "gone", 401, "session_revoked"),
        ("app.example", "root", 403, "scope_missing"),
        ("billing.example", "alice", 403, "scope_missing"),
    ],
)
async def test_what_is_denied_says_why_and_is_logged_with_who_asked(
    service: Served, host: str, token: str | None, status: int, error: str
) -> None:
    answer = await asked(service, host, "/secret?token=x", token=token)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["x-auth-error"] == error
    assert "x-auth-subject" not in answer.headers
    line = service.lines()[-1]
    assert (line["error"], line["client"], line["original_host"]) == (error, ADDRESS, host)
    assert (line["original_uri"], line["original_method"]) == ("/secret", "GET")
    if token in {"alice", "root"} and error == "scope_missing":
        assert line["subject"] == token


async def test_an_outage_is_neither_yes_nor_no() -> None:
    service = Served({}, rules=RULES, trusted_proxies=[ADDRESS])

    async def verify(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable

    service.sessions.verify = verify  # type: ignore[method-assign]
    answer = await asked(service, "app.example")
    assert (answer.status_code, answer.headers["x-auth-error"]) == (503, "store_unavailable")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/authz/nobody", "unknown_endpoint"), ("/authz/traefik/other", "unknown_policy")],
)
async def test_a_proxy_that_asks_for_what_there_is_not(
    service: Served, path: str, reason: str
) -> None:
    headers = {**PROXY, "x-forwarded-host": "app.example", "x-forwarded-uri": "/"}
    answer = await service("GET", path, token="alice", headers=headers)
    assert (answer.status_code, answer.headers["x-auth-error"]) == (503, "policy_unavailable")
    assert answer.headers["retry-after"] == "5"
    assert service.lines()[-1]["reason"] == reason


async def test_without_rules_a_live_session_is_needed_everywhere() -> None:
    service = Served({}, trusted_proxies=[ADDRESS])
    assert (await asked(service, "any.example")).status_code == 200
    assert (await asked(service, "any.example", token="over")).status_code == 401
    service = Served({}, rules=RULES, trusted_proxies=[ADDRESS])
    service.policies = None
    answer = await asked(service, "app.example")
    assert (answer.status_code, answer.headers["x-auth-error"]) == (503, "policy_unavailable")


async def test_who_is_no_trusted_proxy_is_not_believed() -> None:
    service = Served({}, rules=RULES, trusted_proxies=["10.9.9.9"])
    assert (await asked(service, "open.example")).status_code == 403
