"""The log of the service: its lines and formats, without secrets or forged lines."""

import io

import pytest

from clusterpass.service.app import create_app
from clusterpass.service.asgi.log_lines import make_logger

from .conftest import PASSWORD, bearer


async def test_no_secret_is_ever_logged(service, alice):
    tokens = await service.login(alice, device="laptop")
    client = service.client
    await client.get("/verify?access_token=" + tokens["access_token"], headers=bearer(tokens))
    await client.get("/" + tokens["access_token"])
    await client.delete("/sessions/" + tokens["refresh_token"], headers=bearer(tokens))
    await client.get("/verify", headers={"Authorization": "Bearer " + tokens["refresh_token"]})
    new = await client.post("/refresh", json={"refresh_token": tokens["refresh_token"]})
    await client.post("/refresh", json={"refresh_token": tokens["refresh_token"]})
    await client.post("/login", json={"username": alice, "password": PASSWORD + "x"})
    await client.post("/login", json={"username": alice, "password": [PASSWORD]})
    for password in (PASSWORD, PASSWORD + "x", [PASSWORD]):
        await client.post("/step-up", json={"password": password}, headers=bearer(new.json()))
    await client.patch("/sessions/" + PASSWORD, json={}, headers=bearer(new.json()))
    await client.get("/verify", params={"scope": PASSWORD}, headers=bearer(new.json()))
    await client.post("/admin/bans", json={"reason": PASSWORD}, headers=bearer(new.json()))
    await client.post("/logout", headers=bearer(new.json()))
    log = service.log.getvalue()
    assert len(service.lines()) == 16
    secrets = [PASSWORD, *(pair[name] for pair in (tokens, new.json()) for name in TOKENS)]
    for secret in secrets:
        assert secret not in log
        assert secret[-30:] not in log


TOKENS = ("access_token", "refresh_token")


async def test_a_line_says_what_happened(service, alice):
    tokens = await service.login(alice)
    headers = {**bearer(tokens), "X-Request-ID": "from-the-proxy.1"}
    answer = await service.client.get("/verify?max_auth_age=60", headers=headers)
    assert answer.headers["x-request-id"] == "from-the-proxy.1"
    line = service.lines()[-1]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/verify", 200)
    assert (line["request_id"], line["subject"]) == ("from-the-proxy.1", alice)
    assert line["milliseconds"] >= 0


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", '"', "é".encode("latin-1")])
async def test_an_unsafe_request_id_is_replaced(service, given):
    answer = await service.client.get("/healthz", headers={"X-Request-ID": given})
    assert len(answer.headers["x-request-id"]) == 32
    assert service.lines()[-1]["request_id"] == answer.headers["x-request-id"]


async def test_a_path_cannot_forge_a_line(service):
    await service.client.get("/%0Aforged%1b[31m")
    assert service.lines()[-1]["path"] == "/%0Aforged%1B[31m"


async def test_an_unexpected_exception_is_500_without_details(start, settings, alice, monkeypatch):
    service = await start(settings)
    tokens = await service.login(alice)

    async def broken(_token, **_conditions):
        raise RuntimeError(f"secret {tokens['access_token']}")

    monkeypatch.setattr(service.app.service.sessions, "verify", broken)
    answer = await service.client.get("/verify", headers=bearer(tokens))
    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    assert "secret" not in answer.text
    line = service.lines()[-1]
    assert line["fault"] == "builtins.RuntimeError"
    assert line["level"] == "error"
    assert any("broken" in frame for frame in line["frames"])
    assert tokens["access_token"] not in service.log.getvalue()


def test_the_console_format_can_be_chosen(settings):
    stream = io.StringIO()
    make_logger("console", stream).info("request", path="/x")
    assert "request" in stream.getvalue()
    assert create_app(settings.model_copy(update={"log_format": "console"}))
