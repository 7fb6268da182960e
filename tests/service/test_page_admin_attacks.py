"""Attacks on the pages of administrators: by other users, forged forms and crafted names."""

import re
from urllib.parse import urlencode

import pytest

from clusterpass.service.page.forms import FormPaths

from .conftest import PASSWORD, bearer
from .page_browser import ADDRESS, ORIGIN, SAME_SITE, Browser, forms_of, markup, words

SCRIPT = "<script>alert(1)</script>\"'><b>"
PAGES = ("/page/online", "/page/subject?name=x")
ACTS = (
    *("revoke", "revoke-all", "ban", "lift", "impersonate"),
    *("invite", "reset-link", "erase", "delete"),
)
OWN_DEVICES = "/page/sessions/revoke-kind"
FORMS = (*(f"/page/subject/{act}" for act in ACTS), "/page/confirm")


@pytest.fixture
def root(directory, new_name):
    name = f"root-{new_name()}"
    directory.add(name, PASSWORD)
    return name


@pytest.fixture
async def service(start, settings, root):
    return await start(settings.model_copy(update={"administrators": (root,)}), ADDRESS)


@pytest.fixture
def sessions(service):
    return service.app.service.sessions


async def logged_in(service, name):
    browser = Browser(service)
    await browser.login(name)
    return browser


async def own_token(browser) -> str:
    return dict(await browser.forms())["/page/logout"]


def everything(subject: str, token: str) -> dict[str, str]:
    """A form that would do any of the acts."""
    return {
        "form_token": token,
        "subject": subject,
        "reason": "x",
        "duration": "good",
        "minutes": "5",
        "act": "ban",
        "password": PASSWORD,
        "sure": "yes",
    }


def of_own_devices(token: str) -> dict[str, str]:
    """A form that would log out the other phones of whoever sends it."""
    return {"form_token": token, "kind": "phone", "confirmed": "yes"}


async def unharmed(service, tokens, subject) -> bool:
    answer = await service.client.get("/verify", headers=bearer(tokens))
    bans = await service.app.service.sessions.bans.list(subject)
    return answer.status_code == 200 and bans == ()


async def test_for_other_users_the_pages_do_not_exist(service, sessions, alice, new_name):
    browser = await logged_in(service, alice)
    victim = new_name()
    tokens = await sessions.login(victim)
    form = everything(victim, await own_token(browser))
    for path in PAGES:
        answer = await browser.get(path)
        assert answer.status_code == 404
        assert "Page not found" in words(answer)
    for path in FORMS:
        assert (await browser.post(path, form)).status_code == 404
    assert await unharmed(service, {"access_token": tokens.access_token}, victim)


async def test_a_similar_name_is_no_administrator(start, settings, root, directory):
    service = await start(settings.model_copy(update={"administrators": (root,)}), ADDRESS)
    for name in (root.upper(), f"{root}x", root[1:], f"{root} "):
        directory.add(name, PASSWORD)
        browser = await logged_in(service, name)
        assert (await browser.get("/page/online")).status_code == 404


async def test_strangers_are_led_to_the_login(service, alice):
    tokens = await service.login(alice)
    browser = Browser(service)
    for path in PAGES:
        answer = await browser.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    for path in FORMS:
        answer = await browser.post(path, everything(alice, "x" * 64))
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert await unharmed(service, tokens, alice)


async def test_an_administrator_cannot_be_acted_for(start, settings, directory, root, new_name):
    second = new_name()
    directory.add(second, PASSWORD)
    service = await start(settings.model_copy(update={"administrators": (root, second)}), ADDRESS)
    browser = await logged_in(service, root)
    assert "Impersonate this user" not in await browser.text(f"/page/subject?name={second}")
    answer = await browser.post(
        "/page/subject/impersonate", everything(second, await own_token(browser))
    )
    assert answer.status_code == 403
    assert f"Logged in as {root}" in await browser.text()


async def test_an_impersonated_administrator_is_none(
    start, settings, service, directory, root, alice, new_name
):
    second = new_name()
    directory.add(second, PASSWORD)
    tokens = await service.login(alice)
    browser = await logged_in(service, root)
    await browser.click(
        "/page/subject/impersonate", f"/page/subject?name={second}", reason="x", minutes="5"
    )
    later = await start(settings.model_copy(update={"administrators": (root, second)}), ADDRESS)
    acting = Browser(later)
    acting.http.cookies = browser.http.cookies
    text = await acting.text()
    assert f"Logged in as {second}" in text
    assert "Online users" not in text
    form = everything(alice, await own_token(acting))
    for path in PAGES:
        assert (await acting.get(path)).status_code == 404
    for path in FORMS:
        assert (await acting.post(path, form)).status_code == 404
    assert await unharmed(service, tokens, alice)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.auth.example"},
        {"Origin": "null"},
        {"Origin": "http://auth.example"},
        {"Referer": f"{ORIGIN}/"},
    ],
)
async def test_a_form_from_elsewhere_is_refused(service, root, alice, headers):
    browser = await logged_in(service, root)
    tokens = await service.login(alice)
    token = await own_token(browser)
    for path in (*FORMS, OWN_DEVICES):
        form = of_own_devices(token) if path == OWN_DEVICES else everything(alice, token)
        answer = await browser.post(path, form, headers)
        assert answer.status_code == 403, path
    assert await unharmed(service, tokens, alice)


