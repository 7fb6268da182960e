"""Fixtures of the benchmarks: a cluster with one session, its script call, and plain clients."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import redis

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager, TokenVerifier
from clusterpass.embedded import Node
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.replies import Stored
from clusterpass.protocol.script import ScriptCall
from clusterpass.tokens.algorithms import SigningAlgorithm
from clusterpass.tokens.identifiers import decode_session_id

ISSUER = "https://auth.example"
SUBJECT = "user-123456"


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A manager, a token of a live session, and what a verify of it needs."""

    manager: SessionManager
    access_token: str
    verifier: TokenVerifier
    call: ScriptCall[Stored]
    node: Node
    """The primary of the subject's slot."""

    @property
    def evalsha(self) -> tuple[Any, ...]:
        """The call as arguments of redis-py's ``evalsha``."""
        return (
            self.call.script.sha1.decode(),
            len(self.call.keys),
            *self.call.keys,
            *self.call.arguments,
        )


def make_config(algorithm: SigningAlgorithm) -> Config:
    """A configuration with a new key."""
    return Config(issuer=ISSUER, keys=KeyRing.generate(algorithm))


def make_verifier(config: Config) -> TokenVerifier:
    """The signature check that a verify begins with."""
    return TokenVerifier(config.keys, issuer=config.issuer, audience=config.audience)


@contextmanager
def logged_in(cluster: EmbeddedCluster, algorithm: SigningAlgorithm) -> Iterator[LoggedIn]:
    """A user with one session on ``cluster``."""
    config = replace(make_config(algorithm), verification="strict")
    with SessionManager.from_url(cluster.url, config) as manager:
        pair = manager.login(SUBJECT, device="iPhone")
        manager.verify(pair.access_token)
        keyspace = manager.store.keyspace
        session_id = decode_session_id(pair.session_id) or b""
        yield LoggedIn(
            manager=manager,
            access_token=pair.access_token,
            verifier=make_verifier(config),
            call=session_calls.verify(keyspace, SUBJECT, session_id=session_id),
            node=cluster.primary_of(keyspace.sessions(SUBJECT)),
        )


def server_version(cluster: EmbeddedCluster) -> str:
    """The name, version and allocator of the servers."""
    with cluster.client(cluster.nodes[0]) as client:
        info: dict[str, Any] = client.info()
    name = info.get("server_name", "redis")
    number = info.get("valkey_version") or info["redis_version"]
    return f"{name} {number} ({info['mem_allocator']})"


def find_redis_server() -> str | None:
    """The Redis of the operating system, if there is one."""
    return shutil.which("redis-server") or shutil.which("redis-server", path="/usr/bin")


def single_client(node: Node) -> "redis.Redis":
    """A plain redis-py client of one server, with its defaults."""
    return redis.Redis(host=node.host, port=node.port)


def cluster_client(node: Node) -> "redis.RedisCluster":
    """A redis-py cluster client with its defaults."""
    return redis.RedisCluster(host=node.host, port=node.port)
