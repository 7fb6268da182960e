"""``Clocks``: the time on which most servers agree, and replies judged by it."""

import logging
import re
from importlib.resources import files
from typing import Any

import pytest

from clusterpass.limits import CLOCK_TOLERANCE, MOST_CLOCKS_APART
from clusterpass.model.clock import Clock, clock_in_use
from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.calls.call_time import CallTime
from clusterpass.protocol.replies import read_listed
from clusterpass.sessions.memory.clocks import Clocks, Told
from clusterpass.testing import simulated_clock

from .driven_flows import NOW, SESSION_ID, live

TRUE = 1_800_000_000
HOURS = 3 * 3600
THREE = frozenset("abc")


class World:
    """Clocks of servers and of this machine, all as far ahead as they are told."""

    def __init__(self, here: float = 0) -> None:
        self.steady = 1000.0
        self.here = here
        self.clocks = Clocks(Clock(steady=lambda: self.steady, wall=self._wall))

    def _wall(self) -> float:
        return TRUE + self.steady + self.here

    @property
    def true(self) -> float:
        return TRUE + self.steady

    def tell(self, primaries: Any = THREE, *, round_trip: float = 0.002, **ahead: float) -> None:
        for node, seconds in ahead.items():
            sent_at = self.steady
            self.steady += round_trip
            told = TRUE + sent_at + round_trip / 2 + seconds
            self.clocks.told(node, round(told * 1000), sent_at, primaries)

    def agreed(self) -> float | None:
        """Return by how much the agreed time is ahead of the true one; None: no agreement."""
        time = self.clocks.call_time()
        return round(time.milliseconds / 1000 - self.true, 1) if time.is_agreed else None

    def judged(self, ahead: float) -> float:
        """Return by how much the time that judges the replies of such a server is ahead."""
        told = round((self.true + ahead) * 1000)
        return round(self.clocks.judge(told, self.steady) / 1000 - self.true, 1)


def test_before_any_server_was_heard_nothing_is_agreed() -> None:
    world = World()
    assert world.agreed() is None
    assert world.clocks.call_time() == CallTime(int(world.true * 1000), is_agreed=False)


@pytest.mark.parametrize("wrong", [HOURS, -HOURS])
def test_one_server_of_three_cannot_change_the_time(wrong: float) -> None:
    world = World()
    world.tell(a=wrong, b=0, c=0)
    assert world.agreed() == 0
    assert world.judged(wrong) == (CLOCK_TOLERANCE if wrong > 0 else -CLOCK_TOLERANCE)


@pytest.mark.parametrize("wrong", [HOURS, -HOURS, 90])
def test_the_clock_of_this_machine_does_not_matter_to_three_servers(wrong: float) -> None:
    world = World(here=wrong)
    world.tell(a=0, b=0, c=0)
    assert world.agreed() == 0


@pytest.mark.parametrize("wrong", [HOURS, -HOURS])
def test_a_failed_server_counts_as_one_that_does_not_agree(wrong: float) -> None:
    world = World()
    world.tell(a=0, b=0)
    assert world.agreed() == 0, "two servers and this machine, of four clocks"
    world = World(here=wrong)
    world.tell(a=0, b=0)
    assert world.agreed() is None, "two of four clocks"
    world = World()
    world.tell(a=0, b=wrong)
    assert world.agreed() is None


def test_an_agreement_outlives_the_clocks_that_made_it() -> None:
    world = World()
    world.tell(a=0, b=0, c=0)
    world.here = -HOURS
    world.steady += 3600
    world.tell(a=HOURS, b=HOURS / 2, c=0)
    assert world.agreed() == 0


def test_clocks_that_are_put_right_together_are_followed() -> None:
    world = World()
    world.tell(a=-90, b=-90, c=-90)
    assert world.agreed() == -90
    world.tell(a=0, b=0, c=0)
    world.steady += 1
    world.tell(a=0)
    assert world.agreed() == 0


def test_a_single_server_tells_the_time_unless_it_is_too_far_from_this_machine() -> None:
    world = World()
    world.tell(frozenset("a"), a=MOST_CLOCKS_APART - 1)
    assert world.agreed() == MOST_CLOCKS_APART - 1
    world = World()
    world.tell(frozenset("a"), a=MOST_CLOCKS_APART + 1)
    assert world.agreed() is None


def test_a_server_within_the_tolerance_is_believed() -> None:
    world = World()
    world.tell(a=0, b=0, c=0)
    for ahead in (0, 4.9, -4.9):
        assert world.judged(ahead) == ahead
    assert world.judged(5.2) == 5
    assert world.judged(-5.2) == -5


def test_a_process_that_stood_still_believes_what_was_answered_meanwhile() -> None:
    world = World()
    world.tell(a=0, b=0, c=0)
    asked_at = world.steady
    world.steady += 1800
    answered = round((TRUE + asked_at + 1700) * 1000)
    assert world.clocks.judge(answered, asked_at) == answered


@pytest.mark.parametrize("ahead", [601, -601, HOURS, -HOURS])
def test_without_an_agreement_a_clock_too_far_from_this_machines_is_in_doubt(ahead: int) -> None:
    world = World()
    with pytest.raises(StoreUnavailable) as caught:
        world.judged(ahead)
    assert caught.value.reason == "clock"
    assert f"{abs(ahead):,} s {'ahead of' if ahead > 0 else 'behind'}" in str(caught.value)


