"""The framework-free layer ``clusterpass.web``: imports, JSON, problems, headers and cookies."""

import json
import pkgutil
import subprocess
import sys

import pytest

import clusterpass.web
from clusterpass import (
    ClusterPassError,
    InvalidCredentials,
    InvalidToken,
    RequestRefused,
    RevocationPending,
    ScopeMissing,
    Session,
    SessionExpired,
    SessionNotFound,
    SessionRevoked,
    StepUpRequired,
    StoreFailed,
    StoreUnavailable,
    SubjectBanned,
    TokenExpired,
    TokenMissing,
    TooManyAttempts,
    TooManySessions,
)
from clusterpass.model.bans import Ban
from clusterpass.model.values import Actor, TokenPair
from clusterpass.web.caching import varying
from clusterpass.web.challenges import challenge
from clusterpass.web.cookies import Cookie, session_cookies
from clusterpass.web.csrf import require_same_origin
from clusterpass.web.device import device_name
from clusterpass.web.identity_headers import identity_headers
from clusterpass.web.problems import of_error, of_status
from clusterpass.web.session_json import ban_json, session_json

FRAMEWORKS = ("fastapi", "starlette", "pydantic", "flask", "django")
INTERNALS = ("redis", "clusterpass.managers", "clusterpass.users", "clusterpass.store")
MODULES = sorted(
    module.name for module in pkgutil.iter_modules(clusterpass.web.__path__, "clusterpass.web.")
)
BAN = Ban(scope="comments", level=2, until=None, reason="spam", banned_at=1_700_000_000)
SESSION = Session(
    "a/ö b",
    "S" * 22,
    "Firefox",
    10,
    20,
    30,
    claims={"scope": "orders:* x%y", "roles": ["a"]},
    device_type="web",
    active_at=25,
    auth_time=10,
    acr="2",
    amr=("pwd", "otp"),
    act=Actor("root", "R" * 22, "Ticket 7"),
    bans=(BAN,),
)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_needs_no_framework_and_no_driver(module: str) -> None:
    code = (
        "import sys\n"
        f"for name in {FRAMEWORKS}: sys.modules[name] = None\n"
        f"import {module}\n"
        f"loaded = {{name for name in {INTERNALS} if name in sys.modules}}\n"
        "assert not loaded, loaded\n"
    )
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def test_all_modules_are_found_and_listed() -> None:
    assert "clusterpass.web.problems" in MODULES
    for module in MODULES:
        assert f"``{module.rpartition('.')[2]}``" in (clusterpass.web.__doc__ or "")


def test_json_is_that_of_the_response_models() -> None:
    from clusterpass.service.bodies.responses import BanResponse, SessionResponse

    session = Session("alice", "S" * 22, None, 1, 2, 3)
    for each in (SESSION, session):
        dumped = SessionResponse.of(each).model_dump()
        assert list(dumped) == list(session_json(each))
        assert json.dumps(dumped) == json.dumps(session_json(each))
    assert json.dumps(BanResponse.of(BAN).model_dump()) == json.dumps(ban_json(BAN))


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (TokenMissing(), "Bearer"),
        (InvalidCredentials(), "Bearer"),
        (
            TokenExpired(),
            'Bearer error="invalid_token",'
            ' error_description="The access token has expired; refresh it."',
        ),
        (
            InvalidToken('a "b" \\ c\n\u00e9'),
            'Bearer error="invalid_token", error_description="a b  c"',
        ),
        (
            InvalidToken("\x1f !#[]^~\x7f\x80"),
            'Bearer error="invalid_token", error_description=" !#[]^~"',
        ),
        (
            StepUpRequired(acr_values=("2", "3"), max_age=9),
            StepUpRequired(acr_values=("2", "3"), max_age=9).challenge,
        ),
        (ScopeMissing(scope="orders:write"), ScopeMissing(scope="orders:write").challenge),
        (SubjectBanned(ban=BAN), None),
        (SessionNotFound(), None),
        (StoreUnavailable(), None),
    ],
)
def test_challenges(error: ClusterPassError, value: str | None) -> None:
    assert challenge(error) == value
    assert of_error(error).headers.get("WWW-Authenticate") == value


