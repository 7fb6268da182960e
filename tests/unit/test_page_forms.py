"""Forms of the service's page: calls of the session manager, and redirects."""

from typing import Any

import pytest

from clusterpass import (
    Actor,
    Ended,
    InvalidCredentials,
    LinkInvalid,
    LoginOvertaken,
    PasswordRefused,
    RevocationPending,
    Session,
    SessionNotFound,
    StoreUnavailable,
    SubjectBanned,
    TooManyAttempts,
    TooManySessions,
)

from .page_form_scene import (
    AGENT,
    ANSWERS,
    BAN,
    FORM_OF_PASSWORDS,
    LAPTOP,
    USERS,
    cookies_of,
    notice,
    sent,
)
from .service_scene import ADDRESS, ALICE, ROOT, SESSIONS, Served
from .test_service_api import ID


@pytest.fixture(scope="module")
def service() -> Served:
    return Served(ANSWERS, USERS, reset_link_lifetime=111, invitation_lifetime=222)


@pytest.fixture(autouse=True)
def afresh(service: Served) -> None:
    service.sessions.asked.clear()


async def test_a_login_hands_on_what_the_browser_says(service: Served) -> None:
    form = {"username": "alice", "password": "pw", "remember": "on", "replace": "A" * 22}
    answer = await sent(service, "/page/login", form, None, headers=AGENT)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    options = {
        "device": "Firefox on Linux",
        "device_type": "computer",
        "address": ADDRESS,
        "remember": True,
        "replace": "A" * 22,
        "known": None,
    }
    assert service.asked() == [("authenticator.login", "alice", "pw", options)]
    cookies, names = cookies_of(answer), service.gate.settings.cookies
    assert (cookies[names.access.name], cookies[names.refresh.name]) == (
        "new access",
        "new refresh",
    )
    assert cookies["__Host-clusterpass-device"] == "alice None"
    assert service.lines()[-1]["subject"] == "alice"
    lasting = [each for each in answer.headers.get_list("set-cookie") if "Max-Age=600" in each]
    assert len(lasting) == 3, "with the note that they last"
    device = {"__Host-clusterpass-device": "k"}
    form = {"username": "alice", "password": "pw", "replace": "no id"}
    answer = await sent(service, "/page/login", form, "alice", cookies=device)
    login, *ended = service.asked()
    assert (login[3]["known"], login[3]["replace"]) == ("k of alice", None)
    assert login[3]["remember"] is False
    assert ended == [
        ("logout", "alice", {"address": ADDRESS}),
        ("logout", "refresh of alice", {"address": ADDRESS}),
    ]
    assert cookies_of(answer)["__Host-clusterpass-device"] == "alice k of alice"
    await sent(service, "/page/login", form, "alice")
    assert service.asked()[0][3]["known"] == ALICE.session_id
    await sent(service, "/page/login", {**form, "username": "bob"}, "alice")
    assert service.asked()[0][3]["known"] is None


