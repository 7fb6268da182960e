"""Every call of the service over HTTP, as a client sees it."""

import re
from pathlib import Path

import pytest

import clusterpass
from clusterpass import UserDirectory
from clusterpass.service.settings.loading import load_settings

from .conftest import PASSWORD, bearer


async def test_login_gives_a_pair_that_is_not_to_be_stored(service, alice):
    answer = await service.client.post(
        "/login", json={"username": alice, "password": PASSWORD, "device": "laptop"}
    )
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {
        "access_token",
        "refresh_token",
        "token_type",
        "expires_in",
        "session_id",
        "session_expires_in",
        "acr",
        "durable",
    }
    assert answer.json()["session_expires_in"] == 7 * 86_400
    assert answer.json()["token_type"] == "Bearer"
    assert 855 <= answer.json()["expires_in"] <= 900
    assert answer.json()["durable"] is True


async def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(service, alice, directory):
    wrong = await service.client.post("/login", json={"username": alice, "password": "no no no"})
    unknown = await service.client.post(
        "/login", json={"username": "nobody-here", "password": "no no no"}
    )
    directory.disable(alice)
    disabled = await service.client.post("/login", json={"username": alice, "password": PASSWORD})
    for answer in (wrong, unknown, disabled):
        assert answer.status_code == 401
        assert answer.content == wrong.content
        assert answer.json()["error"] == "invalid_credentials"
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_verify_gives_the_session_and_headers_for_proxies(service, alice):
    tokens = await service.login(alice, device="laptop")
    answer = await service.client.get("/verify", headers=bearer(tokens))
    assert answer.status_code == 200
    assert answer.headers["x-auth-subject"] == alice
    assert answer.headers["x-auth-session"] == tokens["session_id"]
    body = answer.json()
    assert (body["subject"], body["device"], body["claims"]) == (alice, "laptop", {})


@pytest.mark.parametrize("name", ["zoë 100%", " spaces ", "a,b;c=d", "山田\u2028"])
async def test_the_subject_of_a_header_can_be_decoded(service, directory, name, new_name):
    name = name + new_name()
    directory.add(name, PASSWORD)
    answer = await service.client.get("/verify", headers=bearer(await service.login(name)))
    value = answer.headers["x-auth-subject"]
    assert value.isascii() and value.isprintable() and " " not in value
    from urllib.parse import unquote

    assert unquote(value) == name


async def test_no_token_is_a_plain_challenge_and_a_bad_one_says_why(service):
    none = await service.client.get("/verify")
    assert (none.status_code, none.headers["www-authenticate"]) == (401, "Bearer")
    other = await service.client.get("/verify", headers={"Authorization": "Basic YTpi"})
    assert other.headers["www-authenticate"] == "Bearer"
    bad = await service.client.get("/verify", headers={"Authorization": "Bearer a.b.c"})
    assert bad.status_code == 401
    assert bad.headers["www-authenticate"].startswith('Bearer error="invalid_token", error_desc')
    assert bad.headers["content-type"] == "application/problem+json"
    assert (bad.json()["error"], bad.json()["reason"]) == ("token_malformed", "malformed")


async def test_the_scheme_is_read_in_any_case(service, alice):
    token = (await service.login(alice))["access_token"]
    answer = await service.client.get("/verify", headers={"Authorization": f"bEARER  {token}"})
    assert answer.status_code == 200


async def test_two_authorization_headers_are_refused(service, alice):
    value = bearer(await service.login(alice))["Authorization"]
    twice = [("Authorization", value), ("Authorization", value)]
    assert (await service.client.get("/verify", headers=twice)).status_code == 400


async def test_a_refresh_token_is_no_access_token(service, alice):
    tokens = await service.login(alice)
    headers = {"Authorization": f"Bearer {tokens['refresh_token']}"}
    assert (await service.client.get("/verify", headers=headers)).status_code == 401


