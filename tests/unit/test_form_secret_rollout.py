"""Secrets of forms and cookies while refresh secrets move; what the setting may hold."""

import pytest

from clusterpass import Config, ConfigurationError, KeyRing
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.refresh_secrets import new_refresh_secret, parse_refresh_secrets
from clusterpass.web.derived_secrets import derived_secrets

SECRET, OTHER = new_refresh_secret(), new_refresh_secret()
STEPS = [(), ("store", SECRET), (SECRET,)]


def of(
    keys: KeyRing, secrets: tuple[str, ...], wrapping: tuple[str, ...] = ()
) -> tuple[bytes, ...]:
    config = Config(
        issuer="https://auth.example",
        keys=keys,
        refresh_secrets=secrets,
        key_encryption_keys=wrapping,
    )
    return derived_secrets(config.keys, config.shared_secrets, "forms")


@pytest.mark.parametrize("is_managed", [False, True])
def test_whoever_is_one_step_away_accepts_what_the_other_makes(is_managed: bool) -> None:
    keys = KeyRing.in_store() if is_managed else KeyRing.generate()
    wrapping = (new_encryption_key(),) if is_managed else ()
    before, between, after = (of(keys, step, wrapping) for step in STEPS)
    for one, other in ((before, between), (between, after)):
        assert one[0] in other
        assert other[0] in one
    assert before[0] in after, "what was made before the first step is still accepted"
    assert after[0] not in before


@pytest.mark.parametrize(
    "texts",
    [("store",), (SECRET, "store"), ("store", SECRET, "store"), "store", ("Store", SECRET)],
)
def test_store_stands_before_the_secrets_or_not_at_all(texts: object) -> None:
    with pytest.raises(ConfigurationError, match="refresh_secrets"):
        parse_refresh_secrets(texts)


def test_store_and_secrets_may_be_one_text() -> None:
    assert parse_refresh_secrets(f"store, {SECRET}\n{OTHER}") == ("store", SECRET, OTHER)
    assert parse_refresh_secrets(SECRET) == (SECRET,)
