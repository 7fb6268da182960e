"""``clusterpass capacity``: defaults and ranges of the options, and the arithmetic."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from clusterpass.cli import capacity_model
from clusterpass.cli.capacity import capacity

USUAL = {
    "sessions": "1",
    "active": "1",
    "logins": "0",
    "requests": "0",
    "access-lifetime": "900",
    "name-length": "16",
    "claims": "0",
    "servers": "2",
    "primaries": "3",
    "replicas": "1",
}


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that stay, whatever is measured next."""
    figures = {
        "KEY_BYTES": 144.0,
        "SESSION_BYTES": 128.0,
        "CACHE_ENTRY_BYTES": 788,
        "STORE_MICROSECONDS": {"login": 79, "refresh": 103, "first verify": 34},
        "SERVER_MICROSECONDS": {"login": 120, "refresh": 151, "first verify": 243, "verify": 32},
        "SERVER_BYTES": 56 * 2**20,
    }
    for name, figure in figures.items():
        monkeypatch.setattr(capacity_model, name, figure)


def reckoned(**options: str) -> Any:
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    outcome = CliRunner().invoke(capacity, ["--users", "1000000", "--json", *given])
    assert outcome.exit_code == 0
    return json.loads(outcome.stdout)


@pytest.mark.parametrize("name", USUAL)
def test_an_option_that_is_not_given_has_its_usual_value(name: str) -> None:
    others = {each: value for each, value in USUAL.items() if each != name}
    assert reckoned(**others) == reckoned(**USUAL) == reckoned()


@pytest.mark.parametrize("name", USUAL)
def test_every_option_counts(name: str) -> None:
    more = {"active": "0.5", "requests": "5000", "name-length": "9", "replicas": "2"}
    busy = {**USUAL, "requests": "4000", "logins": "10"}
    assert reckoned(**busy) != reckoned(
        **{**busy, name: more.get(name, str(int(USUAL[name]) + 100))}
    )


def test_what_a_deployment_needs_adds_up() -> None:
    """Reckoned by hand from the figures above."""
    found = reckoned(
        **{
            "users": "2000000",
            "sessions": "1.5",
            "active": "0.5",
            "logins": "100",
            "requests": "20100",
            "access-lifetime": "600",
            "name-length": "12",
            "claims": "50",
            "servers": "4",
            "replicas": "2",
        }
    )
    assert found["sessions"] == 3_000_000
    assert found["calls_per_second"] == {
        "login": 100,
        "refresh": 2500,
        "first verify": 10_000,
        "verify": 10_100,
    }
    assert found["store"] == {
        "nodes": 9,
        "data_bytes": 854_000_000,
        "data_bytes_per_node": 284_666_667,
        "maxmemory_per_node": 543 * 2**20,
        "cores_of_primaries": 0.605,
        "share_of_a_core_per_primary": 0.202,
    }
    assert found["servers"] == {
        "processes": 4,
        "cache_bytes_per_process": 1_257_000_000,
        "bytes_per_process": 1_257_000_000 + 56 * 2**20,
        "cores": 3.143,
        "share_of_a_core_per_process": 0.786,
    }
    assert found["warnings"] == ["each process needs more than half a core; use 7 processes"]


def test_a_node_has_room_for_more_than_its_sessions() -> None:
    assert reckoned(users="1")["store"]["maxmemory_per_node"] == 64 * 2**20


def test_rates_are_told_to_a_tenth_and_shares_to_a_thousandth() -> None:
    found = reckoned(**{"access-lifetime": "700", "primaries": "7"})
    assert found["calls_per_second"]["refresh"] == 1428.6
    assert found["store"]["cores_of_primaries"] == 0.147
    assert found["store"]["share_of_a_core_per_primary"] == 0.021
    assert found["servers"]["cores"] == 0.216
    assert found["servers"]["share_of_a_core_per_process"] == 0.108


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("users", 1, 10**12),
        ("sessions", 1, 10**6),
        ("active", 0, 1),
        ("access-lifetime", 10, 86_400),
        ("name-length", 1, 255),
        ("claims", 0, 10**6),
        ("servers", 1, 10**6),
        ("primaries", 1, 16_384),
        ("replicas", 0, 100),
    ],
)
def test_the_least_and_the_most_of_each_option(name: str, least: int, most: int) -> None:
    for value in (least, most):
        assert reckoned(**{name: str(value)})
    for value in (least - 1, most + 1):
        outcome = CliRunner().invoke(capacity, ["--users", "1", f"--{name}", str(value)])
        assert (outcome.exit_code, f"'--{name}'" in outcome.stderr) == (2, True)
