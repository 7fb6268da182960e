"""Traces: of a service as a process, which exports to a collector, and of managers."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from clusterpass import (
    AsyncSessionManager,
    Config,
    ConfigurationError,
    KeyRing,
    SessionManager,
    StoreUnavailable,
    TokenMalformed,
)
from clusterpass.service.app import create_app
from clusterpass.service.settings.service import Settings
from clusterpass.tracing import instrument, note_session
from clusterpass.web.gate import Gate
from tests.service.authz.grpc_calls import check, check_request, grpc_address, status_of
from tests.service.conftest import PASSWORD, ServerProcess, bearer
from tests.service.otlp import Collector, Span, collecting

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
SERVER, CLIENT = 2, 3
CONFIG = Config(keys=KeyRing.generate(), issuer="https://auth.example", verification="strict")


@pytest.fixture(autouse=True)
def _own_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "on_begun", None)
    monkeypatch.setattr(Gate, "on_admitted", None)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture
def traced(serve: Callable[..., ServerProcess], collector: Collector) -> ServerProcess:
    return serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="50")


def line_of(server: ServerProcess, path: str) -> dict[str, Any]:
    """The one line of the log about a request; it is written once the answer is on its way."""
    give_up_at = time.monotonic() + 20
    while True:
        lines = server.log_file.read_text().splitlines(keepends=True)
        told = (json.loads(line) for line in lines if line[:1] + line[-1:] == "{\n")
        found = [line for line in told if line.get("path") == path]
        if found or time.monotonic() > give_up_at:
            (line,) = found
            return line
        time.sleep(0.02)


@pytest.mark.alternating
def test_a_login_is_one_trace_from_the_client_to_the_store(
    traced: ServerProcess, collector: Collector, alice: str
) -> None:
    body = {"username": alice, "password": PASSWORD}
    answer = httpx.post(f"{traced.url}/login", json=body, headers=TRACEPARENT)
    tokens = answer.json()
    spans = collector.awaited(lambda found: "POST /login" in found)
    request, verb, call = (spans[n] for n in ("POST /login", "clusterpass.login", "EVALSHA login"))
    assert {span.trace for span in (request, verb, call)} == {TRACE}
    assert (request.parent, verb.parent, call.parent) == (PARENT, request.id, verb.id)
    assert (request.kind, call.kind) == (SERVER, CLIENT)
    assert request.attributes["http.route"] == "/login"
    assert request.attributes["http.response.status_code"] == 200
    assert verb.attributes["session.id"] == tokens["session_id"]
    assert call.attributes["db.system.name"] == "redis"
    assert call.attributes["server.port"] > 0
    assert request.service == "clusterpass"
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{request.id}-01"
    line = line_of(traced, "/login")
    assert (line["trace_id"], line["span_id"]) == (TRACE, request.id)


@pytest.mark.alternating
def test_a_trace_tells_the_session_and_no_secret(
    traced: ServerProcess, collector: Collector, alice: str
) -> None:
    body = {"username": alice, "password": PASSWORD}
    tokens = httpx.post(f"{traced.url}/login", json=body).json()
    for _ in range(2):
        httpx.get(f"{traced.url}/verify", headers=bearer(tokens)).raise_for_status()
    httpx.get(f"{traced.url}/sessions/secret-in-a-path?secret=in-a-query", headers=bearer(tokens))
    httpx.get(f"{traced.url}/verify", headers={"Authorization": "Bearer no-token-of-ours"})
    spans = collector.awaited(
        lambda found: (
            "clusterpass.verify" in found
            and sum(span.name == "GET /verify" for span in collector.spans()) >= 2
            and any("error.type" in span.attributes for span in collector.spans())
        )
    )
    verified = [span for span in collector.spans() if "user.id" in span.attributes]
    assert {span.attributes["user.id"] for span in verified} == {alice}
    assert {span.attributes["session.id"] for span in verified} == {tokens["session_id"]}
    refused = [span for span in collector.spans() if "error.type" in span.attributes]
    assert {span.attributes["error.type"] for span in refused} >= {"token_malformed"}
    assert not any(span.has_failed for span in refused if span.name == "clusterpass.verify")
    assert spans
    exported = b"".join(collector.bodies)
    secrets = ("access_token", "refresh_token")
    for secret in (PASSWORD, "no-token-of-ours", "secret-in", *map(tokens.get, secrets)):
        told = [span for span in collector.spans() if str(secret) in str(span)]
        assert not told
        assert str(secret).encode() not in exported


async def test_what_envoy_asks_over_grpc_continues_the_trace_of_the_request(
    start: Callable[[Settings], Any],
    settings: Settings,
    collector: Collector,
    alice: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    update = {"authz_grpc_address": grpc_address(), "trusted_proxies": (ip_network("127.0.0.1"),)}
    over_grpc = settings.model_copy(update=update)
    service = await start(over_grpc)
    tokens = await service.login(alice)
    given = [("authorization", bearer(tokens)["Authorization"]), *TRACEPARENT.items()]
    for _ in range(2):  # the second one from memory
        assert status_of(await check(over_grpc, check_request("/x", headers=given))) == 200
    name = "POST /envoy.service.auth.v3.Authorization/Check"

    def calls() -> list[Span]:
        return [span for span in collector.spans() if span.name == name]

    await asyncio.to_thread(collector.awaited, lambda _: len(calls()) == 2)
    assert {(span.trace, span.parent) for span in calls()} == {(TRACE, PARENT)}


def test_a_line_of_the_log_has_no_trace_where_there_is_none(
    serve: Callable[..., ServerProcess],
) -> None:
    server = serve(OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    answer = httpx.get(f"{server.url}/verify", headers=TRACEPARENT)
    assert "traceresponse" not in answer.headers
    line = line_of(server, "/verify")
    assert not {"trace_id", "span_id"} & line.keys()


@pytest.mark.alternating
def test_an_endpoint_that_is_away_delays_neither_requests_nor_the_end(
    serve: Callable[..., ServerProcess], alice: str
) -> None:
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_BSP_SCHEDULE_DELAY="50")
    body = {"username": alice, "password": PASSWORD}
    assert httpx.post(f"{server.url}/login", json=body).status_code == 200
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
)
def test_what_cannot_be_exported_to_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable):
        create_app(settings)


def created(settings: Settings, before: str = "", **environment: str) -> Any:
    """A process that makes an application, and prints the modules that it has loaded."""
    code = (
        f"import sys\n{before}\nfrom clusterpass.service.app import create_app\n"
        "from clusterpass.service.settings.loading import load_settings\n"
        "create_app(load_settings())\nprint(*sys.modules)"
    )
    own = {
        "CLUSTERPASS_STORE_URL": settings.store_url.get_secret_value(),
        "CLUSTERPASS_KEYS_FILE": str(settings.keys_file),
        "PYTHONPATH": ":".join(path for path in sys.path if path),
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**own, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_imported_without_traces_and_metrics(
    settings: Settings, environment: dict[str, str]
) -> None:
    modules = created(settings, **environment).stdout
    assert "clusterpass.service.app" in modules
    assert "opentelemetry" not in modules
    assert "prometheus_client" not in modules


def test_what_is_asked_for_is_loaded_before_workers_are_forked(settings: Settings) -> None:
    address = {"CLUSTERPASS_METRICS_ADDRESS": "127.0.0.1:9464"}
    modules = created(settings, **ENDPOINT, **address).stdout
    assert "opentelemetry.sdk.trace" in modules
    assert "prometheus_client" in modules


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("package", "environment", "extra"),
    [
        ("prometheus_client", {"CLUSTERPASS_METRICS_ADDRESS": "127.0.0.1:9464"}, "metrics"),
        ("opentelemetry", ENDPOINT, "otel"),
    ],
)
def test_what_is_missing_is_said_with_the_extra_that_brings_it(
    settings: Settings, package: str, environment: dict[str, str], extra: str
) -> None:
    done = created(settings, f"sys.modules[{package!r}] = None", **environment)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "ConfigurationError: " in last
    assert f'pip install "clusterpass[{extra}]"' in last


class Exported:
    """A provider of an application, and what it has exported."""

    def __init__(self) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def named(self, name: str) -> ReadableSpan:
        (found,) = (span for span in self.exporter.get_finished_spans() if span.name == name)
        return found


def check_login_and_verify(exported: Exported, session_id: str) -> None:
    login, verify = exported.named("clusterpass.login"), exported.named("clusterpass.verify")
    assert login.attributes is not None
    assert verify.attributes is not None
    assert login.attributes["session.id"] == session_id
    assert (verify.attributes["user.id"], verify.attributes["session.id"]) == ("alice", session_id)
    call = exported.named("EVALSHA login")
    assert call.parent is not None
    assert login.context is not None
    assert call.parent.span_id == login.context.span_id


def test_the_verbs_of_a_manager_of_threads_are_spans(cluster_url: str) -> None:
    exported = Exported()
    with SessionManager.from_url(cluster_url, CONFIG) as sessions:
        instrument(sessions, tracer_provider=exported.provider)
        pair = sessions.login("alice")
        assert sessions.verify(pair.access_token).subject == "alice"
        check_login_and_verify(exported, pair.session_id)
        with pytest.raises(TokenMalformed):
            sessions.verify("no token")
        last = exported.exporter.get_finished_spans()[-1]
        assert last.attributes == {"error.type": "token_malformed"}
        assert last.status.is_unset
        assert not last.events


async def test_the_verbs_of_a_manager_of_tasks_are_spans(cluster_url: str) -> None:
    exported = Exported()
    async with AsyncSessionManager.from_url(cluster_url, CONFIG) as sessions:
        instrument(sessions, tracer_provider=exported.provider)
        pair = await sessions.login("alice")
        assert (await sessions.verify(pair.access_token)).subject == "alice"
        check_login_and_verify(exported, pair.session_id)


async def test_a_failure_of_the_store_is_one_of_the_span() -> None:
    exported = Exported()
    url = "redis+cluster://127.0.0.1:1?timeout=0.2&deadline=0.2&replica_wait=0.05"
    async with AsyncSessionManager.from_url(url, CONFIG) as sessions:
        instrument(sessions, tracer_provider=exported.provider)
        with pytest.raises(StoreUnavailable):
            await sessions.login("alice")
        verb = exported.named("clusterpass.login")
        assert verb.attributes == {"error.type": "store_unavailable"}
        assert not verb.status.is_ok
        assert not verb.status.is_unset


def test_work_in_the_background_makes_no_traces_of_its_own(cluster_url: str) -> None:
    exported = Exported()
    with SessionManager.from_url(cluster_url, CONFIG) as sessions:
        instrument(sessions, tracer_provider=exported.provider)
        sessions.verify(sessions.login("alice").access_token)
    roots = [span for span in exported.exporter.get_finished_spans() if span.parent is None]
    assert {span.name.partition(".")[0] for span in roots} == {"clusterpass"}


def test_a_session_is_attached_to_the_span_of_the_application(cluster_url: str) -> None:
    exported = Exported()
    with SessionManager.from_url(cluster_url, CONFIG) as sessions:
        pair = sessions.login("alice")
        session = sessions.verify(pair.access_token)
        note_session(session)  # outside of any span
        with exported.provider.get_tracer("app").start_as_current_span("GET /orders"):
            note_session(session)
    (span,) = exported.exporter.get_finished_spans()
    assert span.attributes is not None
    assert dict(span.attributes) == {
        "session.id": pair.session_id,
        "user.id": "alice",
        "clusterpass.acr": session.acr,
    }
