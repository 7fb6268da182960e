"""The time after which both drivers no longer use an idle connection.

Load balancers and address translation drop connections that idle for some minutes, often silently.
"""

from typing import Final

LONGEST_IDLE: Final = 60.0
"""Seconds after which an idle connection is not used any more."""
_TELLING: Final = 1.0


def concerns_all_nodes(idle_since: float, sent_at: float) -> bool:
    """Whether a connection on which no reply came says something about those to other nodes.

    It idled since ``idle_since`` until ``sent_at``, in seconds of one clock. After a moment of
    idling it is more likely that the node does not answer.
    """
    return sent_at - idle_since >= _TELLING
