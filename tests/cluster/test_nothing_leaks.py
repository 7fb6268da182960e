"""Expiry of all keys after the end of all sessions: nothing of them is left in the store.

``LEAK_SESSIONS`` opens that many (100,000) and waits until the last key is gone. Without it, each
of a few thousand sessions' keys is shown to have an end of its own, in time.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager, SessionPolicy
from clusterpass.model.errors import SubjectBanned

SESSIONS = int(os.environ.get("LEAK_SESSIONS", "0"))
FEW = 2_000
PER_SUBJECT = 4
SHORTEST = 10
"""Seconds of an access token, and of a session, at the least."""
REMEMBERED = 60
"""Seconds that an end is told beyond the life of the access tokens."""
CLOCKS_APART = 2

pytestmark = pytest.mark.timeout(0 if SESSIONS else 180)
_numbers = itertools.count()


def shortest_config(keys: KeyRing, **options: Any) -> Config:
    """Every access touches the session and leaves a line in the history."""
    short = {
        "access_lifetime": SHORTEST,
        "absolute_lifetime": SHORTEST,
        "idle_lifetime": SHORTEST,
        "activity_interval": 1,
    }
    return Config(issuer="https://auth.example", keys=keys, **(short | options))


def live_a_little(manager: SessionManager, subject: str, number: int) -> None:
    """Open a session and do one of all that can be done with it, by turns."""
    options: dict[str, Any] = {}
    if number % 3 == 0:
        options["claims"] = {"role": "editor", "padding": "x" * 80}
    if number % 5 == 0:
        options["policy"] = SessionPolicy.single_session()
    if number % 7 == 0:
        options["idle_lifetime"] = 0
    try:
        pair = manager.login(subject, device_type="phone", **options)
    except SubjectBanned:
        return
    session = manager.verify(pair.access_token)
    acts: list[Callable[[], Any]] = [
        lambda: manager.refresh(pair.refresh_token),
        lambda: manager.logout(pair.access_token),
        lambda: manager.elevate(session, "3", for_seconds=5, amr=("otp",)),
        lambda: manager.claims.set(subject, {"plan": "pro", "number": number}),
        lambda: manager.bans.add(subject, for_seconds=1, scope="posts"),
        lambda: manager.bans.lift(subject, scope="posts"),
        lambda: manager.revoke(subject, pair.session_id, reason="lost"),
        lambda: manager.logout(pair.refresh_token),
        lambda: manager.shorten(subject, pair.session_id, lifetime=1),
        lambda: manager.impersonate(
            session, f"{subject}+", reason="ticket 4711", for_seconds=SHORTEST
        ),
        lambda: manager.verify(pair.access_token),
        lambda: None,
    ]
    acts[number % len(acts)]()


def fill(manager: SessionManager, count: int) -> None:
    """``count`` sessions, of a quarter as many subjects, by eight threads."""

    def subject_lives(subject: int) -> None:
        for number in range(subject * PER_SUBJECT, (subject + 1) * PER_SUBJECT):
            live_a_little(manager, f"subject-{subject}", number)

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(subject_lives, range(count // PER_SUBJECT)):
            pass


class Keys:
    """The keys of a namespace, on all primaries."""

    def __init__(self, running: EmbeddedCluster, namespace: str) -> None:
        self.running, self.namespace = running, namespace

    @contextmanager
    def clients(self) -> Iterator[list[Any]]:
        opened = [self.running.client(node) for node in self.running.nodes]
        try:
            yield [each for each in opened if each.execute_command("ROLE")[0] == b"master"]
        finally:
            for each in opened:
                each.close()

    def seconds_left(self) -> dict[bytes, float]:
        """Return the seconds until each key expires; -1: never.

        The three journals of a namespace stay, and hold nothing of sessions that have ended.
        """
        left: dict[bytes, float] = {}
        with self.clients() as clients:
            for client in clients:
                names = client.scan_iter(match=f"{self.namespace}:*", count=10_000)
                found = [each for each in names if b":journal:" not in each]
                pipeline = client.pipeline(transaction=False)
                for key in found:
                    pipeline.pttl(key)
                milliseconds = pipeline.execute()
                left |= {
                    key: value / 1000 if value >= 0 else -1.0
                    for key, value in zip(found, milliseconds, strict=True)
                    if value != -2
                }
        return left


def use_until_noted(manager: SessionManager, keys: Keys) -> None:
    """A use is noted a second after the login at the earliest, so a quick machine sees none."""
    token = manager.login("in-use").access_token
    while not any(b":active:" in key for key in keys.seconds_left()):
        manager.verify(token)
        time.sleep(0.05)


@pytest.fixture
def keys_of(cluster: EmbeddedCluster) -> Callable[[], Keys]:
    return lambda: Keys(cluster, f"leak{os.getpid()}.{next(_numbers)}")


def bound(config: Config) -> int:
    """The longest that anything is kept: what is left of a session, then of its end."""
    longest = max(config.absolute_lifetime, config.idle_lifetime)
    return longest + config.access_lifetime + config.expiry_leeway + REMEMBERED


def opened(running: EmbeddedCluster, keys: Keys, config: Config) -> SessionManager:
    url = f"{running.url}?namespace={keys.namespace}&timeout=5&deadline=20"
    return SessionManager.from_url(url, config)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("access_lifetime", [SHORTEST, 100])
def test_every_key_has_an_end_no_later_than_the_last_token_needs(
    cluster: EmbeddedCluster, keys_of: Callable[[], Keys], keys: KeyRing, access_lifetime: int
) -> None:
    there = keys_of()
    config = shortest_config(keys, access_lifetime=access_lifetime, idle_lifetime=0)
    began = time.monotonic()
    with opened(cluster, there, config) as manager:
        fill(manager, FEW)
        use_until_noted(manager, there)
        left = there.seconds_left()
    took = time.monotonic() - began
    kinds = {key.split(b"{")[0].removeprefix(there.namespace.encode()) for key in left}
    assert kinds == {b":", b":active:", b":online:", b":secrets:"}
    kept = [key for key, seconds in left.items() if seconds < 0]
    assert {key.split(b"{")[0].removeprefix(there.namespace.encode()) for key in kept} <= {
        b":secrets:"
    }
    assert len(kept) <= 3, "the copies of the refresh secrets, however many sessions there are"
    # As late as who holds a token may ask, and no later.
    assert bound(config) - took - CLOCKS_APART <= max(left.values()) <= bound(config) + 1


@pytest.mark.parametrize("device_type", [None, "phone"])
def test_a_generation_is_kept_for_an_hour_and_no_longer(
    cluster: EmbeddedCluster,
    keys_of: Callable[[], Keys],
    keys: KeyRing,
    device_type: str | None,
) -> None:
    there = keys_of()
    with opened(cluster, there, shortest_config(keys)) as manager:
        manager.revoke_all("nobody", device_type=device_type)
        (left,) = there.seconds_left().values()
        assert 3500 < left <= 3601
        manager.login("nobody")
        assert max(there.seconds_left().values()) <= 3601
        manager.bans.add("somebody", for_seconds=1, reason="a moment")
        # A subject with a ban is kept for a day longer, whatever the server's clock says.
        assert 86_400 - 100 < max(there.seconds_left().values()) <= 86_402


@pytest.mark.skipif(not SESSIONS, reason="takes minutes; LEAK_SESSIONS=100000 does it")
def test_no_key_is_left_after_the_last_end(
    cluster: EmbeddedCluster, keys_of: Callable[[], Keys], keys: KeyRing
) -> None:
    there = keys_of()
    config = shortest_config(keys, absolute_lifetime=2 * SHORTEST)
    most = 0
    with opened(cluster, there, config) as manager:
        filler = ThreadPoolExecutor(1).submit(fill, manager, SESSIONS)
        while not filler.done():
            most = max(most, len(there.seconds_left()))
            wait([filler], timeout=5)
        filler.result()
        assert most > 0
        last = time.monotonic()
        while left := there.seconds_left():
            assert -1 not in left.values(), left
            assert time.monotonic() < last + bound(config) + CLOCKS_APART, left
            time.sleep(0.5)
        count = manager.online.count()
        assert (count.subjects, count.sessions) == (0, 0)
    print(f"{SESSIONS} sessions, at most {most} keys at once, all gone")
