"""Spans are called as the verbs of a manager are."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from clusterpass import Actor, Config, KeyRing, Session, SessionManager
from clusterpass.tracing.spans import describe, span_of_verb

CONFIG = Config(issuer="https://auth.example", keys=KeyRing.generate())
ID = "A" * 22
SESSION = Session("alice", ID, None, 1, 2, 3)
VERBS: dict[str, Callable[[SessionManager], Any]] = {
    "login": lambda sessions: sessions.login("alice"),
    "refresh": lambda sessions: sessions.refresh("token"),
    "verify": lambda sessions: sessions.verify("token"),
    "logout": lambda sessions: sessions.logout("token"),
    "revoke": lambda sessions: sessions.revoke("alice", ID),
    "revoke_all": lambda sessions: sessions.revoke_all("alice"),
    "revoke_before": lambda sessions: sessions.revoke_before(),
    "shorten": lambda sessions: sessions.shorten("alice", ID, lifetime=60),
    "elevate": lambda sessions: sessions.elevate(SESSION, "2", for_seconds=60),
    "impersonate": lambda sessions: sessions.impersonate(SESSION, "bob", reason="support"),
    "sessions": lambda sessions: sessions.sessions("alice"),
    "get": lambda sessions: sessions.get("alice", ID),
    "history": lambda sessions: sessions.history("alice"),
    "generation": lambda sessions: sessions.generation("alice"),
    "bans.list": lambda sessions: sessions.bans.list("alice"),
    "bans.check": lambda sessions: sessions.bans.check("alice"),
    "bans.add": lambda sessions: sessions.bans.add("alice"),
    "bans.lift": lambda sessions: sessions.bans.lift("alice"),
    "claims.get": lambda sessions: sessions.claims.get("alice"),
    "claims.set": lambda sessions: sessions.claims.set("alice", {}),
    "online.count": lambda sessions: sessions.online.count(),
    "online.page": lambda sessions: sessions.online.page(),
    "online.prune": lambda sessions: sessions.online.prune(),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_span_is_called_as_its_verb(verb: str) -> None:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def around(flow: Any, _: Any) -> None:
        with span_of_verb(provider.get_tracer("test"), flow):
            flow.close()  # nothing is asked of a store

    with SessionManager.from_url("redis+cluster://127.0.0.1:1", CONFIG) as sessions:
        sessions._running.around = around
        VERBS[verb](sessions)
    assert exporter.get_finished_spans()[-1].name == f"clusterpass.{verb}"


def test_an_impersonation_names_the_actor() -> None:
    session = Session("alice", ID, None, 1, 2, 3, acr="2", act=Actor("helen", ID, "support"))
    assert describe(session) == {
        "session.id": ID,
        "user.id": "alice",
        "clusterpass.acr": "2",
        "clusterpass.actor": "helen",
    }
