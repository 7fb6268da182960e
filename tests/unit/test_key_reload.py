"""Reload of the service's key file, and the values derived from its keys."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from clusterpass import (
    Config,
    ConfigurationError,
    KeyFile,
    KeyRing,
    RequestRefused,
    TokenKeyUnknown,
)
from clusterpass.model.clock import Clock
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.service.app import create_app
from clusterpass.service.authz.assertion import Assertions
from clusterpass.service.key_file_reload import ReloadedKeys
from clusterpass.service.last_keys import LastKeys
from clusterpass.service.settings.loading import make_settings
from clusterpass.sessions.flows import Flows
from clusterpass.web.csrf import CsrfTokens
from clusterpass.web.known_devices import KnownDevices

from .driven_flows import ISSUER, KEYSPACE, NOW, access_token, drive, life, live, opened
from .test_authz_parts import SESSION

OLD, NEW = KeyRing.generate(), KeyRing.generate()
BOTH = KeyRing([*NEW.all(), *OLD.all()])


class Log:
    """Notes what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **members: Any) -> None:
        self.lines.append(("info", event, members))

    def error(self, event: str, **members: Any) -> None:
        self.lines.append(("error", event, members))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    OLD.save(tmp_path / "keys.json")
    return tmp_path / "keys.json"


@pytest.fixture
def last() -> Iterator[LastKeys]:
    made = LastKeys.begin()
    yield made
    os.close(made.file)


def put(path: Path, ring: KeyRing) -> None:
    path.unlink(missing_ok=True)
    ring.save(path)


def test_the_last_keys_are_those_that_were_put_there_last(last: LastKeys) -> None:
    assert last.read() is None
    last.keep(BOTH)
    assert last.read() == BOTH
    last.keep(OLD)
    assert last.read() == OLD, "which are shorter"
    assert last.read(known=OLD) is None
    assert last.read(known=NEW) == OLD
    os.pwrite(last.file, b"?", 60)
    assert last.read() is None, "who wrote them was killed meanwhile"


def test_without_a_fit_file_and_without_last_keys_nothing_starts(
    path: Path, last: LastKeys
) -> None:
    path.write_text("{")
    for kept in (None, last):
        with pytest.raises(ConfigurationError, match="not a JSON object"):
            ReloadedKeys(KeyFile(path), Log(), kept)


def test_a_worker_that_is_replaced_has_the_last_keys(path: Path, last: LastKeys) -> None:
    ReloadedKeys(KeyFile(path), Log(), last)
    assert last.read() == OLD
    path.write_text("{")
    log = Log()
    keys = ReloadedKeys(KeyFile(path), log, last)
    assert keys.ring == OLD
    ((level, event, members),) = log.lines
    assert (level, event) == ("error", "keys_kept")
    assert members["kids"] == [OLD.signing_key.kid]
    assert members["file"] == str(path)


def test_a_worker_catches_up_with_the_others(path: Path, last: LastKeys) -> None:
    """One that is forked from a process which has read the file long ago."""
    log, used = Log(), list[KeyRing]()
    keys = ReloadedKeys(KeyFile(path), log, last)
    keys.catch_up(used.append)
    assert (used, log.lines) == ([], [])
    last.keep(BOTH)  # another worker did
    path.write_text("{")
    keys.catch_up(used.append)
    assert used == [BOTH]
    assert keys.ring == BOTH
    assert [line[1] for line in log.lines] == ["keys_kept"]
    put(path, NEW)
    keys.catch_up(used.append)
    assert used == [BOTH, NEW]
    assert last.read() == NEW
    _, event, members = log.lines[-1]
    assert event == "keys_loaded"
    assert members["removed"] == [OLD.signing_key.kid]
    assert members["added"] == []
    assert members["signing"] == NEW.signing_key.kid


def test_keys_that_cannot_be_used_are_not_kept(path: Path, last: LastKeys) -> None:
    def refuse(_: KeyRing) -> None:
        raise ConfigurationError("unfit for that")

    log = Log()
    keys = ReloadedKeys(KeyFile(path), log, last)
    put(path, NEW)
    keys.catch_up(refuse)
    assert keys.ring == OLD
    assert last.read() == OLD
    assert log.lines[-1][1:] == (
        "keys_kept",
        {"file": str(path), "problem": "unfit for that", "kids": [OLD.signing_key.kid]},
    )


