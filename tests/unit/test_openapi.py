"""The OpenAPI document of the service: operations, responses, errors and parameters."""

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from clusterpass import __version__
from clusterpass.service.api.openapi import openapi_document
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.fastapi_app import build_framework
from clusterpass.service.settings.loading import make_settings

CALLS = {
    "POST /refresh": ("200 400 401 413 415 422 503", "tokens", False, "", "RefreshRequest"),
    "POST /logout": ("204 400 401 413 415 503", "tokens", True, "", ""),
    "GET /verify": (
        "200 400 401 403 422 503",
        "sessions",
        True,
        "level max_auth_age scope not_banned ban_level verification outage_grace",
        "",
    ),
    "GET /sessions": ("200 400 401 503", "sessions", True, "", ""),
    "DELETE /sessions": ("200 400 401 413 415 422 503", "sessions", True, "device_type", ""),
    "DELETE /sessions/{session_id}": (
        "204 400 401 404 413 415 503",
        "sessions",
        True,
        "session_id!",
        "",
    ),
    "PATCH /sessions/{session_id}": (
        "200 400 401 404 413 415 422 503",
        "sessions",
        True,
        "session_id!",
        "ShortenRequest",
    ),
    "GET /history": ("200 400 401 503", "sessions", True, "", ""),
    "GET /hello": ("200 400 401 503", "sessions", True, "", ""),
    "GET /.well-known/jwks.json": ("200 503", "keys", False, "", ""),
    "GET /healthz": ("200", "health", False, "", ""),
    "GET /readyz": ("200 503", "health", False, "", ""),
    "GET /admin/online": ("200 400 401 403 422 503", "administration", True, "cursor limit", ""),
    "GET /admin/online/count": ("200 400 401 403 503", "administration", True, "", ""),
    "GET /admin/sessions": ("200 400 401 403 422 503", "administration", True, "subject!", ""),
    "DELETE /admin/sessions": (
        "200 400 401 403 404 413 415 422 503",
        "administration",
        True,
        "subject! session_id device_type reason",
        "",
    ),
    "GET /admin/history": ("200 400 401 403 422 503", "administration", True, "subject!", ""),
    "GET /admin/bans": ("200 400 401 403 422 503", "administration", True, "subject!", ""),
    "POST /admin/bans": (
        "200 400 401 403 409 413 415 422 503",
        "administration",
        True,
        "",
        "BanRequest",
    ),
    "DELETE /admin/bans": (
        "200 400 401 403 413 415 422 503",
        "administration",
        True,
        "subject! scope",
        "",
    ),
    "GET /admin/claims": ("200 400 401 403 422 503", "administration", True, "subject!", ""),
    "PUT /admin/claims": (
        "200 400 401 403 413 415 422 503",
        "administration",
        True,
        "",
        "ClaimsRequest",
    ),
    "GET /admin/audit": (
        *("200 400 401 403 422 503", "administration", True),
        *("after before limit", ""),
    ),
    "GET /admin/export": ("200 400 401 403 422 503", "administration", True, "subject!", ""),
    "POST /admin/erase": (
        "200 400 401 403 413 415 422 503",
        "administration",
        True,
        "",
        "SubjectRequest",
    ),
    "POST /admin/reset-link": (
        "200 400 401 403 404 413 415 422 502 503",
        "administration",
        True,
        "",
        "MakeLinkRequest",
    ),
    "POST /admin/invite": (
        "200 400 401 403 409 413 415 422 502 503",
        "administration",
        True,
        "",
        "MakeLinkRequest",
    ),
    "POST /password/link": ("204 400 404 413 415 422 503", "tokens", False, "", "LinkRequest"),
    "DELETE /admin/users": (
        "200 400 401 403 404 413 415 422 503",
        "administration",
        True,
        "subject! erase",
        "",
    ),
    "POST /admin/impersonate": (
        "200 400 401 403 413 415 422 503",
        "administration",
        True,
        "",
        "ImpersonationRequest",
    ),
    "POST /admin/revoke-before": (
        "200 400 401 403 413 415 422 503",
        "administration",
        True,
        "",
        "RevokeBeforeRequest",
    ),
    "POST /login": (
        "200 400 401 403 404 409 413 415 422 429 503",
        "tokens",
        False,
        "",
        "LoginRequest",
    ),
    "POST /step-up": ("200 400 401 403 413 415 422 429 503", "tokens", True, "", "StepUpRequest"),
    "POST /password": (
        "200 400 401 403 413 415 422 429 503",
        "tokens",
        True,
        "",
        "PasswordRequest",
    ),
}
"""The answers, the chapter, whether a token is needed, the parameters (! required), the body."""
LOGINS = {"POST /login", "POST /step-up", "POST /password", "POST /password/link"}


def built(**given: Any) -> FastAPI:
    service: Any = SimpleNamespace(
        settings=make_settings(given), bodies=None, requests=RequestCounts()
    )
    return build_framework(service, None)


def shape(operation: dict[str, Any]) -> tuple[str, str, bool, str, str]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return (
        " ".join(operation["responses"]),
        " ".join(operation["tags"]),
        operation.get("security") == [{"accessToken": []}],
        " ".join(
            each["name"] + "!" * each.get("required", False)
            for each in operation.get("parameters", [])
        ),
        body.get("schema", {}).get("$ref", "").rpartition("/")[2],
    )


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document(built())


def calls_in(document: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def test_every_call_with_its_answers_and_what_it_takes(document: dict[str, Any]) -> None:
    assert {name: shape(each) for name, each in calls_in(document).items()} == CALLS


def test_every_error_says_what_it_means_and_which_headers_it_has(document: dict[str, Any]) -> None:
    headers = {"401": "WWW-Authenticate", "403": "WWW-Authenticate"}
    headers |= {"429": "Retry-After", "503": "Retry-After"}
    for name, operation in calls_in(document).items():
        assert operation["description"], name
        for status, answer in operation["responses"].items():
            if int(status) < 400:
                continue
            assert answer["description"].endswith((".", "`sessions` lists the live sessions.")), (
                name
            )
            assert list(answer["content"]) == ["application/problem+json"], name
            schema = answer["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ProblemResponse"}
            assert list(answer.get("headers", {})) == [
                header for code, header in headers.items() if code == status
            ]


def test_a_verify_describes_the_headers_for_proxies(document: dict[str, Any]) -> None:
    answer = document["paths"]["/verify"]["get"]["responses"]["200"]
    assert set(answer["headers"]) == {
        f"X-Auth-{each}" for each in ("Subject", "Session", "Level", "Scope", "Actor", "Grace")
    }
    assert all(each["schema"] == {"type": "string"} for each in answer["headers"].values())


def test_a_token_is_a_bearer_token_and_the_version_is_that_of_the_library(
    document: dict[str, Any],
) -> None:
    assert document["components"]["securitySchemes"] == {
        "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    assert (document["info"]["title"], document["info"]["version"]) == ("ClusterPass", __version__)
    assert document["info"]["description"].startswith("Distributed JWT sessions")
    schemas = document["components"]["schemas"]
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)
    assert {"ProblemResponse", "WrongField", "BanResponse"} <= set(schemas)


def test_without_logins_there_are_no_calls_that_take_a_password_and_no_page() -> None:
    app = built(login_enabled=False)
    assert set(calls_in(openapi_document(app))) == set(CALLS) - LOGINS
    assert not [each for each in app.routes if "/page" in getattr(each, "path", "")]
    assert [each for each in built().routes if "/page" in getattr(each, "path", "")]
