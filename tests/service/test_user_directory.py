"""The synchronous and the asynchronous user directory, and the password hasher."""

import pytest

from clusterpass import (
    AsyncSessionManager,
    AsyncUserDirectory,
    InvalidCredentials,
    InvalidInput,
    LoginOvertaken,
    LoginThrottle,
    PasswordPolicy,
    SessionManager,
    SessionRevoked,
    ThrottlePolicy,
    TooManyAttempts,
    UserDirectory,
)
from clusterpass.model.errors import StoreFailed, UserExists, UserNotFound
from clusterpass.protocol.calls import directory as directory_calls
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.users.directory import Directory
from clusterpass.users.passwords import PasswordHasher
from clusterpass.users.procedures import Change, ask
from clusterpass.users.throttle import Throttle

from .conftest import PASSWORD, bearer

CHEAP = PasswordHasher(memory_kib=64)


def test_the_default_hash_is_argon2id_as_recommended(real_hashes):
    assert PasswordHasher().hash(PASSWORD).startswith("$argon2id$v=19$m=47104,t=1,p=1$")


def test_a_salt_has_16_bytes_and_a_hash_32_also_where_there_is_no_user():
    hasher = PasswordHasher(memory_kib=64)
    for text in (hasher.hash(PASSWORD), hasher._dummy):
        *_, salt, output = text.split("$")
        assert (len(salt), len(output)) == (22, 43)
        assert not hasher.needs_rehash(text)


def test_a_hash_fits_its_password_alone():
    hashed = CHEAP.hash("pässwörd")
    assert CHEAP.verify(hashed, "pässwörd")
    assert CHEAP.verify(hashed, "pa\u0308sswo\u0308rd")
    assert not CHEAP.verify(None, "pässwörd")
    assert CHEAP.hash("pässwörd") != hashed


def test_other_parameters_need_a_new_hash():
    assert not CHEAP.needs_rehash(CHEAP.hash(PASSWORD))
    assert PasswordHasher(memory_kib=128).needs_rehash(CHEAP.hash(PASSWORD))


@pytest.mark.parametrize("password", ["", "x" * 1025, "ä" * 513, "\ud800", 12345678, None])
def test_what_cannot_be_a_password(password):
    for act in (CHEAP.hash, lambda value: CHEAP.verify(None, value)):
        with pytest.raises(InvalidInput) as caught:
            act(password)
        assert str(password or "no password") not in str(caught.value)


def test_a_new_password_has_eight_characters():
    with pytest.raises(InvalidInput):
        CHEAP.hash("ääääääé")
    assert CHEAP.hash("ääääääéé")


def test_a_hash_that_is_none_is_no_wrong_password():
    with pytest.raises(StoreFailed) as caught:
        CHEAP.verify("$2b$12$abc", PASSWORD)
    assert "2b" not in str(caught.value)


def test_users_are_added_once_listed_and_changed(directory, new_name):
    name = "zoë {1}:*" + new_name()
    directory.add(name, PASSWORD)
    with pytest.raises(UserExists):
        directory.add(name, PASSWORD)
    directory.disable(name)
    found = {user.name: user for user in directory.list()}[name]
    assert found.disabled and found.created_at > 1_700_000_000
    with pytest.raises(InvalidCredentials):
        directory.authenticate(name, PASSWORD)
    directory.enable(name)
    directory.authenticate(name, PASSWORD)


def test_who_is_added_while_another_administrator_deletes_stays(
    directory, alice, cluster, monkeypatch
):
    manager: SessionManager = directory._sessions
    end, key = manager.revoke_all, Keyspace().user(alice)
    with cluster.client(cluster.primary_of(key)) as node:
        node.hset(key, "created_at", 1_700_000_000)

    def added_again_meanwhile(name):
        monkeypatch.setattr(manager, "revoke_all", end)
        directory.delete(name)
        directory.add(name, PASSWORD)
        return end(name)

    monkeypatch.setattr(manager, "revoke_all", added_again_meanwhile)
    directory.delete(alice)
    directory.authenticate(alice, PASSWORD)


