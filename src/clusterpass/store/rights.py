"""What a user of the store has to be allowed: the commands that we send, by purpose. Pure.

The names are those of ACL rules: ``cluster|slots`` is a command with a subcommand.
"""

from typing import Final

ALWAYS: Final = (
    *("evalsha", "eval", "wait", "asking", "ping", "cluster|slots", "cluster|nodes"),
    *("hello", "client|tracking", "client|setname", "cluster|info", "role"),
    *("time", "hget", "hset", "hdel", "hgetall", "hmget", "expire", "expireat", "persist", "ttl"),
    *("del", "incr", "get", "set"),
    *("zadd", "zrem", "zcount", "zscore", "zincrby", "zrangebyscore", "zrevrange", "zscan"),
)
"""For a manager: what scripts call, too."""
FOR_USERS: Final = ("scan",)
"""Only to list the users of the directory."""
FOR_FSYNC: Final = ("waitaof",)
"""Only with ``durability="fsync"``."""
_WITHOUT_KEYS: Final = frozenset(ALWAYS[: ALWAYS.index("time") + 1]) | {*FOR_USERS, *FOR_FSYNC}
_CALLS: Final = {
    "evalsha": "evalsha 0 1 {key}",
    "eval": "eval 0 1 {key}",
    "client|tracking": "client tracking on",
    "client|setname": "client setname x",
}


def example_of(command: str, key: str) -> str:
    """A call of ``command``, its words parted by blanks, by which a server can judge the right.

    ``key``: of ours, and without blanks.
    """
    if command in _CALLS:
        return _CALLS[command].format(key=key)
    words = command.replace("|", " ")
    return f"{words} 1 1 1" if command in _WITHOUT_KEYS else f"{words} {key} 1 1 1"
