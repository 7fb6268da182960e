"""Accounts on the page of administrators: links, invitations, deletion, erasure, export."""

import json
import re

import pytest

from clusterpass import InvalidCredentials, MailFailed, UserNotFound

from .conftest import PASSWORD
from .page_browser import ADDRESS, Browser, forms_of, stale, words

NEW = "battery staple horse"
SENT = []


def page_of(subject: str) -> str:
    return f"/page/subject?name={subject}"


def take_mail(mail) -> None:
    if mail.to.startswith("nobody"):
        raise MailFailed(reason="SMTPRecipientsRefused")
    SENT.append(mail)


@pytest.fixture
def root(directory, new_name):
    name = f"root-{new_name()}"
    directory.add(name, PASSWORD)
    return name


@pytest.fixture
def office(settings, root):
    return settings.model_copy(
        update={"administrators": (root,), "mail_sender": f"{__name__}:take_mail"}
    )


@pytest.fixture
async def service(start, office):
    SENT.clear()
    return await start(office, ADDRESS)


@pytest.fixture
async def browser(service, root):
    browser = Browser(service)
    await browser.login(root)
    return browser


def link_in(answer) -> str:
    return re.search(r'<input id="link" value="([^"]*)"', answer.text)[1]


async def test_a_reset_link_is_shown_once_and_works(browser, service, alice, directory):
    made = await browser.click("/page/subject/reset-link", page_of(alice))
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
    assert f"Link for {alice}" in words(made) and "until" in words(made)
    path = link_in(made).removeprefix("http://127.0.0.1:8000")
    user = Browser(service)
    done = await user.click("/page/link", path, new=NEW, again=NEW)
    assert done.status_code == 303
    directory.authenticate(alice, NEW)
    assert path.partition("=")[2] not in service.log.getvalue()
    assert SENT == []


async def test_a_user_is_invited(browser, new_name, directory):
    name = new_name()
    made = await browser.click("/page/subject/invite", "/page/online", subject=f" {name} ")
    path = link_in(made).removeprefix("http://127.0.0.1:8000")
    await browser.click("/page/link", path, new=NEW, again=NEW)
    directory.authenticate(name, NEW)
    again = await browser.click("/page/subject/invite", "/page/online", subject=name)
    assert (again.status_code, "A user with this name already exists." in words(again)) == (
        409,
        True,
    )


async def test_a_link_is_mailed_in_the_chosen_language(browser, alice):
    fields = {"send_to": "alice@example.org", "language": "fr"}
    made = await browser.click("/page/subject/reset-link", page_of(alice), **fields)
    assert "The link was sent to alice@example.org." in words(made)
    (mail,) = SENT
    assert (mail.kind, mail.username, mail.language) == ("reset", alice, "fr")
    assert mail.link not in made.text and 'id="link"' not in made.text


@pytest.mark.parametrize(
    ("to", "status", "text"),
    [
        ("alice", 400, "Enter a mail address, such as alice@example.org."),
        ("nobody@example.org", 502, "The mail could not be sent."),
    ],
)
async def test_a_mail_that_cannot_be_sent(browser, alice, to, status, text):
    refused = await browser.click("/page/subject/reset-link", page_of(alice), send_to=to)
    assert (refused.status_code, text in words(refused)) == (status, True)
    assert SENT == []


async def test_without_mails_nobody_is_asked_for_an_address(start, office, root, alice):
    service = await start(office.model_copy(update={"mail_sender": None}), ADDRESS)
    browser = Browser(service)
    await browser.login(root)
    for path in (page_of(alice), "/page/online"):
        assert "send_to" not in (await browser.get(path)).text


async def test_a_link_for_nobody(browser, new_name):
    answer = await browser.click("/page/subject/reset-link", page_of(new_name()))
    assert (answer.status_code, "There is no user with this name." in words(answer)) == (404, True)


