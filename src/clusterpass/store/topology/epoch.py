"""The epoch of a cluster, as a node reports it in CLUSTER INFO. Pure."""

from typing import Any, Final

_EPOCH: Final = b"cluster_current_epoch:"


def read_epoch(info: Any) -> int | None:
    """The current epoch in ``info``, a reply to CLUSTER INFO; None for an error or another text."""
    if not isinstance(info, bytes):
        return None
    _, named, rest = info.partition(_EPOCH)
    digits = rest.split(b"\r", 1)[0]
    return int(digits) if named and digits.isdigit() else None
