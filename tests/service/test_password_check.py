"""Logins: the throttle, the operator's own check, changes during a login."""

import asyncio

import pytest

from clusterpass import AsyncHashing, TooManyAttempts
from clusterpass.service.calls import password_check as credentials
from clusterpass.service.calls.password_check import CustomAuthenticator
from clusterpass.users.passwords import PasswordHasher

from .conftest import PASSWORD, bearer


async def _login(service, name, password=PASSWORD, **headers):
    return await service.client.post(
        "/login", json={"username": name, "password": password}, headers=headers
    )


async def test_an_account_has_so_many_attempts_even_in_parallel(start, settings, alice):
    service = await start(settings.model_copy(update={"account_attempts": 3}))
    answers = await asyncio.gather(*(_login(service, alice, f"guess {n}") for n in range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [401, 401, 401, 429, 429, 429, 429, 429]
    right = await _login(service, alice)
    assert (right.status_code, right.json()["error"]) == (429, "too_many_attempts")
    assert 1 <= int(right.headers["retry-after"]) <= 300


async def test_an_unknown_account_is_throttled_alike(start, settings, new_name):
    service = await start(settings.model_copy(update={"account_attempts": 2}))
    name = new_name()
    assert [(await _login(service, name)).status_code for _ in range(3)] == [401, 401, 429]


async def test_a_success_takes_back_its_own_attempt_and_no_other(start, settings, alice):
    service = await start(settings.model_copy(update={"account_attempts": 2}))
    assert (await _login(service, alice, "no no no")).status_code == 401
    for _ in range(3):
        assert (await _login(service, alice)).status_code == 200
    assert (await _login(service, alice, "no no no")).status_code == 401
    assert (await _login(service, alice)).status_code == 429


async def test_an_address_has_so_many_attempts_whatever_the_account(
    start, settings, alice, new_name
):
    limits = {"address_attempts": 2}
    service = await start(settings.model_copy(update=limits), peer="2001:db8:77:1::5")
    neighbour = await start(settings.model_copy(update=limits), peer="2001:db8:77:1::6")
    assert (await _login(service, new_name())).status_code == 401
    assert (await _login(service, alice)).status_code == 200
    assert (await _login(neighbour, alice)).status_code == 429
    elsewhere = await start(settings.model_copy(update=limits), peer="2001:db8:77:2::5")
    assert (await _login(elsewhere, alice)).status_code == 200


async def test_the_forwarded_address_counts_behind_a_trusted_proxy(start, settings, new_name):
    from ipaddress import ip_network

    update = {"address_attempts": 1, "trusted_proxies": (ip_network("127.0.0.1/32"),)}
    service = await start(settings.model_copy(update=update))
    for client in ("198.51.100.1", "198.51.100.2"):
        header = {"X-Forwarded-For": f"1.2.3.4, {client}"}
        assert (await _login(service, new_name(), **header)).status_code == 401
        assert (await _login(service, new_name(), **header)).status_code == 429


async def _own(start, settings, monkeypatch, check):
    monkeypatch.setattr("clusterpass.service.app.load_check", lambda path: check)
    service = await start(settings)
    assert isinstance(service.app.service.authenticator, CustomAuthenticator)
    return service


@pytest.mark.parametrize("kind", ["sync", "async", "object"])
async def test_an_own_check_decides(start, settings, monkeypatch, new_name, kind):
    name = new_name()

    def check(username, password):
        return username == name and password == PASSWORD

    async def awaited(username, password):
        return check(username, password)

    class Callable:
        def __call__(self, username, password):
            return awaited(username, password)

    chosen = {"sync": check, "async": awaited, "object": Callable()}[kind]
    service = await _own(start, settings, monkeypatch, chosen)
    assert (await _login(service, name)).status_code == 200
    assert (await _login(service, name, "no")).status_code == 401
    assert (await _login(service, "other")).json()["error"] == "invalid_credentials"


async def test_an_own_check_may_name_the_subject(start, settings, monkeypatch, new_name):
    subject = new_name()
    service = await _own(start, settings, monkeypatch, lambda username, password: subject)
    tokens = await service.login("someone")
    answer = await service.client.get("/verify", headers=bearer(tokens))
    assert answer.json()["subject"] == subject


async def test_an_own_check_is_overtaken_by_a_revocation_of_all(
    start, settings, monkeypatch, new_name
):
    name, other = new_name(), new_name()
    service = None

    async def check(username, password):
        await service.app.service.sessions.revoke_all(name)
        return True if username == name else name

    service = await _own(start, settings, monkeypatch, check)
    answer = await _login(service, name)
    assert (answer.status_code, answer.json()["error"]) == (409, "login_overtaken")
    # Whose generation it is to be is known after the check only.
    assert (await _login(service, other)).status_code == 200


@pytest.mark.parametrize("kind", ["True", "subject", "another", "refused"])
async def test_an_own_check_confirms_its_own_subject_alone(
    start, settings, monkeypatch, new_name, kind
):
    name, other = new_name(), new_name()
    verdicts = {"True": True, "subject": name, "another": other, "refused": None}
    asked = []

    def check(username, password):
        asked.append(username)
        return True if password == PASSWORD else verdicts[kind]

    service = await _own(start, settings, monkeypatch, check)
    tokens = await _login(service, name)
    answer = await service.client.post(
        "/step-up", json={"password": "again"}, headers=bearer(tokens.json())
    )
    assert asked == [name, name]
    assert answer.status_code == (200 if kind in ("True", "subject") else 401)
    if answer.status_code == 401:
        assert answer.json()["error"] == "invalid_credentials"


async def test_a_session_has_so_many_attempts_at_a_step_up_and_strangers_none_of_them(
    start, settings, alice
):
    service = await start(settings.model_copy(update={"account_attempts": 2, "known_attempts": 2}))
    headers = bearer((await _login(service, alice)).json())
    another = bearer((await _login(service, alice)).json())

    async def step_up(headers, password):
        answer = await service.client.post("/step-up", json={"password": password}, headers=headers)
        return answer.status_code

    assert [(await _login(service, alice, "no no no")).status_code for _ in range(3)][-1] == 429
    assert [await step_up(headers, each) for each in ("wrong", PASSWORD, "wrong", "wrong")] == [
        401,
        200,
        401,
        401,
    ]
    assert [await step_up(headers, PASSWORD), await step_up(another, PASSWORD)] == [429, 200]
    assert (await service.client.get("/verify", headers=headers)).status_code == 200


async def test_a_revocation_of_all_while_the_password_is_checked_overtakes_the_login(
    service, alice, directory, monkeypatch
):
    verified = PasswordHasher.verify

    def revoked_meanwhile(self, known, password):
        directory._sessions.revoke_all(alice)
        return verified(self, known, password)

    monkeypatch.setattr(PasswordHasher, "verify", revoked_meanwhile)
    answer = await _login(service, alice)
    assert (answer.status_code, answer.json()["error"]) == (409, "login_overtaken")
    assert directory._sessions.sessions(alice) == []


async def test_an_own_check_that_fails_is_500_without_details(start, settings, monkeypatch):
    def check(username, password):
        raise RuntimeError(password)

    service = await _own(start, settings, monkeypatch, check)
    answer = await _login(service, "someone")
    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    assert PASSWORD not in service.log.getvalue() + answer.text


async def test_an_own_check_that_answers_something_else_is_500(start, settings, monkeypatch):
    service = await _own(start, settings, monkeypatch, lambda username, password: 1)
    assert (await _login(service, "someone")).status_code == 500


async def test_the_queue_before_the_hashing_threads_is_bounded():
    import threading

    threads = AsyncHashing(concurrency=1, most_waiting=1)
    release = threading.Event()
    running = [asyncio.create_task(threads.run(lambda: release.wait(20))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyAttempts) as caught:
        await threads.run(lambda: True)
    assert caught.value.retry_after == 1
    release.set()
    assert await asyncio.gather(*running) == [True, True]
    assert await threads.run(lambda: 7) == 7
    threads.close()


def test_the_check_is_loaded_from_a_path():
    assert credentials.load_check(None) is None
    import json

    assert credentials.load_check("json:dumps") is json.dumps
