"""The errors by which callers learn that a node could not be asked: what has happened, and where.

Operators read the cause, so that they need not guess; nothing in it is secret.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from clusterpass.model.errors import CLOSED, StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.model.store_causes import SENTENCES, StoreCause
from clusterpass.store.address import Address, SentinelAddress, read_address
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Fault, FaultKind, Replies

SENTINEL_DENIED: Final = (
    "A Sentinel denied access; check sentinel_username and sentinel_password of the store URL, and"
    " the ACL of the Sentinels"
)
"""The message of the error for a Sentinel: its user and password are not those of the servers."""
_CAUSES: Final[dict[FaultKind, StoreCause]] = {
    "timeout": "timed_out",
    "connection": "lost",
    "cluster_down": "no_quorum",
    "doubted": "no_quorum",
    "loading": "loading",
    "moving": "moving",
    "busy": "busy",
    "full": "full",
    "unconfirmed": "unconfirmed",
    "closed": "closed",
}


def cause_of(fault: Fault) -> StoreCause | None:
    """The cause of ``fault`` for operators; None for an open breaker, which tells nothing."""
    return fault.cause or _CAUSES.get(fault.kind)


def tell_tried(error: StoreUnavailable, untold: Mapping[Address, Fault]) -> None:
    """Complete ``error`` by the nodes that were asked in vain who owns the slots: each with the
    reason, for operators. Where no other node is to blame, the cause is that of most of them."""
    told = sorted(untold.items())
    error.tried = tuple(
        f"{node}: {SENTENCES.get(cause_of(fault) or '', fault.kind)}" for node, fault in told
    )
    if error.node is not None or error.reason != "connection":
        return
    causes = Counter(cause for _, fault in told if (cause := cause_of(fault)) is not None)
    if causes:
        ((error.cause, _),) = causes.most_common(1)
        faults = (fault for _, fault in told if cause_of(fault) == error.cause)
        error.__cause__ = error.__cause__ or next(faults).error
    if len(told) == 1:
        error.node = str(told[0][0])


def unavailable(
    fault: Fault, node: Address | None, *, reason: str | None = None, behind: Fault | None = None
) -> StoreUnavailable:
    """The error for ``fault`` of ``node``; None: it is not known who would have to be asked.

    ``reason``: by default, the kind of the fault. ``behind``: the fault that opened the breaker of
    the node, whose cause is told.
    """
    told = behind or fault
    asked = fault.node or (None if node is None else str(node))
    error = StoreUnavailable(
        CLOSED if fault.kind == "closed" else None,
        reason=reason or fault.kind,
        node=asked,
        cause=cause_of(told),
    )
    error.__cause__ = told.error
    return error


def locate(error: StoreUnavailable, location: StoreLocation, node: Address | None = None) -> None:
    """Complete ``error`` by ``node``, the one that was asked, and by where it is reached."""
    if error.reason == "doubted" and not location.looks_up:
        error.cause = "read_only"  # a single server is doubted when it says that it is a replica
    if error.node is None and node is not None:
        error.node = str(node)
    if error.node is not None and error.address is None:
        named = Address(error.node, 0) if error.node.startswith("/") else read_address(error.node)
        with suppress(StoreFailed):  # that of the remap
            error.address = str(location.reach(named)) if named is not None else error.node


@contextmanager
def placed(location: StoreLocation, node: Address) -> Iterator[None]:
    """Complete the errors that are raised within by ``node``, the one that is asked."""
    try:
        yield
    except StoreUnavailable as error:
        locate(error, location, node)
        raise


def refused_by_sentinel(error: StoreDenied, node: Address) -> Replies:
    """``error`` in place of replies, if ``node`` is a Sentinel: others are asked then.

    Raises ``error`` where it is not.
    """
    if not isinstance(node, SentinelAddress):
        raise error
    if error.cause == "tls":
        return Replies([error])
    told = StoreDenied(
        SENTINEL_DENIED,
        reason=error.reason,
        cause=error.cause,
        node=error.node,
        address=error.address,
    )
    return Replies([told])
