"""Watched sessions: changes that are reported, and followers that are woken."""

import random
from dataclasses import replace
from math import inf

import pytest

from clusterpass import Ban, Session, SessionRevoked, StoreUnavailable
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.sessions.memory.entries import CachedToken
from clusterpass.sessions.memory.followed_sessions import Followed, Followers
from clusterpass.sessions.memory.node_state import ALWAYS, NEVER, Lease
from clusterpass.sessions.watching import Watched

SESSION = Session("alice", "s" * 22, "phone", 1, 2, 3, acr="1", auth_time=1)
KEYS = Keyspace().keys_of("alice")
OTHER = Keyspace().sessions("root")


def test_use_refreshes_and_step_ups_are_not_reported() -> None:
    watched = Watched(SESSION)
    same = replace(SESSION, active_at=9, refreshed_at=9, expires_at=9, acr="2", auth_time=9)
    assert watched.read(same) is None
    assert watched.read(SESSION) is None


@pytest.mark.parametrize(
    "changed",
    [
        replace(SESSION, claims={"role": "editor"}),
        replace(SESSION, bans=(Ban("chat", 1, None, "spam", 5),)),
        replace(SESSION, device="tablet"),
    ],
    ids=["claims", "bans", "device"],
)
def test_a_change_is_reported_once(changed: Session) -> None:
    watched = Watched(SESSION)
    change = watched.read(changed)
    assert change is not None
    assert (change.kind, change.session, change.error) == ("changed", changed, None)
    assert watched.read(changed) is None


def test_an_end_carries_the_latest_session() -> None:
    watched = Watched(SESSION)
    watched.read(replace(SESSION, active_at=9))
    error = SessionRevoked(reason="revoked", ended_at=5)
    change = watched.ended(error)
    assert (change.kind, change.session.active_at, change.error) == ("ended", 9, error)


def test_an_outage_is_reported_once_and_so_is_its_end() -> None:
    watched = Watched(SESSION)
    assert watched.seconds_to_wait() is None
    error = StoreUnavailable(reason="timeout")
    change = watched.unavailable(error)
    assert change is not None
    assert (change.kind, change.session, change.error) == ("unavailable", SESSION, error)
    pauses = []
    for _ in range(7):
        pauses.append(watched.seconds_to_wait())
        assert watched.unavailable(error) is None
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    back = watched.read(SESSION)
    assert back is not None
    assert (back.kind, back.session, back.error) == ("available", SESSION, None)
    assert watched.seconds_to_wait() is None
    assert watched.unavailable(error) is not None
    assert watched.seconds_to_wait() == pytest.approx(0.1), "a later outage begins anew"
    changed = watched.read(replace(SESSION, claims={"a": 1}))
    assert changed is not None
    assert changed.kind == "changed", "a change says that the store answers, too"
    assert watched.read(replace(SESSION, claims={"a": 1})) is None


class Scene:
    """Followers, a clock, and who was woken."""

    def __init__(self) -> None:
        self.now = 100.0
        self.followers = Followers(lambda: self.now)
        self.woken: list[str] = []
        self.successor: Lease | None = None
        """The lease under which entries go on, whose own has ended as slots have moved."""

    def follow(self, name: str = "a", keys=KEYS) -> Followed:
        followed = Followed("alice", keys, bytes(16), "s", lambda: self.woken.append(name))
        self.followers.add(followed)
        return followed

    def read(self, followed: Followed, lease=ALWAYS, deadline: float = 1e9) -> None:
        followed.is_due, followed.read_at = False, self.now
        followed.entry.lease, followed.entry.deadline = lease, deadline
        self.followers.was_read(followed)

    def go_on(self, entry: CachedToken) -> None:
        if self.successor is not None:
            entry.lease = self.successor

    def look(self) -> list[str]:
        self.woken.clear()
        self.followers.wake_lapsed(self.go_on)
        return self.woken


def test_a_change_wakes_the_followers_of_its_key() -> None:
    scene = Scene()
    first, second = scene.follow("first"), scene.follow("second")
    third = scene.follow("third", Keyspace().keys_of("bob"))
    for each in (first, second, third):
        scene.read(each)
    scene.followers.changed(KEYS.sessions)
    assert sorted(scene.woken) == ["first", "second"]
    assert (first.is_due, third.is_due) == (True, False)
    assert first.entry.lease is NEVER
    scene.followers.all_changed()
    assert third.is_due


def test_an_impersonation_is_woken_by_its_actor() -> None:
    scene = Scene()
    followed = scene.follow()
    scene.followers.add_key(followed, OTHER)
    scene.followers.changed(OTHER)
    assert scene.woken == ["a"]
    scene.followers.remove(followed)
    scene.followers.changed(OTHER)
    scene.followers.changed(KEYS.sessions)
    assert scene.woken == ["a"]
    scene.followers.add_key(followed, b"later")
    scene.followers.changed(b"later")
    assert scene.woken == ["a"], "who has left is not added again"
    scene.followers.remove(followed)


def test_who_has_a_lease_is_left_alone() -> None:
    scene = Scene()
    followed = scene.follow()
    scene.read(followed)
    scene.now += 1000
    assert scene.look() == []


@pytest.mark.parametrize("gone", [{"lease": NEVER}, {"deadline": 100.5}], ids=["lease", "end"])
def test_who_has_none_is_woken_once_a_second(gone) -> None:
    scene = Scene()
    followed = scene.follow()
    scene.read(followed, **gone)
    scene.now += 0.9
    assert scene.look() == []
    scene.now += 0.1
    assert scene.look() == ["a"]
    assert scene.look() == [], "it is about to be read"
    scene.read(followed, **gone)
    assert scene.look() == []