def test_csrf_tokens_and_known_devices_survive_a_rotation() -> None:
    tokens, devices = CsrfTokens(OLD), KnownDevices(OLD, secure=True)
    token, device = tokens.make("session"), devices.make("alice")
    for each in (tokens, devices):
        each.replace_keys(BOTH)
    tokens.require("session", token)
    assert devices.known(device, "alice")
    assert tokens.make("session") == CsrfTokens(NEW).make("session")
    newer = devices.make("alice")
    for each in (tokens, devices):
        each.replace_keys(NEW)
    with pytest.raises(RequestRefused):
        tokens.require("session", token)
    assert devices.known(device, "alice") is None
    assert devices.known(newer, "alice")


def test_assertions_are_signed_by_the_new_key() -> None:
    assertions = Assertions(OLD, "https://auth.example")
    first = assertions.of(SESSION, "app.example")
    assert assertions.of(SESSION, "app.example") == first, "it is kept for some seconds"
    assertions.replace_keys(BOTH)
    second = assertions.of(SESSION, "app.example")
    signed, _, _ = second.rpartition(".")
    assert second != first
    assert first.partition(".")[0] != signed.partition(".")[0]
    with pytest.raises(ConfigurationError, match="HS256"):
        assertions.replace_keys(KeyRing.generate("HS256"))
    assert assertions.of(SESSION, "app.example") == second, "nothing has changed then"


async def test_a_worker_signs_assertions_with_keys_that_have_changed_while_it_started(
    path: Path,
) -> None:
    settings = make_settings(
        {
            "store_url": "redis+cluster://127.0.0.1:1",
            "keys_file": str(path),
            "issuer": "https://auth.example",
            "authz_assertion": True,
            "audit": False,
        }
    )
    app = create_app(settings, logger=Log())
    assertions = app._authorizing.assertions
    assert assertions is not None

    def signer() -> str:
        found = jwt.get_unverified_header(assertions.of(SESSION, "app.example"))["kid"]
        return str(found)

    assert signer() == OLD.signing_key.kid
    put(path, BOTH)
    async with app.running():
        assert signer() == app.service.sessions.config.keys.signing_key.kid == NEW.signing_key.kid


def test_what_a_removed_key_signed_is_no_longer_remembered() -> None:
    def era_after(before: KeyRing, keys: KeyRing) -> int:
        config = Config(issuer="https://auth.example", keys=before)
        flows = Flows(config, Keyspace(), deadline=3, tell=lambda _: None)
        flows.replace_keys(before, keys)
        return flows.memory.near.era

    assert era_after(OLD, BOTH) == 0, "a key was added"
    assert era_after(BOTH, NEW) == 1
    other = KeyRing.generate(kid=OLD.signing_key.kid)
    assert era_after(OLD, other) == 1, "another key has its name"


def test_tokens_of_a_key_that_was_added_are_accepted() -> None:
    flows = Flows(
        Config(issuer=ISSUER, keys=OLD),
        KEYSPACE,
        deadline=3,
        tell=lambda _: None,
        clock=Clock(wall=lambda: NOW, steady=lambda: NOW),
    )
    token = access_token(keys=NEW)

    with pytest.raises(TokenKeyUnknown):
        next(flows.verify.verify(token))
    with pytest.raises(TokenKeyUnknown):
        next(flows.end.logout(token))
    flows.replace_keys(OLD, BOTH)
    assert next(flows.verify.verify(token)).script.name == "read_not_before"
    assert next(flows.end.logout(token)).script.name == "end_session"


def test_a_login_is_signed_by_the_first_of_the_keys_that_came_since() -> None:
    own = life(keys=OLD)
    for keys in (OLD, BOTH):
        own.flows.replace_keys(OLD, keys)
        pair, _ = drive(own.login("alice"), opened(live()))
        assert jwt.get_unverified_header(pair.access_token)["kid"] == keys.signing_key.kid
