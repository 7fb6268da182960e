"""Attacks on the page: cross-site forms, crafted names and forms, planted cookies."""

from base64 import b64encode
from hashlib import sha256

import pytest

from clusterpass import KeyRing
from clusterpass.model.errors import RequestRefused
from clusterpass.service.page.forms import FormPaths
from clusterpass.service.page.template_environments import SCRIPT as OUR_SCRIPT
from clusterpass.web.csrf import CsrfTokens

from .conftest import PASSWORD, bearer
from .page_browser import ACCESS, ADDRESS, ORIGIN, REFRESH, SAME_SITE, Browser, markup, words

SCRIPT = "<script>alert(1)</script>\"'><b>"
OTHERS = "/page/sessions/revoke-others"
NOT_FROM_HERE = "The form was submitted from another site. Nothing was changed."


@pytest.fixture
async def service(start, settings):
    return await start(settings, ADDRESS)


@pytest.fixture
async def browser(service, alice):
    browser = Browser(service)
    await browser.login(alice)
    return browser


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.auth.example"},
        {"Sec-Fetch-Site": "none", "Origin": ORIGIN},
        {"Sec-Fetch-Site": ""},
        {"Sec-Fetch-Site": "same-origin, cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://auth.example.evil.example"},
        {"Origin": "https://auth.example:8443"},
        {"Origin": "http://auth.example"},
        {"Referer": f"{ORIGIN}/"},
    ],
)
async def test_a_form_from_elsewhere_is_refused(browser, service, alice, headers):
    other = await service.login(alice)
    forms = dict(await browser.forms())
    for path in ("/page/logout", OTHERS, f"/page/sessions/{other['session_id']}/revoke"):
        answer = await browser.post(path, {"form_token": forms[path], "confirmed": "yes"}, headers)
        assert answer.status_code == 403, path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert (await browser.login(alice, headers=headers)).status_code == 403
    assert (await service.client.get("/verify", headers=bearer(other))).status_code == 200
    assert f"Logged in as {alice}" in await browser.text()


@pytest.mark.parametrize(
    "headers",
    [
        SAME_SITE,
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": ORIGIN},
        {"Origin": ORIGIN.upper()},
    ],
)
async def test_a_form_from_here_is_not(service, alice, headers):
    assert (await Browser(service).login(alice, headers=headers)).status_code == 303


@pytest.mark.parametrize("name", ["Sec-Fetch-Site", "Origin"])
async def test_two_headers_of_one_name_are_refused(service, alice, name):
    headers = [(name, "same-origin"), (name, "same-origin")]
    answer = await service.client.post(
        "/page/login", data={"username": alice, "password": PASSWORD}, headers=headers
    )
    assert answer.status_code == 403
    assert NOT_FROM_HERE in words(answer)


async def test_over_plain_http_the_page_says_that_it_needs_https(service, alice):
    answer = await Browser(service).login(alice, headers={"Origin": "http://auth.example"})
    assert answer.status_code == 403
    assert "This page requires HTTPS" in words(answer)


@pytest.mark.parametrize("fields", [{}, {"form_token": ""}, {"form_token": "é" * 64}])
async def test_without_the_form_token_nothing_is_done(browser, service, alice, fields):
    other = await service.login(alice)
    for path in ("/page/logout", OTHERS, f"/page/sessions/{other['session_id']}/revoke"):
        answer = await browser.post(path, {**fields, "confirmed": "yes"})
        assert answer.status_code == 403
        assert "The form has expired. Nothing was changed; reload the page and try again." in words(
            answer
        )
    assert (await service.client.get("/verify", headers=bearer(other))).status_code == 200


async def test_the_form_token_of_another_session_does_not_fit(browser, service, alice):
    second = Browser(service)
    await second.login(alice)
    theirs = dict(await second.forms())["/page/logout"]
    assert (await browser.post("/page/logout", {"form_token": theirs})).status_code == 403
    mine = dict(await browser.forms())["/page/logout"]
    assert mine != theirs
    assert (await browser.post("/page/logout", {"form_token": mine})).status_code == 303


