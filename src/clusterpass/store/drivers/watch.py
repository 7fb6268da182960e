"""The watch: keeps a cache current, by what all primaries push and by heartbeats.

A push takes one path. A node pushes an invalidation on the connection that its reads share; the
:class:`Link` of that connection calls its :class:`LinkListener`; the listener is the
:class:`Watch`, which reports to an :class:`Observer`. The observer, a session manager's near cache,
alone decides what may be served. An asynchronous store runs the watch as a task of one event loop;
a synchronous store runs it on a :class:`WatchThread`.

- Each primary gets four heartbeats in the staleness bound, and an extra one at once when the cutoff
  or the epoch has changed.
- Nothing is sent while nothing is read and nobody waits for news (:class:`Pace`): the leases run
  out, and the next call to the store begins the heartbeats again. Pushes go on meanwhile, so that
  what is in memory may be served again then.
- The slots are looked up again when a node does not own them any more, cannot be reached or reports
  another epoch, and at long intervals in any case.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NoReturn

from clusterpass.store.address import Address
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.drivers.heartbeat import Heartbeat, make_heartbeats, read_pulse
from clusterpass.store.drivers.journal_readers import JournalReaders
from clusterpass.store.drivers.link_openings import LinkOpenings
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.drivers.pushing import Pushing
from clusterpass.store.drivers.restarts import Restarts
from clusterpass.store.drivers.watch_look_ups import SlotLookUps
from clusterpass.store.drivers.watch_pace import Pace
from clusterpass.store.drivers.witnesses import Witnesses
from clusterpass.store.missing_commands import NEEDED_FOR_HEARTBEATS, NEEDED_FOR_PUSHES
from clusterpass.store.outcomes import Fault, ServerError
from clusterpass.store.wire.handshake import Pushes
from clusterpass.store.wire.multiplexed import Outcome

logger: Final = logging.getLogger("clusterpass.store")


class Watch:
    """The link listener of one event loop, which sends heartbeats and reports to an observer."""

    def __init__(self, store: StoreBase, observer: Observer, bound: float) -> None:
        """``bound``: the staleness bound, in seconds."""
        self._store = store
        self._observer = observer
        self._heartbeats: dict[Address, Heartbeat] = {}
        self._version = 0
        self._slots = store.slots
        """The slot map of the latest turn."""
        self._restarts = Restarts(observer)
        self._refusal = ""
        """Why nodes do not push, as the latest node that refused said; empty once a node pushes."""
        self._failure: BaseException | None = None
        """What a task or a callback of the watch raised."""
        self._has_ended = False
        """Whether another watch may report to the observer by now: what becomes of the links of
        this one is of no interest any more."""
        self._pushing: Final = Pushing(
            store, observer, connected=self.connected, refused=self.refused
        )
        self._openings: Final = LinkOpenings(
            failed=self._note_unreachable, refused=self._refuse, take_end=self._take_end
        )
        self._pace: Final = Pace(observer, bound)
        self._is_urgent: Final = self._pace.is_urgent
        self._journals: Final = JournalReaders(store, observer, self._fail)
        self._witnesses: Final = Witnesses(
            store, observer, changed=self._want_look_up, fail=self._fail
        )
        self._look_ups: Final = SlotLookUps(
            store, observer, taken=self._take_look_up, take_end=self._take_end
        )

    # The methods of LinkListener.

    @property
    def prefixes(self) -> Sequence[bytes]:
        """The prefixes of the keys whose changes nodes push."""
        return self._observer.prefixes

    @property
    def pushes(self) -> Pushes:
        """The changes that nodes are to push."""
        return self._pushing.wanted()

    def connected(self, address: Address, pushes: Pushes) -> None:
        """Note that the node at ``address`` answers from now on, and ``pushes`` changes."""
        if self._has_ended:
            return
        self._refusal = self._observer.refusal = ""
        if pushes != "nothing":
            self._store.missing.settle(address, *NEEDED_FOR_PUSHES)
        self._pushing.meet(address, pushes)
        self._is_urgent.set()

    def refused(self, address: Address, error: ServerError) -> None:
        """Note that the node at ``address`` refuses to push changes; ``error``: its reply.

        Its heartbeats are as good as those of others: they tell whether it may be believed.
        """
        if self._has_ended:
            return
        self._refuse(address, f"{error.code} {error.message}", error)
        self._pushing.meet_refusing(address)
        self._is_urgent.set()

    def pushed(self, address: Address, message: list[Any]) -> None:
        """Report the keys that have changed to the observer. Other pushes are ignored."""
        keys = message[1]
        if message[0] == b"message":  # in the one channel that is subscribed to
            keys = [message[2]]
        elif message[0] != b"invalidate":
            return
        if self._observer.pushed(address, keys):
            self._is_urgent.set()

    def lost(self, address: Address) -> None:
        """Note that the node at ``address`` no longer pushes changes."""
        if self._has_ended:
            return
        self._pushing.forget(address)
        self._observer.lost(address)
        self._want_look_up()

    def _want_look_up(self) -> None:
        self._look_ups.is_wanted = True
        self._is_urgent.set()

    def _note_unreachable(self) -> None:
        self._look_ups.is_wanted = True

    # The task.

    async def run(self, nodes: Nodes) -> None:
        """Send heartbeats and keep the links of ``nodes`` open until cancelled.

        A watch that fails begins again after a pause.
        """
        try:
            await self._run_and_restart(nodes)
        except GeneratorExit:
            raise  # the event loop was closed before: another watch may report by now
        except BaseException:
            for address in list(self._pushing.met):
                self._pushing.forget(address)
                self._observer.lost(address)
            raise
        finally:
            self._has_ended = True

    async def _run_and_restart(self, nodes: Nodes) -> NoReturn:
        task = asyncio.current_task()
        while True:
            self._restarts.begin()
            try:
                await self._run_until_failure(nodes)
            except Exception as error:
                if task is not None and task.cancelling():
                    raise
                pause = self._restarts.failed(error)
            await asyncio.sleep(pause)

    async def _run_until_failure(self, nodes: Nodes) -> NoReturn:
        self._version = 0  # the first turn takes the slot map over
        self._failure = None
        self._observer.refusal = self._refusal
        # Links stay open through a failure: what they push counts from now on.
        for address, pushes in list(self._pushing.met.items()):
            self._pushing.meet(address, pushes)
        try:
            while True:
                self._turn(nodes)
                await self._pace.pause()
                if self._pace.is_idle():
                    await self._pace.rest(nodes)
        except GeneratorExit:
            raise  # the event loop was closed before: another watch may report by now
        except BaseException:
            self._look_ups.cancel()
            self._openings.cancel()
            self._journals.cancel()
            self._witnesses.cancel()
            for address in self._heartbeats:
                self._store.pushing_all.discard(address)
                self._observer.lost(address)
            raise

    def _turn(self, nodes: Nodes) -> None:
        if self._failure is not None:
            raise self._failure
        slots = self._store.slots
        if slots.version != self._version or slots is not self._slots:
            self._take(nodes)  # two callers may have looked up maps of one version
        now = time.monotonic()
        self._look_ups.begin_if_due(nodes, now)
        if self._heartbeats:
            self._witnesses.ask(nodes)
        for address, heartbeat in self._heartbeats.items():
            connection = nodes.connection(address)
            if connection is None:
                self._openings.begin(nodes, address)
            elif address in self._pushing.met:
                self._pushing.adjust(address, connection, now)
                number = self._observer.beat_sent(address)
                answer = connection.ask(heartbeat.packed, heartbeat.count, urgent=True)
                taken = partial(self._take_answer, nodes, address, number, heartbeat)
                answer.add_done_callback(taken)

    def _take_look_up(self, nodes: Nodes) -> None:
        """Take over what was looked up; the heartbeats go out in their own time."""
        try:
            if self._store.slots.version != self._version:
                self._take(nodes)
            for address in self._heartbeats:
                if nodes.connection(address) is None:
                    self._openings.begin(nodes, address)
        except Exception as error:  # noqa: BLE001 (the watch fails by it)
            self._fail(error)

    def _take(self, nodes: Nodes) -> None:
        """Take over a new slot map, whose owners may differ."""
        slots, location = self._store.slots, self._store.location
        moved = slots.moved_since(self._slots)
        self._version, self._slots = slots.version, slots
        journals = {} if self._observer.journal is None else self._store.journal_nodes()
        heartbeats = make_heartbeats(
            slots, location.keyspace, is_cluster=location.is_cluster, journals=journals
        )
        for address in self._heartbeats.keys() - heartbeats.keys():
            nodes.drop(address)
            self._pushing.forget(address)
        self._heartbeats = heartbeats
        self._observer.set_primaries(heartbeats.keys(), journals.keys())
        self._observer.mapped(time.monotonic() - slots.asked_at, moved)

    def _take_answer(
        self,
        nodes: Nodes,
        address: Address,
        number: int,
        heartbeat: Heartbeat,
        answer: "asyncio.Future[Outcome]",
    ) -> None:
        try:
            self._answered(nodes, address, number, heartbeat, answer)
        except Exception as error:  # noqa: BLE001 (the watch fails by it)
            self._fail(error)

    def _take_end(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._is_urgent.set()

    def _answered(
        self,
        nodes: Nodes,
        address: Address,
        number: int,
        heartbeat: Heartbeat,
        answer: "asyncio.Future[Outcome]",
    ) -> None:
        outcome = None if answer.cancelled() else answer.result()
        if outcome is None or isinstance(outcome, Fault):
            return  # the link reports a lost connection itself
        pulse = read_pulse(heartbeat, outcome.values)
        if not isinstance(pulse, ServerError):
            self._store.missing.settle(address, *NEEDED_FOR_HEARTBEATS)
            observer, told = self._observer, pulse.told
            observer.time_told(address, number, pulse.milliseconds)
            own = pulse.own_epoch
            if observer.beat_answered(
                address, number, pulse.epoch, pulse.cutoff, told, own_epoch=own
            ):
                self._want_look_up()
            if told is not None and not observer.knows(address, told):
                self._journals.read(nodes, address)
        elif pulse.code in {"NOPERM", "ERR"}:
            self._refuse(address, f"{pulse.code} {pulse.message}", pulse)
            self._observer.unjudged(address)
        else:
            # The node owns its slots no more, or is a replica: a new connection finds out who is.
            self._observer.lost(address)
            self._pushing.forget(address)
            nodes.drop(address)
            self._look_ups.is_wanted = True

    def _refuse(self, address: Address, why: str, error: ServerError | None = None) -> None:
        self._pushing.forget(address)
        self._observer.lost(address)
        is_told = error is not None and self._store.missing.note(address, error)
        if not self._refusal and not is_told:
            logger.warning("nothing is served from memory: %s: %s", address, why[:200])
        self._refusal = self._observer.refusal = f"{address}: {why[:200]}"
