"""What a watch does for its process: heartbeats, links, look-ups, journals.

A model of ``store/drivers/watch.py``, which is bound to asyncio. All that it reports goes through
the :class:`Observer` interface; heartbeats are made and read by the real functions.
"""

from typing import TYPE_CHECKING, Any

from clusterpass.model.errors import ClusterPassError
from clusterpass.store.drivers.heartbeat import Heartbeat, make_heartbeats, read_pulse
from clusterpass.store.drivers.observer import Observer
from clusterpass.store.exchanges.steps import Exchange, LookUp
from clusterpass.store.location import Address
from clusterpass.store.outcomes import Fault, ServerError
from clusterpass.store.wire.resp import pack

from .clock import Clock, spawn
from .connection import Later
from .server import Server
from .store import Running, SimulatedStore

if TYPE_CHECKING:
    from collections.abc import Callable

_BEATS_IN_A_BOUND = 4
_MOST_EXTRA_TURNS = 10
_BETWEEN_LOOK_UPS = 0.2
_UNTIL_LOOK_UP = 30.0
_STANDING = (b"CLUSTER", b"INFO")


class SimulatedWatch:
    """The watch of one process, and the listener of its links."""

    def __init__(
        self,
        observer: Observer,
        clock: Clock,
        later: Later,
        bound: float,
        is_idle: "Callable[[], bool]",
    ) -> None:
        """``is_idle``: whether the process needs no heartbeats now."""
        self._observer, self._clock, self._later = observer, clock, later
        self._interval = bound / _BEATS_IN_A_BOUND
        self._is_idle = is_idle
        self.store: SimulatedStore
        self._beats: dict[Address, tuple[Heartbeat, tuple[Any, ...]]] = {}
        self._version = 0
        self._met: set[Address] = set()
        self._opening: set[Address] = set()
        self._reading: set[Address | None] = set()
        self._is_wanted = True
        self._is_looking_up = False
        self._looked_up_at = -_UNTIL_LOOK_UP
        self._turned_at = 0.0
        self._turn_number = 0
        self._next_turn_at = 0.0

    # The listener of links.

    def connected(self, server: Server) -> None:
        self._met.add(server.address)
        self._observer.connected(server.address, pushes=True)
        self.hurry()

    def lost(self, server: Server) -> None:
        self._met.discard(server.address)
        self._observer.lost(server.address)
        self._is_wanted = True
        self.hurry()

    def pushed(self, server: Server, keys: list[bytes]) -> None:
        if self._observer.pushed(server.address, keys):
            self.hurry()

    # Turns.

    def begin(self, phase: float) -> None:
        """Take turns from now on, the first after ``phase`` of an interval."""
        self._plan(phase * self._interval)

    def hurry(self) -> None:
        """Take the next turn soon, but not more than ten in the time of one."""
        soon = max(self._clock.now, self._turned_at + self._interval / _MOST_EXTRA_TURNS)
        if soon < self._next_turn_at:
            self._plan(soon - self._clock.now)

    def _plan(self, seconds: float) -> None:
        self._turn_number += 1
        self._next_turn_at = self._clock.now + seconds
        self._later(seconds, self._turn, self._turn_number)

    def _turn(self, number: int) -> None:
        if number != self._turn_number:
            return  # another one was planned since
        self._turned_at = self._clock.now
        if not self._is_idle():
            store = self.store
            if store.slots.version != self._version:
                self._take()
            self._look_up_if_due()
            for address, (heartbeat, commands) in self._beats.items():
                self._beat(address, heartbeat, commands)
        self._plan(self._interval)

    def _beat(self, address: Address, heartbeat: Heartbeat, commands: tuple[Any, ...]) -> None:
        link = self.store.open_link(address)
        if link is None:
            self._open(address)
        elif address in self._met:
            number = self._observer.beat_sent(address)
            answer = link.ask(commands)
            answer.then(lambda outcome: self._answered(address, number, heartbeat, outcome))

    def _take(self) -> None:
        """Take over a new slot map, whose owners may differ."""
        store = self.store
        self._version = store.slots.version
        journals = store.journal_nodes() if self._observer.journal is not None else {}
        made = make_heartbeats(
            store.slots, store.location.keyspace, is_cluster=True, journals=journals
        )
        for address in sorted(self._beats.keys() - made.keys()):
            store.drop(address)
            self._met.discard(address)
        self._beats = {address: (beat, commands_of(beat)) for address, beat in made.items()}
        self._observer.set_primaries(made.keys(), journals.keys())

    def _answered(self, address: Address, number: int, heartbeat: Heartbeat, outcome: Any) -> None:
        if isinstance(outcome, Fault):
            return
        observer = self._observer
        pulse = read_pulse(heartbeat, outcome.values)
        if isinstance(pulse, ServerError):
            # The node owns its slots no more: a new connection finds out who does.
            observer.lost(address)
            self._met.discard(address)
            self.store.drop(address)
            self._is_wanted = True
            return
        observer.time_told(address, number, pulse.milliseconds)
        if observer.beat_answered(address, number, pulse.epoch, pulse.cutoff, pulse.told):
            self._clock.note(f"process {self.store.owner}: hears of epoch {pulse.epoch}")
            self._is_wanted = True
            self.hurry()
        if pulse.told is not None and not observer.knows(address, pulse.told):
            self._read(address, self.store.read_journal(observer, address))

    # Tasks.

    def _open(self, address: Address) -> None:
        if address in self._opening:
            return
        self._opening.add(address)

        def opened(fault: Fault | None) -> None:
            self._opening.discard(address)
            if fault is not None:
                self._is_wanted = True

        self.store.link(address).open().then(opened)

    def _look_up_if_due(self) -> None:
        seconds = self._clock.now - self._looked_up_at
        if not self._is_wanted and seconds <= _UNTIL_LOOK_UP:
            return
        if self._is_looking_up or seconds < _BETWEEN_LOOK_UPS:
            return
        self._looked_up_at = self._clock.now
        self._is_wanted, self._is_looking_up = False, True
        spawn(self._later, self._look_up())

    def _look_up(self) -> Running:
        store = self.store
        until = self._clock.now + store.location.patience.deadline
        try:
            yield from store.look_up(LookUp(store.slots.version, None, until))
        except ClusterPassError:
            self._is_wanted = True
        self._is_looking_up = False
        if not store.slots.version:
            self._is_wanted = True
        self.hurry()

    def _read(self, key: Address | None, steps: Exchange[None]) -> None:
        if key not in self._reading:
            self._reading.add(key)
            spawn(self._later, self._drive(key, steps))

    def _drive(self, key: Address | None, steps: Exchange[None]) -> Running:
        try:
            yield from self.store.drive(steps)
        except ClusterPassError:
            return
        finally:
            self._reading.discard(key)
        if key is not None and None not in self._reading and self._observer.has_gaps():
            self._read(None, self.store.fill_journals(self._observer))


def commands_of(heartbeat: Heartbeat) -> tuple[tuple[bytes, ...], ...]:
    """The commands that a heartbeat packs, by their encoding."""
    words, rest = [], heartbeat.packed
    while rest:
        head, _, rest = rest.partition(b"\r\n")
        if head[:1] == b"*":
            words.append([])
        else:
            size = int(head[1:])
            words[-1].append(rest[:size])
            rest = rest[size + 2 :]
    commands = tuple(map(tuple, words))
    assert pack(commands) == heartbeat.packed
    return commands