async def test_deleting_needs_a_tick_and_ends_the_sessions(browser, service, alice, directory):
    user = Browser(service)
    await user.login(alice)
    asked = await browser.click("/page/subject/delete", page_of(alice))
    assert (asked.status_code, "Tick the box" in words(asked)) == (400, True)
    directory.authenticate(alice, PASSWORD)
    done = await browser.click("/page/subject/delete", page_of(alice), sure="yes")
    assert (done.status_code, done.headers["location"]) == (303, page_of(alice))
    text = await browser.text(page_of(alice))
    assert "The user was deleted." in text
    assert "No recent activity." not in text
    assert "Log in" in await user.text()
    with pytest.raises(InvalidCredentials):
        directory.authenticate(alice, PASSWORD)
    gone = await browser.click("/page/subject/delete", page_of(alice), sure="yes")
    assert gone.status_code == 404


async def test_a_user_is_deleted_together_with_the_data(browser, service, alice, directory):
    await Browser(service).login(alice)
    await browser.click("/page/subject/delete", page_of(alice), sure="yes", erase="yes")
    assert "No recent activity." in await browser.text(page_of(alice))
    with pytest.raises(UserNotFound):
        directory.make_link(alice)


async def test_data_are_erased_and_the_user_stays(browser, service, alice, directory):
    await service.login(alice, device="Kitchen radio")
    assert "Kitchen radio" in await browser.text(page_of(alice))
    asked = await browser.click("/page/subject/erase", page_of(alice))
    assert asked.status_code == 400
    await browser.click("/page/subject/erase", page_of(alice), sure="yes")
    text = await browser.text(page_of(alice))
    assert "The data of the user was erased." in text and "Kitchen radio" not in text
    directory.authenticate(alice, PASSWORD)


async def test_nobody_deletes_themselves(browser, root, directory):
    page = await browser.get(page_of(root))
    assert "/page/subject/delete" not in page.text
    token = next(fields["form_token"] for _, fields in forms_of(page) if "form_token" in fields)
    refused = await browser.post(
        "/page/subject/delete", {"form_token": token, "subject": root, "sure": "yes"}
    )
    assert (refused.status_code, "You cannot delete yourself." in words(refused)) == (400, True)
    directory.authenticate(root, PASSWORD)


async def test_all_data_are_exported_as_a_file(browser, service, alice):
    await service.login(alice, device="Kitchen radio")
    answer = await browser.get(f"/page/subject/export?name={alice}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{alice}.json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    held = json.loads(answer.content)
    assert held["user"]["name"] == alice and "Kitchen radio" in answer.text
    assert "$argon2" not in answer.text
    user = Browser(service)
    await user.login(alice)
    assert (await user.get(f"/page/subject/export?name={alice}")).status_code == 404


@pytest.mark.parametrize("act", ["invite", "reset-link", "erase", "delete"])
async def test_each_act_asks_for_the_password_after_a_while(start, office, root, alice, act):
    service = await start(office.model_copy(update={"administration_max_age": 0}), ADDRESS)
    browser, user = Browser(service), Browser(service)
    await user.login(alice)
    await browser.login(root)
    await stale(service, browser)
    page = "/page/online" if act == "invite" else page_of(alice)
    name = f"{alice}-new" if act == "invite" else alice
    asked = await browser.click(f"/page/subject/{act}", page, subject=name, sure="yes")
    assert (asked.status_code, "Confirm your identity" in words(asked)) == (200, True)
    assert name in words(asked)
    assert f"Logged in as {alice}" in await user.text()
    (form,) = [fields for action, fields in forms_of(asked) if action == "/page/confirm"]
    done = await browser.post("/page/confirm", form | {"password": PASSWORD})
    assert done.status_code == (200 if act in {"invite", "reset-link"} else 303)


async def test_with_a_password_check_of_ones_own_there_is_no_directory(start, settings):
    check = f"{__name__}:check"
    service = await start(
        settings.model_copy(update={"password_check": check, "administrators": ("boss",)}), ADDRESS
    )
    browser = Browser(service)
    await browser.login("boss")
    text = (await browser.get(page_of("x"))).text
    assert "/page/subject/erase" in text
    assert "reset-link" not in text and "/page/subject/delete" not in text
    assert "Invite a user" not in await browser.text("/page/online")
    assert (await browser.get("/page/subject/export?name=x")).status_code == 200


def check(username: str, password: str) -> bool:
    return username == "boss"
