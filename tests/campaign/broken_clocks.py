"""A build that is broken on purpose, see :mod:`.broken`: whose clock counts."""

from importlib.resources import files
from typing import Any

from clusterpass.protocol.script import load_script
from clusterpass.sessions.memory.clocks import Clocks

from .rewriting import rewrite

_JUDGED = "if called == 0 or math.abs(ahead) <= most then"


def server_clocks_are_trusted() -> None:
    """Scripts take the time of their server as it is, however far it is off."""
    for script in sorted((files("clusterpass.protocol") / "scripts").iterdir(), key=str):
        name = script.name.removesuffix(".lua")
        if name != script.name and _JUDGED.encode() in load_script(name).source:
            rewrite(name, _JUDGED, "if true then")


def a_reply_alone_times_sweeps() -> None:
    """The clock in a reply tells which sessions a pending revocation covers.

    So a server whose clock is behind hides them, and a request that was held covers later ones.
    """
    changed: Any = Clocks
    changed.most_ahead = lambda _, __, most: most
