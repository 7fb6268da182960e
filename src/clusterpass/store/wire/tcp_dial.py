"""Opens TCP connections to hosts with several addresses, some of them silent (RFC 8305).

Attempts begin one after the other, with a short pause between them, and go on side by side ("happy
eyeballs"). The first that succeeds is used, and the others are closed.

Two libraries have such a race for event loops, and none has one for threads, so the order of the
addresses, the pauses and the sockets have to be here in any case. The race for event loops is here
too:

- ``asyncio`` has ``create_connection(happy_eyeballs_delay=...)``, which uvloop does not take.
- aiohappyeyeballs joins the errors of all attempts into one. If they differ, as when IPv4 is
  refused and IPv6 leads nowhere, that error has no ``errno``, so operators could not be told the
  cause. It would also be one more dependency of the library.
"""

import asyncio
import errno
import itertools
import os
import selectors
import socket
import time
from collections.abc import Iterable
from typing import Any, Final

AddressInfo = tuple[int, int, int, str, Any]
"""What :func:`socket.getaddrinfo` tells of one address."""
_LONGEST_PAUSE: Final = 0.1
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""Seconds of silence before the first probe, seconds between probes, and probes without an answer:
a lost peer is noticed in half a minute, and the load balancers on the way see traffic."""
_UNDER_WAY: Final = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY})


def keep_alive(connected: Any) -> None:
    """Have the kernel probe the peer of a TCP socket; what the platform lacks is left out."""
    if connected is None or connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


def dial(host: str, port: int, seconds: float) -> socket.socket:
    """A connected TCP socket, which does not block; ``seconds``: for all attempts together.

    Raises OSError: that of the last attempt, or TimeoutError.
    """
    try:
        found = _mixed(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except ValueError as refusal:
        raise _no_name(refusal) from None
    race = _Race(found, time.monotonic() + seconds, _pause(seconds, len(found)))
    try:
        return race.run()
    finally:
        race.close()


async def dial_in_loop(host: str, port: int, seconds: float) -> socket.socket:
    """A connected TCP socket, as from :func:`dial`, in the running event loop.

    ``seconds``: how long the caller will wait, which sets the pauses between the attempts. Raises
    OSError, that of the last attempt.
    """
    loop = asyncio.get_running_loop()
    try:
        found = _mixed(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except ValueError as refusal:
        raise _no_name(refusal) from None
    pause = _pause(seconds, len(found))
    waiting = iter(found)
    attempts: set[asyncio.Task[socket.socket]] = set()
    reached: socket.socket | None = None
    failure: BaseException = OSError("the name of the host has no address")
    try:
        while True:
            info = next(waiting, None)
            if info is not None:
                attempts.add(loop.create_task(_connect(loop, info)))
            if not attempts:
                raise failure
            done, attempts = await asyncio.wait(
                attempts,
                timeout=None if info is None else pause,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                error = attempt.exception()
                if error is None:
                    done.remove(attempt)
                    attempts |= done
                    reached = attempt.result()
                    return reached
                failure = error
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_discard)
        if attempts:
            try:
                await asyncio.wait(attempts)
            except BaseException:
                if reached is not None:
                    reached.close()
                raise


async def _connect(loop: asyncio.AbstractEventLoop, info: AddressInfo) -> socket.socket:
    made = _socket_for(info)
    try:
        await loop.sock_connect(made, info[4])
    except BaseException:
        made.close()
        raise
    return made


def _discard(attempt: "asyncio.Task[socket.socket]") -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


class _Race:
    """Attempts to connect, of which the first that succeeds wins."""

    def __init__(self, found: list[AddressInfo], until: float, pause: float) -> None:
        self._waiting = iter(found)
        self._until = until
        self._pause = pause
        self._selector = selectors.DefaultSelector()
        self._failure: OSError = OSError("the name of the host has no address")
        self._is_last = False

    def run(self) -> socket.socket:
        while True:
            self._begin_next()
            if not self._selector.get_map():
                if self._is_last:
                    raise self._failure
                continue
            now = time.monotonic()
            pause_ends = self._until if self._is_last else min(self._until, now + self._pause)
            while (left := pause_ends - time.monotonic()) > 0:
                if not (ready := self._selector.select(left)):
                    continue
                for key, _ in ready:
                    if (winner := self._settle(key.fileobj)) is not None:
                        return winner
                break  # the next attempt follows a failure at once
            if time.monotonic() >= self._until:
                raise TimeoutError("no address of the host answered in time")

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _begin_next(self) -> None:
        info = next(self._waiting, None)
        if info is None:
            self._is_last = True
            return
        try:
            made = _socket_for(info)
        except OSError as error:  # as where the machine has no IPv6
            self._failure = error
            return
        code = made.connect_ex(info[4])
        if code in _UNDER_WAY:
            self._selector.register(made, selectors.EVENT_WRITE)
            return
        made.close()
        self._failure = _error(code, info[4])

    def _settle(self, attempt: Any) -> socket.socket | None:
        self._selector.unregister(attempt)
        code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            winner: socket.socket = attempt
            return winner
        attempt.close()
        self._failure = _error(code, None)
        return None


def _socket_for(info: AddressInfo) -> socket.socket:
    made = socket.socket(*info[:3])
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(made)
    except BaseException:
        made.close()
        raise
    return made


def _no_name(refusal: ValueError) -> socket.gaierror:
    """What a resolver says of a name that nobody can have, which Python refuses to look up."""
    return socket.gaierror(socket.EAI_NONAME, f"not the name of a host ({type(refusal).__name__})")


def _error(code: int, address: Any) -> OSError:
    where = "" if address is None else f" ({address[0]}, {address[1]})"
    return OSError(code, f"{os.strerror(code)}{where}")


def _pause(seconds: float, count: int) -> float:
    """Seconds between two attempts: all of them begin in the first half of ``seconds``."""
    return min(_LONGEST_PAUSE, seconds / (2 * max(1, count)))


def _mixed(found: Iterable[Any]) -> list[AddressInfo]:
    """The addresses with their families in turn, as one whole family may lead nowhere."""
    families: dict[int, list[AddressInfo]] = {}
    for info in found:
        families.setdefault(info[0], []).append(info)
    turns = itertools.zip_longest(*families.values())
    return [info for turn in turns for info in turn if info is not None]