def test_the_form_token_depends_on_the_signing_key():
    one, two = (CsrfTokens(KeyRing.generate(kid="k")) for _ in range(2))
    one.require("sid", one.make("sid"))
    with pytest.raises(RequestRefused):
        two.require("sid", one.make("sid"))


async def test_another_users_session_cannot_be_ended(browser, service, directory, new_name):
    other = new_name()
    directory.add(other, PASSWORD)
    theirs = await service.login(other)
    token = dict(await browser.forms())["/page/logout"]
    await browser.post(f"/page/sessions/{theirs['session_id']}/revoke", {"form_token": token})
    assert (await service.client.get("/verify", headers=bearer(theirs))).status_code == 200


async def test_names_are_text_and_never_markup(service, directory, new_name):
    name = SCRIPT + new_name()
    directory.add(name, PASSWORD)
    await service.login(name, device=SCRIPT)
    browser = Browser(service, user_agent=f"Chrome/1 Linux {SCRIPT}")
    failed = await browser.login(name, "wrong password")
    await browser.login(name)
    page = await browser.get()
    for answer in (failed, page):
        assert SCRIPT not in answer.text
        assert "<script" not in markup(answer) and "<b>" not in answer.text
    assert f"Logged in as {name}" in words(page)
    assert SCRIPT in words(page).replace(name, "")
    assert 'value="&lt;script&gt;' in failed.text and '"&#39;' not in failed.text


async def test_a_crafted_notice_shows_no_text_of_its_own(service):
    for value in ("<script>", "hello", "others-", "others-1234", "ended<b>", "a b"):
        cookie = f"__Host-clusterpass-notice={value}".encode()
        answer = await service.client.get("/", headers={b"cookie": cookie})
        assert 'role="status"' not in answer.text
        assert "<script" not in markup(answer)


async def test_a_cookie_that_a_subdomain_has_set_counts_for_nobody(browser, service, alice):
    token = browser.tokens[ACCESS]

    async def page(cookies: str) -> str:
        answer = await service.client.get("/", headers={b"cookie": cookies.encode()})
        return words(answer)

    assert f"Logged in as {alice}" in await page(f"{ACCESS}={token}")
    assert f"Logged in as {alice}" in await page(f"{ACCESS}={token}; \u2000{ACCESS}=x")
    for cookies in (f"\u2000{ACCESS}={token}", f"{ACCESS}=x; {ACCESS}={token}"):
        assert "Logged in as" not in await page(cookies)


@pytest.mark.parametrize("byte", [b"\xa0", b"\x85", b"\x1c", b"\x1f", b"\x0c", b"\xc2"])
async def test_a_byte_before_the_name_makes_it_another_cookie(browser, service, alice, byte):
    own = f"{ACCESS}={browser.tokens[ACCESS]}".encode()

    async def page(cookies: bytes) -> str:
        return words(await service.client.get("/", headers={b"cookie": cookies}))

    for cookies in (byte + own, b"a=b; " + byte + own, b"a=b;" + byte + own):
        assert "Logged in as" not in await page(cookies)
    tossed = byte + f"{ACCESS}=x".encode()
    for cookies in (own + b"; " + tossed, tossed + b"; " + own):
        assert f"Logged in as {alice}" in await page(cookies)


async def test_a_refresh_token_beside_another_one_renews_nothing(browser, service):
    refresh = browser.tokens[REFRESH]
    for other in ("x", refresh):
        cookies = f"{REFRESH}={refresh}; {REFRESH}={other}"
        answer = await service.client.get("/", headers={"cookie": cookies})
        assert "Logged in as" not in words(answer)
        assert ACCESS not in str(answer.headers.get_list("set-cookie"))


async def test_login_ends_the_session_that_the_browser_had(browser, service, alice):
    old = browser.tokens
    assert (await browser.login(alice)).status_code == 303
    assert browser.tokens[ACCESS] != old[ACCESS] and browser.tokens[REFRESH] != old[REFRESH]
    headers = {"Authorization": f"Bearer {old[ACCESS]}"}
    dead = await service.client.get("/verify", headers=headers)
    assert dead.json()["reason"] == "logged_out"
    assert "You are not logged in anywhere else." in await browser.text()


