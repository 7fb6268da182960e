"""Request bodies that cannot be read, and the messages of their refusals."""

import pytest

from .web_apps import FORM, JSON, MAKERS, WITH_ROUTES, cookies, running

DEEP = b"[" * 200_000
SENT = b'{"refresh_token": "a token"}'
DEEP_MEMBER = b'{"refresh_token":' + DEEP
PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n'
END = b"\r\n\r\nz\r\n--x--\r\n"
MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
LOGINS = pytest.mark.parametrize("name", ["fastapi", "litestar"])


@pytest.mark.parametrize("name", WITH_ROUTES)
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, DEEP),
        (JSON, DEEP_MEMBER),
        (JSON, b"\xff\xfe"),
        (JSON, b"1e999"),
        (JSON, b"9" * 5000),
        ({"content-type": "application/json; charset=nope"}, b"{}"),
        (FORM, b"\xff\xfe=%ff&a=%ed%a0%80"),
        (MULTIPART, b"\xff\xfe=%ff"),
        ({"content-type": "text/plain; charset=nope"}, b"\xff"),
    ],
    ids=["deep", "member", "utf-8", "number", "digits", "charset", "form", "multipart", "text"],
)
async def test_no_body_of_a_refresh_is_a_fault_of_the_server(
    name: str, headers: dict[str, str], body: bytes
) -> None:
    async with running(name) as app:
        assert 400 <= (await app("POST", "/auth/refresh", headers, body)).status < 500
        sent = {**cookies(), **headers}
        assert (await app("POST", "/auth/refresh", sent, body)).status < 500


@pytest.mark.parametrize("name", WITH_ROUTES)
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (JSON, b"{{{", 400),
        (JSON, DEEP, 400),
        (JSON, b"\xff\xfe", 400),
        ({"content-type": "application/json; charset=nope"}, b"{{{", 400),
        (JSON, b"", 401),
        (JSON, b'{"refresh_token": null}', 401),
        ({"content-type": "text/plain"}, SENT, 401),
        ({}, SENT, 401),
        (JSON, SENT, 200),
        ({"content-type": "Application/JSON ; charset=utf-8"}, SENT, 200),
    ],
)
async def test_the_body_of_a_refresh_is_read_alike_in_every_framework(
    name: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    if name == "fastapi" and status != 200 and body:
        pytest.skip("FastAPI itself answers bodies that do not fit")
    async with running(name) as app:
        assert (await app("POST", "/auth/refresh", headers, body)).status == status


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\nbroken",
        b"--x\r\n" + END,
        PART + b"Content-Type: text/plain; charset=nope" + END,
        PART + b"Content-Transfer-Encoding: nope" + END,
        PART + b"Content-Encoding: nope" + END,
        PART + b"Content-Length: -5" + END,
        b"",
    ],
)
async def test_no_form_is_a_fault_of_the_server(name: str, body: bytes) -> None:
    async with running(name) as app:
        for path in ("/form", "/auth/logout", "/auth/logout-all"):
            reply = await app("POST", path, {**cookies(), **MULTIPART}, body)
            assert 400 <= reply.status < 500


@LOGINS
@pytest.mark.parametrize(
    "body", [DEEP, b'{"username":' + DEEP, b'{"username":"a","password":"b","more":' + DEEP]
)
async def test_no_login_is_a_fault_of_the_server(name: str, body: bytes) -> None:
    async with running(name) as app:
        assert (await app("POST", "/auth/login", JSON, body)).status == 400


async def test_a_fault_of_the_function_that_checks_passwords_is_not_taken_for_one_of_the_body() -> (
    None
):
    def endless(username: str, password: str) -> str:
        return endless(username, password)

    async with running("litestar", authenticate=endless) as app:
        reply = await app("POST", "/auth/login", JSON, b'{"username":"a","password":"b"}')
        assert reply.status == 500


@LOGINS
@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/auth/login", JSON, b'{"password":"hunter2"}'),
        ("/auth/login", JSON, b'{"username":1,"password":"hunter2"}'),
        ("/auth/login", JSON, b'{"username":"a","password":["hunter2"]}'),
        ("/auth/login", JSON, b'"hunter2"'),
        ("/auth/login", JSON, b'{"password":"hunter2"'),
        ("/auth/login", FORM, b"password=hunter2"),
        ("/auth/token", FORM, b"password=hunter2"),
        ("/auth/refresh", JSON, b'{"refresh_token":["hunter2"]}'),
        ("/auth/refresh", JSON, b'"hunter2"'),
    ],
)
async def test_a_refusal_echoes_nothing_of_the_body(
    name: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    async with running(name) as app:
        reply = await app("POST", path, headers, body)
        assert 400 <= reply.status < 500
        assert b"hunter2" not in reply.body


async def test_fastapi_names_the_field_that_is_missing() -> None:
    async with running("fastapi") as app:
        reply = await app("POST", "/auth/login", JSON, b'{"password":"hunter2"}')
        assert reply.status == 422
        assert [each["loc"] for each in reply.json["detail"]] == [["body", "username"]]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("host", ["a@b:99999", "[", "a b", "[::1"])
async def test_a_host_that_is_none_leads_to_the_login_all_the_same(name: str, host: str) -> None:
    page = {"accept": "text/html", "sec-fetch-mode": "navigate", "host": host}
    async with running(name, login_url="/login") as app:
        reply = await app("GET", "/page?a=1", page)
        if reply.status == 303:
            assert dict(reply.headers)["location"] == "/login?next=%2Fpage%3Fa%3D1"
        else:  # a server, or a framework, that refuses the name itself
            assert reply.status == 400
