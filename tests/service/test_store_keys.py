"""The service with its signing keys in the store: published, followed, and revoked."""

import asyncio
import itertools

import pytest
from pydantic import SecretStr

from clusterpass import ConfigurationError, PasswordHasher, SessionManager, UserDirectory
from clusterpass.service.app import create_app
from clusterpass.service.settings.loading import load_settings
from clusterpass.service.store_keys import FollowedKeys
from clusterpass.tokens.key_encryption import new_encryption_key

from .conftest import CHEAP_KIB, PASSWORD, bearer

_numbers = itertools.count()


@pytest.fixture
def in_store(settings):
    """Two services of one namespace of their own."""
    url = settings.store_url.get_secret_value()
    return load_settings(
        None,
        {
            "store_url": f"{url}?namespace=managed-{next(_numbers)}",
            "managed_keys": True,
            "key_algorithm": "ES256",
            "key_rotate_after": 7200,
            "key_publish_before": 60,
            "key_encryption_keys": new_encryption_key(),
            "address_attempts": 1_000_000,
        },
    )


@pytest.fixture
def root(in_store):
    """A manager of the operator, and a user named alice."""
    with SessionManager.from_url(in_store.full_store_url(), in_store.session_config()) as sessions:
        UserDirectory(sessions, hasher=PasswordHasher(memory_kib=CHEAP_KIB)).add("alice", PASSWORD)
        yield sessions


async def kids(service) -> list[str]:
    answer = await service.client.get("/.well-known/jwks.json")
    if answer.status_code == 503:
        assert "public" not in answer.headers.get("cache-control", "")
        return []
    return [key["kid"] for key in answer.json()["keys"]]


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_services_use_and_publish_the_keys_of_the_store(start, in_store, root):
    one, two = await start(in_store), await start(in_store)
    (key,) = root.keys.list()
    assert key.algorithm == "ES256"
    assert await kids(one) == await kids(two) == [key.kid]
    tokens = await one.login("alice")
    assert (await two.client.get("/verify", headers=bearer(tokens))).status_code == 200
    page = await two.client.get("/page/login")
    assert page.status_code in {200, 303}, "whose form has a token that is not derived from a key"
    following = root.keys.rotate()[-1].kid

    async def publishes() -> bool:
        return following in await kids(one) and following in await kids(two)

    await until(publishes)


async def test_a_revoked_key_is_refused_and_nobody_is_logged_out(start, in_store, root):
    one, two = await start(in_store), await start(in_store)
    tokens = await one.login("alice")
    for service in (one, two):
        assert (await service.client.get("/verify", headers=bearer(tokens))).status_code == 200
    leaked = root.keys.list()[0].kid
    root.keys.revoke(leaked)

    async def refuses() -> bool:
        answers = [
            await service.client.get("/verify", headers=bearer(tokens)) for service in (one, two)
        ]
        assert {answer.status_code for answer in answers} <= {200, 401}
        return all(answer.status_code == 401 for answer in answers)

    await until(refuses)
    body = {"refresh_token": tokens["refresh_token"]}
    newer = await two.client.post("/refresh", json=body)
    assert newer.status_code == 200
    assert (await one.client.get("/verify", headers=bearer(newer.json()))).status_code == 200

    async def forgets() -> bool:
        return leaked not in [*await kids(one), *await kids(two)]

    await until(forgets)


async def test_a_service_that_did_not_know_the_keys_at_its_start_learns_them(
    start, in_store, root, monkeypatch
):
    async def knows_nothing(self):
        return self._seen

    monkeypatch.setattr(FollowedKeys, "begin", knows_nothing)
    one = await start(in_store)
    assert await kids(one) == []  # within the second after which it looks
    two = await start(in_store)
    tokens = await one.login("alice")
    for service in (one, two):
        assert (await service.client.get("/verify", headers=bearer(tokens))).status_code == 200

    async def publishes() -> bool:
        return len(await kids(one)) == len(await kids(two)) == 1

    await until(publishes)


def test_keys_in_the_store_need_a_key_that_wraps_them(settings):
    with pytest.raises(ConfigurationError, match="key_encryption_keys"):
        create_app(settings.model_copy(update={"managed_keys": True}))


async def test_a_service_starts_while_the_store_is_away(start, in_store):
    away = in_store.model_copy(
        update={
            "store_url": type(in_store.store_url)(
                "redis://127.0.0.1:1?deadline=0.3&timeout=0.2&replica_wait=0.1"
            )
        }
    )
    service = await start(away)
    assert await kids(service) == []
    answer = await service.client.post("/login", json={"username": "alice", "password": PASSWORD})
    assert answer.status_code == 503


async def test_keys_are_followed_when_the_file_of_the_key_that_wraps_is_gone(
    start, in_store, root, tmp_path
):
    """As with a credential that is taken away after the start."""
    file = tmp_path / "encryption-key"
    file.write_text(in_store.key_encryption_keys.get_secret_value())
    file.chmod(0o600)
    update = {"key_encryption_keys": SecretStr(""), "key_encryption_keys_file": file}
    service = await start(in_store.model_copy(update=update))
    await service.login("alice")
    file.unlink()
    following = root.keys.rotate()[-1].kid

    async def publishes() -> bool:
        return following in await kids(service)

    await until(publishes)


def test_a_worker_that_is_replaced_reads_no_file_with_secrets_again(in_store, tmp_path):
    secret = in_store.key_encryption_keys.get_secret_value()
    file = tmp_path / "encryption-key"
    file.write_text(secret)
    update = {"key_encryption_keys": SecretStr(""), "key_encryption_keys_file": file}
    settings = in_store.model_copy(update=update)
    held = settings.holding_secrets()
    file.unlink()
    assert create_app(held).config.key_encryption_keys == (secret,)
    assert secret not in repr(held)