def test_who_goes_on_under_another_lease_is_left_alone() -> None:
    scene = Scene()
    followed = scene.follow()
    scene.read(followed, Lease("a", 1))
    scene.now += 5
    scene.successor = ALWAYS
    assert scene.look() == []
    scene.read(followed, Lease("a", 1))
    scene.now += 5
    scene.successor = None
    assert scene.look() == ["a"]


def test_who_need_not_be_woken_keeps_no_other_one_from_it() -> None:
    scene = Scene()
    held, due, recent, lapsed = map(scene.follow, ("held", "due", "recent", "lapsed"))
    for each in (due, lapsed):
        scene.read(each, NEVER)
    scene.read(held)
    due.is_due = True
    scene.now += 5
    scene.read(recent, NEVER)
    assert scene.look() == ["lapsed"]


def test_not_all_are_woken_at_once() -> None:
    scene = Scene()
    all_of_them = [scene.follow() for _ in range(600)]
    for each in all_of_them:
        scene.read(each, NEVER)
    scene.now += 5
    assert [len(scene.look()) for _ in range(4)] == [250, 250, 100, 0]
    assert len(scene.followers) == 600
    scene.followers.clear()
    assert len(scene.followers) == 0


def test_a_followed_session_is_no_token() -> None:
    entry = Scene().follow().entry
    assert isinstance(entry, CachedToken)
    assert entry.token == ""
    assert entry.expires_at > 2**35, "it ends with its session only"


class CountingLease(Lease):
    """A lease that knows how often somebody has looked when it ends."""

    looks = 0
    ends = inf

    @property
    def until(self) -> float:
        self.looks += 1
        return self.ends

    @until.setter
    def until(self, until: float) -> None:
        self.ends = until


def test_a_look_costs_nothing_while_no_lease_has_ended() -> None:
    scene, lease = Scene(), CountingLease("a", 1)
    lease.until = scene.now + 10
    for _ in range(500):
        scene.read(scene.follow(), lease)
    for _ in range(8):
        scene.now += 1
        assert scene.look() == []
    assert lease.looks == 8, "once a look, however many sessions are held under it"
    scene.now += 3
    assert len(scene.look()) == 250


def test_who_is_about_to_be_read_costs_nothing() -> None:
    scene, lease = Scene(), CountingLease("a", 1)
    lease.until = scene.now
    for _ in range(5):
        scene.read(scene.follow(), lease)
    scene.now += 2
    assert len(scene.look()) == 5
    lease.looks = 0
    assert scene.look() == []
    assert lease.looks == 0


def test_an_impersonation_is_woken_when_the_lease_of_its_actor_ends() -> None:
    scene = Scene()
    followed = scene.follow()
    followed.actor_lease = Lease("b", 1)
    followed.actor_lease.until = scene.now + 3
    scene.read(followed)
    scene.now += 2.9
    assert scene.look() == []
    scene.now += 0.1
    assert scene.look() == ["a"]


def test_who_has_left_is_not_woken() -> None:
    scene = Scene()
    followed = scene.follow()
    scene.read(followed, NEVER, deadline=scene.now + 1)
    followed.leave()
    scene.followers.forget_left()
    scene.read(followed, NEVER, deadline=scene.now + 1)
    scene.now += 5
    assert scene.look() == []


def test_deadlines_that_count_no_more_take_no_memory() -> None:
    scene = Scene()
    followed = scene.follow()
    for number in range(10_000):
        scene.read(followed, deadline=1e9 + number)
    assert len(scene.followers._deadlines) < 100
    scene.now = 2e9
    assert scene.look() == ["a"]


def due(scene: Scene, all_of_them: dict[str, Followed]) -> list[str]:
    """Return the followers to wake now, found by checking all of them."""
    found = []
    for name, each in all_of_them.items():
        lease = each.entry.lease
        if lease.until == -inf and lease is not NEVER and scene.successor is not None:
            lease = scene.successor
        until = min(lease.until, each.actor_lease.until, each.entry.deadline)
        if not each.is_due and scene.now >= max(until, each.read_at + 1.0):
            found.append(name)
    return sorted(found)


@pytest.mark.parametrize("seed", range(40))
def test_those_are_woken_whom_a_look_at_everybody_finds(seed: int) -> None:
    choose, scene = random.Random(seed), Scene()
    leases = [Lease(node, 1) for node in "abc"]
    everybody = {str(n): scene.follow(str(n)) for n in range(30)}
    for _ in range(300):
        scene.now += choose.choice((0.0, 0.25, 0.7))
        name = choose.choice(list(everybody))
        followed, lease = everybody[name], choose.choice([*leases, NEVER, ALWAYS])
        match choose.randrange(6):
            case 0:
                choose.choice(leases).until = scene.now + choose.choice((-inf, 0.5, 2.0, 9.0))
            case 1:
                scene.followers.add_key(followed, OTHER)
            case 2:
                scene.followers.changed(OTHER)
            case 3:
                scene.successor = choose.choice((None, *leases))
            case _:
                followed.actor_lease = choose.choice((ALWAYS, ALWAYS, *leases))
                ends = choose.choice((1e9, inf, -inf, scene.now + choose.random() * 9))
                scene.read(followed, lease, ends)
        expected = due(scene, everybody)
        assert sorted(scene.look()) == expected, f"seed {seed}"
