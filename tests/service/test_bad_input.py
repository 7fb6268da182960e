"""Bad input to the service: each answer names the fault; no 500, and no echo of the input."""

import json

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from .conftest import bearer

JSON = {"Content-Type": "application/json"}
LIMIT = 64 * 1024


@pytest.mark.parametrize("path", ["/login", "/refresh"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"username": "\xff"}', 400),
        (b"[" * 60_000, 400),
        (b'{"a":' * 10_000, 400),
        (b"9" * 60_000, 400),
        (b'"\\ud800"', 422),
        (b"", 422),
        (b"[]", 422),
        (b"null", 422),
        (b"NaN", 422),
        (b'{"\\ud800": "\\udfff"}', 422),
        (b'{"__proto__": {}}', 422),
    ],
)
async def test_a_body_that_is_no_request(service, path, body, status):
    answer = await service.client.post(path, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "a"}, "password"),
        ({"username": 1, "password": "secret-thing"}, "username"),
        ({"username": "a", "password": ["secret-thing"]}, "password"),
        ({"username": "a", "password": 12345678}, "password"),
        ({"username": "a", "password": True}, "password"),
        ({"username": "a", "password": "secret-thing", "admin": True}, "admin"),
        ({"username": "", "password": "secret-thing"}, "username"),
        ({"username": "a" * 256, "password": "secret-thing"}, "username"),
        ({"username": "a", "password": "s" * 1025}, "password"),
        ({"username": "a", "password": "secret-thing", "device": 1}, "device"),
        ({"username": "\ud800", "password": "secret-thing"}, "username"),
        ({"username": "a", "password": "secret-thing", "device_type": "a b"}, "device_type"),
        ({"username": "a", "password": "secret-thing", "device_type": "a\n"}, "device_type"),
        ({"username": "a", "password": "secret-thing", "device_type": "x" * 17}, "device_type"),
        ({"username": "a", "password": "secret-thing", "remember": "yes"}, "remember"),
        ({"username": "a", "password": "secret-thing", "remember": 1}, "remember"),
        ({"username": "a", "password": "secret-thing", "replace": "secret-thing"}, "replace"),
        ({"username": "a", "password": "secret-thing", "replace": "A" * 22 + "\n"}, "replace"),
    ],
)
async def test_a_wrong_member_is_named_and_not_repeated(service, body, field):
    answer = await service.client.post("/login", content=json.dumps(body), headers=JSON)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")
    assert [entry["field"] for entry in answer.json()["fields"]] == [field]
    assert "secret-thing" not in answer.text
    assert "12345678" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        {"username": "a\x00b", "password": "x"},
        {"username": "a\nb", "password": "x"},
        {"username": "ä" * 200, "password": "x"},
        {"username": "a", "password": "ä" * 1000},
        {"username": "a", "password": "\ud800secret-thing"},
    ],
)
async def test_what_no_user_can_be_called_is_400(service, body):
    answer = await service.client.post("/login", content=json.dumps(body), headers=JSON)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_input")


@pytest.mark.parametrize(("device", "kept"), [("", None), ("é" * 3000, "é" * 64)], ids=["", "long"])
async def test_no_device_name_keeps_a_user_out(service, alice, device, kept):
    tokens = await service.login(alice, device=device)
    answer = await service.client.get("/sessions", headers=bearer(tokens))
    assert [each["device"] for each in answer.json()["sessions"]] == [kept]


async def test_a_device_with_control_characters_is_400(service, alice):
    answer = await service.client.post(
        "/login", json={"username": alice, "password": "correct horse battery", "device": "a\x1b"}
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_input")


async def _pieces(size: int, piece: bytes = b" " * 4096):
    for _ in range(size // len(piece)):
        yield piece


@pytest.mark.parametrize("path", ["/login", "/refresh", "/logout", "/nix"])
async def test_a_large_body_is_413_however_it_is_sent(service, path):
    announced = await service.client.post(path, content=b" " * (LIMIT + 1), headers=JSON)
    chunked = await service.client.post(path, content=_pieces(LIMIT * 2), headers=JSON)
    for answer in (announced, chunked):
        assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")


async def test_a_body_of_just_the_limit_is_read(service):
    answer = await service.client.post("/login", content=b" " * LIMIT, headers=JSON)
    assert answer.status_code == 400


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "json"])
async def test_another_type_is_415(service, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    answer = await service.client.post("/login", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (415, "unsupported_media_type")


async def test_the_type_may_have_parameters(service):
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    answer = await service.client.post("/login", content=b"{}", headers=headers)
    assert answer.status_code == 422


async def test_logout_needs_no_body(service, alice):
    answer = await service.client.post("/logout", headers=bearer(await service.login(alice)))
    assert answer.status_code == 204


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer " + "a" * 20_000,
        "Bearer a.b.c,Bearer d.e.f",
        "Bearer \u00e4",
        "Bearer ..",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
    ],
)
async def test_a_strange_token_is_401(service, value):
    headers = {"Authorization": value.encode("latin-1")}
    for method, path in (("GET", "/verify"), ("POST", "/logout"), ("DELETE", "/sessions")):
        answer = await service.client.request(method, path, headers=headers)
        assert answer.status_code == 401, answer.text
        assert answer.headers["www-authenticate"].startswith("Bearer")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
requests = st.dictionaries(
    st.sampled_from(
        [
            "username",
            "password",
            "device",
            "device_type",
            "remember",
            "replace",
            "refresh_token",
            "x",
        ]
    ),
    json_values,
    max_size=4,
)


@hypothesis_settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=requests | json_values, path=st.sampled_from(["/login", "/refresh"]))
async def test_no_json_is_answered_with_a_500(service, body, path):
    answer = await service.client.post(path, content=json.dumps(body), headers=JSON)
    assert answer.status_code in {400, 401, 422, 429}
    assert answer.json()["status"] == answer.status_code


@hypothesis_settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.binary(max_size=300), path=st.sampled_from(["/login", "/refresh"]))
async def test_no_bytes_are_answered_with_a_500(service, body, path):
    answer = await service.client.post(path, content=body, headers=JSON)
    assert answer.status_code in {400, 401, 422}
