"""The pages of administrators: who is online, all about a subject, and what can be done to it."""

import re

import pytest

from .conftest import PASSWORD, bearer
from .page_browser import ACCESS, ADDRESS, FIREFOX, IPHONE, REFRESH, Browser, forms_of, stale, words

ALL = ("revoke", "revoke-all", "ban", "lift", "impersonate")


def page_of(subject: str) -> str:
    return f"/page/subject?name={subject}"


@pytest.fixture
def root(directory, new_name):
    name = f"root-{new_name()}"
    directory.add(name, PASSWORD)
    return name


@pytest.fixture
def administration(settings, root):
    return settings.model_copy(update={"administrators": (root,)})


@pytest.fixture
async def service(start, administration):
    return await start(administration, ADDRESS)


@pytest.fixture
def sessions(service):
    return service.app.service.sessions


@pytest.fixture
async def browser(service, root):
    browser = Browser(service)
    await browser.login(root)
    return browser


async def test_only_administrators_are_led_there(service, browser, alice):
    assert "Online users" in await browser.text()
    other = Browser(service)
    await other.login(alice)
    assert "Online users" not in await other.text()


@pytest.mark.alternating
async def test_everybody_who_is_online_is_on_one_of_the_pages(browser, service, alice):
    for device in ("first", "second"):
        await service.login(alice, device=device)
    await Browser(service, user_agent=IPHONE).login(alice)
    seen, path, pages = "", "/page/online", 0
    while path:
        answer = await browser.get(path)
        assert answer.status_code == 200
        seen, pages = seen + answer.text, pages + 1
        head = words(answer).partition("Look up")[0]
        assert bool(re.search(r"\d users?, ", head)) == (pages == 1)
        following = re.search(r'href="(/page/online\?cursor=[^"]*)"', answer.text)
        path = following and following[1].replace("&amp;", "&")
    assert f'href="{page_of(alice)}"' in seen
    assert "first" in seen and "second" in seen and "Safari on iPhone" in seen


async def test_a_crooked_cursor_is_refused(browser):
    for cursor in ("", "x", "99999.0", "1.1.1", "<b>"):
        answer = await browser.get("/page/online", params={"cursor": cursor})
        assert answer.status_code == 400
        assert "<b>" not in answer.text


async def test_all_about_a_subject(browser, service, sessions, alice):
    await service.login(alice, device="Kitchen radio")
    await sessions.claims.set(alice, {"plan": "gold", "city": "Zürich"})
    await sessions.bans.add(alice, scope="comments", reason="rude", for_seconds=3600)
    text = await browser.text(page_of(alice))
    assert "Devices (1) Kitchen radio" in text
    assert "Banned from comments rude Since" in text
    assert '{ "plan": "gold", "city": "Zürich" }' in text
    assert "Banned: comments rude" in text and "Logged in on Kitchen radio" in text


async def test_a_subject_that_is_not_known(browser, new_name):
    text = await browser.text(page_of(new_name()))
    assert "This user is not logged in." in text and "No active bans." in text


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 256])
async def test_what_cannot_be_a_subject(browser, name):
    assert (await browser.get("/page/subject", params={"name": name})).status_code == 400
    assert (await browser.get("/page/subject")).status_code == 400


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ["a b", "ä&name=x", "a/b?c#d", "'\"><b>", " x ", "%2e"])
async def test_any_name_finds_its_page_again(browser, service, sessions, new_name, name):
    subject = name + new_name()
    await sessions.login(subject, device="Kitchen radio")
    answer = await browser.get("/page/subject", params={"name": subject})
    assert "<b>" not in answer.text
    form = next(fields for action, fields in forms_of(answer) if action.endswith("/revoke"))
    back = await browser.post("/page/subject/revoke", form)
    assert back.status_code == 303
    text = await browser.text(back.headers["location"])
    assert "The device was logged out." in text and "This user is not logged in." in text


