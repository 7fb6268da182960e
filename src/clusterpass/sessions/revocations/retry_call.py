"""Limits on the calls of background retries: a short deadline, and no repeated look-ups.

- Nobody waits for a retry, and the queue repeats it anyway. So a revocation that no replica
  confirms does not look the slots up over and over.
- The short deadline keeps a node that does not answer from blocking its lane of the queue.
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
