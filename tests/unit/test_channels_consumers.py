"""The Channels ``SessionConsumer``: handshakes that are refused before the consumer runs."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import ClusterPassError, ConfigurationError, TokenExpired
from clusterpass.integrations import channels
from clusterpass.integrations.channels import SessionConsumer
from clusterpass.web.messages import WebAnswer

from .test_watch_iteration import SESSION


class Consumer(SessionConsumer):
    """Needs a scope that its session does not have."""

    session_scopes = ("orders:read",)
    session_in_outage = "close"


async def answered(monkeypatch: pytest.MonkeyPatch, **scope: Any) -> Any:
    """The error of which the client of a handshake is told."""
    told: list[ClusterPassError] = []

    def answer(_: Any, error: ClusterPassError) -> WebAnswer:
        told.append(error)
        return WebAnswer(403, {"error": error.code})

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    sent: list[Any] = []
    monkeypatch.setattr(channels, "_answer", answer)
    manager = SimpleNamespace(async_sessions=None)  # nobody asks it
    monkeypatch.setattr(channels, "installed", lambda: manager)
    await Consumer()({"type": "websocket", "extensions": {}, **scope}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
    (error,) = told
    return error.code


async def test_a_session_without_a_scope_is_refused_by_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await answered(monkeypatch, **{channels._SESSION: SESSION}) == "scope_missing"


async def test_who_is_not_logged_in_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = {channels._SESSION: None}
    assert await answered(monkeypatch, **nobody) == "token_missing"
    over = {**nobody, channels._REFUSAL: TokenExpired()}
    assert await answered(monkeypatch, **over) == "token_expired"


async def test_a_consumer_without_the_middleware_is_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigurationError, match="ClusterPassMiddleware"):
        await answered(monkeypatch)


async def test_a_consumer_is_attached_to_its_session_as_its_class_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Any] = []

    def attached(_: Any, session: Any, __: Any, **options: Any) -> Any:
        told.append((session, options))
        raise ConfigurationError("this is far enough")

    monkeypatch.setattr(channels, "attached", attached)
    admitted = replace(SESSION, claims={"scope": "orders:read"})
    with pytest.raises(ConfigurationError, match="far enough"):
        await answered(monkeypatch, **{channels._SESSION: admitted})
    ((session, options),) = told
    assert session is admitted
    assert (options["in_outage"], options["leaves"]) == ("close", False)
    assert options["needs"].scopes == ("orders:read",)
