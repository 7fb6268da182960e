"""Refresh secrets move between the store and the configuration while old processes go on."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from clusterpass import InvalidRefreshToken, KeyRing, RefreshTokenReused, StoreUnavailable
from clusterpass.tokens.encoding import decode_base64url
from clusterpass.tokens.refresh import parse_refresh_token
from clusterpass.tokens.refresh_secrets import new_refresh_secret, read_refresh_secrets

from .stored import eventually, let_secrets_age, new_namespace, opened_apart

SECRET = new_refresh_secret()
OTHER = new_refresh_secret()
STORE_FIRST = ("store", SECRET)


@pytest.fixture
def namespace() -> str:
    return new_namespace()


@pytest.fixture
def opened(engine, config, namespace) -> Iterator:
    """Opens a process with these refresh secrets."""
    with ExitStack() as stack:
        yield lambda *secrets: stack.enter_context(
            opened_apart(engine, dataclasses.replace(config, refresh_secrets=secrets), namespace)
        )


def read_again(*managers) -> None:
    """As if a minute had passed."""
    for manager in managers:
        known = getattr(manager, "manager", manager)._flows.known_secrets
        known._stored.clear()
        known._read.clear()
        known._announced._times.clear()
        known.changed()


def made_by(token: str) -> bytes:
    return parse_refresh_token(token).secret_id


def secret_id(text: str) -> bytes:
    (secret,) = read_refresh_secrets([text])
    return secret.id


def settle(engine, namespace: str, *managers) -> None:
    """Let all secrets be known to everybody."""
    let_secrets_age(engine, namespace, 100, "created", "since")
    read_again(*managers)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([(), STORE_FIRST, (SECRET,)], id="to the configuration"),
        pytest.param([(SECRET,), STORE_FIRST, ()], id="to the store"),
        pytest.param([(SECRET,), (SECRET, OTHER), (OTHER, SECRET)], id="to another secret"),
    ],
)
def test_each_step_leaves_everybody_logged_in(engine, opened, namespace, steps):
    old = opened(*steps[0])
    pair = old.login("alice")
    first = made_by(pair.refresh_token)
    for step in steps[1:]:
        new = opened(*step)
        for _ in range(2):
            for one, other in ((new, old), (old, new)):
                newer = one.refresh(pair.refresh_token)
                again = other.refresh(pair.refresh_token)
                assert again.refresh_token == newer.refresh_token, "whoever is asked again"
                pair = other.refresh(newer.refresh_token)
                assert pair.subject == "alice"
                assert other.refresh(one.login("bob").refresh_token).subject == "bob"
            settle(engine, namespace, old, new)
        old = new
    assert made_by(old.refresh(pair.refresh_token).refresh_token) != first
    assert made_by(old.login("carol").refresh_token) != first


def test_a_secret_waits_until_all_processes_have_heard_of_it(engine, opened, namespace):
    old = opened()
    pair = old.login("alice")
    let_secrets_age(engine, namespace, 100, "created")
    new = opened(SECRET)
    pair = new.refresh(pair.refresh_token)
    assert old.refresh(pair.refresh_token).subject == "alice"
    settle(engine, namespace, new)
    assert made_by(new.login("bob").refresh_token) == secret_id(SECRET)


def test_a_process_that_lacks_a_secret_ends_nothing(engine, opened, namespace):
    old, new = opened(), opened(SECRET)
    pair = old.login("alice")
    new.login("bob")
    settle(engine, namespace, old, new)
    newer = new.refresh(pair.refresh_token)
    assert made_by(newer.refresh_token) == secret_id(SECRET)
    for token in (pair.refresh_token, newer.refresh_token):
        with pytest.raises(StoreUnavailable) as failure:
            old.refresh(token)
        assert (failure.value.reason, failure.value.status) == ("secrets", 503)
        assert failure.value.retry_after >= 1
    with pytest.raises(StoreUnavailable):
        old.logout(newer.refresh_token)
    assert new.refresh(pair.refresh_token).refresh_token == newer.refresh_token
    assert new.refresh(newer.refresh_token).session_id == pair.session_id
    with pytest.raises(StoreUnavailable):
        old.refresh(pair.refresh_token)
    assert old.verify(newer.access_token).subject == "alice"


def test_what_is_used_twice_is_noticed_all_the_same(engine, opened, namespace):
    old, new = opened(), opened(SECRET)
    pair = old.login("alice")
    new.login("bob")
    settle(engine, namespace, old, new)
    latest = pair
    for _ in range(6):
        latest = new.refresh(latest.refresh_token)
    with pytest.raises(RefreshTokenReused):
        old.refresh(pair.refresh_token)
    with pytest.raises(InvalidRefreshToken):
        new.refresh(latest.refresh_token)


def test_a_secret_that_was_given_up_is_no_reason_to_wait(engine, opened, namespace):
    old, new = opened(), opened(SECRET)
    old.login("alice")
    new.login("bob")
    settle(engine, namespace, new)
    token = new.login("carol").refresh_token
    let_secrets_age(engine, namespace, 1000, "seen")
    read_again(old)
    with pytest.raises(InvalidRefreshToken) as refusal:
        old.refresh(token)
    assert refusal.value.reason == "mismatch"


def test_another_service_has_secrets_of_its_own(engine, config, opened, namespace):
    new = opened(SECRET)
    pair = new.login("alice")
    blog = dataclasses.replace(config, audience="blog", refresh_secrets=(OTHER,))
    with opened_apart(engine, blog, namespace) as manager:
        manager.login("bob")
        with pytest.raises(InvalidRefreshToken) as refusal:
            manager.refresh(pair.refresh_token)
        assert refusal.value.reason == "mismatch"
    assert new.refresh(pair.refresh_token).subject == "alice"


def test_a_rotated_secret_in_the_store_logs_nobody_out(engine, opened, namespace):
    one, other = opened(), opened()
    pair = one.login("alice")
    let_secrets_age(engine, namespace, 100, "created")
    read_again(one)
    other.refresh(other.login("bob").refresh_token)
    made = one.keys.rotate_refresh_secret()
    newer = one.refresh(pair.refresh_token)
    assert other.refresh(pair.refresh_token).refresh_token == newer.refresh_token
    settle(engine, namespace, one)
    last = one.refresh(newer.refresh_token)
    assert made_by(last.refresh_token) == decode_base64url(made)
    assert other.refresh(last.refresh_token).session_id == pair.session_id


def test_retired_secrets_are_forgotten_at_once_by_those_who_watch(engine, opened, namespace):
    one, other = opened(), opened()
    pair = one.login("alice")
    other.verify(other.refresh(pair.refresh_token).access_token)
    other.login("bob")
    one.keys.rotate_refresh_secret(retire_others=True)

    made = one.login("carol").refresh_token
    eventually(lambda: made_by(other.login("carol").refresh_token) == made_by(made))


PROCESS = """
import json, sys
from clusterpass import ClusterPassError, Config, KeyRing, SessionManager

