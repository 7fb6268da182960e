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
    calls: tuple[ScriptCall[Any], ...], *, by_name: bool, asking: bool, is_cut: bool = False
) -> tuple[Command, ...]:
    """The commands that run ``calls``, each on its own keys, or where ``is_cut``, on the first.

    Each comes after ASKING where ``asking`` is set: a node that imports a slot serves it only to a
    client that sends ASKING first.
    """
    commands = [
        command_of(each, each.keys[:1] if is_cut else each.keys, by_name=by_name) for each in calls
    ]
    if asking:
        return tuple(part for command in commands for part in ((b"ASKING",), command))
    return tuple(commands)
