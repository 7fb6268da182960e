"""The commands that a user of the store needs the right to run, by purpose. Pure.

The names are those of ACL rules: ``cluster|slots`` is a command with a subcommand. Each name maps
to a sample call for ACL DRYRUN, with ``{key}`` for a key and ``{channel}`` for the channel. Each
sample has all its arguments, as some servers refuse to judge an incomplete call.
"""

from collections.abc import Mapping
from typing import Final

ALWAYS: Final[Mapping[str, str]] = {
    "evalsha": "evalsha 0 1 {key}",
    "eval": "eval 0 1 {key}",
    "wait": "wait 1 1",
    "asking": "asking",
    "ping": "ping",
    "cluster|slots": "cluster slots",
    "cluster|nodes": "cluster nodes",
    "hello": "hello 3",
    "client|tracking": "client tracking on",
    "client|setname": "client setname x",
    "cluster|info": "cluster info",
    "role": "role",
    "time": "time",
    "hget": "hget {key} x",
    "hset": "hset {key} x 1",
    "hdel": "hdel {key} x",
    "hgetall": "hgetall {key}",
    "hmget": "hmget {key} x",
    "hincrby": "hincrby {key} x 1",
    "hscan": "hscan {key} 0",
    "hsetnx": "hsetnx {key} x 1",
    "info": "info server",
    "expire": "expire {key} 1",
    "expireat": "expireat {key} 1",
    "persist": "persist {key}",
    "ttl": "ttl {key}",
    "del": "del {key}",
    "incr": "incr {key}",
    "get": "get {key}",
    "set": "set {key} 1",
    "zadd": "zadd {key} 1 x",
    "zrem": "zrem {key} x",
    "zcount": "zcount {key} 1 2",
    "zscore": "zscore {key} x",
    "zincrby": "zincrby {key} 1 x",
    "zrangebyscore": "zrangebyscore {key} 1 2",
    "zrevrange": "zrevrange {key} 1 2",
    "zscan": "zscan {key} 0",
}
"""Commands that a session manager sends, and commands that its scripts call."""
FOR_USERS: Final[Mapping[str, str]] = {"scan": "scan 0"}
"""Commands that only a listing of the user directory needs."""
FOR_LIMITS: Final[Mapping[str, str]] = {"subscribe": "subscribe {channel}"}
"""Commands that put connections with CLIENT TRACKING under the servers' limit for pubsub."""
FOR_TELLING: Final[Mapping[str, str]] = {"publish": "publish {channel} x"}
"""Commands by which processes hear at once that signing keys in the store have changed."""
FOR_SWITCHING: Final[Mapping[str, str]] = {"multi": "multi", "exec": "exec"}
"""Commands without which a process that begins to hear of all changes asks for everything anew."""
FOR_FSYNC: Final[Mapping[str, str]] = {"waitaof": "waitaof 1 0 1"}
"""Commands that only ``durability="fsync"`` needs."""
OF_CLUSTERS: Final = frozenset({"asking", "cluster|slots", "cluster|nodes", "cluster|info"})
"""Commands that a single server may lack."""
DEGRADING: Final = frozenset(
    {
        "hello",
        "client|tracking",
        "client|setname",
        *FOR_USERS,
        *FOR_LIMITS,
        *FOR_TELLING,
        *FOR_SWITCHING,
    }
)
"""Commands without which sessions are as safe, but cost more or are watched less."""
DEGRADING_ALONE: Final = frozenset({*DEGRADING, "info"})
"""As ``DEGRADING``, for a single server: it has no journals, whose scripts call INFO."""
TOO_WIDE: Final[Mapping[str, str]] = {
    "flushall": "flushall",
    "config|set": "config set timeout 0",
    "shutdown": "shutdown",
    "keys": "keys *",
    "debug": "debug sleep 0",
}
"""Commands that an application does not need and could do harm with."""
