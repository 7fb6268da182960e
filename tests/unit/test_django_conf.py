"""ClusterPass as the settings of Django describe it: what is closed when they are read again."""

import asyncio
from types import SimpleNamespace

import pytest

from clusterpass import ClusterPassError, KeyRing
from clusterpass.integrations.django import conf

VALUES = {
    "STORE_URL": "redis+cluster://127.0.0.1:1",
    "ISSUER": "https://shop.example",
    "KEYS": KeyRing.generate(),
}


def test_both_managers_are_closed_when_the_settings_change(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SimpleNamespace(is_overridden=lambda _: False, CLUSTERPASS=VALUES)
    monkeypatch.setattr(conf, "settings", settings)
    monkeypatch.setattr(conf, "_made", [])
    made = conf.installed()
    sessions, asynchronous = made.sessions, made.async_sessions
    assert conf.installed() is made
    conf.forget()
    assert conf.installed() is not made
    with pytest.raises(ClusterPassError, match="closed"):
        sessions.sessions("alice")
    with pytest.raises(ClusterPassError, match="closed"):
        asyncio.run(asynchronous.sessions("alice"))
