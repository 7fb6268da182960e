"""Users change their password: over HTTP and on the page."""

import pytest

from clusterpass import InvalidCredentials

from .conftest import PASSWORD, bearer
from .page_browser import ACCESS, ADDRESS, FIREFOX, Browser, words

NEW = "battery staple horse"


@pytest.fixture
def manager(directory):
    """Another program on the same store, with the same keys."""
    return directory._sessions


async def change(service, tokens, current=PASSWORD, new=NEW, **more):
    body = {"current_password": current, "new_password": new, **more}
    return await service.client.post("/password", json=body, headers=bearer(tokens))


async def status_of(service, tokens) -> int:
    return (await service.client.get("/verify", headers=bearer(tokens))).status_code


async def test_a_new_password_ends_every_token_but_those_of_the_answer(service, alice, directory):
    tokens, other = await service.login(alice), await service.login(alice)
    answer = await change(service, tokens)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json()["session_id"] == tokens["session_id"]
    assert await status_of(service, answer.json()) == 200
    assert await status_of(service, tokens) == await status_of(service, other) == 401
    for old in (tokens, other):
        body = {"refresh_token": old["refresh_token"]}
        assert (await service.client.post("/refresh", json=body)).status_code == 401
    entries = (await service.client.get("/history", headers=bearer(answer.json()))).json()
    kinds = [entry["kind"] for entry in entries["entries"]]
    assert sorted(kinds[:2]) == ["password_changed", "revoked"]
    directory.authenticate(alice, NEW)
    with pytest.raises(InvalidCredentials):
        directory.authenticate(alice, PASSWORD)


async def test_other_sessions_go_on_if_the_user_says_so(service, alice):
    tokens, other = await service.login(alice), await service.login(alice)
    answer = await change(service, tokens, end_others=False)
    assert answer.status_code == 200
    assert await status_of(service, other) == 200


async def test_guesses_at_the_current_password_are_counted_in_the_session(
    start, settings, alice, directory
):
    service = await start(settings.model_copy(update={"known_attempts": 2}))
    tokens = await service.login(alice)
    for _ in range(2):
        wrong = await change(service, tokens, "wrong")
        assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_credentials")
    refused = await change(service, tokens)
    assert (refused.status_code, refused.json()["error"]) == (429, "too_many_attempts")
    assert int(refused.headers["retry-after"]) > 0
    assert await status_of(service, tokens) == 200
    await service.login(alice)  # nobody is locked out by it, and the password is what it was


@pytest.mark.parametrize(
    ("new", "reason"), [("password", "too_common"), ("fourteen chars", "too_short")]
)
async def test_a_new_password_that_is_easy_to_guess_is_refused(
    start, settings, alice, directory, new, reason
):
    service = await start(settings.model_copy(update={"shortest_password": 8 + 7 * ("f" in new)}))
    refused = await change(service, await service.login(alice), new=new)
    assert (refused.status_code, refused.json()["error"]) == (422, "password_refused")
    assert refused.json()["reason"] == reason
    directory.authenticate(alice, PASSWORD)


async def test_an_impersonation_changes_no_password(service, alice, manager, directory, new_name):
    helper = new_name()
    directory.add(helper, PASSWORD)
    actor = manager.verify((await service.login(helper))["access_token"])
    pair = manager.impersonate(actor, alice, reason="Ticket 7")
    refused = await change(service, {"access_token": pair.access_token})
    assert (refused.status_code, refused.json()["error"]) == (403, "impersonation_refused")
    directory.authenticate(alice, PASSWORD)


def always(username: str, password: str) -> bool:
    return True


async def test_users_of_the_operator_have_no_such_call_and_no_such_page(start, settings, alice):
    custom = {"password_check": f"{__name__}:always"}
    service = await start(settings.model_copy(update=custom))
    tokens = await service.login(alice)
    assert (await change(service, tokens)).status_code == 404
    browser = Browser(service)
    await browser.login(alice)
    assert "Change password" not in await browser.text()
    answer = await browser.get("/page/password")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


# The page.


@pytest.fixture
async def browser(start, settings, alice):
    browser = Browser(await start(settings, ADDRESS))
    await browser.login(alice)
    return browser


async def fill(browser, current=PASSWORD, new=NEW, again=None, **more):
    filled = {"current": current, "new": new, "again": new if again is None else again, **more}
    return await browser.click("/page/password", "/page/password", **filled)


async def test_the_page_changes_the_password_and_logs_out_other_devices(
    browser, start, settings, alice, directory
):
    other = Browser(await start(settings, ADDRESS), user_agent=FIREFOX)
    await other.login(alice)
    before = browser.tokens[ACCESS]
    assert 'href="/page/password"' in (await browser.get()).text
    answer = await fill(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.tokens[ACCESS] != before
    text = await browser.text()
    assert "Your password was changed, and your other devices were logged out." in text
    assert "Password changed on Chrome on Linux" in text
    assert "Log in" in await other.text()
    directory.authenticate(alice, NEW)


async def test_the_page_keeps_other_devices_logged_in(browser, start, settings, alice):
    other = Browser(await start(settings, ADDRESS), user_agent=FIREFOX)
    await other.login(alice)
    await fill(browser, keep="yes")
    assert "Your other devices are still logged in." in await browser.text()
    assert f"Logged in as {alice}" in await other.text()


@pytest.mark.parametrize(
    ("filled", "status", "said"),
    [
        ({"current": "wrong"}, 401, "Your current password is incorrect."),
        ({"current": ""}, 400, "Enter your current password."),
        ({"new": "", "again": ""}, 400, "Enter a new password."),
        ({"again": "battery stapel"}, 400, "The two new passwords are not the same."),
        ({"new": "7 chars", "again": "7 chars"}, 422, "at least 8 characters."),
    ],
)
async def test_the_page_says_what_is_wrong(browser, alice, directory, filled, status, said):
    answer = await fill(browser, **filled)
    assert answer.status_code == status
    assert said in words(answer)
    assert 'role="alert"' in answer.text
    assert NEW not in answer.text
    directory.authenticate(alice, PASSWORD)


async def test_nobody_else_sees_the_form(start, settings):
    browser = Browser(await start(settings, ADDRESS))
    answer = await browser.get("/page/password")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    posted = await browser.post("/page/password", {"current": "x", "new": NEW, "again": NEW})
    assert (posted.status_code, posted.headers["location"]) == (303, "/")


async def test_another_site_changes_no_password(browser, alice, directory):
    ((_, token), *_) = await browser.forms("/page/password")
    fields = {"form_token": token, "current": PASSWORD, "new": NEW, "again": NEW}
    refused = await browser.post(
        "/page/password", fields, headers={"Origin": "https://evil.example"}
    )
    assert refused.status_code == 403
    refused = await browser.post("/page/password", fields | {"form_token": "forged"})
    assert refused.status_code == 403
    directory.authenticate(alice, PASSWORD)