async def test_refresh_gives_a_new_pair(service, alice):
    tokens = await service.login(alice)
    answer = await service.client.post("/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert answer.status_code == 200
    assert set(answer.json()) == set(tokens)
    assert answer.json()["session_id"] == tokens["session_id"]
    assert answer.json()["refresh_token"] != tokens["refresh_token"]
    assert answer.json()["access_token"] != tokens["access_token"]


async def test_logout_ends_the_session_at_once_and_may_be_repeated(service, alice):
    tokens = await service.login(alice)
    for _ in range(2):
        answer = await service.client.post("/logout", headers=bearer(tokens))
        assert (answer.status_code, answer.content) == (204, b"")
    dead = await service.client.get("/verify", headers=bearer(tokens))
    assert (dead.status_code, dead.json()["reason"]) == (401, "logged_out")
    refused = await service.client.post("/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refused.json()["reason"] == "logged_out"


async def test_sessions_lists_the_callers_own(service, alice):
    first = await service.login(alice, device="one")
    second = await service.login(alice, device="two")
    answer = await service.client.get("/sessions", headers=bearer(first))
    listed = {entry["session_id"]: entry for entry in answer.json()["sessions"]}
    assert set(listed) == {first["session_id"], second["session_id"]}
    assert listed[first["session_id"]]["current"] is True
    assert listed[second["session_id"]]["current"] is False
    assert listed[second["session_id"]]["device"] == "two"


async def test_a_session_can_be_ended_by_its_id(service, alice):
    first, second = await service.login(alice), await service.login(alice)
    path = f"/sessions/{second['session_id']}"
    assert (await service.client.delete(path, headers=bearer(first))).status_code == 204
    dead = await service.client.get("/verify", headers=bearer(second))
    assert dead.json()["reason"] == "revoked"


async def test_anothers_session_is_not_found(service, alice, directory, new_name):
    other = new_name()
    directory.add(other, PASSWORD)
    mine, theirs = await service.login(alice), await service.login(other)
    for session_id in (theirs["session_id"], "A" * 22, "x", "%F0%9F%98%80", "a%20b"):
        answer = await service.client.delete(f"/sessions/{session_id}", headers=bearer(mine))
        assert (answer.status_code, answer.json()["error"]) == (404, "session_not_found")
    assert (await service.client.get("/verify", headers=bearer(theirs))).status_code == 200


async def test_all_other_sessions_can_be_ended(service, alice):
    current, *others = [await service.login(alice) for _ in range(3)]
    answer = await service.client.delete("/sessions", headers=bearer(current))
    assert (answer.status_code, answer.json()) == (
        200,
        {"revoked": 2, "durable": True, "journaled": False},
    )
    assert (await service.client.get("/verify", headers=bearer(current))).status_code == 200
    for tokens in others:
        assert (await service.client.get("/verify", headers=bearer(tokens))).status_code == 401


async def test_hello(service, alice):
    answer = await service.client.get("/hello", headers=bearer(await service.login(alice)))
    assert answer.text == f"Hello, {alice}!"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_the_public_keys_may_be_cached_and_hold_no_secret(service):
    answer = await service.client.get("/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.json()["keys"] and all("d" not in key for key in answer.json()["keys"])


async def test_health(service):
    assert (await service.client.get("/healthz")).json() == {"status": "ok"}
    assert (await service.client.get("/readyz")).json() == {"status": "ok"}


async def test_a_store_that_is_away_is_503_and_never_401(start, keys_file, service, alice):
    tokens = await service.login(alice)
    away = await start(
        load_settings(
            None,
            {
                "store_url": "redis+cluster://127.0.0.1:1?timeout=0.3&deadline=0.3",
                "keys_file": keys_file,
            },
        )
    )
    answers = [
        await away.client.get("/verify", headers=bearer(tokens)),
        await away.client.get("/readyz"),
        await away.client.post("/login", json={"username": alice, "password": PASSWORD}),
        await away.client.post("/refresh", json={"refresh_token": tokens["refresh_token"]}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    pending = await away.client.post("/logout", headers=bearer(tokens))
    assert (pending.status_code, pending.json()["error"]) == (503, "revocation_pending")
    assert int(pending.headers["retry-after"]) >= 1
    assert pending.json()["retried"] is True
    # It is in force in that process at once, and known there without the store.
    ended = await away.client.get("/verify", headers=bearer(tokens))
    assert (ended.status_code, ended.json()["reason"]) == (401, "logged_out")
    assert (await away.client.get("/healthz")).status_code == 200


async def test_head_is_answered_where_get_is(service, alice):
    headers = bearer(await service.login(alice))
    for path in ("/verify", "/hello", "/sessions", "/healthz", "/readyz", "/openapi.json"):
        got = await service.client.get(path, headers=headers)
        head = await service.client.head(path, headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/login", "POST"),
        ("HEAD", "/login", "POST"),
        ("PUT", "/sessions", "DELETE, GET, HEAD"),
        ("POST", "/hello", "GET, HEAD"),
        ("GET", "/sessions/x", "DELETE, PATCH"),
        ("DELETE", "/history", "GET, HEAD"),
        ("GET", "/step-up", "POST"),
        ("PUT", "/admin/sessions", "DELETE, GET, HEAD"),
        ("PATCH", "/admin/bans", "DELETE, GET, HEAD, POST"),
        ("POST", "/admin/claims", "GET, HEAD, PUT"),
        ("GET", "/admin/impersonate", "POST"),
        ("DELETE", "/admin/revoke-before", "POST"),
        ("POST", "/admin/online/count", "GET, HEAD"),
    ],
)
async def test_another_method_is_405_and_names_the_right_ones(service, method, path, allowed):
    answer = await service.client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    if method != "HEAD":
        assert answer.json()["error"] == "method_not_allowed"


@pytest.mark.parametrize(
    "path",
    [
        "/nix",
        "/admin",
        "/admin/sessions/x",
        "/login/",
        "/LOGIN",
        "http://service//verify",
        "/verify/../x",
        "/%2e%2e%2e/etc",
        "/docs",
    ],
)
async def test_what_is_not_there_is_404(service, path):
    answer = await service.client.get(path)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


async def test_login_can_be_turned_off(start, settings):
    service = await start(settings.model_copy(update={"login_enabled": False}))
    answer = await service.client.post("/login", json={"username": "a", "password": "b"})
    assert answer.status_code == 404
    assert (await service.client.post("/step-up", json={"password": "b"})).status_code == 404
    paths = (await service.client.get("/openapi.json")).json()["paths"]
    assert not {"/login", "/step-up"} & set(paths)
    assert "/admin/sessions" in paths


async def test_no_link_leads_to_a_page_that_is_turned_off(start, settings, directory, new_name):
    root, name = new_name(), new_name()
    directory.add(root, PASSWORD)
    update = {"administrators": (root,), "login_enabled": False, "mail_sender": "os:getcwd"}
    service = await start(settings.model_copy(update=update))
    tokens = directory.login(root, PASSWORD)
    headers = {"Authorization": f"Bearer {tokens.access_token}"}

    async def asked(call, **more):
        body = {"subject": name, **more}
        return await service.client.post(f"/admin/{call}", json=body, headers=headers)

    refused = await asked("invite", send_to="bob@example.org")
    assert (refused.status_code, "login_enabled" in refused.json()["detail"]) == (400, True)
    assert directory.find(name) is None  # nothing was changed
    for call in ("invite", "reset-link"):
        made = (await asked(call)).json()
        assert (made["link"], made["subject"]) == (None, name)
        assert directory.user_of_link(made["token"]) == name


async def test_every_answer_has_safe_headers_and_an_id(service):
    for path in ("/healthz", "/verify", "/nix", "/openapi.json"):
        headers = (await service.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert len(headers["x-request-id"]) == 32


async def test_the_description_is_complete(service):
    document = (await service.client.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/admin/bans",
        "/admin/claims",
        "/admin/erase",
        "/admin/audit",
        "/admin/export",
        "/admin/invite",
        "/admin/reset-link",
        "/password/link",
        "/admin/users",
        "/password",
        "/admin/history",
        "/admin/impersonate",
        "/admin/online",
        "/admin/online/count",
        "/admin/revoke-before",
        "/admin/sessions",
        "/history",
        "/login",
        "/step-up",
        "/verify",
        "/refresh",
        "/logout",
        "/sessions",
        "/sessions/{session_id}",
        "/hello",
        "/healthz",
        "/readyz",
        "/.well-known/jwks.json",
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert set(response["content"]) == {"application/problem+json"}, path
    assert {"401", "403", "404", "409", "422", "429", "503", "413", "415", "400"} <= set(
        document["paths"]["/login"]["post"]["responses"]
    )
    verify = document["paths"]["/verify"]["get"]
    assert {each["name"] for each in verify["parameters"]} == {
        "level",
        "max_auth_age",
        "scope",
        "not_banned",
        "outage_grace",
        "verification",
        "ban_level",
    }
    assert "X-Auth-Actor" in verify["responses"]["200"]["headers"]
    schemas = document["components"]["schemas"]
    for name in ("ProblemResponse", "WrongField", "LoginRequest", "BanResponse", "ActorResponse"):
        assert name in schemas
    assert {"ended_at", "note", "sessions", "ban"} <= set(schemas["ProblemResponse"]["properties"])
    text = str(document)
    assert "HTTPValidationError" not in text
    for reference in set(re.findall(r"#/components/schemas/(\w+)", text)):
        assert reference in schemas


async def test_every_call_but_few_says_that_it_needs_a_token(service):
    document = (await service.client.get("/openapi.json")).json()
    without = {
        path
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if "security" not in operation
    }
    assert without == {
        "/login",
        "/password/link",
        "/refresh",
        "/healthz",
        "/readyz",
        "/.well-known/jwks.json",
    }


async def test_a_path_with_an_encoded_slash_reaches_no_session(service, alice, directory):
    assert isinstance(directory, UserDirectory)
    headers = bearer(await service.login(alice))
    for path in ("a%2Fb", "a%2fb", "%2e%2e%5cx", "..%5C", "%2e%2e", "%00", "a%0Ab", "%7f"):
        answer = await service.client.delete(f"/sessions/{path}", headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert answer.headers["connection"] == "close"


async def test_the_reference_knows_every_call_and_every_error(service):
    text = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text("utf-8")
    document = (await service.client.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method in operations:
            called = f"{method.upper()} {path}".replace("{session_id}", "{id}")
            assert re.search(re.escape(called) + r"[`?]", text), called
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                assert re.search(rf"\b{parameter['name'].removeprefix('session_')}\b", text)
    for name, member in document["components"]["schemas"].items():
        if name.endswith(("Request", "Response")):
            for each in member["properties"]:
                assert re.search(rf"\b{each}\b", text), f"{name}.{each}"
    never_sent = {
        "authentication_failed",
        "clusterpass_error",
        "configuration_invalid",
        "embedded_cluster_failed",
        "invalid_token",
        "key_rejected",
        "keys_unavailable",
        "local_server_failed",
        "record_unreadable",
        "user_exists",
        "user_not_found",
    }
    kinds = [getattr(clusterpass, name) for name in clusterpass.__all__]
    codes = {kind.code for kind in kinds if isinstance(kind, type) and hasattr(kind, "code")}
    for code in codes - never_sent:
        assert f"`{code}`" in text, code