url, keys, secrets = sys.argv[1], sys.argv[2], tuple(json.loads(sys.argv[3]))
ring = KeyRing.from_jwks(keys)
config = Config(issuer="https://auth.example", keys=ring, refresh_secrets=secrets)
with SessionManager.from_url(url, config) as sessions:
    for line in sys.stdin:
        verb, argument = line.split()
        try:
            answer = getattr(sessions, verb)(argument).refresh_token
        except ClusterPassError as error:
            answer = error.code + " " + str(error.reason)
        print(answer, flush=True)
"""


class Process:
    """A process of its own that logs in and refreshes."""

    def __init__(self, url: str, keys: KeyRing, secrets: tuple[str, ...]) -> None:
        arguments = [url, keys.private_jwks_text(), json.dumps(secrets)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, verb: str, argument: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{verb} {argument}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate(timeout=30)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("steps", [[(), STORE_FIRST, (SECRET,)], [(SECRET,), STORE_FIRST, ()]])
def test_processes_are_replaced_one_after_the_other(engine, namespace, steps):
    running, style = engine
    if style != "sync":
        pytest.skip("the processes are synchronous")
    url, keys = f"{running.url}?namespace={namespace}", KeyRing.generate()
    processes = [Process(url, keys, steps[0]) for _ in range(2)]
    try:
        token = processes[0].ask("login", "alice")
        for step in steps[1:]:
            for number in range(2):
                processes[number].end()
                processes[number] = Process(url, keys, step)
                for each in (0, 1, 0, 1):
                    token = processes[each].ask("refresh", token)
                    assert token.startswith("cpr_"), token
            # Two minutes later, by which time all have read the secrets again.
            let_secrets_age(engine, namespace, 100, "created", "since")
            for number in range(2):
                processes[number].end()
                processes[number] = Process(url, keys, step)
                token = processes[number].ask("refresh", token)
                assert token.startswith("cpr_"), token
    finally:
        for each in processes:
            each.end()