async def test_a_browser_that_is_to_forget_is_told_so(service: Served) -> None:
    form, name = {"username": "alice", "password": "pw"}, "__Host-clusterpass-remember"
    noted = {name: "1"}
    answer = await sent(service, "/page/login", form, None, cookies=noted)
    (forgotten,) = [e for e in answer.headers.get_list("set-cookie") if e.startswith(name)]
    assert forgotten.startswith(f"{name}=;")
    assert "Max-Age=0" in forgotten
    plain = await sent(service, "/page/login", form, None)
    assert name not in cookies_of(plain)
    kept = await sent(service, "/page/password", FORM_OF_PASSWORDS, "alice", cookies=noted)
    assert cookies_of(kept)[name] == "1", "as it was before"
    out = await sent(service, "/page/logout", {}, "alice", cookies=noted)
    assert cookies_of(out)[name] == ""


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        (InvalidCredentials(), 401, "The user name or password is incorrect."),
        (TooManyAttempts(retry_after=60), 429, "Try again"),
        (LoginOvertaken(), 409, "All your devices were logged out"),
        (SubjectBanned(ban=BAN), 403, "This account is banned."),
        (TooManySessions(sessions=(ALICE, LAPTOP)), 409, "phone"),
        (StoreUnavailable(), 503, "You could not be logged in."),
    ],
)
async def test_a_login_that_is_refused_says_why(error: Any, status: int, shown: str) -> None:
    service = Served({"authenticator.login": error})
    form = {"username": "alice", "password": "secret pw", "remember": "on"}
    answer = await sent(service, "/page/login", form, None, headers=AGENT)
    assert answer.status_code == status
    assert shown in answer.text
    assert "secret pw" not in answer.text
    line = service.lines()[-1]
    assert line["error"] == error.code
    if status in {401, 429}:
        assert (line["client"], line["attempted_subject"]) == (ADDRESS, "alice")
        assert 'value="alice"' in answer.text
    if status == 429:
        assert answer.headers["retry-after"] == "60"
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_login_without_a_name_or_a_password_is_none(service: Served) -> None:
    for form in ({"username": "alice"}, {"password": "pw"}, {}):
        answer = await sent(service, "/page/login", form, None)
        assert answer.status_code == 400
        assert "Enter your user name and password." in answer.text
        assert service.asked() == []


async def test_the_home_page_shows_the_devices_or_why_there_are_none(service: Served) -> None:
    home = await service.page("GET", "/", token="alice")
    assert service.asked() == [("sessions", "alice", {}), ("history", "alice", {})]
    for shown in ("laptop", "/page/password", f"/page/sessions/{'l' * 22}/revoke"):
        assert shown in home.text
    assert "/page/online" not in home.text
    assert "/page/online" in (await service.page("GET", "/", token="root")).text
    ended = await service.page("GET", "/", token="gone")
    assert "by an administrator: " in ended.text
    assert "lost" in ended.text
    names = service.gate.settings.cookies
    assert cookies_of(ended)[names.access.name] == ""
    assert 'name="password"' in (await service.page("GET", "/")).text
    noted = {names.notice.name: "all-3"}
    told = await service.page("GET", "/", token="alice", cookies=noted)
    assert "3 devices were logged out." in told.text
    assert cookies_of(told)[names.notice.name] == ""


async def test_a_user_logs_out(service: Served) -> None:
    answer = await sent(service, "/page/logout", {}, "alice")
    assert service.asked() == [("logout", "alice", {"address": ADDRESS})]
    assert (answer.headers["location"], notice(answer, service)) == ("/", "out")
    assert "clear-site-data" in answer.headers
    assert cookies_of(answer)[service.gate.settings.cookies.refresh.name] == ""
    pending = Served({"logout": RevocationPending(is_retried=True)})
    assert notice(await sent(pending, "/page/logout", {}, "alice"), pending) == "outpending"


