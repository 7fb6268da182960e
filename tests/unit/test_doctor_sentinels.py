"""The doctor behind Sentinels: discovery of a service's servers, and errors."""

import ssl
from dataclasses import replace
from typing import Any

import pytest

from clusterpass.doctor import behind_sentinels
from clusterpass.doctor.behind_sentinels import find_servers
from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.store.address import Address
from clusterpass.store.location import StoreLocation
from clusterpass.store.patience import Patience

from .test_sentinels import NEW, OLD, SEEDS, THIRD, A, B, C, Sentinel

LOCATION = StoreLocation(
    seeds=SEEDS,
    is_cluster=False,
    service="shop",
    username="app",
    password="of the servers",
    sentinel_username="watcher",
    sentinel_password="of the Sentinels",
    patience=Patience(timeout=1.0, deadline=5.0),
)
CONTEXT = ssl.create_default_context()


class Asked:
    """The Sentinels that are reached, by address; an exception is raised instead of an answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, them: dict[Address, Any]) -> None:
        asked = self
        self.by: list[tuple[Address, str | None, str | None, Any]] = []
        self.opened = 0

        class Connection:
            def __init__(self, location: StoreLocation, address: Address, context: Any) -> None:
                self._address = address
                asked.by.append((address, location.username, location.password, context))

            def __enter__(self) -> "Connection":
                if isinstance(them[self._address], Exception):
                    raise them[self._address]
                asked.opened += 1
                return self

            def __exit__(self, *_: object) -> None:
                asked.opened -= 1

            def ask_together(self, *commands: Any) -> list[Any]:
                return them[self._address].answer(commands).values

        monkeypatch.setattr(behind_sentinels, "NodeConnection", Connection)


def test_the_servers_are_the_primary_and_every_replica_failed_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {THIRD: "slave,s_down", NEW: "slave"}
    them = {each: Sentinel(str(number), replicas=known) for number, each in enumerate(SEEDS)}
    asked = Asked(monkeypatch, them)
    assert find_servers(LOCATION, CONTEXT) == (
        replace(LOCATION, seeds=(OLD, NEW, THIRD), service=None),
        3,
    )
    assert len(asked.by) == 2, "a majority is enough"
    assert {each[1:] for each in asked.by} == {("watcher", "of the Sentinels", CONTEXT)}
    assert asked.opened == 0


def test_where_there_are_no_sentinels_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, {})
    location = replace(LOCATION, service=None)
    assert find_servers(location, None) == (location, 0)
    assert asked.by == []


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionRefusedError("no"),
        StoreUnavailable(reason="busy"),
        StoreDenied(reason="authentication"),
    ],
)
def test_a_sentinel_that_cannot_be_asked_leaves_it_to_the_others(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    asked = Asked(monkeypatch, {A: failure, B: Sentinel("b"), C: Sentinel("c")})
    while A not in [each[0] for each in asked.by]:  # they are asked in any order
        found, sentinels = find_servers(LOCATION, None)
        assert (found.seeds, sentinels) == ((OLD,), 3)
    assert asked.opened == 0


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (ConnectionRefusedError("no"), "refused"),
        (TimeoutError("late"), "timed_out"),
        (StoreUnavailable(reason="busy"), "busy"),
    ],
)
def test_where_no_sentinel_can_be_asked_the_error_says_why(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, cause: str
) -> None:
    Asked(monkeypatch, dict.fromkeys(SEEDS, failure))
    with pytest.raises(StoreUnavailable) as error:
        find_servers(LOCATION, None)
    assert (error.value.reason, error.value.cause) == ("connection", cause)
    assert error.value.node in map(str, SEEDS)


def test_sentinels_that_take_nobody_are_told_from_servers_that_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Asked(monkeypatch, dict.fromkeys(SEEDS, StoreDenied(reason="authentication")))
    with pytest.raises(StoreDenied, match="sentinel_username and sentinel_password") as error:
        find_servers(LOCATION, None)
    assert error.value.reason == "authentication"


def test_sentinels_that_do_not_know_the_service_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, {each: Sentinel(str(each), primary=None) for each in SEEDS})
    with pytest.raises(StoreFailed, match="know no service 'shop'"):
        find_servers(LOCATION, None)
    assert asked.opened == 0


def test_no_further_sentinel_is_asked_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, dict.fromkeys(SEEDS, TimeoutError("late")))
    now = iter([100.0, 100.0, 104.9, 105.0])
    monkeypatch.setattr(behind_sentinels.time, "monotonic", lambda: next(now))
    with pytest.raises(StoreUnavailable):
        find_servers(LOCATION, None)
    assert len(asked.by) == 2
