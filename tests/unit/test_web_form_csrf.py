"""The CSRF token of a form: where it is found, and what the application can read afterwards."""

from base64 import b64encode
from urllib.parse import urlencode

import pytest

from clusterpass.web.csrf import CsrfTokens

from .gate_scene import CONFIG, CSRF, REFRESH
from .web_apps import FORM, MAKERS, OWN, WITH_CSRF, WITH_ROUTES, cookies, running

FIELDS = {"text": "été", "csrf_token": CSRF}
BODY = urlencode(FIELDS).encode()
OTHER = CsrfTokens(CONFIG.keys).make("B" * 22)
BASIC = {"authorization": "Basic " + b64encode(b"staging:pw").decode()}
MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
PARTS = "".join(
    f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    for name, value in FIELDS.items()
).encode()
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n%s\r\n'
WHOLE = PARTS + FILE % b"small" + b"--x--\r\n"
LARGE = PARTS + FILE % (b"large" * 500_000) + b"--x--\r\n"
EVERY = pytest.mark.parametrize("name", MAKERS)
BOTH = pytest.mark.parametrize(
    ("kind", "body"), [(FORM, BODY), (MULTIPART, WHOLE)], ids=["fields", "parts"]
)
STARLETTE = pytest.mark.parametrize("name", ["starlette", "fastapi"])


@EVERY
@BOTH
async def test_a_form_brings_its_token_in_a_field_and_is_read_by_the_view(
    name: str, kind: dict[str, str], body: bytes
) -> None:
    async with running(name) as app:
        reply = await app("POST", "/form", {**cookies(), **OWN, **kind}, body)
        assert reply.status == 200
        assert {each: reply.json[each] for each in FIELDS} == FIELDS


@EVERY
@pytest.mark.parametrize("token", ["", OTHER, CSRF[:-1] + "x"], ids=["none", "other", "changed"])
async def test_a_form_without_the_token_of_its_session_is_refused(name: str, token: str) -> None:
    async with running(name) as app:
        body = urlencode({"csrf_token": token}).encode()
        assert (await app("POST", "/form", {**cookies(), **OWN, **FORM}, body)).status == 403


@EVERY
async def test_a_token_may_come_twice_but_not_two_of_them(name: str) -> None:
    paths = ["/form"]
    if name in WITH_ROUTES:
        paths.append("/auth/logout-all")
    async with running(name) as app:
        for path in paths:
            sent = {**cookies(), **WITH_CSRF, **FORM}
            assert (await app("POST", path, sent, BODY)).status in {200, 303}
            forged = {**sent, "x-csrf-token": OTHER}
            assert (await app("POST", path, forged, BODY)).status == 403


@EVERY
async def test_a_password_of_the_site_itself_does_not_keep_the_form_from_being_read(
    name: str,
) -> None:
    paths = ["/form"]
    if name in WITH_ROUTES:
        paths += ["/auth/logout-all", "/auth/logout"]
    async with running(name) as app:
        for path in paths:
            sent = {**cookies(), **OWN, **FORM, **BASIC}
            assert (await app("POST", path, sent, BODY)).status in {200, 303}
            assert (await app("POST", path, sent, b"text=a")).status == 403


@EVERY
async def test_a_form_by_a_bearer_token_needs_none(name: str) -> None:
    async with running(name) as app:
        sent = {**FORM, "authorization": "Bearer good"}
        reply = await app("POST", "/form", sent, b"text=a")
        assert reply.json == {"text": "a"}


@STARLETTE
@BOTH
async def test_the_body_of_a_form_is_left_for_the_endpoint(
    name: str, kind: dict[str, str], body: bytes
) -> None:
    async with running(name) as app:
        reply = await app("POST", "/raw", {**cookies(), **OWN, **kind}, body)
        assert (reply.status, reply.body) == (200, body)


@STARLETTE
async def test_a_long_form_is_left_for_the_endpoint(name: str) -> None:
    async with running(name) as app:
        reply = await app("POST", "/form", {**cookies(), **OWN, **MULTIPART}, LARGE)
        assert reply.status == 200
        assert reply.json["text"] == FIELDS["text"]


async def test_fields_that_fastapi_has_read_are_found() -> None:
    async with running("fastapi") as app:
        for kind, body in ((FORM, BODY), (MULTIPART, WHOLE), (MULTIPART, LARGE)):
            reply = await app("POST", "/fields", {**cookies(), **OWN, **kind}, body)
            assert reply.json == {"text": FIELDS["text"]}
        reply = await app("POST", "/fields", {**cookies(), **OWN, **FORM}, b"text=a")
        assert reply.status == 403


@pytest.mark.parametrize("name", ["starlette", "quart", "litestar", "aiohttp"])
async def test_a_browser_is_renewed_by_a_form(name: str) -> None:
    async with running(name) as app:
        reply = await app("POST", "/form", {**cookies("over"), **OWN, **FORM}, BODY)
        assert reply.status == 200
        assert app.sessions.of("refresh") == [REFRESH]
