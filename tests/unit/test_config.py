"""Validation of ``Config``: unsafe values are refused."""

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


DAY, LONGEST = 86_400, 10 * 366 * 86_400
LIMITS = {
    "access_lifetime": (10, DAY),
    "absolute_lifetime": (10, LONGEST),
    "idle_lifetime": (0, LONGEST),
    "remember_lifetime": (10, LONGEST),
    "remember_idle_lifetime": (0, LONGEST),
    "activity_interval": (0, DAY),
    "history_entries": (0, 100),
    "history_lifetime": (0, LONGEST),
    "generation_lifetime": (3600, LONGEST),
    "clock_leeway": (0, 300),
    "expiry_leeway": (0, 5),
    "cache_entries": (1, 100_000_000),
    "cache_bytes": (2**20, 2**40),
}


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [*((name, *limits) for name, limits in LIMITS.items()), ("refresh_grace", 5, 300)],
)
def test_limits_of_numbers(name: str, lowest: int, highest: int) -> None:
    room = {each: 0 for each in ("idle_lifetime", "remember_idle_lifetime") if each != name}
    for value in (lowest, highest):
        assert getattr(config(**room, **{name: value}), name) == value
    for wrong in (lowest - 1, highest + 1, -1, 10**30):
        with pytest.raises(ConfigurationError, match=f"^{name}[ ,]"):
            config(**room, **{name: wrong})


@pytest.mark.parametrize(
    ("name", "least", "most"), [("staleness_bound", 0.05, 60), ("outage_grace", 0, 3600)]
)
def test_limits_of_seconds_with_fractions(name: str, least: float, most: float) -> None:
    for value in (least, (least + most) / 3, most):
        assert getattr(config(**{name: value}), name) == value
    wrong = (least - 0.01, most + 0.01, True, "1", None, float("nan"), float("inf"))
    for value in wrong:
        with pytest.raises(ConfigurationError, match=f"^{name} must be"):
            config(**{name: value})


@pytest.mark.parametrize("name", ["index_online", "step_up_ends_older_tokens", "stored_devices"])
@pytest.mark.parametrize("value", [0, 1, None, "yes"])
def test_a_switch_is_on_or_off(name: str, value: Any) -> None:
    for allowed in (False, True):
        assert getattr(config(**{name: allowed}), name) is allowed
    with pytest.raises(ConfigurationError, match=f"^{name} must be True or False"):
        config(**{name: value})


def test_a_refresh_token_may_be_for_single_use_without_exception() -> None:
    assert config(refresh_grace=0).refresh_grace == 0


def test_how_many_levels_there_may_be_and_how_long_their_names() -> None:
    for allowed in (("1",), tuple("abcdefghijklmnop"), ("x" * 40, "._:/#-")):
        assert config(levels=allowed).levels == allowed
    for wrong in ((), tuple("abcdefghijklmnopq"), ("1", "1"), ("x" * 41,), ("",), ["1"], (1,)):
        with pytest.raises(ConfigurationError, match=r"^levels must be"):
            config(levels=wrong)


@pytest.mark.parametrize("name", ["idle_lifetime", "remember_idle_lifetime"])
def test_an_idle_lifetime_is_no_shorter_than_that_of_a_token(name: str) -> None:
    for allowed in (0, 600):
        config(access_lifetime=600, **{name: allowed})
    for wrong in (1, 599):
        with pytest.raises(ConfigurationError, match=f"^{name} must not be shorter"):
            config(access_lifetime=600, **{name: wrong})


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [True, False, 60.0, "60", None, [60], float("nan")])
def test_numbers_are_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        config(**{name: value})


@pytest.mark.parametrize("name", ["issuer", "audience", "client_id"])
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


@pytest.mark.parametrize("name", ["audience", "client_id"])
@pytest.mark.parametrize("value", [0, False, [], b""])
def test_name_that_is_no_text_is_not_replaced_by_the_issuer(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        config(**{name: value})


def test_audience_and_client_are_the_issuer_unless_given() -> None:
    made = config()
    assert (made.audience, made.client_id) == (made.issuer, made.issuer)
    assert config(audience="api").client_id == made.issuer


@pytest.mark.parametrize("kept", ["", "all", None, True, ["full"]])
def test_what_is_kept_of_addresses_is_one_of_three(kept: Any) -> None:
    with pytest.raises(ConfigurationError, match="'full', 'network' or 'none'"):
        config(stored_addresses=kept)
    assert config(stored_addresses="none").stored_addresses == "none"


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


@pytest.mark.parametrize("value", [-1, 501, True, 1.0, "1", None])
def test_number_of_sessions_on_a_device_type_that_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_per_device"):
        SessionPolicy(max_per_device=value)


def test_policies() -> None:
    assert SessionPolicy.single_session() == SessionPolicy(max_sessions=1)
    assert SessionPolicy.one_per_device() == SessionPolicy(max_sessions=50, max_per_device=1)
    assert SessionPolicy.one_per_device(max_sessions=3) == SessionPolicy(
        max_sessions=3, max_per_device=1
    )
    most = SessionPolicy(max_sessions=500, max_per_device=500)
    assert (most.max_sessions, most.max_per_device) == (500, 500)


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