async def test_one_session_is_logged_out(browser, service, alice):
    one, two = Browser(service, user_agent=FIREFOX), Browser(service, user_agent=IPHONE)
    await one.login(alice)
    await two.login(alice)
    answer = await browser.click("/page/subject/revoke", page_of(alice))  # the newest
    assert (answer.status_code, answer.headers["location"]) == (303, page_of(alice))
    assert "The device was logged out." in await browser.text(page_of(alice))
    assert "You were logged out on this device" in await two.text()
    assert f"Logged in as {alice}" in await one.text()


async def test_a_session_that_is_gone_already(browser, service, alice):
    tokens = await service.login(alice)
    (form,) = [
        fields
        for action, fields in forms_of(await browser.get(page_of(alice)))
        if action == "/page/subject/revoke"
    ]
    await service.client.post("/logout", headers=bearer(tokens))
    for changed in ({}, {"session_id": "x"}, {"session_id": "A" * 22}):
        await browser.post("/page/subject/revoke", form | changed)
        assert "That device had already been logged out." in await browser.text(page_of(alice))


async def test_all_sessions_are_logged_out_with_a_reason(browser, service, alice):
    user = Browser(service)
    await user.login(alice)
    await service.login(alice)
    answer = await browser.click(
        "/page/subject/revoke-all", page_of(alice), reason=" We lost the keys. "
    )
    assert answer.headers["location"] == page_of(alice)
    assert "2 devices were logged out." in await browser.text(page_of(alice))
    assert "by an administrator: We lost the keys." in await user.text()
    token = dict(await browser.forms())["/page/logout"]
    await browser.post("/page/subject/revoke-all", {"form_token": token, "subject": alice})
    assert "No devices were logged in." in await browser.text(page_of(alice))


async def test_a_ban_and_its_end(browser, service, sessions, alice):
    user = Browser(service)
    await user.login(alice)
    await browser.click(
        "/page/subject/ban", page_of(alice), reason="Spam", duration="day", scope=""
    )
    text = await browser.text(page_of(alice))
    assert "The user was banned." in text and "Banned from everything Spam Since" in text
    (ban,) = await sessions.bans.list(alice)
    assert ban.until - ban.banned_at == 86_400
    assert ": Spam" in await user.text()
    assert (await user.login(alice)).status_code == 403
    await browser.click("/page/subject/lift", page_of(alice), scope="")
    assert "The ban was lifted." in await browser.text(page_of(alice))
    assert (await user.login(alice)).status_code == 303


async def test_a_ban_from_one_thing_for_good(browser, service, sessions, alice):
    user = Browser(service)
    await user.login(alice)
    await browser.click(
        "/page/subject/ban", page_of(alice), reason="", duration="good", scope="uploads"
    )
    (ban,) = await sessions.bans.list(alice)
    assert (ban.scope, ban.until) == ("uploads", None)
    assert "You are banned from uploads. The ban is permanent." in await user.text()
    form = {"scope": "uploads"}
    await browser.click("/page/subject/lift", page_of(alice), **form)
    assert "You are banned from" not in await user.text()
    token = dict(await browser.forms(page_of(alice)))["/page/subject/ban"]
    await browser.post("/page/subject/lift", {"form_token": token, "subject": alice, **form})
    assert "That ban had already ended." in await browser.text(page_of(alice))


async def test_nobody_bans_themselves_by_mistake(browser, sessions, root):
    answer = await browser.click("/page/subject/ban", page_of(root), duration="hour", scope="")
    assert answer.status_code == 400
    assert "You cannot ban yourself from everything." in words(answer)
    assert await sessions.bans.list(root) == ()


