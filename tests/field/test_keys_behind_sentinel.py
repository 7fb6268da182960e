"""Keys and secrets that the store holds, behind Sentinel: rotated while users are logged in, and
after the server that held them has died."""

import dataclasses
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clusterpass import Config, InvalidRefreshToken, KeyRing, TokenKeyUnknown
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.refresh import parse_refresh_token
from tests.cluster.stored import eventually

from .conftest import Opener
from .sentinels import Service, service
from .test_sentinel import at_last, durable_login

pytestmark = [pytest.mark.timeout(180), pytest.mark.sampled(1)]


@pytest.fixture
def config(config: Config) -> Config:
    return dataclasses.replace(
        config, keys=KeyRing.in_store(), key_encryption_keys=(new_encryption_key(),)
    )


@pytest.fixture
def shop(tmp_path: Path, server_program: str) -> Iterator[Service]:
    """A service of this test alone."""
    with service(tmp_path, program=server_program) as made:
        yield made


def let_secrets_age(shop: Service, seconds: int) -> None:
    primary = shop.primary()
    for slot in SLOTS_WITH_CUTOFF:
        key = Keyspace().secrets(slot).decode()
        held = primary.ask("HGETALL", key)
        pairs = held.items() if isinstance(held, dict) else zip(held[::2], held[1::2], strict=True)
        for name, value in pairs:
            if name.startswith("r:"):
                entry = json.loads(value)
                entry["created"] -= seconds * 1000
                primary.ask("HSET", key, name, json.dumps(entry))


def test_keys_and_secrets_rotate_while_users_are_logged_in(
    opened: Opener, shop: Service, subject: str
):
    one, other = opened(shop.url()), opened(shop.url())
    pair = durable_login(one, subject)
    assert other.verify(pair.access_token).subject == subject
    leaked = one.config.keys.signing_key.kid
    one.keys.rotate()
    one.keys.revoke(leaked)
    made = one.keys.rotate_refresh_secret()
    let_secrets_age(shop, 100)
    for manager in (one, other):
        eventually(lambda manager=manager: is_refused(manager, pair.access_token))
    newer = other.refresh(pair.refresh_token)
    assert newer.session_id == pair.session_id
    assert one.verify(newer.access_token).subject == other.verify(newer.access_token).subject
    fresh = opened(shop.url())
    last = fresh.refresh(newer.refresh_token)
    assert fresh.verify(last.access_token).subject == subject
    assert (
        parse_refresh_token(last.refresh_token).secret_id
        != parse_refresh_token(pair.refresh_token).secret_id
    ), made
    fresh.keys.rotate_refresh_secret(retire_others=True)
    with pytest.raises(InvalidRefreshToken):
        fresh.refresh(last.refresh_token)


def test_processes_that_begin_at_once_agree_on_keys_and_secrets(opened: Opener, shop: Service):
    managers = [opened(shop.url()) for _ in range(6)]
    with ThreadPoolExecutor(len(managers)) as pool:
        pairs = list(pool.map(lambda each: each[1].login(f"user-{each[0]}"), enumerate(managers)))
    for number, pair in enumerate(pairs):
        at_last(partial(managers[number - 1].verify, pair.access_token))
        renewed = at_last(partial(managers[number - 2].refresh, pair.refresh_token))
        again = at_last(partial(managers[number - 3].refresh, pair.refresh_token))
        assert again.refresh_token == renewed.refresh_token, "all derive the same successor"
    fresh = opened(shop.url())
    assert len([each for each in fresh.keys.list() if each.state == "active"]) == 1


def is_refused(manager: Any, token: str) -> bool:
    try:
        manager.verify(token)
    except TokenKeyUnknown:
        return True
    return False


def test_they_outlive_the_server_that_held_them(opened: Opener, shop: Service, subject: str):
    one = opened(shop.url())
    pair = durable_login(one, subject)
    kids = [key.kid for key in one.keys.list()]
    former = shop.primary()
    former.kill()
    shop.await_successor(former)
    other = opened(shop.url())
    assert at_last(lambda: other.verify(pair.access_token)).subject == subject
    assert [key.kid for key in at_last(other.keys.list)] == kids, "no key was made anew"
    newer = at_last(lambda: other.refresh(pair.refresh_token))
    assert at_last(lambda: one.verify(newer.access_token)).subject == subject
    assert at_last(lambda: one.refresh(newer.refresh_token)).session_id == pair.session_id
