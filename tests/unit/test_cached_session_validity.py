"""The time until which a cached session stays valid: the next end of a ban or step-up."""

import dataclasses

import pytest

from clusterpass.protocol.replies import Elevation, Stored, StoredBan
from clusterpass.sessions.public_values import means_the_same_until

from .driven_flows import NOW, live

RECORD = live(absolute_end=NOW + 1000, idle_seconds=0)
PLAIN = Stored(NOW * 1000, RECORD)


@pytest.mark.parametrize(
    ("ends_at", "until"),
    [
        (NOW - 1, NOW + 1000),
        (NOW, NOW + 1000),
        (NOW + 1, NOW + 1),
        (NOW + 999, NOW + 999),
        (NOW + 1001, NOW + 1000),
    ],
)
def test_until_the_next_of_its_bans_and_its_step_up_ends(ends_at: int, until: int) -> None:
    assert means_the_same_until(PLAIN, RECORD) == NOW + 1000
    ban = StoredBan("chat", 1, ends_at, "", NOW - 10)
    for_good = StoredBan("posts", 1, 0, "", NOW - 10)
    banned = dataclasses.replace(PLAIN, bans=(for_good, ban))
    assert means_the_same_until(banned, RECORD) == until
    raised = dataclasses.replace(PLAIN, elevation=Elevation(NOW - 10, ends_at, "2", ()))
    assert means_the_same_until(raised, RECORD) == until