@pytest.mark.parametrize("token", ["", "x" * 64, "é"])
async def test_without_the_form_token_nothing_is_done(service, root, alice, token):
    browser = await logged_in(service, root)
    tokens = await service.login(alice)
    theirs = await own_token(await logged_in(service, alice))
    for given in (token, theirs):
        for path in (*FORMS, OWN_DEVICES):
            form = of_own_devices(given) if path == OWN_DEVICES else everything(alice, given)
            answer = await browser.post(path, form)
            assert answer.status_code == 403, path
    assert await unharmed(service, tokens, alice)


async def test_reading_never_writes(service, root, alice):
    browser = await logged_in(service, root)
    tokens = await service.login(alice)
    form = everything(alice, await own_token(browser))
    for path in (*FORMS, OWN_DEVICES):
        answer = await browser.get(path, params=form, headers=SAME_SITE)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert await unharmed(service, tokens, alice)


async def test_names_reasons_devices_and_claims_are_text(service, sessions, root, new_name):
    subject = SCRIPT + new_name()
    await sessions.login(subject, device=SCRIPT)
    await sessions.bans.add(subject, scope="x><script>", reason=SCRIPT)
    await sessions.claims.set(subject, {"plan": SCRIPT, SCRIPT: 1})
    browser = await logged_in(service, root)
    page = f"/page/subject?{urlencode({'name': subject})}"
    answer = await browser.get(page)
    assert answer.status_code == 200
    assert "<script" not in markup(answer) and "<b>" not in answer.text
    assert words(answer).count(SCRIPT) >= 5
    path = "/page/online"
    while path:
        listed = await browser.get(path)
        assert "<script" not in markup(listed) and "<b>" not in listed.text
        path = next_page(listed)
    await browser.click("/page/subject/impersonate", page, reason=SCRIPT, minutes="5")
    acting = await browser.get()
    assert f"Logged in as {subject}" in words(acting)
    assert "<script" not in markup(acting) and "<b>" not in acting.text


async def test_a_crafted_confirmation_is_text_and_does_one_of_the_known_acts(
    start, settings, root, alice
):
    update = {"administrators": (root,), "administration_max_age": 0}
    service = await start(settings.model_copy(update=update), ADDRESS)
    browser = await logged_in(service, root)
    form = everything(alice, await own_token(browser)) | {"subject": SCRIPT, "password": "wrong"}
    answer = await browser.post("/page/confirm", form)
    assert answer.status_code == 401
    assert "<script" not in markup(answer) and "<b>" not in answer.text
    (kept,) = [fields for action, fields in forms_of(answer) if action == "/page/confirm"]
    assert kept["subject"] == SCRIPT
    for act in ("", "nothing", "__class__", "https://evil.example"):
        changed = form | {"act": act, "password": PASSWORD}
        answer = await browser.post("/page/confirm", changed)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("value", ["https://evil.example", "//evil.example", "/\\evil.example"])
async def test_no_redirect_leads_elsewhere(service, sessions, root, value):
    browser = await logged_in(service, root)
    token = await own_token(browser)
    form = {"form_token": token, "subject": value, "session_id": "A" * 22}
    more = {"next": value, "back": value, "act": "lift", "password": PASSWORD}
    for path in ("/page/subject/revoke", "/page/subject/revoke-all", "/page/subject/lift"):
        answer = await browser.post(path, form)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/page/subject?name=")
        assert value not in answer.headers["location"]
    answer = await browser.post("/page/confirm", form | more)
    assert answer.headers["location"].startswith("/page/subject?name=")


async def test_every_page_forbids_frames_scripts_and_storing(service, root, alice):
    browser = await logged_in(service, root)
    answers = [await browser.get(path) for path in PAGES]
    answers.append(await (await logged_in(service, alice)).get("/page/online"))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert " style=" not in markup(answer) and "<script" not in markup(answer)


async def test_no_token_is_ever_in_the_page(service, root, alice):
    browser = await logged_in(service, root)
    await service.login(alice)
    for path in ("/page/online", f"/page/subject?name={alice}", f"/page/subject?name={root}"):
        body = (await browser.get(path)).text
        for token in browser.tokens.values():
            assert token not in body


async def test_who_is_no_administrator_any_more_finds_nothing(start, settings, root):
    service = await start(settings.model_copy(update={"administrators": (root,)}), ADDRESS)
    browser = await logged_in(service, root)
    assert (await browser.get("/page/online")).status_code == 200
    later = await start(settings, ADDRESS)
    other = Browser(later)
    other.http.cookies = browser.http.cookies
    assert (await other.get("/page/online")).status_code == 404


def test_only_the_paths_of_forms_take_forms():
    for path in (*FORMS, OWN_DEVICES):
        assert path in FormPaths()
    for path in ("/page/subject", "/page/online", "/page/subject/", "/page/subject/x"):
        assert path not in FormPaths()


def next_page(answer) -> str | None:
    found = re.search(r'href="(/page/online\?cursor=[^"]*)"', answer.text)
    return found and found[1]
