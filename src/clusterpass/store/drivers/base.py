"""The state and the logic that both stores share: all but sending and waiting."""

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, Self

from clusterpass.config import Durability
from clusterpass.model.clock import clock_in_use
from clusterpass.model.counters import Counters
from clusterpass.model.errors import ClusterPassError, ConfigurationError, StoreUnavailable
from clusterpass.model.forks import renew_in_child
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.store.address import AddressRemap
from clusterpass.store.credentials import CredentialSource
from clusterpass.store.drivers.observer import Observer
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.durability import effective
from clusterpass.store.exchanges.evidence import Inquiry, journal_nodes
from clusterpass.store.exchanges.look_up import count_replicas, look_up, reach_primary
from clusterpass.store.exchanges.look_up_service import look_up_service
from clusterpass.store.exchanges.primary_role import is_primary
from clusterpass.store.exchanges.probe import probe
from clusterpass.store.exchanges.sentinels import Sentinels
from clusterpass.store.exchanges.steps import Agree, Exchange, LookUp, Probe
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.exchanges.unavailable import describe_tried, unavailable
from clusterpass.store.located import located
from clusterpass.store.location import Address, StoreLocation, parse_store_url
from clusterpass.store.missing import Missing
from clusterpass.store.outcomes import Fault
from clusterpass.store.randomness import chance
from clusterpass.store.topology.slots import SlotMap


