"""An audit trail without a store: a stream that takes or refuses entries, and a clock."""

import json
import logging
from typing import Any

import pytest

from clusterpass import (
    AuditPolicy,
    Config,
    KeyRing,
)
from clusterpass.protocol.script import Answer
from clusterpass.sessions.audit_recorder import AuditTrail

CONFIG = Config(issuer="https://auth.example", keys=KeyRing.generate(), audit=AuditPolicy())


class Now:
    """A clock that a test moves."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Stream:
    """The store: takes the entries that flows append."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.failure: Exception | None = None
        self.is_confirmed = True

    def run(self, flow: Any) -> Any:
        """Run a flow to its end; return its result, raise its error."""
        try:
            call = next(flow)
            while True:
                if self.failure is not None:
                    call = flow.throw(self.failure)
                    continue
                texts = call.arguments[2::2]
                self.entries += map(json.loads, texts)
                reply = (len(self.entries), "0" * 40)
                call = flow.send(Answer(reply, True, is_confirmed=self.is_confirmed))
        except StopIteration as stop:
            return stop.value


def returns(value: Any) -> Any:
    return value
    yield


def raises(error: BaseException) -> Any:
    raise error
    yield


def waiting(trail: AuditTrail) -> list[dict[str, Any]]:
    return [json.loads(text) for text, _ in trail.queue._waiting]


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    return [json.loads(text.partition(": ")[2]) for text in texts]
