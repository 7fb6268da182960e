"""The texts, cookies and forms of the page, and the problem details of the service."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from clusterpass import Config, InvalidInput, KeyRing, RequestRefused
from clusterpass.integrations.starlette_requests import StarletteRequest
from clusterpass.service.bodies.problem_responses import of_http_exception, of_validation
from clusterpass.service.calls.page_gate import PageGate
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.language.translation import language
from clusterpass.service.page import sentences
from clusterpass.service.page.administration_pages import BAN_CHOICES
from clusterpass.service.page.device_types import device_icon, device_name, log_out_all
from clusterpass.service.page.forms import FormPaths, read_form
from clusterpass.service.page.sentences import Moment, Notice, Quoted, compose
from clusterpass.service.page.visit import Visit
from clusterpass.service.settings.service import Settings
from clusterpass.web.credentials import Credentials, find_credentials
from clusterpass.web.gate import Visit as WebVisit

PAIR: Any = SimpleNamespace(access_token="a1", refresh_token="r1", session_expires_in=99)


def request(cookie: str = "", body: bytes = b"", **headers: str) -> Request:
    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    sent = [
        (name.encode(), value.encode()) for name, value in {"cookie": cookie, **headers}.items()
    ]
    return Request({"type": "http", "method": "POST", "headers": sent}, receive)


def test_a_sentence_keeps_its_parts_apart() -> None:
    parts = {"name": (Quoted("bob"),), "when": ("at ", Moment(9))}
    assert compose("Since {when}, {name} is out.", **parts) == (
        "Since ",
        "at ",
        Moment(9),
        ", ",
        Quoted("bob"),
        " is out.",
    )
    assert compose("{name}", **parts) == (Quoted("bob"),)
    assert compose("Nothing {Else}.") == ("Nothing {Else}.",)
    assert Notice(("Done.",)).is_good is False


def test_what_templates_ask_of_a_part() -> None:
    for part in ("text", Quoted("text"), Moment(1)):
        assert sentences.is_quoted(part) is isinstance(part, Quoted)
        assert sentences.is_moment(part) is isinstance(part, Moment)


@pytest.mark.parametrize("month", range(1, 13))
def test_a_time_for_people_and_for_programs(month: int) -> None:

    stamp = int(datetime(2026, month, 5, 7, 8, 9, tzinfo=UTC).timestamp())
    name = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][
        month - 1
    ]
    assert language("en").moment(stamp) == f"5 {name} 2026, 07:08 UTC"
    assert sentences.machine_readable(stamp) == f"2026-{month:02}-05T07:08:09Z"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (2, "2 seconds"),
        (90, "90 seconds"),
        (91, "2 minutes"),
        (120, "2 minutes"),
        (121, "3 minutes"),
    ],
)
def test_a_duration_in_words(seconds: int, words: str) -> None:
    assert language("en").try_again_in(seconds) == f"Too many attempts. Try again in {words}."


def visit(cookie: str = "", *, secure: bool = False, **headers: str) -> Visit:
    settings = Settings.model_construct(cookie_secure=secure)
    gate = PageGate(Config(issuer="x", keys=KeyRing.generate()), settings.web())
    found = request(cookie, **headers)
    return Visit(
        found, cast("Service", SimpleNamespace(gate=gate)), WebVisit(StarletteRequest(found))
    )


def set_by(visit: Visit) -> list[str]:
    response = Response()
    visit.set_cookies(response)
    return response.headers.getlist("set-cookie")


@pytest.mark.parametrize("secure", [True, False])
def test_both_tokens_are_kept_until_the_browser_is_closed_and_cleared(secure: bool) -> None:
    kept, cleared = visit(secure=secure), visit(secure=secure)
    kept.set_tokens(PAIR)
    cleared.set_tokens(PAIR)
    cleared.clear_tokens()
    cookies = kept.service.gate.settings.cookies
    names = {cookies.access.name, cookies.refresh.name}
    for one, values, age in ((kept, {"a1", "r1"}, None), (cleared, {""}, 0)):
        found = [each.split("; ")[0].split("=", 1) for each in set_by(one)]
        assert {name for name, _ in found} == names
        assert {value for _, value in found} == values
        for each in set_by(one):
            assert ("Max-Age" in each) is (age is not None)
            assert age is None or f"Max-Age={age};" in each
            assert "HttpOnly" in each
            assert "SameSite=Lax" in each
            assert ("Secure" in each) is secure
            assert "Path=/" in each


@pytest.mark.parametrize("secure", [True, False])
def test_who_asked_keeps_them_as_long_as_the_session(secure: bool) -> None:
    note = f"{'__Host-' if secure else ''}clusterpass-remember"
    asked, renewed = visit(secure=secure), visit(f"{note}=1", secure=secure)
    asked.set_tokens(PAIR, remember=True)
    renewed.set_tokens(PAIR)
    assert set_by(asked) == set_by(renewed)
    assert len(set_by(asked)) == 3
    assert all("Max-Age=99;" in each for each in set_by(asked))
    assert set_by(asked)[-1].startswith(f"{note}=1;")
    renewed.set_tokens(PAIR, remember=False)
    *tokens, gone = set_by(renewed)
    assert not any("Max-Age" in each for each in tokens)
    assert gone.startswith(f"{note}=; Max-Age=0;")
    renewed.clear_tokens()
    assert all("=; Max-Age=0;" in each for each in set_by(renewed))
    for sent in ("0", "yes", ""):
        other = visit(f"{note}={sent}", secure=secure)
        other.set_tokens(PAIR)
        assert not any("Max-Age=99" in each for each in set_by(other))
    doubtful = visit(f"{note}=1; {note}=1", secure=secure)
    doubtful.set_tokens(PAIR)
    assert not any("Max-Age=99" in each for each in set_by(doubtful))


def test_the_page_takes_tokens_from_cookies_alone() -> None:
    settings = visit().service.gate.settings
    access, refresh = settings.cookies.access.name, settings.cookies.refresh.name
    sent = visit(f"{access}=a1; {refresh}=r1", authorization="Bearer b1")
    assert find_credentials(sent.web.request, settings) == Credentials("cookie", "a1", "r1")
    for cookie in ("", f"{access}=; {refresh}="):
        nothing = visit(cookie, authorization="Bearer b1")
        assert find_credentials(nothing.web.request, settings) == Credentials()


def test_a_form_without_an_origin_is_not_from_the_page() -> None:
    own = {"host": "auth.example", "origin": "https://auth.example"}
    form = visit(secure=True, **own)
    form.require_own_origin()
    for headers in ({}, {**own, "origin": "http://auth.example"}, {**own, "origin": "null"}):
        with pytest.raises(RequestRefused):
            visit(secure=True, **headers).require_own_origin()


def test_a_notice_waits_a_minute_for_the_next_page() -> None:
    left, taken = visit(), visit()
    left.leave_notice("gone-3")
    taken.take_notice()
    assert "=gone-3; " in set_by(left)[0]
    assert "Max-Age=60;" in set_by(left)[0]
    assert "Max-Age=0;" in set_by(taken)[0]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("gone", True),
        ("x" * 20, True),
        ("gone-123", True),
        ("x" * 21, False),
        ("gone-1234", False),
        ("gone-", False),
        ("Gone", False),
        ("", False),
    ],
)
def test_only_a_code_is_a_notice(code: str, shown: bool) -> None:
    cookie = visit().service.gate.settings.cookies.notice
    assert visit(f"{cookie.name}={code}").take_notice() == (code if shown else None)


@pytest.mark.parametrize(
    "path",
    [
        *("login", "logout", "confirm", "sessions/revoke-others", "sessions/revoke-kind"),
        *("sessions/-id_/revoke", "subject/revoke", "subject/revoke-all", "subject/ban"),
        *("subject/lift", "subject/impersonate", "subject/invite", "subject/reset-link"),
        *("subject/erase", "subject/delete", "language"),
    ],
)
def test_a_path_that_takes_a_form(path: str) -> None:
    assert f"/page/{path}" in FormPaths()
    for other in (f"/{path}", f"/page/{path}/", f"/page/{path}x", path.encode(), None):
        assert other not in FormPaths()
    assert f"/my.auth/page/{path}" in FormPaths("/my.auth")
    for other in (f"/page/{path}", f"/my-auth/page/{path}", f"/x/my.auth/page/{path}"):
        assert other not in FormPaths("/my.auth")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"a=1&b=", {"a": "1", "b": ""}),
        (b"a=%C3%A9+x", {"a": "é x"}),
        (b"&".join(b"%d=1" % number for number in range(8)), {str(n): "1" for n in range(8)}),
    ],
)
def test_a_form(body: bytes, fields: dict[str, str]) -> None:
    assert asyncio.run(read_form(request(body=body))) == fields


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"a", "malformed"),
        (b"a=%ff", "malformed"),
        (b"a=\xff", "malformed"),
        (b"&".join(b"%d=1" % number for number in range(9)), "malformed"),
        (b"a=1&a=1", "more than once"),
    ],
)
def test_no_form(body: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        asyncio.run(read_form(request(body=body)))


@pytest.mark.parametrize(
    ("kind", "name", "icon"),
    [
        ("phone", "an iPad", "phone"),
        ("tablet", None, "tablet"),
        ("computer", "Android phone", "computer"),
        ("fridge", "Firefox on iPad", "tablet"),
        (None, "a tablet", "tablet"),
        (None, "Android Tablet", "tablet"),
        (None, "Safari on iPhone", "phone"),
        (None, "Chrome on Android", "phone"),
        (None, "my phone", "phone"),
        (None, "Phone", "phone"),
        (None, "Firefox on Linux", "computer"),
        (None, None, "computer"),
    ],
)
def test_the_icon_of_a_device(kind: str | None, name: str | None, icon: str) -> None:
    assert device_icon(kind, name) == icon


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("phone", "phones (2)"),
        ("tablet", "tablets (2)"),
        ("computer", "computers (2)"),
        ("fridge", "devices of type fridge (2)"),
    ],
)
def test_the_button_for_all_devices_of_a_type(kind: str, words: str) -> None:
    english = language("en")
    assert log_out_all(kind, 2, english, is_own=False) == f"Log out all {words}"
    assert log_out_all(kind, 2, english, is_own=True) == f"Log out all other {words}"


def test_names_that_the_service_gave_are_translated_and_others_are_not() -> None:
    german = language("de")
    assert device_name("Firefox on Windows", german) == "Firefox unter Windows"
    assert device_name("Safari on iPhone", german) == "Safari auf dem iPhone"
    assert device_name("Safari on iPad", language("en")) == "Safari on iPad"
    for own in ("Firefox on my desk", "Kitchen radio on Windows", "on", "Firefox on Windows 11"):
        assert device_name(own, german) == own


def invalid(*entries: tuple[str, tuple[Any, ...]]) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": where} for kind, where in entries])


def test_a_body_that_is_no_json_is_a_bad_request() -> None:
    told = of_validation(invalid(("missing", ("body", "a")), ("json_invalid", ("body", 3))))
    assert (told.status, told.detail) == (400, "The body is not valid JSON.")


def test_invalid_fields_are_named_once_in_the_sentence() -> None:
    told = of_validation(
        invalid(
            ("missing", ("body", "a", 0, "b")),
            ("string_too_long", ("body", "c")),
            ("odd", ("body", "c")),
            ("model_type", ("body",)),
            ("extra_forbidden", ("body", "x" * 64)),
            ("extra_forbidden", ("body", "x" * 65)),
        )
    )
    assert told.status == 422
    assert told.detail == (
        f"The request has invalid fields: a.0.b, c, body, {'x' * 64}, {'x' * 64}...."
    )
    assert told.fields == [
        {"field": "a.0.b", "message": "is missing"},
        {"field": "c", "message": "is too long"},
        {"field": "c", "message": "is not valid"},
        {"field": "body", "message": "must be a JSON object"},
        {"field": "x" * 64, "message": "is unknown"},
        {"field": "x" * 64 + "...", "message": "is unknown"},
    ]


def test_at_most_twenty_fields_are_named() -> None:
    told = of_validation(invalid(*(("missing", ("body", str(number))) for number in range(21))))
    assert told.fields is not None
    assert [each["field"] for each in told.fields] == [str(number) for number in range(20)]


def test_what_the_framework_rejects_keeps_its_status_and_headers() -> None:
    told = of_http_exception(HTTPException(405, "secret", {"Allow": "GET"}))
    assert (told.status, dict(told.headers)["Allow"]) == (405, "GET")
    assert "secret" not in repr(told)


def test_how_long_a_ban_of_the_page_lasts() -> None:
    assert {code: seconds for code, _, seconds in BAN_CHOICES} == {
        "hour": 3600,
        "day": 24 * 3600,
        "week": 7 * 24 * 3600,
        "month": 30 * 24 * 3600,
        "good": None,
    }
