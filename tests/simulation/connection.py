"""Connections of a process to a server, and links, which open them again.

What they do is modelled on ``store/wire``: replies in order, pushes among them, a time limit for
each reply after which the connection ends, and growing pauses with jitter between attempts.
"""

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

from clusterpass.store.outcomes import Fault, FaultKind, Replies
from clusterpass.store.randomness import chance
from clusterpass.store.wire.link_listener import LinkListener

from .clock import Clock, Future
from .network import Network
from .server import Request, Server

TIMEOUT = 0.5
_TURNS = 4
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
_NUMBERS = itertools.count(1)
_HELLO = ((b"HELLO", 3),)
Later = Callable[..., None]


class Connection:
    """One connection. ``later``: calls something later in the process, unless that is gone."""

    def __init__(self, link: "Link") -> None:
        self.link = link
        self.number = next(_NUMBERS)
        self.is_closed = False
        self.tracks = link.listener is not None
        self._waiting: deque[tuple[Future, float]] = deque()
        self._arrives_at = [0.0, 0.0]
        """When what was sent last arrives, there and here."""
        self._is_watched = False

    def ask(self, commands: tuple[tuple[Any, ...], ...], wait: Any = None) -> Future:
        """The replies, or a fault."""
        answer, link = Future(), self.link
        if self.is_closed:
            answer.set(Fault("connection"))
            return answer
        clock = link.clock
        self._waiting.append((answer, clock.now))
        kind = link.server.kind_of(commands)
        # The writes of processes that are not simulated happen one by one, at times of their own.
        weight = 1 if kind == "write" else link.weight
        request = Request(self, commands, wait, weight, kind, 0.0, self._replied)
        self._pass_on(0, link.server.receive, request)
        if not self._is_watched:
            self._is_watched = True
            link.later(TIMEOUT / _TURNS, self._check, clock.now + TIMEOUT / _TURNS)
        return answer

    def push(self, keys: list[bytes]) -> None:
        """The server pushes that ``keys`` have changed."""
        self._pass_on(1, self._take_push, keys)

    def end(self, why: FaultKind = "connection") -> None:
        """Close the connection; whoever waits gets a fault."""
        if self.is_closed:
            return
        self.is_closed = True
        link = self.link
        link.server.tracking.pop(self, None)
        waiting, self._waiting = self._waiting, deque()
        for answer, _ in waiting:
            answer.set(Fault(why))
        link.ended(self)

    def _pass_on(self, way: int, do: Callable[..., None], *args: Any) -> None:
        link = self.link
        if not link.network.passes(link.owner, link.server.address):
            return
        arrives_at = max(link.clock.now + link.network.delay(), self._arrives_at[way])
        self._arrives_at[way] = arrives_at
        if way == 0:
            link.clock.at(arrives_at, do, *args)
        else:
            link.later(arrives_at - link.clock.now, do, *args)

    def _replied(self, replies: Replies) -> None:
        self._pass_on(1, self._take, replies)

    def _take(self, replies: Replies) -> None:
        if not self.is_closed and self._waiting:
            self._waiting.popleft()[0].set(replies)

    def _take_push(self, keys: list[bytes]) -> None:
        if not self.is_closed and self.link.listener is not None:
            self.link.listener.pushed(self.link.server.address, [b"invalidate", keys])

    def _check(self, due: float) -> None:
        self._is_watched = False
        if self.is_closed or not self._waiting:
            return
        now, turn = self.link.clock.now, TIMEOUT / _TURNS
        # After a stall replies may lie unread: only a timer that was on time may judge.
        if now - due < turn and now - self._waiting[0][1] > TIMEOUT:
            self.end("timeout")
            return
        self._is_watched = True
        self.link.later(turn, self._check, now + turn)


class Link:
    """Requests to one server over a connection that opens on demand."""

    def __init__(
        self,
        owner: int,
        server: Server,
        clock: Clock,
        network: Network,
        later: Later,
        weight: int,
        listener: LinkListener | None = None,
    ) -> None:
        """``owner``: the number of the process; ``listener``: None where nothing is pushed."""
        self.owner, self.server, self.clock, self.network = owner, server, clock, network
        self.later, self.weight, self.listener = later, weight, listener
        self.connection: Connection | None = None
        self._opening: Future | None = None
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0
        self._is_closed = False

    @property
    def is_open(self) -> bool:
        return self.connection is not None and not self.connection.is_closed

    def open(self) -> Future:
        """None when the connection is open, or a fault."""
        done = Future()
        if self.is_open:
            done.set(None)
        elif self._is_closed or self.clock.now < self._not_before:
            done.set(Fault("connection"))
        elif self._opening is not None:
            return self._opening
        else:
            self._opening = done
            made = Connection(self)
            made.ask(_HELLO).then(lambda outcome: self._greeted(made, outcome))
        return done

    def ask(self, commands: tuple[tuple[Any, ...], ...], wait: Any = None) -> Future:
        """Send ``commands``, opening the connection first where needed."""
        if self.connection is not None and not self.connection.is_closed:
            return self.connection.ask(commands, wait)
        answer = Future()

        def opened(fault: Fault | None) -> None:
            connection = self.connection
            if fault is not None or connection is None:
                answer.set(fault or Fault("connection"))
            else:
                connection.ask(commands, wait).then(answer.set)

        self.open().then(opened)
        return answer

    def close(self) -> None:
        self._is_closed = True
        if self.connection is not None:
            self.connection.end()

    def ended(self, connection: Connection) -> None:
        if connection is self.connection and self.listener is not None:
            self.listener.lost(self.server.address)

    def _greeted(self, made: Connection, outcome: Replies | Fault) -> None:
        opening, self._opening = self._opening, None
        assert opening is not None
        if isinstance(outcome, Fault) or self._is_closed:
            made.end()
            pause = chance.uniform(self._pause / 2, self._pause)
            self._not_before = self.clock.now + pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            opening.set(outcome if isinstance(outcome, Fault) else Fault("connection"))
            return
        self._pause = _FIRST_PAUSE
        self.connection = made
        if self.listener is not None:
            pushes = self.listener.pushes
            if pushes == "all":
                self.server.tracking[made] = self.weight
            self.listener.connected(self.server.address, pushes)
        opening.set(None)
