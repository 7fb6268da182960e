"""Announcements in the store of the refresh secrets that each process is configured with."""

import json

from clusterpass.sessions.memory.announced_secrets import AnnouncedSecrets, last_seen

OURS, THEIRS = b"ours", b"them"
NAME, OTHER_NAME = "c:b3Vycw.ydVmWw", "c:dGhlbQ.ydVmWw"
MINUTE = 60_000


class World:
    """One process, and its clock in milliseconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000
        self.announced = AnnouncedSecrets([OURS], "issuer\0audience", lambda: self.now)

    def told(self, since: int = 0, seen: int = 0) -> bytes:
        return json.dumps({"since": self.now + since, "seen": self.now + seen}).encode()


def test_every_release_gives_a_secret_the_same_name() -> None:
    """Else processes of two releases would not know of each other's secrets."""
    assert World().announced.overdue().keys() == {NAME}


def test_a_secret_is_announced_again_after_four_minutes_with_the_time_of_the_first() -> None:
    world = World()
    began = world.now
    world.announced.learn(world.announced.overdue())
    assert world.announced.overdue() == {}
    world.now += 4 * MINUTE - 1
    assert world.announced.overdue() == {}
    world.now += 1
    assert json.loads(world.announced.overdue()[NAME]) == {"since": began, "seen": world.now}
    assert world.announced.since(OURS) == began
    assert world.announced.since(THEIRS) == world.now


def test_a_secret_that_nobody_announced_for_a_quarter_of_an_hour_is_nobodys() -> None:
    world = World()
    assert not world.announced.has_others
    world.announced.learn({NAME: world.told(), OTHER_NAME: world.told()})
    assert world.announced.has_others
    assert world.announced.is_elsewhere(THEIRS)
    assert not world.announced.is_elsewhere(OURS)
    world.now += 15 * MINUTE - 1
    assert world.announced.is_elsewhere(THEIRS)
    world.now += 1
    assert not world.announced.is_elsewhere(THEIRS)
    assert not world.announced.has_others


def test_of_two_copies_the_first_and_the_last_time_count() -> None:
    world = World()
    for since, seen in ((-5, -3), (-9, -4), (-7, -1)):
        world.announced.learn({OTHER_NAME: world.told(since, seen)})
    assert world.announced.since(THEIRS) == world.now - 9
    world.now += 15 * MINUTE - 2
    assert world.announced.is_elsewhere(THEIRS)
    world.now += 1
    assert not world.announced.is_elsewhere(THEIRS)


def test_what_is_of_others_or_cannot_be_read_is_left_alone() -> None:
    world = World()
    for name, value in (
        ("c:dGhlbQ.AAAAAA", world.told()),
        ("s:dGhlbQ.ydVmWw", world.told()),
        (OTHER_NAME, b"{}"),
        (OTHER_NAME, b"[]"),
        (OTHER_NAME, b"x"),
        (OTHER_NAME, world.told(seen=15 * MINUTE)),
    ):
        world.announced.learn({name: value})
        assert not world.announced.has_others, (name, value)


def test_when_a_secret_was_announced_last() -> None:
    world = World()
    assert last_seen(NAME, world.told(seen=500)) == world.now / 1000 + 0.5
    for name, value in (("s:b3Vycw", world.told()), (NAME, b"{}"), (NAME, b"x")):
        assert last_seen(name, value) is None