@pytest.mark.parametrize(
    ("error", "members"),
    [
        (SubjectBanned(ban=BAN), {"ban": ban_json(BAN)}),
        (TooManySessions(sessions=(SESSION,)), {"sessions": [session_json(SESSION)]}),
        (
            SessionRevoked(reason="replaced", ended_at=5, note="phone"),
            {"ended_at": 5, "note": "phone"},
        ),
        (SessionRevoked(reason="logged_out", ended_at=5), {"ended_at": 5}),
        (SessionExpired(ended_at=7), {"ended_at": 7}),
        (
            RevocationPending(operation_id="abc", is_retried=False),
            {"operation_id": "abc", "retried": False},
        ),
        (SessionNotFound(), {}),
    ],
)
def test_additional_members_of_problems(
    error: ClusterPassError, members: dict[str, object]
) -> None:
    body = json.loads(of_error(error).body())
    standard = {"type", "title", "status", "detail", "error", "reason"}
    assert {name: value for name, value in body.items() if name not in standard} == members
    assert body["type"] == f"urn:clusterpass:error:{error.code}"
    assert (body["error"], body["status"]) == (error.code, error.status)
    assert body.get("reason") == error.reason


def test_a_server_error_reveals_its_kind_only() -> None:
    body = of_error(StoreFailed("ERR secret of the store")).body()
    assert b"secret" not in body
    assert json.loads(body)["detail"] == json.loads(body)["title"]


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (TooManyAttempts(retry_after=30), "30"),
        (StoreUnavailable(retry_after=0), "1"),
        (RevocationPending(retry_after=2), "2"),
        (SessionNotFound(), None),
    ],
)
def test_retry_after(error: ClusterPassError, seconds: str | None) -> None:
    assert of_error(error).headers.get("Retry-After") == seconds


def test_the_problem_of_a_status() -> None:
    problem = of_status(405, headers={"Allow": "GET"})
    assert (problem.error, problem.detail) == ("method_not_allowed", problem.title)
    assert problem.headers == {"Allow": "GET"}
    assert of_status(413, "At most 5 bytes.").detail == "At most 5 bytes."
    assert of_status(418).error == "http_error"
    codes = {status: of_status(status).error for status in (400, 404, 405, 413, 415, 422, 500)}
    assert codes == {
        400: "invalid_request",
        404: "not_found",
        405: "method_not_allowed",
        413: "body_too_large",
        415: "unsupported_media_type",
        422: "invalid_request",
        500: "internal_error",
    }


def test_a_lone_surrogate_does_not_break_the_body() -> None:
    assert json.loads(of_status(400, "\ud800").body())["detail"] == "\ud800"


def test_identity_headers() -> None:
    assert identity_headers(SESSION) == {
        "X-Auth-Subject": "a/%C3%B6%20b",
        "X-Auth-Session": "S" * 22,
        "X-Auth-Level": "2",
        "X-Auth-Scope": "orders:* x%25y",
        "X-Auth-Actor": "root",
    }
    plain = Session("alice", "S" * 22, None, 1, 2, 3, acr="1", in_grace=True)
    assert identity_headers(plain) == {
        "X-Auth-Subject": "alice",
        "X-Auth-Session": "S" * 22,
        "X-Auth-Level": "1",
        "X-Auth-Scope": "",
        "X-Auth-Grace": "1",
    }


@pytest.mark.parametrize(("secure", "prefix"), [(True, "__Host-"), (False, "")])
def test_cookies(secure: bool, prefix: str) -> None:
    cookies = session_cookies(secure=secure)
    for cookie, name in (
        (cookies.access, "access"),
        (cookies.refresh, "refresh"),
        (cookies.notice, "notice"),
    ):
        assert cookie.name == f"{prefix}clusterpass-{name}"
        assert (cookie.secure, cookie.http_only, cookie.path) == (secure, True, "/")
        assert cookie.same_site == "lax"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([], "Cookie, Authorization"),
        (["Accept-Encoding, cookie"], "Accept-Encoding, cookie, Authorization"),
        (["Accept ,, Origin", "AUTHORIZATION"], "Accept, Origin, AUTHORIZATION, Cookie"),
        (["Accept, *"], "*"),
    ],
)
def test_caches_are_told_once_what_a_session_is_found_by(sent: list[str], told: str) -> None:
    assert varying(sent) == told