@pytest.mark.sampled(9)
@pytest.mark.parametrize(
    ("act", "fields"),
    [
        ("ban", {"duration": "eternity"}),
        ("ban", {"duration": "day", "scope": "two words"}),
        ("ban", {"duration": "day", "reason": "x" * 201}),
        ("ban", {"duration": "day", "reason": "a\nb"}),
        ("revoke-all", {"reason": "x" * 201}),
        ("impersonate", {"reason": "", "minutes": "15"}),
        ("impersonate", {"reason": "x", "minutes": "0"}),
        ("impersonate", {"reason": "x", "minutes": "61"}),
        ("impersonate", {"reason": "x", "minutes": "-1"}),
        ("impersonate", {"reason": "x", "minutes": "1e9"}),
        ("impersonate", {"reason": "x", "minutes": "٣"}),
        ("impersonate", {"reason": "x"}),
        *((act, {"subject": ""}) for act in ALL),
    ],
)
async def test_crooked_fields_change_nothing(browser, service, sessions, alice, act, fields):
    tokens = await service.login(alice)
    form = {"form_token": dict(await browser.forms())["/page/logout"], "subject": alice}
    answer = await browser.post(f"/page/subject/{act}", form | fields)
    assert answer.status_code == 400 or (act, answer.status_code) == ("revoke", 303)
    assert await sessions.bans.list(alice) == ()
    assert (await service.client.get("/verify", headers=bearer(tokens))).status_code == 200


