"""Finds the primary of a service by what a majority of its Sentinels says. Pure.

A Sentinel that has heard of a failover never names the former primary again, unless a later
failover has chosen it. So once a majority has named the successor, no majority names the former
primary any more, whoever asks. Every client that acts by a majority is safe from one Sentinel that
lags, and from a part of the network in which the former primary goes on.

- The number of Sentinels is the highest that any of them reports, and at least the number in the
  store URL. Sentinels that the URL does not list are asked at the addresses that others report.
- They are asked one after another, until a majority agrees. Those that did not answer come last.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from clusterpass.model.errors import ClusterPassError, StoreDenied, StoreFailed
from clusterpass.model.store_causes import StoreCause
from clusterpass.store.address import Address, SentinelAddress
from clusterpass.store.exchanges.node_queries import ask
from clusterpass.store.exchanges.server_errors import DENIED
from clusterpass.store.exchanges.steps import Exchange
from clusterpass.store.exchanges.unavailable import SENTINEL_DENIED, cause_of
from clusterpass.store.outcomes import Command, Fault, FaultKind, ServerError
from clusterpass.store.randomness import chance

_NOT_A_SENTINEL: Final = "unknown command"
_MOST_NAMES: Final = 20
_MOST_SENTINELS: Final = 64


@dataclass(frozen=True, slots=True)
class Named:
    """The primary of a service, as a majority of the Sentinels names it."""

    primary: Address
    epoch: int
    """The config epoch of the service: a primary that comes back after another has a higher one."""
    replicas: frozenset[Address] = frozenset()
    """The replicas that Sentinels know, without those that have failed."""
    failed: frozenset[Address] = frozenset()
    """The replicas that a majority of the Sentinels holds to be down."""
    asked_at: float = 0.0
    """When the first of the Sentinels was asked, in seconds of the caller's clock."""
    sentinels: int = 0
    """How many Sentinels there are, as far as they tell."""


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What one Sentinel has said."""

    primary: Address
    epoch: int
    others: int
    """How many other Sentinels it knows."""
    replicas: Mapping[Address, bool]
    """The replicas that it knows, and whether it holds each to be down."""


class Sentinels:
    """The Sentinels of one service. Threads may race here: at worst one is asked in vain."""

    def __init__(self, service: str, seeds: Iterable[Address]) -> None:
        """``seeds``: those that the store URL names."""
        self._service: Final = service.encode()
        self._seeds: Final = tuple(seeds)
        self._told: dict[Address, None] = {}
        """Where Sentinels said that others are, in the order in which they were told."""
        self._ids: dict[Address, bytes] = {}
        """Which Sentinel is at an address: several may lead to one."""
        self._silent: set[Address] = set()
        self._failure: Fault | None = None
        """Why the latest inquiry has named nobody; None: it has."""

    def blame(self, kind: FaultKind) -> Fault:
        """A fault of ``kind``, with what the Sentinels did if they are the reason."""
        failure = self._failure
        if failure is None:
            return Fault(kind)
        return Fault(kind, cause=cause_of(failure), error=failure.error, node=failure.node)

    def failed(self, fault: Fault, node: Address) -> None:
        """Note that who was named, ``node``, is of no use."""
        self._failure = Fault(fault.kind, cause=fault.cause, error=fault.error, node=str(node))

    def inquire(
        self, clock: Callable[[], float], until: float, *, with_replicas: bool = False
    ) -> Exchange[Named | None]:
        """Ask until a majority names one primary; None: no majority did.

        ``until``: the time, in seconds of ``clock``, after which nobody else is asked. Raises
        StoreFailed where no Sentinel knows the service; and, where there is no majority without
        that one, StoreFailed if an address is not one of a Sentinel, and StoreDenied if a Sentinel
        does not accept the user or the password.
        """
        began = clock()
        commands = self._questions(with_replicas=with_replicas)
        opinions: dict[bytes, _Opinion] = {}
        unknown_to: Address | None = None
        failure: Fault | None = None
        refused: ClusterPassError | None = None
        asked: set[Address] = set()
        while (sentinel := self._next(asked, opinions)) is not None:
            if asked and clock() >= until:
                break
            asked.add(sentinel)
            outcome = yield from ask(sentinel, commands)
            if isinstance(outcome, Fault):
                self._silent.add(sentinel)
                cause, error = cause_of(outcome), outcome.error
                failure = Fault(outcome.kind, cause=cause, error=error, node=str(sentinel))
                continue
            refusal = self._refusal(sentinel, outcome.values)
            if refusal is not None:
                self._silent.add(sentinel)
                refused = refusal
                continue
            self._silent.discard(sentinel)
            identifier, named, state, *more = outcome.values
            self._ids[sentinel] = identifier
            if not isinstance(named, list):
                unknown_to = sentinel
                continue
            opinions[identifier] = _opinion(named, state, more[0] if more else ())
            self._note_others(more[1] if more else ())
            if (found := self._agreed(opinions, began)) is not None:
                self._failure = None
                return found
        if refused is not None:
            raise refused
        if unknown_to is not None and not opinions:
            yield from self._tell_unknown(unknown_to)
        no_majority = Fault("cluster_down", cause="no_quorum")
        self._failure = no_majority if opinions or failure is None else failure
        return None

    def _questions(self, *, with_replicas: bool) -> tuple[Command, ...]:
        service = self._service
        questions: tuple[Command, ...] = (
            (b"SENTINEL", b"MYID"),
            (b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service),
            (b"SENTINEL", b"MASTER", service),
        )
        if with_replicas:
            questions += (
                (b"SENTINEL", b"REPLICAS", service),
                (b"SENTINEL", b"SENTINELS", service),
            )
        return questions

    def _next(self, asked: set[Address], opinions: Mapping[bytes, _Opinion]) -> Address | None:
        """Whom to ask next: a seed, then who was told of; who was silent comes last."""
        left = [
            each
            for each in dict.fromkeys((*self._seeds, *list(self._told)))
            if each not in asked and self._ids.get(each) not in opinions
        ]
        if not left:
            return None
        rank = min((each in self._silent, each not in self._seeds) for each in left)
        alike = [each for each in left if (each in self._silent, each not in self._seeds) == rank]
        return chance.choice(alike)

    @staticmethod
    def _refusal(sentinel: Address, values: list[Any]) -> ClusterPassError | None:
        """The error that a reply means, if asking this Sentinel again is in vain."""
        if isinstance(values[0], StoreDenied):
            return values[0]  # instead of replies
        # Who does not know the service answers the later questions with errors.
        needed = values if isinstance(values[1], list) else values[:2]
        errors = [value for value in values if isinstance(value, ServerError)]
        denied = next((error for error in errors if error.code in DENIED), None)
        if denied is not None:
            cause: StoreCause = "rights" if denied.code == "NOPERM" else "authentication"
            reason = denied.code.lower()
            return StoreDenied(SENTINEL_DENIED, reason=reason, cause=cause, node=str(sentinel))
        error = next((value for value in needed if isinstance(value, ServerError)), None)
        if error is None:
            return None
        said = f"{error.code} {error.message}"
        if _NOT_A_SENTINEL in said.lower():
            return StoreFailed(
                f"{sentinel} is not a Sentinel: redis+sentinel:// takes the addresses of Sentinels,"
                " and redis:// that of a server"
            )
        return StoreFailed(f"{sentinel} answered an error: {said[:200]}")

    def _note_others(self, others: Any) -> None:
        for each in others if isinstance(others, list) else ():
            fields = _fields(each)
            place = _address(fields.get(b"ip"), fields.get(b"port"))
            if place is None or len(self._told) >= _MOST_SENTINELS:
                continue
            address = SentinelAddress(*place)
            self._told[address] = None
            if address not in self._seeds and (identifier := fields.get(b"runid")):
                self._ids[address] = identifier

    def _agreed(self, opinions: Mapping[bytes, _Opinion], began: float) -> Named | None:
        """What more than half of all Sentinels say, if they do."""
        seeds = len({self._ids.get(each, each) for each in self._seeds})
        voices = max(seeds, *(1 + each.others for each in opinions.values()))
        by_primary: dict[Address, list[_Opinion]] = {}
        for opinion in opinions.values():
            by_primary.setdefault(opinion.primary, []).append(opinion)
        for primary, agreeing in by_primary.items():
            if 2 * len(agreeing) > voices:
                known = {each for opinion in agreeing for each in opinion.replicas} - {primary}
                failed = frozenset(
                    each
                    for each in known
                    if 2 * sum(opinion.replicas.get(each, False) for opinion in agreeing) > voices
                )
                epoch = max(opinion.epoch for opinion in agreeing)
                return Named(primary, epoch, frozenset(known - failed), failed, began, voices)
        return None

    def _tell_unknown(self, sentinel: Address) -> Exchange[None]:
        """Raise StoreFailed, which names the services that ``sentinel`` knows."""
        outcome = yield from ask(sentinel, ((b"SENTINEL", b"MASTERS"),))
        known: list[str] = []
        if not isinstance(outcome, Fault) and isinstance(outcome.values[0], list):
            names = [_fields(each).get(b"name", b"") for each in outcome.values[0]]
            known = sorted(name.decode(errors="replace") for name in names)[:_MOST_NAMES]
        told = f"they know {', '.join(map(repr, known))}" if known else "they told of no other one"
        wanted = self._service.decode()
        raise StoreFailed(f"the Sentinels of the store URL know no service {wanted!r}: {told}")


def _opinion(named: list[Any], state: Any, replicas: Any) -> _Opinion:
    primary = _address(*named[:2])
    assert primary is not None
    fields = _fields(state)
    told: dict[Address, bool] = {}
    for each in replicas if isinstance(replicas, list) else ():
        replica = _fields(each)
        place = _address(replica.get(b"ip"), replica.get(b"port"))
        if place is not None:
            told[place] = b"s_down" in replica.get(b"flags", b"").split(b",")
    return _Opinion(
        primary,
        int(fields.get(b"config-epoch", 0)),
        int(fields.get(b"num-other-sentinels", 0)),
        told,
    )


def _fields(reply: Any) -> dict[bytes, bytes]:
    """The fields of one server: a map over RESP3, names and values in turn over RESP2."""
    if isinstance(reply, dict):
        return reply
    return dict(zip(reply[::2], reply[1::2], strict=False)) if isinstance(reply, list) else {}


def _address(host: bytes | None, port: bytes | None) -> Address | None:
    if not host or port is None or not port.isdigit():
        return None
    return Address(host.decode(errors="replace"), int(port))
