"""What a user of the store has to be allowed: the commands that we send, by purpose. Pure.

The names are those of ACL rules: ``cluster|slots`` is a command with a subcommand. Beside each
stands a call by which a server can judge the right: whole, as some refuse to judge others.
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
"""For a manager: what scripts call, too."""
FOR_USERS: Final[Mapping[str, str]] = {"scan": "scan 0"}
"""Only to list the users of the directory."""
FOR_FSYNC: Final[Mapping[str, str]] = {"waitaof": "waitaof 1 0 1"}
"""Only with ``durability="fsync"``."""
TOO_WIDE: Final[Mapping[str, str]] = {
    "flushall": "flushall",
    "config|set": "config set timeout 0",
    "shutdown": "shutdown",
    "keys": "keys *",
    "debug": "debug sleep 0",
}
"""What an application has no need of, and could do harm with."""
