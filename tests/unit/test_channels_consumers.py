"""The Channels ``SessionConsumer``: handshakes that are refused before the consumer runs."""

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
    monkeypatch.setattr(channels, "installed", SimpleNamespace)  # no manager is asked for
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
