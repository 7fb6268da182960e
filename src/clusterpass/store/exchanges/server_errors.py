"""Classifies server errors as transient or permanent. No I/O.

Transient are the errors in ``_PASSING``, those of a key that left during a script, and those of a
primary that became a replica before the WAIT behind a write: the call may be retried. Any other
error is raised, as a retry would not help.
"""

from typing import Final

from clusterpass.model.clock import clocks_differ
from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.model.store_causes import StoreCause
from clusterpass.store.missing_commands import describe_refusal
from clusterpass.store.outcomes import Fault, FaultKind, ServerError

_NOT_LOCAL: Final = "access a non local key"
_A_REPLICA_NOW: Final = "cannot be used with replica instances"
_LONG_BEFORE_LOGIN: Final = "error: unauthenticated"  # too many arguments before AUTH
DENIED: Final = frozenset({"NOAUTH", "WRONGPASS", "NOPERM", "ACL"})  # ACL: inside a script
"""The codes of errors by which a server refuses a user, or what the user may not do."""
_DENIED_IN_SCRIPT: Final = ("ACL failure", "The user executing the script can't")
_PASSING: Final[dict[str, FaultKind]] = {
    "TRYAGAIN": "moving",
    "CLUSTERDOWN": "cluster_down",
    "MASTERDOWN": "cluster_down",
    "READONLY": "moving",
    "UNBLOCKED": "moving",  # the primary became a replica during WAIT
    "LOADING": "loading",
    "BUSY": "busy",
    "NOREPLICAS": "busy",
    "MISCONF": "full",
    "MOVED": "moving",
    "ASK": "moving",
}
_CAUSES: Final[dict[str, StoreCause]] = {
    "READONLY": "read_only",
    "UNBLOCKED": "read_only",
    "CLUSTERDOWN": "no_quorum",
    "MASTERDOWN": "no_quorum",
}
"""What operators are told, where it is more than the kind of the fault says."""
NOT_SERVING: Final = frozenset({"CLUSTERDOWN", "MASTERDOWN", "LOADING"})
"""The errors of a node that answers, and carries out nothing."""


def not_a_single_server(address: object) -> str:
    """The message of the error for a node of a cluster that the store URL takes for a server."""
    return (
        f"{address} is a node of a cluster: begin the store URL with redis+cluster:// or"
        " rediss+cluster://"
    )


def came_to_a_replica(error: ServerError) -> bool:
    """Whether the primary became a replica between a write and the WAIT or WAITAOF behind it."""
    return _A_REPLICA_NOW in error.message


def judge(error: ServerError) -> Fault:
    """The passing fault that ``error`` stands for.

    Raises StoreDenied for missing rights, StoreUnavailable when the server is out of memory
    or its clock is in doubt, and StoreFailed for any other error that a retry does not cure, such
    as a command that the server lacks. The messages name the command.
    """
    if error.code in DENIED or error.message.startswith(_DENIED_IN_SCRIPT):
        is_unknown = error.code in {"NOAUTH", "WRONGPASS"}
        raise StoreDenied(
            describe_refusal(error, is_denied=True),
            reason=error.code.lower(),
            cause="authentication" if is_unknown else "rights",
        )
    if _LONG_BEFORE_LOGIN in error.message:
        raise StoreDenied(reason="noauth", cause="authentication")
    if error.code == "CLOCK":
        raise StoreUnavailable(clocks_differ(int(error.message)), reason="clock", cause="clock")
    if error.code == "OOM":
        raise StoreUnavailable("The session store is out of memory", reason="full", cause="full")
    if _NOT_LOCAL in error.message:  # a key left during the script, in a slot migration
        return Fault("moving")
    if came_to_a_replica(error):
        return Fault(_PASSING["UNBLOCKED"], cause=_CAUSES["UNBLOCKED"])
    if error.code not in _PASSING:
        raise StoreFailed(
            describe_refusal(error, is_denied=False)
            or f"The session store answered an error: {error.code} {error.message[:200]}"
        )
    return Fault(_PASSING[error.code], cause=_CAUSES.get(error.code))
