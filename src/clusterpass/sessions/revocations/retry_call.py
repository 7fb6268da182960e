"""The calls of retries in the background, which are short and ask the cluster little.

- A retry does not insist: its caller is long gone, and the queue retries it later. So a revocation
  that no replica confirms does not look the slots up over and over.
- A retry has a deadline of its own, so that a node that does not answer occupies its lane of the
  queue only briefly.
"""

from dataclasses import replace
from typing import Final, TypeVar

from clusterpass.protocol.script import ScriptCall

RETRY_SECONDS: Final = 1.0
"""The deadline of one retry, in seconds."""
Reply = TypeVar("Reply")


def retry_of(call: ScriptCall[Reply]) -> ScriptCall[Reply]:
    """``call`` as a retry in the background makes it: once, within ``RETRY_SECONDS``."""
    return replace(call, insists=False, deadline=RETRY_SECONDS)