def test_cookies_of_a_site_under_a_path() -> None:
    for secure, prefix in ((True, "__Secure-"), (False, "")):
        cookies = session_cookies(secure=secure, path="/auth")
        for cookie in (cookies.access, cookies.refresh, cookies.csrf, cookies.notice):
            assert cookie.name.startswith(f"{prefix}clusterpass-")
            assert "; Path=/auth;" in cookie.header("x", None)[1]


PAIR = TokenPair("access", "refresh", 900, "s", "alice", durable=True, session_expires_in=3600)


def test_a_browser_gets_its_tokens_for_as_long_as_the_session_may_live() -> None:
    old = Cookie("sessionid", secure=True)
    cookies = session_cookies(secure=True, old=(old,))
    kept = [value.split("; ")[:2] for _, value in cookies.keep(PAIR, "csrf")]
    assert kept == [
        ["__Host-clusterpass-access=access", "Max-Age=3600"],
        ["__Host-clusterpass-refresh=refresh", "Max-Age=3600"],
        ["__Host-clusterpass-csrf=csrf", "Max-Age=3600"],
        ["sessionid=", "Max-Age=0"],
    ]
    assert [value.split("; ")[1] for _, value in cookies.keep(PAIR, None, is_lasting=False)] == [
        "Path=/",
        "Path=/",
        "Max-Age=0",
    ]


@pytest.mark.parametrize("options", [{}, {"csrf": True}, {"csrf": False}])
def test_the_cookies_of_an_ended_session_are_taken_away(options: dict[str, bool]) -> None:
    cookies = session_cookies(secure=False, old=(Cookie("sessionid", secure=False),))
    gone = [value.split("; ")[:2] for _, value in cookies.clear(**options)]
    names = ["clusterpass-access", "clusterpass-refresh", "clusterpass-csrf", "sessionid"]
    if options.get("csrf") is False:
        names.remove("clusterpass-csrf")
    assert gone == [[f"{name}=", "Max-Age=0"] for name in names]


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0", "Firefox on Linux"),
        ("Firefox/130.0", "Firefox"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 10) Chrome/130.0 EdgA/130.0", "Edge on Android"),
        ("Mozilla/5.0 (iPhone) EdgiOS/130.0 Mobile Safari/605.1", "Edge on iPhone"),
        ("Mozilla/5.0 (Macintosh) Chrome/130.0 Safari/537.36 OPR/115.0", "Opera on macOS"),
        ("Mozilla/5.0 (iPad) OPiOS/16.0 Safari/605.1", "Opera on iPad"),
        ("SamsungBrowser/26.0 Chrome/122.0 Mobile Safari/537.36", "Samsung Internet"),
        ("Mozilla/5.0 (X11; Linux) Chrome/130.0 Safari/537.36 Vivaldi/7.0", "Vivaldi on Linux"),
        ("Mozilla/5.0 (iPhone) FxiOS/130.0 Safari/605.1", "Firefox on iPhone"),
        ("Mozilla/5.0 (iPad) CriOS/130.0 Safari/605.1", "Chrome on iPad"),
        ("Mozilla/5.0 (X11; CrOS x86_64) Chrome/130.0 Safari/537.36", "Chrome on ChromeOS"),
        ("Mozilla/5.0 (Macintosh) Version/18.0 Safari/605.1", "Safari on macOS"),
        ("Something (X11; Linux x86_64)", "Linux"),
        ("curl/8.0", None),
    ],
)
def test_a_device_has_a_name_as_far_as_it_is_recognized(user_agent: str, name: str | None) -> None:
    assert device_name(user_agent) == name


def test_the_origin_of_a_plaintext_site() -> None:
    host, origin = "localhost:8000", ["http://localhost:8000"]
    require_same_origin(host=host, fetch_site=[], origin=origin, secure=False)
    with pytest.raises(RequestRefused, match="requires HTTPS"):
        require_same_origin(host=host, fetch_site=[], origin=origin, secure=True)
    with pytest.raises(RequestRefused, match="another site"):
        require_same_origin(host="", fetch_site=[], origin=["http://"], secure=False)