async def test_tokens_planted_before_the_login_do_not_survive_it(
    service, directory, alice, new_name
):
    attacker = new_name()
    directory.add(attacker, PASSWORD)
    planted = await service.login(attacker)
    victim = Browser(service)
    victim.set_tokens(access=planted["access_token"], refresh=planted["refresh_token"])
    await victim.login(alice)
    assert planted["access_token"] not in victim.tokens.values()
    assert planted["refresh_token"] not in victim.tokens.values()
    assert f"Logged in as {alice}" in await victim.text()
    assert (await service.client.get("/verify", headers=bearer(planted))).status_code == 401


async def test_a_failed_login_leaves_the_session_alone(browser, alice):
    before = browser.tokens
    assert (await browser.login(alice, "wrong password")).status_code == 401
    assert browser.tokens == before
    assert f"Logged in as {alice}" in await browser.text()


@pytest.mark.parametrize("name", ["next", "again", "return_to", "url", "redirect"])
@pytest.mark.parametrize("value", ["https://evil.example", "//evil.example", "/\\evil.example"])
async def test_no_redirect_leads_elsewhere(service, alice, name, value):
    browser = Browser(service)
    fields = {"username": alice, "password": PASSWORD, name: value}
    answer = await browser.post(f"/page/login?{name}={value}", fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    answer = await browser.http.get("/", params={name: value})
    assert answer.headers.get("location", "/") == "/"
    answer = await browser.http.get("/page//evil.example", params={name: value})
    assert answer.headers["location"] == "/"


async def test_every_page_forbids_frames_scripts_and_storing(browser, service, alice):
    answers = [
        await browser.get(),
        await Browser(service).get(),
        await Browser(service).login(alice, "wrong password"),
        await browser.post("/page/logout", {}),
    ]
    digest = b64encode(sha256(OUR_SCRIPT.encode()).digest()).decode()
    for answer in answers:
        assert answer.text.count("<script") == 1
        assert f"<script>{OUR_SCRIPT}</script>" in answer.text
        policy = {part.strip() for part in answer.headers["content-security-policy"].split(";")}
        assert policy == {
            "default-src 'none'",
            f"script-src 'sha256-{digest}'",
            "style-src 'self'",
            "img-src 'self' data:",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        }
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert " style=" not in markup(answer) and " on" + "click" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"username=a&username=b&password=c",
        b"username",
        b"&&&",
        b"username=%ff&password=x",
        b"\xff\xfe",
        b"&".join(b"f%d=x" % number for number in range(50)),
    ],
)
async def test_a_crooked_form_is_refused(service, body):
    headers = {**SAME_SITE, "Content-Type": "application/x-www-form-urlencoded"}
    answer = await service.client.post("/page/login", content=body, headers=headers)
    assert answer.status_code == 400
    assert "The form data is malformed." in words(answer) or "sent more than once" in words(answer)


async def test_forms_are_no_json_and_no_files(service, alice):
    credentials = {"username": alice, "password": PASSWORD}
    as_json = await service.client.post("/page/login", json=credentials, headers=SAME_SITE)
    as_files = await service.client.post("/page/login", files=credentials, headers=SAME_SITE)
    huge = await service.client.post("/page/login", data={"a": "x" * 70_000}, headers=SAME_SITE)
    assert [as_json.status_code, as_files.status_code, huge.status_code] == [415, 415, 413]


async def test_the_calls_for_programs_take_no_form_and_no_cookie(browser, service, alice):
    form = await browser.post("/login", {"username": alice, "password": PASSWORD})
    assert form.status_code == 415
    for method, path in (("GET", "/verify"), ("GET", "/sessions"), ("POST", "/logout")):
        answer = await browser.http.request(method, path, headers=SAME_SITE)
        assert (answer.status_code, answer.json()["error"]) == (401, "token_missing")


def test_only_the_paths_of_forms_take_forms():
    for path in ("/page/login", "/page/logout", OTHERS, "/page/sessions/x/revoke"):
        assert path in FormPaths()
    for path in ("/login", "/page/login/", "/page/login\n", "/page/sessions/a/b/revoke", "/", 1):
        assert path not in FormPaths()
