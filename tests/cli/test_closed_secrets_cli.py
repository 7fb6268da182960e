"""Keys and secrets in the store that do not open are told before the service meets them."""

import json

import pytest

from clusterpass import Config, KeyRing, ManagedKeys, SessionManager
from clusterpass.tokens.key_encryption import new_encryption_key

from .conftest import IMPATIENT, assert_refused

FIRST, SECOND = new_encryption_key(), new_encryption_key()
MANAGED = {"CLUSTERPASS_MANAGED_KEYS": "true"}
ONLY = ("doctor", "--only", "secrets")


def wrapped_by(key: str) -> dict[str, str]:
    return {**MANAGED, "CLUSTERPASS_KEY_ENCRYPTION_KEYS": key}


@pytest.fixture
def kid(url: str) -> str:
    """The key that signs, which FIRST wraps, as it does a refresh secret."""
    keys = KeyRing.in_store(ManagedKeys())
    config = Config(issuer="https://cli.example", keys=keys, key_encryption_keys=(FIRST,))
    with SessionManager.from_url(url, config) as manager:
        manager.login("alice")
        return manager.keys.list()[0].kid


@pytest.mark.parametrize("command", [ONLY, ("config", "check")])
def test_keys_that_open_are_in_order(run, kid, command):
    done = run(*command, **wrapped_by(FIRST))
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(*command, **wrapped_by(f"{SECOND},{FIRST}")).returncode == 0


def test_the_doctor_names_what_does_not_open(run, kid):
    done = run(*ONLY, "--json", **wrapped_by(SECOND))
    assert done.returncode == 1
    key, secret = json.loads(done.stdout)["findings"]
    assert {key["id"], key["severity"], secret["severity"]} == {"secrets", "problem"}
    assert f"{kid} in the store, which signs, does not open" in key["found"]
    assert f"clusterpass keys revoke {kid}" in key["remedy"]
    assert "503 (secrets)" in secret["found"] and "--retire-others" in secret["remedy"]
    assert not {FIRST, SECOND, FIRST[4:], SECOND[4:]} & set(done.stdout.split())


def test_a_doctor_without_the_settings_of_the_service_does_not_judge(run, kid, url):
    done = run(*ONLY, "--store", url, "--json")
    (told,) = json.loads(done.stdout)["findings"]
    assert (told["severity"], done.returncode) == ("unseen", 0)
    assert run(*ONLY, "--json").returncode == 1  # these are the settings of the service


def test_the_settings_are_not_in_order_where_keys_do_not_open(run, kid):
    refused = run("config", "check", **wrapped_by(SECOND))
    assert_refused(refused, saying=f"clusterpass keys revoke {kid}")
    told = json.loads(run("config", "check", "--json", **wrapped_by(SECOND)).stdout)
    assert (told["valid"], kid in told["problem"]) == (False, True)


def test_what_was_given_up_matters_to_nobody(run, kid, url):
    assert run("keys", "revoke", kid, "--yes", **wrapped_by(SECOND)).returncode == 0
    retired = run("keys", "rotate-refresh-secret", "--retire-others", "--yes", **wrapped_by(SECOND))
    assert retired.returncode == 0, retired.stderr
    done = run(*ONLY, "--json", **wrapped_by(SECOND))
    assert (done.returncode, json.loads(done.stdout)["findings"]) == (0, [])
    assert run("config", "check", **wrapped_by(SECOND)).returncode == 0


def test_settings_can_be_checked_while_the_store_is_away(run):
    done = run("config", "check", CLUSTERPASS_STORE_URL=IMPATIENT, **wrapped_by(FIRST))
    assert (done.returncode, done.stdout) == (0, "The settings are valid.\n")
    assert done.stderr.startswith("note: whether what the store holds opens is not known: ")