async def test_support_acts_as_a_user_until_it_stops(browser, service, sessions, root, alice):
    user = Browser(service, user_agent=FIREFOX)
    await user.login(alice)
    own = browser.tokens
    answer = await browser.click(
        "/page/subject/impersonate", page_of(alice), reason="Ticket 7 <b>", minutes="5"
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.tokens[ACCESS] != own[ACCESS] and browser.tokens[REFRESH] != own[REFRESH]
    for cookie in answer.headers.get_list("set-cookie"):
        assert "Max-Age" not in cookie, "as the administrator's own"
    text = await browser.text()
    assert f"{root} is impersonating {alice}" in text
    assert f"Logged in as {alice}" in text
    assert "Online users" not in text
    assert "<b>" not in (await browser.get()).text

    seen = await user.text()
    assert f"Support session by {root}" in seen
    assert "Support logged in to this account: " in seen

    answer = await browser.click("/page/logout")
    assert browser.tokens == {}
    assert (
        "You have stopped impersonating. Log in again with your own account."
        in await browser.text()
    )
    assert f"Support session by {root}" not in await user.text()
    assert await sessions.sessions(root) == []


async def test_the_user_can_end_what_support_does(browser, service, alice):
    user = Browser(service)
    await user.login(alice)
    await browser.click("/page/subject/impersonate", page_of(alice), reason="Help", minutes="5")
    await user.click("/page/sessions/[^/]{22}/revoke")
    assert "You were logged out on this device" in await browser.text()
    assert browser.tokens == {}


async def test_nobody_acts_as_themselves(browser, root):
    assert "Impersonate this user" not in await browser.text(page_of(root))
    assert "Impersonate this user" in await browser.text(page_of(f"{root}x"))
    token = dict(await browser.forms())["/page/logout"]
    answer = await browser.post(
        "/page/subject/impersonate",
        {"form_token": token, "subject": root, "reason": "x", "minutes": "5"},
    )
    assert answer.status_code == 403
    assert "themselves" in words(answer)


async def test_logging_oneself_out_everywhere_says_so(browser, root):
    await browser.click("/page/subject/revoke-all", page_of(root), reason="New laptop")
    answer = await browser.get(page_of(root))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "by an administrator: New laptop" in await browser.text()


async def test_after_a_while_the_password_is_asked_for(start, administration, root, alice):
    service = await start(administration.model_copy(update={"administration_max_age": 0}), ADDRESS)
    browser, user = Browser(service), Browser(service)
    await user.login(alice)
    await browser.login(root)
    await stale(service, browser)
    assert "Log out all devices" in await browser.text(page_of(alice))  # reading needs nothing

    asked = await browser.click("/page/subject/revoke-all", page_of(alice), reason="Lost <b>")
    assert asked.status_code == 200
    text = words(asked)
    assert "Confirm your identity" in text
    assert f"You are about to log out all devices of {alice}." in text
    assert "<b>" not in asked.text
    assert f"Logged in as {alice}" in await user.text()

    (form,) = [fields for action, fields in forms_of(asked) if action == "/page/confirm"]
    assert form["reason"] == "Lost <b>"
    empty = await browser.post("/page/confirm", form)
    assert (empty.status_code, "Enter your password." in words(empty)) == (400, True)
    wrong = await browser.post("/page/confirm", form | {"password": "wrong password"})
    assert (wrong.status_code, "The password is incorrect." in words(wrong)) == (401, True)
    assert wrong.headers["www-authenticate"].startswith("Bearer")
    assert "www-authenticate" not in empty.headers
    assert "wrong password" not in wrong.text
    assert f"Logged in as {alice}" in await user.text()

    before = browser.tokens
    (form,) = [fields for action, fields in forms_of(wrong) if action == "/page/confirm"]
    done = await browser.post("/page/confirm", form | {"password": PASSWORD})
    assert (done.status_code, done.headers["location"]) == (303, page_of(alice))
    assert browser.tokens[ACCESS] != before[ACCESS]
    assert browser.tokens[REFRESH] != before[REFRESH]
    assert "One device was logged out." in await browser.text(page_of(alice))
    assert "by an administrator: Lost <b>" in await user.text()
    assert "Password confirmed on Chrome on Linux" in await browser.text()


async def test_the_users_own_acts_ask_for_nothing(start, administration, alice):
    service = await start(administration.model_copy(update={"administration_max_age": 0}), ADDRESS)
    browser = Browser(service)
    await service.login(alice)
    await browser.login(alice)
    await stale(service, browser)
    await browser.click("/page/sessions/revoke-others", confirmed="yes")
    assert "One other device was logged out." in await browser.text()


async def test_impersonation_after_a_confirmation_keeps_the_new_tokens(
    start, administration, root, alice
):
    service = await start(administration.model_copy(update={"administration_max_age": 0}), ADDRESS)
    browser = Browser(service)
    await browser.login(root)
    await stale(service, browser)
    asked = await browser.click(
        "/page/subject/impersonate", page_of(alice), reason="Help", minutes="5"
    )
    (form,) = [fields for action, fields in forms_of(asked) if action == "/page/confirm"]
    assert (await browser.post("/page/confirm", form | {"password": PASSWORD})).status_code == 303
    assert f"Logged in as {alice}" in await browser.text()
    assert len(browser.tokens) == 2


async def test_too_many_confirmations(start, administration, root, alice):
    changed = {"administration_max_age": 0, "known_attempts": 2}
    service = await start(administration.model_copy(update=changed), ADDRESS)
    browser = Browser(service)
    await service.login(alice)
    await browser.login(root)
    await stale(service, browser)
    asked = await browser.click("/page/subject/revoke-all", page_of(alice))
    (form,) = [fields for action, fields in forms_of(asked) if action == "/page/confirm"]
    answers = [
        await browser.post("/page/confirm", form | {"password": "wrong password"}) for _ in range(3)
    ]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    assert "Too many attempts. Try again in " in words(answers[-1])


async def test_a_name_that_nobody_has_is_told_so_and_other_spellings_mean_the_user(
    browser, service, sessions, directory, new_name, alice
):
    nobody = "There is no account of this name."
    assert nobody not in await browser.text(page_of(alice))
    assert nobody in await browser.text(page_of(alice.upper()))
    name = f"{new_name()}-zo\u00eb"
    directory.add(name, PASSWORD)
    await service.login(name)
    typed = name.replace("\u00eb", "e\u0308")
    page = await browser.get(page_of(typed))
    assert nobody not in words(page)
    assert f"<h1><bdi>{name}</bdi></h1>" in page.text
    token = dict(await browser.forms(page_of(typed)))["/page/subject/ban"]
    form = {"subject": typed, "duration": "hour", "form_token": token}
    await browser.post("/page/subject/ban", form)
    assert [ban.scope for ban in await sessions.bans.list(name)] == [""]
