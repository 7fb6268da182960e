"""The first commands on a multiplexed connection, and what the replies mean. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from clusterpass.model.errors import StoreDenied, StoreFailed
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Command, Fault, ServerError

_CLIENT_NAME: Final = b"clusterpass"
_NO_ROOM: Final = "max number of clients"
_DENIED: Final = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})


def greeting(location: StoreLocation) -> Command:
    """HELLO 3 with the user and the password of ``location``, if any, and the client's name."""
    command: Command = (b"HELLO", 3)
    if location.password is not None:
        user = (location.username or "default").encode()
        command = (*command, b"AUTH", user, location.password.encode())
    return (*command, b"SETNAME", _CLIENT_NAME)


def tracking(prefixes: Sequence[bytes]) -> Command:
    """CLIENT TRACKING: the node pushes the name of each changed key that begins with a prefix."""
    named = [part for prefix in prefixes for part in (b"PREFIX", prefix)]
    return (b"CLIENT", b"TRACKING", b"ON", b"BCAST", *named)


def subscription(keyspace: Keyspace) -> Command:
    """SUBSCRIBE to a channel in which nothing is published, for a connection with CLIENT TRACKING.

    The node then ends the connection when unread pushes exceed the limit that
    ``client-output-buffer-limit`` sets for pubsub. For other connections there is no limit by
    default, so a process that has stopped reading would fill the node's memory. Over RESP3 the
    connection takes requests all the same.
    """
    return (b"SUBSCRIBE", keyspace.channel())


def judge_greeting(reply: Any) -> Fault | None:
    """The meaning of ``reply``, the reply to HELLO: None where the node accepts the connection.

    A Fault where the node is still loading or has no room for another client. Raises StoreDenied
    for a wrong user or password, StoreFailed for a server without RESP3.
    """
    if not isinstance(reply, ServerError):
        return None
    if reply.code in _DENIED:
        raise StoreDenied(reason="authentication")
    if reply.code == "LOADING":
        return Fault("loading")
    if _NO_ROOM in reply.message:
        return Fault("busy")
    raise StoreFailed(
        "The session store does not speak RESP3 (HELLO 3): Redis 6 or any Valkey is needed"
    )
