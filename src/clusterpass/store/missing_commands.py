"""Commands that a server lacks, or that the user may not run, and what follows from each.

A command without which something is left undone is noted: the log tells of it once, and
``stats()`` for as long as it lasts. One without which a call cannot be carried out is named by the
error of that call.
"""

import logging
import re
from collections.abc import Hashable, Mapping
from typing import Final

from clusterpass.store.outcomes import ServerError

logger: Final = logging.getLogger("clusterpass.store")
_NAMED: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"unknown command ['`\"](?P<name>[\w.-]+)",
        r"no permissions to run the '(?P<name>[^']+)' command",
        r"unknown subcommand\b.*?'(?P<sub>[\w-]+)'\. Try (?P<name>\w+) HELP",
    )
)
_IN_SCRIPT: Final = re.compile(
    r"unknown (?:redis |server )?command called from|the user executing the script can't",
    re.IGNORECASE,
)
"""What a server says of a command in a script that it does not name."""
_NO_FLAGS: Final = re.compile(r"error compiling script.*unexpected symbol near '#'", re.IGNORECASE)
_NOTHING_PUSHED: Final = "nothing is served from memory, so every verify asks the store"
_NOT_JUDGED: Final = (
    "nothing is served from memory, and a primary that was replaced is believed until it refuses"
)
LEFT_UNDONE: Final[Mapping[str, str]] = {
    "HELLO": f"without RESP3 no change is pushed: {_NOTHING_PUSHED}",
    "CLIENT TRACKING": f"no change is pushed: {_NOTHING_PUSHED}",
    "CLIENT": f"no change is pushed: {_NOTHING_PUSHED}",
    "CLUSTER INFO": f"no epoch is told: {_NOT_JUDGED}",
    "ROLE": f"no role is told: {_NOT_JUDGED}; INFO counts the replicas, if it may be asked",
    "TIME": f"no clock is told: {_NOT_JUDGED}",
}
"""What is left undone without a command."""
NEEDED_FOR_PUSHES: Final = ("HELLO", "CLIENT TRACKING", "CLIENT")
NEEDED_FOR_HEARTBEATS: Final = ("CLUSTER INFO", "ROLE", "TIME")
REPLICAS_UNKNOWN: Final = (
    "without ROLE nobody knows how many replicas there are: no write waits for one"
)
"""What is left undone on a single server without INFO, where ROLE is missing too."""
_NEEDED: Final[Mapping[str, str]] = {
    "EVALSHA": "everything that it does is a script",
    "EVAL": "everything that it does is a script",
    "CLUSTER": "it finds the nodes of a cluster by CLUSTER SLOTS and CLUSTER NODES; redis:// is for"
    " one server",
    "CLUSTER SLOTS": "it finds the nodes of a cluster by it",
    "CLUSTER NODES": "it finds the nodes of a cluster by it",
    "ASKING": "slots are moving between nodes",
    "SCAN": "it lists users by it",
    "PING": "ping() asks whether the store answers",
}
"""What commands are for without which a call cannot be carried out."""
_SCRIPTS_NEED: Final = "its scripts call it"


def refused_command(error: ServerError) -> str | None:
    """The command that ``error`` names as unknown or not permitted, such as ``CLIENT TRACKING``.

    None for any other error.
    """
    for pattern in _NAMED:
        if found := pattern.search(error.message):
            name = found["name"].replace("|", " ")
            sub = found.groupdict().get("sub")
            return (f"{name} {sub}" if sub else name).upper()
    return None


def describe_refusal(error: ServerError, *, is_denied: bool) -> str | None:
    """The message for ``error`` where it says that the server lacks what every call needs.

    ``is_denied``: whether a right is missing, rather than the command. None for any other error.
    """
    if _NO_FLAGS.search(error.message):
        return (
            "The session store is older than Redis 7.0: it does not know the flags of scripts"
            " (#!lua)"
        )
    who = "The user of the session store may not run" if is_denied else "The session store lacks"
    command = refused_command(error)
    if command is not None:
        return f"{who} {command}, which ClusterPass needs: {_NEEDED.get(command, _SCRIPTS_NEED)}"
    if _IN_SCRIPT.search(error.message):
        return f"{who} a command that the scripts of ClusterPass call: clusterpass doctor names it"
    return None


class Missing:
    """Commands that the nodes of one store lack. Threads may share it."""

    def __init__(self) -> None:
        self._nodes: dict[str, set[Hashable]] = {}
        """By what is told of a command, the nodes that lack it now."""

    def note(self, node: Hashable, error: ServerError) -> bool:
        """Note that ``node`` refused a command by ``error``; False where no command is named
        without which something is left undone."""
        command = refused_command(error)
        consequence = LEFT_UNDONE.get(command or "")
        if command is None or consequence is None:
            return False
        self.tell(node, command, consequence)
        return True

    def tell(self, node: Hashable, command: str, consequence: str) -> None:
        """Note that ``node`` lacks ``command``, and what is left undone by it."""
        text = f"{command}: {consequence}"
        if text not in self._nodes:
            logger.warning("%s lacks the command, or the right to it: %s", node, text)
        self._nodes.setdefault(text, set()).add(node)

    def settle(self, node: Hashable, *commands: str) -> None:
        """Note that ``node`` lacks ``commands`` no more."""
        if not self._nodes:
            return
        for text, nodes in list(self._nodes.items()):
            if text.partition(":")[0] in commands:
                nodes.discard(node)

    @property
    def lacks_count(self) -> bool:
        """Whether a single server does not tell how many replicas it has."""
        return bool(self._nodes.get(f"INFO: {REPLICAS_UNKNOWN}"))

    def told(self) -> tuple[str, ...]:
        """The commands that are missing now, as ``COMMAND: what follows``."""
        return tuple(sorted(text for text, nodes in list(self._nodes.items()) if nodes))
