"""The first commands on a multiplexed connection, and what the replies mean. Pure."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from clusterpass.model.errors import StoreDenied, StoreFailed
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.credentials import Credentials
from clusterpass.store.outcomes import Command, Fault, ServerError

Pushes = Literal["nothing", "read", "all"]
"""Which changes a node pushes over a connection: of keys that were read over it, or of all."""
_TRACKING: Final[Command] = (b"CLIENT", b"TRACKING", b"ON")
_NOT_TRACKING: Final[Command] = (b"CLIENT", b"TRACKING", b"OFF")
_CLIENT_NAME: Final = b"clusterpass"
_NO_ROOM: Final = "max number of clients"
_NOT_AUTHENTICATED: Final = "HELLO must be called with"
"""Begins the message of NOAUTH to a HELLO without AUTH. A server that does not know HELLO says
NOAUTH as well, in other words, as it says to every command before AUTH."""
_UNKNOWN: Final = frozenset({"ERR", "NOPERM"})
"""The codes by which a node refuses a command that it does not know, or that the user lacks."""


def greeting(credentials: Credentials | None) -> Command:
    """HELLO 3 with ``credentials``, if any, and the client's name."""
    command: Command = (b"HELLO", 3)
    if credentials is not None:
        command = (*command, b"AUTH", *credentials.pair())
    return (*command, b"SETNAME", _CLIENT_NAME)


def plain_greeting(credentials: Credentials | None) -> tuple[Command, ...]:
    """The commands that greet a node over RESP2, where it refuses HELLO: AUTH if there are
    ``credentials``, and the client's name."""
    named: Command = (b"CLIENT", b"SETNAME", _CLIENT_NAME)
    return (named,) if credentials is None else ((b"AUTH", *credentials.pair()), named)


def tracking(pushes: Pushes, prefixes: Sequence[bytes]) -> Command:
    """CLIENT TRACKING: the node pushes the names of changed keys.

    In broadcasting mode, of all keys that begin with one of ``prefixes``; otherwise, of each key
    that was read over the connection, once after each read.
    """
    if pushes == "read":
        return _TRACKING
    named = [part for prefix in prefixes for part in (b"PREFIX", prefix)]
    return (*_TRACKING, b"BCAST", *named)


def following(pushes: Pushes, prefixes: Sequence[bytes], keyspace: Keyspace) -> tuple[Command, ...]:
    """The commands that make a node push changes over a connection; none if none are wanted."""
    if pushes == "nothing":
        return ()
    # A user without the right to subscribe gets pushes all the same.
    return tracking(pushes, prefixes), subscription(keyspace)


def switching(pushes: Pushes, prefixes: Sequence[bytes], keyspace: Keyspace) -> tuple[Command, ...]:
    """The commands that make a node push other changes than before over a connection."""
    return _NOT_TRACKING, *following(pushes, prefixes, keyspace)


def widening(prefixes: Sequence[bytes]) -> tuple[Command, ...]:
    """The commands that make a node push all changes, not only those of keys read; none is missed.

    Both are switched at one instant, so that what was read before is as good as if it had been
    read afterwards; :func:`judge_widening` tells whether the node did so.
    """
    return (b"MULTI",), _NOT_TRACKING, tracking("all", prefixes), (b"EXEC",)


def judge_widening(replies: Sequence[Any]) -> Literal["gapless", "gap", "undone"] | ServerError:
    """Tell from ``replies``, those to :func:`widening`, what the node does now.

    It pushes all changes, and none went unnoticed ("gapless") or some may have ("gap": a user
    without the right to MULTI has both commands run one after the other); or it goes on as before
    ("undone": as when EXEC is refused); or the error for which it pushes nothing any more.
    """
    began, stopped, switched, done = replies
    if isinstance(done, list):
        return done[-1] if isinstance(done[-1], ServerError) else "gapless"
    if not isinstance(began, ServerError) or isinstance(stopped, ServerError):
        return "undone"
    return switched if isinstance(switched, ServerError) else "gap"


def subscription(keyspace: Keyspace) -> Command:
    """SUBSCRIBE to a channel in which nothing is published, for a connection with CLIENT TRACKING.

    The node then ends the connection when unread pushes exceed the limit that
    ``client-output-buffer-limit`` sets for pubsub. For other connections there is no limit by
    default, so a process that has stopped reading would fill the node's memory. Over RESP3 the
    connection takes requests all the same.
    """
    return (b"SUBSCRIBE", keyspace.channel())


def judge_greeting(reply: Any) -> Fault | ServerError | None:
    """The meaning of ``reply``, the reply to HELLO: None where the node accepts the connection.

    A Fault where the node is still loading or has no room for another client. The ServerError where
    the node, or a proxy before it, refuses HELLO or RESP3: it may still serve RESP2. Raises
    StoreDenied for a wrong user or password.
    """
    if not isinstance(reply, ServerError):
        return None
    if reply.code == "WRONGPASS" or (
        reply.code == "NOAUTH" and reply.message.startswith(_NOT_AUTHENTICATED)
    ):
        raise StoreDenied(reason="authentication", cause="authentication")
    if reply.code == "LOADING":
        return Fault("loading")
    if _NO_ROOM in reply.message:
        return Fault("busy")
    return ServerError(reply.code, f"{reply.message.strip()} (pushes need HELLO 3)")


def judge_plain_greeting(replies: Sequence[Any]) -> Fault | None:
    """The Fault that ``replies``, those to :func:`plain_greeting`, amount to; None: there is none.

    Raises StoreDenied for a wrong user or password, StoreFailed for a node that refuses clients.
    """
    *authentication, named = replies
    if any(isinstance(reply, ServerError) for reply in authentication):
        fault = judge_greeting(authentication[0])
        if isinstance(fault, Fault):
            return fault
        raise StoreDenied(reason="authentication", cause="authentication")
    fault = judge_greeting(named)
    if isinstance(fault, ServerError):
        if fault.code == "NOAUTH":
            raise StoreDenied(reason="authentication", cause="authentication")
        if fault.code not in _UNKNOWN:
            raise StoreFailed(f"The session store refuses the connection: {named.code}")
        return None  # a client without a name
    return fault