@pytest.mark.parametrize("ahead", [599, -599, 600, -600, 0])
def test_without_an_agreement_a_clock_near_this_machines_is_believed(ahead: int) -> None:
    assert World().judged(ahead) == ahead


def test_a_slow_answer_tells_nothing_of_the_time() -> None:
    world = World()
    world.tell(a=0, b=0, c=0, round_trip=1.5)
    assert world.agreed() is None


def test_nodes_that_are_no_primaries_any_more_do_not_count() -> None:
    world = World()
    world.tell(a=0, b=0, c=0)
    for node in "abc":
        world.steady += 2
        world.tell(frozenset("def"), **{node: HOURS})
    world.tell(frozenset("def"), d=1, e=1, f=1)
    assert world.agreed() == 1


def test_a_wrong_clock_is_reported_once_each_time(caplog: Any) -> None:
    world = World()
    with caplog.at_level(logging.WARNING, "clusterpass.clocks"):
        world.tell(a=HOURS, b=0, c=0)
        for _ in range(3):
            world.steady += 2
            world.tell(a=HOURS, b=0, c=0)
        assert len(caplog.records) == 1
        assert "clock of a is 10800 s ahead" in caplog.text
        world.tell(a=0)
        world.tell(a=-HOURS)
        assert len(caplog.records) == 2
        assert "10800 s behind" in caplog.text


def test_scripts_have_the_same_limits() -> None:
    text = (files("clusterpass.protocol") / "scripts/_include/clock.lua").read_text("utf-8")
    found = re.search(r"local TOLERATED_MS, MOST_APART_MS = (\d+), (\d+)\n", text)
    assert found is not None
    assert tuple(map(int, found.groups())) == (1000 * CLOCK_TOLERANCE, 1000 * MOST_CLOCKS_APART)


def test_a_call_tells_its_time_in_seven_bytes() -> None:
    assert CallTime(0x0102030405, is_agreed=True).pack() == b"\0\1\2\3\4\5\1"
    assert CallTime(-5, is_agreed=False).pack() == bytes(7)


def test_an_answer_that_took_a_second_still_tells_the_time() -> None:
    world = World()
    world.tell(a=0, b=0, c=0, round_trip=1.0)
    assert world.agreed() == 0


def test_what_was_measured_before_narrows_what_is_measured_later() -> None:
    """Two clocks drift apart by at most half a thousandth."""
    known = Told(1.0, 1.01, 0.0)
    found = Told(0.0, 2.0, 100.0).after(known)
    assert (round(found.least, 9), round(found.most, 9), found.at) == (0.95, 1.06, 100.0)
    assert Told(0.99, 1.005, 100.0).after(known) == Told(0.99, 1.005, 100.0)
    assert Told(5.0, 6.0, 100.0).after(known) == Told(5.0, 6.0, 100.0), "the clock has jumped"


@pytest.mark.parametrize("ahead", [0, HOURS])
def test_a_reply_is_read_with_the_judged_time(ahead: int) -> None:
    world = World()
    world.tell(a=0, b=0, c=0)
    reply = [round((world.true + ahead) * 1000), b"record"]
    judged = world.clocks.judge_reply(reply, world.steady)
    assert judged == [world.clocks.judge(reply[0], world.steady), b"record"]
    assert (judged is reply) == (ahead == 0)


def test_sessions_are_listed_at_the_judged_time() -> None:
    record = live().pack()
    listed = read_listed([NOW * 1000, [SESSION_ID, record], []])
    assert listed.at(NOW * 1000) is listed
    later = listed.at((NOW + 9) * 1000)
    assert [each.now for each in later.sessions.values()] == [NOW + 9]
    assert later.now_milliseconds == (NOW + 9) * 1000


@pytest.mark.parametrize(
    ("given", "seconds"),
    [({"seconds": 2}, 2), ({"minutes": 2}, 120), ({"hours": 2}, 7200), ({"days": 2}, 172_800)],
)
def test_a_simulated_clock_is_advanced_by_what_is_given_alone(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], seconds: int
) -> None:
    monkeypatch.setattr(simulated_clock, "_told", lambda: TRUE)
    monkeypatch.setattr(simulated_clock, "steady_seconds", lambda: 100.0)
    clock = simulated_clock.SimulatedClock()
    clock.advance(**given)
    assert (clock.wall(), clock.steady()) == (TRUE + seconds, 100 + seconds)
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(seconds=-1)
    clock.advance()
    assert clock.now.timestamp() == TRUE + seconds


def test_a_simulated_clock_is_that_of_tests_until_its_end() -> None:
    clock = simulated_clock.SimulatedClock()
    before = clock_in_use(for_tests=True)
    for _ in range(2):
        clock.begin()
        used = clock_in_use(for_tests=True)
        assert used.is_simulated
        clock.advance(days=1)
        assert used.wall() == pytest.approx(clock.wall(), abs=5)
        assert not clock_in_use(for_tests=False).is_simulated
        clock.end()
        assert clock_in_use(for_tests=True) is before
        clock.end()
        assert clock_in_use(for_tests=True) is before
