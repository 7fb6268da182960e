"""The web integrations attach the session that they admit to the span of the request."""

from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Security
from flask import Flask
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from clusterpass import AsyncSessionManager, Config, KeyRing, Session, SessionManager
from clusterpass.integrations import fastapi as for_fastapi, flask as for_flask
from clusterpass.tracing import instrument
from clusterpass.web.gate import Gate

KEYS = KeyRing.generate()
CONFIG = Config(issuer="https://shop.example", keys=KEYS)
PROVIDER = TracerProvider(shutdown_on_exit=False)
TRACER = PROVIDER.get_tracer("what instruments the framework")


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    monkeypatch.setattr(Gate, "on_begun", None)
    monkeypatch.setattr(Gate, "on_admitted", None)
    exporter = InMemorySpanExporter()
    PROVIDER.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


@pytest.fixture
def pair(cluster_url: str) -> Iterator[Any]:
    with SessionManager.from_url(cluster_url, CONFIG) as sessions:
        yield sessions.login("alice")


def attributes(exporter: InMemorySpanExporter) -> list[dict[str, Any]]:
    spans = exporter.get_finished_spans()
    return [dict(span.attributes or {}) for span in spans if span.name == "GET /orders"]


def check(exporter: InMemorySpanExporter, session_id: str) -> None:
    of_alice = {"session.id": session_id, "user.id": "alice", "clusterpass.acr": "1"}
    # The first request was verified by the store, the second from memory; the third has no session.
    assert attributes(exporter) == [of_alice, of_alice, {}]


def test_flask(cluster_url: str, pair: Any, exported: InMemorySpanExporter) -> None:
    app, shop = Flask(__name__), for_flask.ClusterPass()

    @app.get("/orders")
    @for_flask.session_required()
    def orders() -> dict[str, str]:
        return {"of": for_flask.current_session.subject}

    with SessionManager.from_url(cluster_url, CONFIG) as sessions:
        shop.init_app(app, sessions)
        instrument(sessions, tracer_provider=PROVIDER)
        client = app.test_client()
        for token, status in ((pair.access_token, 200), (pair.access_token, 200), ("no", 401)):
            with TRACER.start_as_current_span("GET /orders"):
                answer = client.get("/orders", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status
            while token == pair.access_token and sessions.recall(token) is None:
                sessions.verify(token)
    check(exported, pair.session_id)


async def test_fastapi(cluster_url: str, pair: Any, exported: InMemorySpanExporter) -> None:
    async with AsyncSessionManager.from_url(cluster_url, CONFIG) as sessions:
        # Another test may have set a provider for the process, by which FastAPI makes spans.
        shop, app = for_fastapi.ClusterPass(sessions), FastAPI(telemetry={"tracing": False})
        shop.install(app)

        @app.get("/orders")
        async def orders(session: Annotated[Session, Security(shop.session)]) -> dict[str, str]:
            return {"of": session.subject}

        instrument(sessions, tracer_provider=PROVIDER)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://shop") as client:
            for token, status in ((pair.access_token, 200), (pair.access_token, 200), ("no", 401)):
                headers = {"Authorization": f"Bearer {token}"}
                with TRACER.start_as_current_span("GET /orders"):
                    answer = await client.get("/orders", headers=headers)
                assert answer.status_code == status
                while token == pair.access_token and sessions.recall(token) is None:
                    await sessions.verify(token)
    check(exported, pair.session_id)


async def test_fastapi_with_spans_of_its_own(
    cluster_url: str, pair: Any, exported: InMemorySpanExporter
) -> None:
    """FastAPI resolves dependencies in a span of their own, which is current meanwhile."""
    async with AsyncSessionManager.from_url(cluster_url, CONFIG) as sessions:
        shop = for_fastapi.ClusterPass(sessions)
        app = FastAPI(telemetry={"tracer_provider": PROVIDER})
        shop.install(app)

        @app.get("/orders")
        async def orders(session: Annotated[Session, Security(shop.session)]) -> dict[str, str]:
            return {"of": session.subject}

        instrument(sessions, tracer_provider=PROVIDER)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://shop") as client:
            for token in (pair.access_token, pair.access_token, "no"):
                headers = {"Authorization": f"Bearer {token}"}
                await client.get("/orders", headers=headers)
                while token == pair.access_token and sessions.recall(token) is None:
                    await sessions.verify(token)
    of_requests = [each.get("session.id") for each in attributes(exported)]
    assert of_requests == [pair.session_id, pair.session_id, None]
    within = [span for span in exported.get_finished_spans() if span.name.startswith("fastapi.")]
    assert within
    assert not any("session.id" in (span.attributes or {}) for span in within)