def test_a_repeated_addition_undoes_nothing(directory, new_name):
    name = new_name()

    def add(operation):
        hashed = CHEAP.hash(PASSWORD)
        call = directory_calls.add_user(Keyspace(), name, password_hash=hashed, operation=operation)
        return directory._run(ask(call))

    assert add(b"one") == "OK"
    directory.set_password(name, "another password")
    directory.disable(name)
    assert (add(b"one"), add(b"two")) == ("OK", "EXISTS")
    assert {user.name: user.disabled for user in directory.list()}[name]
    directory.enable(name)
    directory.authenticate(name, "another password")


def test_a_change_that_is_repeated_is_done(directory, new_name):
    name = new_name()
    directory.add(name, PASSWORD)

    def change(value, expected):
        call = directory_calls.change_user(
            Keyspace(), name, field_name="disabled", value=value, expected=expected
        )
        return directory._run(ask(call))

    assert [change("1", "0"), change("1", "0"), change("2", "0")] == ["OK", "OK", "CHANGED"]
    assert change("0", "1") == "OK"


def test_changes_of_nobody(directory, new_name):
    for act in (directory.disable, directory.enable):
        with pytest.raises(UserNotFound):
            act(new_name())
    with pytest.raises(UserNotFound):
        directory.set_password(new_name(), PASSWORD)


@pytest.mark.parametrize("name", ["", "a\x00", "\ud800", "x" * 256])
def test_names_that_cannot_be(directory, name):
    with pytest.raises(InvalidInput):
        directory.add(name, PASSWORD)
    with pytest.raises(InvalidInput):
        directory.authenticate(name, PASSWORD)


@pytest.mark.parametrize("change", ["disable", "password"])
def test_a_change_ends_all_sessions(directory, alice, change):
    manager: SessionManager = directory._sessions
    pair = directory.login(alice, PASSWORD, device="d", claims={"role": "x"})
    assert manager.verify(pair.access_token).claims == {"role": "x"}
    ended = (
        directory.disable(alice)
        if change == "disable"
        else directory.set_password(alice, "another password")
    )
    assert ended.count == 1
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)
    with pytest.raises(InvalidCredentials):
        directory.authenticate(alice, PASSWORD)


@pytest.mark.parametrize("change", ["disable", "password", "revoke"])
def test_a_change_in_the_moment_of_a_login_leaves_no_session(directory, alice, change, monkeypatch):
    manager: SessionManager = directory._sessions
    opened = manager.login

    def changed_meanwhile(*arguments, **options):
        if change == "disable":
            directory.disable(alice)
        elif change == "password":
            directory.set_password(alice, "another password")
        else:
            manager.revoke_all(alice)
        return opened(*arguments, **options)

    monkeypatch.setattr(manager, "login", changed_meanwhile)
    with pytest.raises(LoginOvertaken):
        directory.login(alice, PASSWORD)
    assert manager.sessions(alice) == []


@pytest.mark.parametrize("change", ["disabled", "password"])
def test_a_change_whose_revocation_failed_leaves_no_session(directory, alice, change, monkeypatch):
    manager: SessionManager = directory._sessions
    opened = manager.login

    def changed_meanwhile(*arguments, **options):
        if change == "disabled":
            directory._run(directory._directory.set_disabled(alice, Change(), disabled=True))
        else:
            directory._run(directory._directory.set_password(alice, "another password", Change()))
        return opened(*arguments, **options)

    monkeypatch.setattr(manager, "login", changed_meanwhile)
    with pytest.raises(InvalidCredentials):
        directory.login(alice, PASSWORD)
    assert manager.sessions(alice) == []


def test_a_login_says_how_the_user_was_authenticated_and_from_where(directory, alice):
    manager: SessionManager = directory._sessions
    pair = directory.login(
        alice, PASSWORD, device="d", device_type="phone", remember=True, address="192.0.2.9"
    )
    session = manager.verify(pair.access_token)
    assert (session.amr, session.device_type) == (("pwd",), "phone")
    assert pair.session_expires_in == 30 * 86_400
    assert manager.history(alice)[0].address == "192.0.2.9"
    second = directory.login(alice, PASSWORD, replace=pair.session_id)
    assert [each.session_id for each in manager.sessions(alice)] == [second.session_id]


