"""Managers of both faces over stores that note what they are asked."""

import asyncio
import inspect
from typing import Any

from clusterpass import (
    AsyncSessionManager,
    Config,
    KeyRing,
    SessionManager,
)
from clusterpass.protocol.keyspace import Keyspace

CONFIG = Config(issuer="https://auth.example", keys=KeyRing.generate(), staleness_bound=0.4)
# The verb, and the flow that it runs.
VERBS = [
    ("refresh", "refresh.refresh"),
    ("logout", "end.logout"),
    ("sessions", "subject.sessions"),
    ("get", "get.get"),
    ("history", "subject.history"),
    ("export", "data.export"),
    ("erase", "data.erase"),
    ("revoke", "end.revoke"),
    ("revoke_all", "end.revoke_all"),
    ("revoke_before", "end.revoke_before"),
    ("generation", "subject.generation"),
    ("shorten", "adjust.shorten"),
    ("elevate", "adjust.elevate"),
    ("impersonate", "login.impersonate"),
    ("bans.add", "subject.ban"),
    ("bans.lift", "subject.unban"),
    ("bans.list", "subject.bans"),
    ("bans.check", "subject.check_ban"),
    ("claims.set", "subject.set_claims"),
    ("claims.get", "subject.claims"),
    ("online.count", "online.count"),
    ("online.page", "online.page"),
    ("online.prune", "online.prune"),
    ("audit.page", "audit.page"),
    ("audit.check", "audit.check"),
]


class Flow:
    """Stands for a flow: what it was made with."""

    def __init__(self, made: str, taken: dict[str, Any]) -> None:
        self.made, self.taken = made, taken


class Store:
    """A store that runs nothing and says what it was told."""

    keyspace, deadline, has_epochs = Keyspace("app"), 2.5, False

    def __init__(self) -> None:
        self.told: list[Any] = []

    def observe(self, observer: Any, bound: float) -> None:
        self.told.append(("observe", observer, bound))

    def confirm_by(self, durability: str) -> None:
        self.told.append(("confirm_by", durability))

    def describe_durability(self) -> str:
        return "as durable as this"

    def silent_nodes(self) -> tuple[str, ...]:
        return ("10.0.0.1:7000",)

    def missing_commands(self) -> tuple[str, ...]:
        return ("HELLO: nothing is pushed",)

    def owner_of(self, slot: int) -> int:
        return slot

    def run(self, flow: Any) -> Any:
        return ("answer", flow)

    def ping(self) -> None:
        self.told.append("ping")

    def close(self) -> None:
        self.told.append("close")


class AwaitableStore(Store):
    """A store whose calls are awaited."""

    async def run(self, flow: Any) -> Any:
        return ("answer", flow)

    async def ping(self) -> None:
        self.told.append("ping")

    async def close(self) -> None:
        self.told.append("close")


FACES: list[tuple[Any, Any]] = [(SessionManager, Store), (AsyncSessionManager, AwaitableStore)]


def ran(outcome: Any) -> Any:
    async def awaited() -> Any:
        return await outcome

    return asyncio.run(awaited()) if inspect.isawaitable(outcome) else outcome


def member(of: Any, path: str) -> Any:
    for name in path.split("."):
        of = getattr(of, name)
    return of


def record(manager: Any, flow: str) -> None:
    """Replaces a flow by one that says with what it was made, by the names of its parameters."""
    group, name = flow.split(".")
    flows = getattr(manager._flows, group)
    signature = inspect.signature(getattr(flows, name))

    def made(*positional: Any, **named: Any) -> Flow:
        return Flow(flow, dict(signature.bind(*positional, **named).arguments))

    setattr(flows, name, made)
