"""What ``clusterpass capacity`` reckons with where an option is not given."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

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