async def test_who_stops_an_impersonation_is_logged_out_as_well(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting = Session("carol", "c" * 22, None, 1, 2, 3, act=Actor("root", ROOT.session_id, "help"))
    monkeypatch.setitem(SESSIONS, "acting", acting)
    answer = await sent(service, "/page/logout", {}, "acting")
    assert notice(answer, service) == "stopped"
    assert service.asked() == [
        ("logout", "acting", {"address": ADDRESS}),
        ("revoke", "root", ROOT.session_id, {}),
    ]
    for path in ("/page/password", "/page/online"):
        assert (await service.page("GET", path, token="acting")).status_code == 404
    service.asked()
    form = {"current": "old", "new": "n", "again": "n"}
    assert (await sent(service, "/page/password", form, "acting")).status_code == 404
    assert service.asked() == []


async def test_other_devices_are_logged_out_after_a_question(service: Served) -> None:
    for path, form, more in (
        ("revoke-others", {}, {}),
        ("revoke-kind", {"kind": "desktop"}, {"device_type": "desktop"}),
    ):
        asked = await sent(service, f"/page/sessions/{path}", form, "alice")
        assert service.asked() == [("sessions", "alice", {})]
        assert "Log out 1 other device?" in asked.text
        assert f'action="/page/sessions/{path}"' in asked.text
        done = await sent(service, f"/page/sessions/{path}", {**form, "confirmed": "y"}, "alice")
        options = {"keep": ALICE.session_id, **more}
        assert service.asked() == [("revoke_all", "alice", options)]
        assert notice(done, service) == "others-2"
    none = await sent(service, "/page/sessions/revoke-kind", {"kind": "tablet"}, "alice")
    assert notice(none, service) == "noothers"
    assert (await sent(service, "/page/sessions/revoke-kind", {}, "alice")).status_code == 400
    one = await sent(service, f"/page/sessions/{ID}/revoke", {}, "alice")
    assert service.asked() == [("revoke", "alice", ID, {})]
    assert notice(one, service) == "ended"
    for answer in (SessionNotFound(), Ended(0, durable=True)):
        gone = Served({"revoke": answer})
        assert notice(await sent(gone, f"/page/sessions/{ID}/revoke", {}, "alice"), gone) == "gone"


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_user_changes_the_password(service: Served, keeps: bool) -> None:
    assert 'name="again"' in (await service.page("GET", "/page/password", token="alice")).text
    assert (await service.page("GET", "/page/password")).status_code == 303
    form = {"current": "old", "new": "n", "again": "n", **({"keep": "y"} if keeps else {})}
    answer = await sent(service, "/page/password", form, "alice")
    lasting = {"for_seconds": service.settings.step_up_seconds, "end_others": not keeps}
    options = {"address": ADDRESS, **lasting}
    assert service.asked() == [("users.change_password", ALICE, "old", "n", options)]
    assert notice(answer, service) == ("passwordkept" if keeps else "password")
    assert cookies_of(answer)[service.gate.settings.cookies.access.name] == "new access"


@pytest.mark.parametrize(
    ("form", "error", "status", "shown"),
    [
        ({"current": "old"}, None, 400, "Enter a new password."),
        ({"current": "old", "new": "a", "again": "b"}, None, 400, "are not the same"),
        ({"new": "a", "again": "a"}, None, 400, "Enter your current password."),
        ({"current": "x"}, InvalidCredentials(), 401, "Your current password is incorrect."),
        ({"current": "x"}, TooManyAttempts(retry_after=7), 429, "Try again"),
        ({"current": "x"}, PasswordRefused("no", reason="too_short"), 422, "at least 8 characters"),
        ({"current": "x"}, PasswordRefused("no", reason="too_common"), 422, "most common"),
        ({"current": "x"}, PasswordRefused("no", reason="like_user_name"), 422, "user name"),
    ],
)
async def test_a_new_password_that_is_refused_says_why(
    form: Any, error: Any, status: int, shown: str
) -> None:
    service = Served({}, {"users.change_password": error})
    form = {"new": "a", "again": "a", **form} if error else form
    answer = await sent(service, "/page/password", form, "alice")
    assert answer.status_code == status
    assert shown in answer.text
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert ("www-authenticate" in answer.headers) is (status == 401)


async def test_a_link_is_opened_and_used(service: Served) -> None:
    opened = await service.page("GET", "/page/link?token=cpl_x")
    assert service.asked() == [("users.user_of_link", "cpl_x", {})]
    assert "carol" in opened.text
    assert 'value="cpl_x"' in opened.text
    for path in ("/page/link", "/page/link?token=a&token=b"):
        assert (await service.page("GET", path)).status_code == 404
    form = {"token": "cpl_x", "new": "n", "again": "n"}
    used = await sent(service, "/page/link", form, None)
    assert service.asked() == [("users.use_link", "cpl_x", "n", {})]
    assert notice(used, service) == "linkused"
    again = await sent(service, "/page/link", {**form, "again": "x"}, None)
    assert (again.status_code, service.asked()) == (400, [("users.user_of_link", "cpl_x", {})])
    refusal = PasswordRefused("no", reason="too_short")
    refused = Served({}, {"users.use_link": refusal, "users.user_of_link": "carol"})
    assert (await sent(refused, "/page/link", form, None)).status_code == 422
    over = Served({}, {"users.use_link": LinkInvalid(), "users.user_of_link": LinkInvalid()})
    for method, path in (("GET", "/page/link?token=cpl_x"), ("POST", "/page/link")):
        answer = await over.page(method, path, form if method == "POST" else None)
        assert answer.status_code == 404
        assert "This link is not valid any more" in answer.text
    away = Served({}, {"users.use_link": StoreUnavailable(), "users.user_of_link": "carol"})
    told = await sent(away, "/page/link", form, None)
    assert (told.status_code, "may have been set" in told.text) == (503, True)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_outage_logs_nobody_out(method: str) -> None:
    service = Served({"sessions": StoreUnavailable(), "revoke": StoreUnavailable()})
    path = "/" if method == "GET" else f"/page/sessions/{ID}/revoke"
    answer = await service.page(method, path, None if method == "GET" else {}, token="alice")
    assert answer.status_code == 503
    said = "You have not been logged out." if method == "GET" else "You are still logged in."
    assert said in answer.text
    names = service.gate.settings.cookies
    assert not {names.access.name, names.refresh.name} & set(cookies_of(answer))


async def test_a_form_of_another_site_or_that_is_malformed_changes_nothing(service: Served) -> None:
    other = {"sec-fetch-site": "cross-site"}
    assert (await sent(service, "/page/logout", {}, "alice", headers=other)).status_code == 403
    many = {f"field{number}": "x" for number in range(8)}  # and the token of the form
    assert (await sent(service, "/page/logout", many, "alice")).status_code == 400
    assert service.asked() == []


async def test_a_language_is_kept_and_leads_back(service: Served) -> None:
    form = {"language": "de", "back": "/page/login?rd=x"}
    answer = await sent(service, "/page/language", form, None)
    assert answer.headers["location"] == "/page/login?rd=x"
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-clusterpass-language=de;")
    assert "Max-Age=31536000" in cookie
    away = await sent(service, "/page/language", {**form, "back": "//evil.example"}, None)
    assert away.headers["location"] == "/"
    assert (await sent(service, "/page/language", {"language": "xx"}, None)).status_code == 400
    chosen = {"__Host-clusterpass-language": "de"}
    german = await service.page("GET", "/", cookies=chosen)
    assert german.headers["content-language"] == "de"


async def test_the_style_is_kept_for_good_where_its_version_is_named(service: Served) -> None:
    home = (await service.page("GET", "/")).text
    address = home.partition('href="/page/page.css')[2].partition('"')[0]
    style = await service.page("GET", f"/page/page.css{address}")
    assert style.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert style.headers["content-type"].startswith("text/css")
    other = await service.page("GET", "/page/page.css?v=other")
    assert other.headers["cache-control"] == "no-cache"
    assert (await service.page("GET", "/page/logo")).status_code == 404
    assert (await service.page("GET", "/page/logout")).headers["location"] == "/"


async def test_a_step_up_by_the_page(service: Served) -> None:
    asked = await service.page("GET", "/page/step-up", token="alice")
    assert (asked.status_code, 'name="password"' in asked.text) == (200, True)
    more = await service.page("GET", "/page/step-up?level=2", token="alice")
    assert more.status_code == 403
    assert (await service.page("GET", "/page/step-up")).headers["location"] == "/page/login"
    done = await sent(service, "/page/step-up", {"password": "pw"}, "alice")
    assert (done.status_code, done.headers["location"]) == (303, "/")
    known = {"address": ADDRESS, "known": ALICE.session_id}
    assert service.asked()[0] == ("authenticator.confirm", "alice", "pw", known)
    none = await sent(service, "/page/step-up", {}, "alice")
    assert (none.status_code, "Enter your password." in none.text) == (400, True)
    for error, status in ((InvalidCredentials(), 401), (TooManyAttempts(retry_after=7), 429)):
        wrong = Served({"authenticator.confirm": error})
        answer = await sent(wrong, "/page/step-up", {"password": "x"}, "alice")
        assert answer.status_code == status
        assert [each[0] for each in wrong.asked()] == ["authenticator.confirm"]
