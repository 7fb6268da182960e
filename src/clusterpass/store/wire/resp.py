"""RESP3 on the wire: commands packed, replies taken apart. hiredis does both; no I/O here."""

from collections.abc import Callable
from typing import Any, Final, cast

import hiredis

from clusterpass.store.outcomes import Command, ServerError

NOTHING: Final = object()
"""What :meth:`Decoder.next` returns while no reply is complete."""
pack_one: Final = cast("Callable[[Command], bytes]", hiredis.pack_command)
"""The bytes of one command."""
Push = hiredis.PushNotification
ProtocolError = hiredis.ProtocolError


class Decoder:
    """Turns the bytes of one connection into replies, in order."""

    __slots__ = ("feed", "next")

    def __init__(self) -> None:
        # Its stubs know of exceptions only; what is returned here comes out as the reply.
        reader = hiredis.Reader(replyError=cast("Any", _server_error), notEnoughData=NOTHING)
        self.feed: Final = reader.feed
        """Takes bytes as they come. Raises ProtocolError."""
        self.next: Final = reader.gets
        """The next reply, a :class:`Push` among them, or NOTHING. Raises ProtocolError."""


def pack(commands: tuple[Command, ...]) -> bytes:
    """The bytes of ``commands``, to be sent one after the other."""
    if len(commands) == 1:
        return pack_one(commands[0])
    return b"".join([pack_one(command) for command in commands])


def _server_error(text: Any) -> ServerError:
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    code, _, message = text.partition(" ")
    return ServerError(code, message)