class StoreBase:
    """The base class of the synchronous and the asynchronous store."""

    def __init__(self, location: StoreLocation, on_close: Callable[[], None] | None = None) -> None:
        """``on_close``: a function that is called once, when the store is closed; it may block."""
        self.location = location
        self.keyspace = location.keyspace
        self._on_close = on_close
        self.slots = SlotMap.unknown() if location.looks_up else SlotMap.single(location.seeds[0])
        """The owners of the slots, as of the latest look-up or redirect."""
        self.durability: Durability = "replicated"
        """What writes wait for. :meth:`confirm_by` sets it before the first call."""
        self._sentinels = (
            None if location.service is None else Sentinels(location.service, location.seeds)
        )
        patience = location.patience
        self.breakers = CircuitBreakers(
            time.monotonic, patience=patience.deadline, most_waiting=patience.max_waiting
        )
        self._steady = clock_in_use(for_tests=location.keyspace.is_for_tests).steady
        """The clock of beliefs, in seconds; goes on while the machine sleeps."""
        self._terms = Terms(
            self._current,
            self._adopt,
            patience,
            time.monotonic,
            self.breakers,
            self.durability,
            is_cluster=location.is_cluster,
            blame=Fault if self._sentinels is None else self._sentinels.blame,
            steady=self._steady,
        )
        self._waits_long = False
        """Whether a write may wait for longer than an ordinary attempt takes."""
        self._closed = False
        self.missing = Missing()
        """The commands that nodes lack, without which something is left undone."""
        self._untold: dict[Address, Fault] = {}
        """The nodes that the latest look-up has asked in vain; empty: one has told the slots."""
        self._disagreed_at: dict[Address, float] = {}
        """When others were last asked about a node, and did not agree with it."""
        self.pushing_all: set[Address] = set()
        """The nodes that push all changes, whatever connection has read."""
        self.reads_elsewhere = False
        """Whether sessions are read over other connections than those on which nodes push. A node
        forgets what was read over a connection once that is lost, and does so unheard: all changes
        have to be pushed."""
        self.on_unavailable: Callable[[StoreUnavailable], None] | None = None
        """Called with each error by which a call ends because the store did not serve it."""
        self.counters = Counters()
        """Those of the manager, once it has said so by :meth:`count_in`."""
        self.around: Callable[[Any], Any] | None = None
        """Returns a function that carries out a call by the one that it is given, and traces it;
        None: nobody does."""
        self._observer: Observer | None = None
        self._bound = 0.0
        renew_in_child(self)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        credentials: CredentialSource | None = None,
        address_remap: AddressRemap | None = None,
    ) -> Self:
        """The store at ``url``. No connection is opened before the first call.

        ``credentials``, ``address_remap``: as for a session manager. Raises ConfigurationError for
        a URL that cannot be parsed, and for ``embedded://``: only a session manager starts servers.
        """
        location = parse_store_url(url)
        if location.is_embedded:
            raise ConfigurationError("embedded:// is opened by a session manager")
        return cls(located(location, credentials, address_remap))

    @property
    def deadline(self) -> float:
        """Seconds after which the store gives up a call, retries included."""
        return self.location.patience.deadline

    @property
    def has_epochs(self) -> bool:
        """Whether the store is a cluster: each failover there raises the cluster's epoch."""
        return self.location.is_cluster

    def observe(self, observer: Observer, bound: float) -> None:
        """Report changes to ``observer`` from the first call on; ``bound``: the staleness bound, in
        seconds."""
        self._observer, self._bound = observer, bound
        book = observer.journal
        ahead = {} if book is None else book.ahead
        self._terms = replace(self._terms, doubts=observer.doubts, ahead=ahead)
        if self._sentinels is not None:
            observer.rely_on_agreements()

    def count_in(self, counters: Counters) -> None:
        """Count calls in ``counters`` from now on."""
        self.counters = counters

    def confirm_by(self, durability: Durability) -> None:
        """Make every write wait for ``durability`` from now on.

        Raises ConfigurationError where the deadline of the store URL is shorter than the wait.
        """
        patience = self.location.patience
        patience.check(durability)
        self._waits_long = patience.write_timeout(durability) > patience.timeout
        self.durability = durability
        self._terms = replace(self._terms, durability=durability)

    def describe_durability(self) -> str:
        """The durability that writes get in fact, as text for an operator."""
        if self.missing.lacks_count:
            return "primary (the server does not tell how many replicas it has)"
        return effective(self.durability, self.slots, self.location.patience)

    def owner_of(self, slot: int) -> Hashable:
        """The primary that owns ``slot``, as far as is known; None while it is not known."""
        shard = self.slots.shard(slot)
        return None if shard is None else shard.primary

    def silent_nodes(self) -> tuple[str, ...]:
        """The nodes, as ``host:port``, that did not answer the latest request to them."""
        return tuple(sorted(str(node) for node in list(self.breakers.silent)))

    def missing_commands(self) -> tuple[str, ...]:
        """What nodes lack, as ``COMMAND: what is left undone``."""
        return self.missing.told()

    def begin_anew(self) -> None:
        """Forget what the parent process knew of silent nodes, in the child of a fork."""
        self.breakers.silent.clear()
        self._untold = {}
        self._disagreed_at.clear()
        self.pushing_all.clear()

    def search(self, wanted: LookUp) -> Exchange[None]:
        """Look up the slots, unless another caller did so while this one waited for its turn.

        Raises StoreUnavailable when the store is closed.
        """
        if self._closed:
            raise unavailable(Fault("closed"), None)
        if self.slots.version != wanted.seen:
            return
        if self._sentinels is not None:
            yield from self._search_service(self._sentinels, wanted)
            return
        if not self.location.is_cluster:
            counted = yield from count_replicas(
                self.location.seeds[0], self.slots, time.monotonic, self.missing
            )
            self.slots = counted or self.slots
            return
        slots, untold = None, dict[Address, Fault]()
        try:
            slots = yield from look_up(
                self._candidates(),
                wanted.suspect,
                wanted.seen + 1,
                time.monotonic,
                wanted.until,
                unanswered=self._note_silence(untold),
            )
        finally:
            self._untold = {} if slots is not None else untold
        if slots is not None:
            self.slots = slots
            self.breakers.keep_only({*slots.primaries()})

    def _search_service(self, sentinels: Sentinels, wanted: LookUp) -> Exchange[None]:
        sent_at = self._steady()
        found = yield from look_up_service(sentinels, wanted.seen + 1, time.monotonic, wanted.until)
        if found is None:
            return
        self.slots, named = found
        self.breakers.keep_only({named.primary})
        if self._observer is not None:
            self._observer.agreed(named.primary, sent_at, epoch=named.epoch)

    def confirm_primary(self, observer: Observer) -> Exchange[bool | None]:
        """Whether a majority of the Sentinels names the primary in use; None: nobody is named now.

        The observer is told of an agreement.
        """
        sentinels, sent_at = self._sentinels, self._steady()
        if sentinels is None:
            return None
        until = time.monotonic() + self.location.patience.deadline
        named = yield from sentinels.inquire(time.monotonic, until)
        if named is None:
            return None
        if named.primary not in self.slots.primaries():
            return False
        observer.agreed(named.primary, sent_at, epoch=named.epoch)
        return True

    def _note_silence(self, untold: dict[Address, Fault]) -> Callable[[Address, Fault], None]:
        """Return what a look-up is to call with each node that does not tell the slots, which
        ``untold`` gets."""
        began = time.monotonic()
        silent: set[Hashable] = set()

        def note(node: Address, fault: Fault) -> None:
            untold[node] = fault
            if fault.kind not in {"timeout", "connection"}:
                return
            silent.add(node)
            primaries = self.slots.primaries()
            if primaries and {*primaries} <= {*silent, *list(self.breakers.silent)}:
                self.breakers.failed_together(primaries, "timeout", began)

        return note

    def probe(self, wanted: Probe) -> Exchange[None]:
        """Find out whether a node that has been silent for long answers again."""
        until = time.monotonic() + self.location.patience.deadline
        return probe(wanted, self._current, self.breakers, self.keyspace, until)

    def _tell(self, error: ClusterPassError) -> None:
        if isinstance(error, StoreUnavailable) and self._untold:
            error.tried = describe_tried(self._untold)
        cause = error.cause if isinstance(error, StoreUnavailable) else None
        self.counters.store_errors[cause or error.code] += 1
        if self.on_unavailable is not None and isinstance(error, StoreUnavailable):
            self.on_unavailable(error)

    def _candidates(self) -> list[Address]:
        """The nodes to ask for the slots: primaries first, then seeds, then replicas; silent nodes
        last.

        A seed that hangs would cost the caller a timeout with each look-up, and a node stays a seed
        after a failover has replaced it. All nodes may have got other addresses by now, one after
        the other: whichever is reached under an old one knows those of the others.
        """
        primaries = self.slots.primaries()
        seeds = list(set(self.location.seeds) - set(primaries))
        others = list(self.slots.members - {*primaries, *seeds})
        for each in (primaries, seeds, others):
            chance.shuffle(each)
        silent = self.breakers.silent
        return sorted([*primaries, *seeds, *others], key=lambda node: node in silent)

    def _carry_out(
        self, call: ScriptCall[Any], began: float | None = None
    ) -> Exchange[Answer[Any]]:
        return carry_out(call, self._terms, began=began)

    def _until(self, call: ScriptCall[Any], began: float) -> float | None:
        """When the driver has to give up the write ``call``, in seconds of the monotonic clock.

        None where no attempt takes so long that the deadline of the call would be far exceeded.
        """
        if not (self._waits_long and call.script.writes):
            return None
        return began + self._terms.seconds(call)

    def _note_change(self, call: ScriptCall[Any]) -> None:
        """Tell the observer, even after a failed write, that the key may have changed."""
        if self._observer is not None and call.confirm:
            self._observer.changed(call.keys[0])

    def _reach(self) -> Exchange[None]:
        """Return when a primary answers; raise StoreUnavailable when none answers in time."""
        until = time.monotonic() + self.location.patience.deadline
        addresses = yield from self._find_primaries(until)
        yield from reach_primary(addresses, time.monotonic, until)

    def _find_primaries(self, until: float) -> Exchange[list[Address]]:
        """Return the addresses of the primaries, or of who should know them; at least one.

        ``until``: the time, in seconds of the monotonic clock, after which nobody is asked. Raises
        StoreUnavailable.
        """
        if not self.slots.version:
            yield LookUp(0, None, until)
        addresses = self.slots.primaries()
        if not addresses and self._sentinels is not None:
            raise unavailable(self._sentinels.blame("connection"), None)
        return addresses or list(self.location.seeds)

    def _current(self) -> SlotMap:
        return self.slots

    def _adopt(self, slots: SlotMap) -> None:
        self.slots = slots

    def agree(self, wanted: Agree) -> Exchange[bool]:
        """Whether others agree that a node was not replaced before it answered.

        A driver runs one such exchange for each node at a time: whoever has waited for one mostly
        finds the question answered, as it was asked after their own reply had come.
        """
        node, observer = wanted.node, self._observer
        age = self._steady() - wanted.made_at
        if observer is None or not observer.doubts(node, age=age, is_durable=wanted.is_durable):
            return True
        if self._disagreed_at.get(node, -math.inf) >= wanted.answered_at:
            return False
        sent_at = self._steady()
        if self.location.is_cluster:
            inquiry = self._inquiry(observer, wanted.until)
            is_believed = yield from inquiry.about(node)
            if observer.journal is not None:
                observer.set_journals(self.journal_nodes().keys())
            if inquiry.heads_at is not None:
                observer.heads_agreed(inquiry.heads_at, inquiry.epoch)
        else:
            is_believed = yield from is_primary(node)
        if is_believed and self._sentinels is not None:
            return (yield from self._agree_with(self._sentinels, wanted, sent_at))
        if is_believed:
            observer.agreed(node, sent_at)
        else:
            self._disagreed_at[node] = sent_at
        return is_believed

    def _agree_with(self, sentinels: Sentinels, wanted: Agree, sent_at: float) -> Exchange[bool]:
        """Whether a majority of the Sentinels names the node that is in doubt."""
        named = yield from sentinels.inquire(time.monotonic, wanted.until)
        if named is None or named.primary != wanted.node or self._observer is None:
            self._disagreed_at[wanted.node] = sent_at
            return False
        self._observer.agreed(wanted.node, sent_at, epoch=named.epoch)
        return True

    def read_journal(self, observer: Observer, node: Address) -> Exchange[None]:
        """Read what the journal of ``node`` holds beyond what the observer knows."""
        until = time.monotonic() + self.location.patience.deadline
        asked_at = yield from self._inquiry(observer, until).read_one(node)
        if asked_at is not None:
            observer.heads_heard(node, asked_at)

    def fill_journals(self, observer: Observer) -> Exchange[None]:
        """Fill the journals that may have lost entries from the others, where these suffice."""
        until = time.monotonic() + self.location.patience.deadline
        inquiry = self._inquiry(observer, until)
        yield from inquiry.fill()
        if inquiry.heads_at is not None:
            observer.heads_agreed(inquiry.heads_at, inquiry.epoch)

    def journal_nodes(self) -> dict[Address, int]:
        """The primaries that hold the journals, with the slot of each; empty: there are none."""
        return journal_nodes(self.slots) if self.location.is_cluster else {}

    def _inquiry(self, observer: Observer, until: float) -> Inquiry:
        return Inquiry(
            self.slots,
            self.keyspace,
            observer.journal,
            clock=time.monotonic,
            steady=self._steady,
            until=until,
            silent=self.breakers.silent,
            effective=observer.effective_epoch,
        )
