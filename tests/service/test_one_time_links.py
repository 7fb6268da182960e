"""One-time links: made by an administrator, opened and used on the page and over HTTP."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from clusterpass import (
    InvalidCredentials,
    LinkInvalid,
    PasswordHasher,
    StoreUnavailable,
    UserNotFound,
)
from clusterpass.protocol.keyspace import Keyspace

from .conftest import CHEAP_KIB, PASSWORD, bearer
from .page_browser import ADDRESS, FIREFOX, Browser, words

NEW = "battery staple horse"
GONE = "This link is not valid any more"


# The directory.


def test_a_link_is_used_once_and_ends_all_sessions(directory, alice):
    pair = directory.login(alice, PASSWORD)
    link = directory.make_link(alice)
    for _ in range(2):
        assert directory.user_of_link(link.token) == alice
    directory.authenticate(alice, PASSWORD)
    assert directory.use_link(link.token, NEW).count == 1
    directory.authenticate(alice, NEW)
    with pytest.raises(InvalidCredentials):
        directory.authenticate(alice, PASSWORD)
    for act in (directory.user_of_link, lambda token: directory.use_link(token, PASSWORD)):
        with pytest.raises(LinkInvalid):
            act(link.token)
    assert directory._sessions.sessions(pair.subject) == []


def test_a_newer_link_ends_the_older_one(directory, alice):
    older, newer = directory.make_link(alice), directory.make_link(alice)
    with pytest.raises(LinkInvalid):
        directory.use_link(older.token, NEW)
    directory.use_link(newer.token, NEW)


def test_a_link_ends_with_the_password_for_which_it_was_made(directory, alice):
    link = directory.make_link(alice)
    directory.set_password(alice, NEW)
    with pytest.raises(LinkInvalid):
        directory.use_link(link.token, PASSWORD)
    directory.authenticate(alice, NEW)


def test_a_link_ends_when_its_user_is_disabled(directory, alice):
    before = directory.make_link(alice)
    directory.disable(alice)
    while_disabled = directory.make_link(alice)
    for link in (before, while_disabled):
        for act in (directory.user_of_link, lambda token: directory.use_link(token, NEW)):
            with pytest.raises(LinkInvalid):
                act(link.token)
    directory.enable(alice)
    directory.authenticate(alice, PASSWORD)
    with pytest.raises(LinkInvalid):
        directory.use_link(before.token, NEW)
    directory.use_link(while_disabled.token, NEW)
    directory.authenticate(alice, NEW)
    older = directory.make_link(alice)
    directory.disable(alice)
    directory.enable(alice)
    with pytest.raises(LinkInvalid):
        directory.use_link(older.token, PASSWORD)


def test_a_link_of_another_user_or_of_nobody(directory, alice, new_name):
    other = new_name()
    directory.add(other, PASSWORD)
    link = directory.make_link(alice)
    secret = link.token.partition(".")[2]
    for name in (other, new_name()):
        token = directory.make_link(other).token.partition(".")[0] if name == other else "cpl_eA"
        with pytest.raises(LinkInvalid):
            directory.use_link(f"{token}.{secret}", NEW)
    with pytest.raises(UserNotFound):
        directory.make_link(new_name())
    directory.delete(alice)
    with pytest.raises(LinkInvalid):
        directory.use_link(link.token, NEW)


def test_the_time_of_a_link_is_over(directory, alice, cluster):
    link = directory.make_link(alice)
    key = Keyspace().user(alice)
    with cluster.client(cluster.primary_of(key)) as node:
        stored = node.hgetall(key)
        assert int(stored[b"link_until"]) == link.expires_at
        assert link.token.encode() not in b" ".join(stored.values())
        node.hset(key, "link_until", int(node.time()[0]))
    with pytest.raises(LinkInvalid):
        directory.user_of_link(link.token)
    with pytest.raises(LinkInvalid):
        directory.use_link(link.token, NEW)
    directory.authenticate(alice, PASSWORD)


def test_a_repeated_use_with_the_same_hash_is_one_use(directory, alice):
    from clusterpass.protocol.calls import one_time_links as link_calls
    from clusterpass.users.one_time_links import read_token

    def use(password_hash):
        return directory._store.run(_ask(password_hash))

    def _ask(password_hash):
        answer = yield link_calls.use_link(
            Keyspace(), alice, digest=token.digest, password_hash=password_hash
        )
        return answer.reply

    token = read_token(directory.make_link(alice).token)
    first, second = (PasswordHasher(memory_kib=CHEAP_KIB).hash(NEW) for _ in range(2))
    assert [use(first), use(first), use(second)] == [1, 1, 0]


def test_an_invited_user_can_log_in_when_the_password_is_set(directory, new_name):
    name = new_name()
    link = directory.invite(name)
    for guess in ("", " ", PASSWORD)[1:]:
        with pytest.raises(InvalidCredentials):
            directory.authenticate(name, guess)
    directory.use_link(link.token, NEW)
    directory.login(name, NEW)


# Over HTTP.


@pytest.fixture
def root(directory, new_name):
    name = new_name()
    directory.add(name, PASSWORD)
    return name


@pytest.fixture
async def office(start, settings, root):
    return await start(settings.model_copy(update={"administrators": (root,)}), ADDRESS)


async def make(office, root, kind, subject):
    headers = bearer(await office.login(root))
    return await office.client.post(f"/admin/{kind}", json={"subject": subject}, headers=headers)


async def test_an_administrator_makes_a_link_and_the_user_sets_a_password(
    office, root, alice, directory
):
    tokens = await office.login(alice)
    made = await make(office, root, "reset-link", alice)
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
    body = made.json()
    assert body["subject"] == alice
    parts = urlsplit(body["link"])
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "http://127.0.0.1:8000/page/link"
    assert parse_qs(parts.query) == {"token": [body["token"]]}
    used = await office.client.post(
        "/password/link", json={"token": body["token"], "new_password": NEW}
    )
    assert (used.status_code, used.content) == (204, b"")
    assert (await office.client.get("/verify", headers=bearer(tokens))).status_code == 401
    directory.authenticate(alice, NEW)
    again = await office.client.post(
        "/password/link", json={"token": body["token"], "new_password": PASSWORD}
    )
    assert (again.status_code, again.json()["error"]) == (404, "link_invalid")
    assert body["token"] not in office.log.getvalue()


async def test_of_many_who_use_a_link_at_once_one_does(office, root, alice, directory):
    token = (await make(office, root, "reset-link", alice)).json()["token"]
    passwords = [f"password number {n}" for n in range(5)]
    answers = await asyncio.gather(
        *(
            office.client.post("/password/link", json={"token": token, "new_password": each})
            for each in passwords
        )
    )
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [204, 404, 404, 404, 404]
    directory.authenticate(alice, passwords[statuses.index(204)])


async def test_whatever_is_wrong_with_a_link_the_answer_is_the_same(office, root, alice):
    token = (await make(office, root, "reset-link", alice)).json()["token"]
    wrong = [token[:-2] + "AA", "cpl_bm9ib2R5." + token.partition(".")[2], "x"]
    answers = [
        await office.client.post("/password/link", json={"token": each, "new_password": NEW})
        for each in wrong
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (404, answers[0].content)
    }


async def test_an_administrator_invites_a_user(office, root, new_name, directory):
    name = new_name()
    made = (await make(office, root, "invite", name)).json()
    taken = await make(office, root, "invite", name)
    assert (taken.status_code, taken.json()["error"]) == (409, "user_exists")
    directory.use_link(made["token"], NEW)
    directory.authenticate(name, NEW)
    unknown = await make(office, root, "reset-link", new_name())
    assert (unknown.status_code, unknown.json()["error"]) == (404, "user_not_found")


# The page.


@pytest.fixture
def path(directory, alice):
    return f"/page/link?token={directory.make_link(alice).token}"


async def test_the_page_sets_the_password_and_asks_for_a_login(service, alice, path, directory):
    browser, other = Browser(service), Browser(service, user_agent=FIREFOX)
    await other.login(alice)
    for _ in range(2):  # a program that opens the links in mails uses none up
        answer = await browser.get(path)
        assert answer.status_code == 200
    assert f'value="{alice}"' in answer.text
    assert answer.headers["cache-control"] == "no-store"
    done = await browser.click("/page/link", path, new=NEW, again=NEW)
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert "Your password was set. Log in with it." in await browser.text()
    assert "Log in" in await other.text()
    assert (await browser.login(alice, NEW)).status_code == 303
    gone = await browser.get(path)
    assert (gone.status_code, GONE in words(gone)) == (404, True)


@pytest.mark.parametrize(
    ("filled", "status", "said"),
    [
        ({"new": "", "again": ""}, 400, "Enter a new password."),
        ({"new": NEW, "again": "x"}, 400, "The two new passwords are not the same."),
        ({"new": "iloveyou", "again": "iloveyou"}, 422, "one of the most common ones"),
        ({"new": "x" * 1025, "again": "x" * 1025}, 422, "This password is too long"),
    ],
)
async def test_the_page_says_what_is_wrong_and_keeps_the_link(
    service, alice, path, directory, filled, status, said
):
    browser = Browser(service)
    answer = await browser.click("/page/link", path, **filled)
    assert (answer.status_code, said in words(answer)) == (status, True)
    directory.authenticate(alice, PASSWORD)
    assert (await browser.click("/page/link", path, new=NEW, again=NEW)).status_code == 303


async def test_an_outage_says_what_became_of_the_link(service, path, monkeypatch):
    browser, users = Browser(service), service.app.service.authenticator.users

    async def away(*_):
        raise StoreUnavailable

    monkeypatch.setattr(users, "use_link", away)
    done = await browser.click("/page/link", path, new=NEW, again=NEW)
    assert (done.status_code, "Try to log in with it" in words(done)) == (503, True)
    monkeypatch.setattr(users, "user_of_link", away)
    opened = await browser.get(path)
    assert (opened.status_code, "The link was not used up." in words(opened)) == (503, True)


async def test_another_site_uses_no_link_up(service, alice, path, directory):
    fields = {"token": path.partition("=")[2], "new": NEW, "again": NEW}
    refused = await Browser(service).post(
        "/page/link", fields, headers={"Origin": "https://evil.example"}
    )
    assert refused.status_code == 403
    directory.authenticate(alice, PASSWORD)


@pytest.mark.parametrize("query", ["", "?token=", "?token=x", "?token=a&token=b"])
async def test_the_page_without_a_link(service, query):
    assert (await Browser(service).get(f"/page/link{query}")).status_code == 404