def test_a_login_hashes_anew_when_the_parameters_changed(directory, real_hashes, new_name):
    name = new_name()
    weak = UserDirectory(directory._sessions, hasher=CHEAP)
    weak.add(name, PASSWORD)
    directory = UserDirectory(directory._sessions)
    directory.login(name, PASSWORD)
    key = directory._store.keyspace.user(name)
    assert key
    entry = directory._run(directory._directory._find(name))
    assert "m=47104" in entry.password_hash
    directory.login(name, PASSWORD)


def test_an_unknown_user_costs_the_same_calls(directory, alice, new_name, monkeypatch):
    store = directory._store
    performed = store._perform
    names: list[str] = []

    def counted(call):
        if call.script.name != "audit_append":  # in the background
            names.append(call.script.name)
        return performed(call)

    monkeypatch.setattr(store, "_perform", counted)
    seen = []
    for name in (alice, new_name()):
        names.clear()
        with pytest.raises(InvalidCredentials):
            directory.authenticate(name, "no no no no", address="192.0.2.7")
        seen.append(list(names))
    assert seen[0] == seen[1] == ["count_attempt", "count_attempt", "count_attempt", "user_find"]


def test_the_throttle_alone(directory, new_name):
    throttle = LoginThrottle(directory._sessions, ThrottlePolicy(account_attempts=1))
    name = new_name()
    throttle.admit(name)
    with pytest.raises(TooManyAttempts) as caught:
        throttle.admit(name)
    assert 1 <= caught.value.retry_after <= 300
    throttle.forget(name)
    throttle.admit(name)


async def test_the_asynchronous_directory(cluster_url, directory, new_name):
    name = new_name()
    async with (
        AsyncSessionManager.from_url(cluster_url, directory._sessions.config) as sessions,
        AsyncUserDirectory(sessions, hasher=CHEAP) as users,
    ):
        await users.add(name, PASSWORD)
        with pytest.raises(UserExists):
            await users.add(name, PASSWORD)
        await users.authenticate(name, PASSWORD, address="192.0.2.8")
        with pytest.raises(InvalidCredentials):
            await users.authenticate(name, "no no no no")
        pair = await users.login(name, PASSWORD, device="d")
        assert (await users.set_password(name, "another password")).count == 1
        with pytest.raises(SessionRevoked):
            await sessions.verify(pair.access_token)
        await users.login(name, "another password")
        assert (await users.disable(name)).count == 1
        with pytest.raises(InvalidCredentials):
            await users.login(name, "another password")
        await users.enable(name)
        await users.login(name, "another password")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (b"cp:{alice}:user", "alice"),
        (b"cp:{a%20b%7B%C3%A9%25}:user", "a b{é%"),
        (b"cp:{alice}", None),
        (b"cp:{alice}:users", None),
        (b"other:{alice}:user", None),
        (b"cp:{%FF}:user", None),
        (b"cp:{\xff}:user", None),
    ],
)
def test_the_name_in_a_key(key, name):
    directory = Directory(
        Keyspace(),
        CHEAP,
        Throttle(Keyspace(), ThrottlePolicy()),
        PasswordPolicy(),
        random_bytes=bytes,
    )
    assert directory.name_in_key(key) == name


async def test_a_user_logs_in_however_the_name_is_spelt(service, directory, new_name):
    name = new_name()
    directory.add(f"{name}-ZO\u0308E", PASSWORD)
    kept = f"{name}-Z\u00d6E"
    for spelt in (kept, f"{name}-ZO\u0308E"):
        answer = await service.client.get("/verify", headers=bearer(await service.login(spelt)))
        assert answer.json()["subject"] == kept
    assert directory.disable(f"{name}-ZO\u0308E").count == 2
