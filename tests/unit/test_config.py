"""The configuration refuses what would not be safe."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from clusterpass.config import Config, SessionPolicy
from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.keyring import KeyRing

RING = KeyRing.generate("EdDSA")
ISSUER = "https://auth.example"


def config(**values: Any) -> Config:
    return Config(**{"issuer": ISSUER, "keys": RING, **values})


def test_without_an_audience_it_is_the_issuer() -> None:
    assert config().audience == ISSUER


def test_values_are_kept() -> None:
    made = config(audience="api", access_lifetime=60, idle_lifetime=0, expiry_leeway=5)
    assert (made.audience, made.access_lifetime, made.idle_lifetime, made.expiry_leeway) == (
        "api",
        60,
        0,
        5,
    )


LIMITS = {
    "access_lifetime": (10, 86_400),
    "absolute_lifetime": (10, 10 * 366 * 86_400),
    "idle_lifetime": (0, 10 * 366 * 86_400),
    "clock_leeway": (0, 300),
    "expiry_leeway": (0, 5),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_of_numbers(name: str) -> None:
    lowest, highest = LIMITS[name]
    room = {"idle_lifetime": 0} if name != "idle_lifetime" else {}
    for value in (lowest, highest):
        assert getattr(config(**room, **{name: value}), name) == value
    for wrong in (lowest - 1, highest + 1, -1, 10**30):
        with pytest.raises(ConfigurationError, match=name):
            config(**room, **{name: wrong})


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [True, False, 60.0, "60", None, [60], float("nan")])
def test_numbers_are_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        config(**{name: value})


@pytest.mark.parametrize("name", ["issuer", "audience"])
@pytest.mark.parametrize(
    "value", ["a\n", "\0", "\x7f", "a" * 256, "\ud800", "\u200b", 5, ["x"], b"x", True]
)
def test_names_are_printable_text(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        config(**{name: value})


@pytest.mark.parametrize("issuer", ["", None])
def test_issuer_is_required(issuer: Any) -> None:
    with pytest.raises(ConfigurationError, match="issuer"):
        config(issuer=issuer)


@pytest.mark.parametrize("audience", [0, False, [], b""])
def test_audience_that_is_no_text_is_not_replaced_by_the_issuer(audience: Any) -> None:
    with pytest.raises(ConfigurationError, match="audience"):
        config(audience=audience)


@pytest.mark.parametrize("keys", [None, [], {"keys": []}, "secret", RING.signing_key])
def test_keys_are_a_key_ring(keys: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config(keys=keys)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("policy", [None, 1, {"max_sessions": 1}])
def test_policy_is_a_policy(policy: Any) -> None:
    with pytest.raises(ConfigurationError, match="policy"):
        config(policy=policy)


@pytest.mark.parametrize("value", [0, -1, 501, True, 1.0, "1", None])
def test_number_of_sessions_that_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_sessions"):
        SessionPolicy(max_sessions=value)


def test_policies() -> None:
    assert SessionPolicy.single_session() == SessionPolicy(max_sessions=1)
    assert SessionPolicy(max_sessions=500).max_sessions == 500


def test_session_does_not_end_while_its_access_token_is_in_use() -> None:
    config(access_lifetime=600, idle_lifetime=600)
    config(access_lifetime=600, idle_lifetime=0)
    with pytest.raises(ConfigurationError, match="idle_lifetime"):
        config(access_lifetime=600, idle_lifetime=599)


def test_configuration_is_frozen_and_takes_names_only() -> None:
    made = config()
    with pytest.raises(FrozenInstanceError):
        made.access_lifetime = 1  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        made.policy.max_sessions = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        Config(ISSUER, "", RING)  # type: ignore[misc]


def test_what_is_printed_holds_no_key() -> None:
    printed = repr(config())
    assert RING.signing_key.kid not in printed
    assert str(RING.signing_key.jwk(private=True)["d"]) not in printed
