"""Secrets and keys that settings hold: what is accepted, and that none is ever shown."""

import pytest

from clusterpass.config import Config
from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.key_encryption import (
    KeyEncryptionKeys,
    new_encryption_key,
    parse_encryption_keys,
)
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh_secrets import (
    hmac_of,
    new_refresh_secret,
    parse_refresh_secrets,
    read_refresh_secrets,
    refresh_secret,
)

KINDS = [
    (parse_refresh_secrets, new_refresh_secret, "cps_", "refresh_secrets"),
    (parse_encryption_keys, new_encryption_key, "cpk_", "key_encryption_keys"),
]
WEAK = "A" * 43


@pytest.mark.parametrize(("parse", "make", "prefix", "name"), KINDS)
def test_texts_in_any_form_are_read(parse, make, prefix, name):
    one, two = make(), make()
    assert one != two
    assert one.startswith(prefix)
    for given in ((one, two), [one, two], f"{one},{two}", f" {one}\n{two}\n", f"{one} , {two}"):
        assert parse(given) == (one, two)
    assert parse("") == parse(()) == ()


@pytest.mark.parametrize(("parse", "make", "prefix", "name"), KINDS)
def test_what_is_no_secret_is_refused_without_being_shown(parse, make, prefix, name):
    good = make()
    for bad in (good[:-1], good + "A", good[4:], prefix + WEAK, "guess-me", good.upper(), 5, b"x"):
        with pytest.raises(ConfigurationError) as caught:
            parse((good, bad))
        assert f"number 2 of {name}" in str(caught.value)
        assert "clusterpass keys" in str(caught.value)
        assert str(bad) not in str(caught.value) or bad == 5
    with pytest.raises(ConfigurationError, match="twice"):
        parse((good, good))
    with pytest.raises(ConfigurationError, match="at most 16"):
        parse([make() for _ in range(17)])
    with pytest.raises(ConfigurationError, match=name):
        parse(5)


def test_a_configuration_never_shows_them():
    secret, key = new_refresh_secret(), new_encryption_key()
    config = Config(
        issuer="https://a.example",
        keys=KeyRing.generate(),
        refresh_secrets=(secret,),
        key_encryption_keys=(key,),
    )
    assert secret not in repr(config)
    assert key not in repr(config)
    (found,) = read_refresh_secrets((secret,))
    for shown in (secret, repr(found.value)):
        assert shown not in repr(found)
    assert key not in repr(KeyEncryptionKeys((key,)))


def test_a_configuration_takes_them_in_any_form():
    secrets = (new_refresh_secret(), new_refresh_secret())
    keys = (new_encryption_key(), new_encryption_key())
    config = Config(
        issuer="https://a.example",
        keys=KeyRing.generate(),
        refresh_secrets=",".join(secrets),
        key_encryption_keys=list(keys),
    )
    assert (config.refresh_secrets, config.key_encryption_keys) == (secrets, keys)


def test_a_secret_has_the_same_id_everywhere_and_another_than_others():
    one, two = read_refresh_secrets((new_refresh_secret(), new_refresh_secret()))
    assert one.id == refresh_secret(one.value).id
    assert len(one.id) == 4
    assert one.id != two.id
    made = {hmac_of(part, b"") for part in (one.tag, one.chain, one.exchange)}
    assert len(made) == 3


def test_what_an_earlier_release_wrapped_opens():
    key = "cpk_" + "A" * 43
    sealed = "okCocT.pd8V0eGP6lqWEw0DlFH9MdIGXcu7xxsGLYoaMxQP3upRll-oF4A"
    assert KeyEncryptionKeys((key,)).unwrap(sealed, b"place one") == b"the secret"


def test_what_is_wrapped_opens_for_its_purpose_alone():
    old, new = new_encryption_key(), new_encryption_key()
    sealed = KeyEncryptionKeys((old,)).wrap(b"the secret", b"place one")
    assert b"the secret" not in sealed.encode()
    both = KeyEncryptionKeys((new, old))
    assert both.unwrap(sealed, b"place one") == b"the secret"
    assert both.wrap(b"x", b"") != both.wrap(b"x", b""), "each has a nonce of its own"
    assert both.wrap(b"x", b"").startswith(both.first + ".")
    with pytest.raises(ConfigurationError, match="does not open"):
        both.unwrap(sealed, b"place two")
    changed = sealed[:-2] + ("AA" if sealed[-2:] != "AA" else "BB")
    with pytest.raises(ConfigurationError, match="does not open"):
        both.unwrap(changed, b"place one")
    with pytest.raises(ConfigurationError, match="not among the key_encryption_keys"):
        KeyEncryptionKeys((new,)).unwrap(sealed, b"place one")
    assert not KeyEncryptionKeys(())
    assert both
