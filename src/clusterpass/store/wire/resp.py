"""RESP3 by hiredis: packs commands, and parses replies. No I/O happens here."""

from collections.abc import Callable
from typing import Any, Final, cast

import hiredis

from clusterpass.store.outcomes import Command, ServerError

NOTHING: Final = object()
"""The result of :meth:`Decoder.next` while no reply is complete."""
pack_one: Final = cast("Callable[[Command], bytes]", hiredis.pack_command)
"""Packs one command into bytes."""
Push = hiredis.PushNotification
"""A message that the server pushes: a list."""
ProtocolError = hiredis.ProtocolError
"""Raised for bytes that are not RESP."""


class Decoder:
    """A parser that turns the bytes of one connection into replies, in order."""

    __slots__ = ("feed", "next")

    def __init__(self) -> None:
        # The stubs allow exceptions only; in fact the reader returns whatever replyError makes.
        reader = hiredis.Reader(replyError=cast("Any", _server_error), notEnoughData=NOTHING)
        self.feed: Final = reader.feed
        """Takes bytes as they arrive. Raises ProtocolError."""
        self.next: Final = reader.gets
        """Returns the next reply, a :class:`Push` or NOTHING. Raises ProtocolError."""


def pack(commands: tuple[Command, ...]) -> bytes:
    """The bytes of ``commands``, one after the other."""
    if len(commands) == 1:
        return pack_one(commands[0])
    return b"".join([pack_one(command) for command in commands])


def _server_error(text: Any) -> ServerError:
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    code, _, message = text.partition(" ")
    return ServerError(code, message)
