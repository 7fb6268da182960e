"""The commands that run one script call. Pure."""

from typing import Any

from clusterpass.protocol.script import ScriptCall
from clusterpass.store.outcomes import Command


def command_of(call: ScriptCall[Any], keys: tuple[bytes, ...], *, by_name: bool = True) -> Command:
    """The command that runs the script of ``call`` on ``keys``.

    ``by_name``: EVALSHA with the script's SHA-1; otherwise EVAL with its full text.
    """
    script = call.script
    verb, text = (b"EVALSHA", script.sha1) if by_name else (b"EVAL", script.source)
    return (verb, text, len(keys), *keys, *call.arguments)


def commands_of(
    call: ScriptCall[Any], keys: tuple[bytes, ...], *, by_name: bool, asking: bool
) -> tuple[Command, ...]:
    """The command of :func:`command_of`, after ASKING where ``asking`` is set.

    A node that imports a slot serves it only to a client that sends ASKING first.
    """
    command = command_of(call, keys, by_name=by_name)
    return ((b"ASKING",), command) if asking else (command,)
