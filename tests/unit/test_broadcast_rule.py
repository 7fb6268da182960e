"""The rule that switches a node between broadcast tracking and tracking of the keys read."""

from typing import Any

import pytest

from clusterpass.store.drivers.broadcast_rule import is_worth_asking, prefers_all, trackers_in
from clusterpass.store.outcomes import ServerError


@pytest.mark.parametrize(
    ("held", "trackers", "pushes_all", "expected"),
    [
        (49_999, 1, False, False),
        (50_000, 1, False, True),
        (50_000, 8, False, True),
        (50_000, 9, False, False),
        (25_000, 16, True, True),
        (24_999, 16, True, False),
        (25_000, 17, True, False),
        (10**6, None, False, False),
        (10**6, None, True, False),
    ],
)
def test_few_processes_that_hold_many_keys_hear_of_all_changes(
    held: int, trackers: int | None, pushes_all: bool, expected: bool
) -> None:
    assert prefers_all(held, trackers, pushes_all=pushes_all) is expected


def test_nobody_is_asked_where_little_is_held() -> None:
    assert not is_worth_asking(49_999, pushes_all=False)
    assert is_worth_asking(50_000, pushes_all=False)
    assert is_worth_asking(0, pushes_all=True)


@pytest.mark.parametrize(
    ("reply", "trackers"),
    [
        (b"# Clients\r\ntracking_clients:12\r\nx:1\r\n", 12),
        (b"tracking_clients:0", 0),
        (b"tracking_clients:many\r\n", None),
        (b"# Clients\r\n", None),
        (ServerError("NOPERM", "no"), None),
        (None, None),
    ],
)
def test_how_many_track_at_a_node(reply: Any, trackers: int | None) -> None:
    assert trackers_in(reply) == trackers
