"""The epoch and the size of a cluster, as a node reports them in CLUSTER INFO. Pure."""

from typing import Any, Final

_EPOCH: Final = b"cluster_current_epoch:"
_OWN_EPOCH: Final = b"cluster_my_epoch:"
_SIZE: Final = b"cluster_size:"


def read_epoch(info: Any) -> int | None:
    """The current epoch in ``info``, a reply to CLUSTER INFO; None for an error or another text."""
    return _read(info, _EPOCH)


def read_config_epoch(info: Any) -> int | None:
    """The config epoch of the node that sent ``info``, as :func:`read_epoch` reads it."""
    return _read(info, _OWN_EPOCH)


def _read(info: Any, name: bytes) -> int | None:
    if not isinstance(info, bytes):
        return None
    _, named, rest = info.partition(name)
    digits = rest.split(b"\r", 1)[0]
    return int(digits) if named and digits.isdigit() else None


def read_size(info: Any) -> int:
    """The number of primaries with slots in ``info``, a reply to CLUSTER INFO; 0: it tells none."""
    return _read(info, _SIZE) or 0
