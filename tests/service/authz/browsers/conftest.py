"""A service for browsers behind a proxy, with a clock that tests move; a user and a browser."""

import os

import pytest

from clusterpass import PasswordHasher, SessionManager, UserDirectory
from clusterpass.service.calls.proxy_cookie import ProxyCookies
from clusterpass.service.settings.loading import load_settings
from clusterpass.testing import SimulatedClock
from tests.service.authz.browsing import (
    POLICY,
    PORTAL,
    PREFIX,
    Visitor,
)
from tests.service.conftest import CHEAP_KIB, PASSWORD


@pytest.fixture
def clock(monkeypatch):
    moved = SimulatedClock()
    moved.begin()
    monkeypatch.setitem(ProxyCookies.__init__.__kwdefaults__, "clock", moved.wall)
    yield moved
    moved.end()


@pytest.fixture
def make(cluster_url, keys_file, tmp_path, clock):
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    sign = "&" if "?" in cluster_url else "?"
    given = {
        "store_url": f"{cluster_url}{sign}namespace=cp-test-{os.urandom(8).hex()}",
        "keys_file": keys_file,
        "address_attempts": 1_000_000,
        "trusted_proxies": "127.0.0.1",
        "authz_policy": policy,
        "page_prefix": PREFIX,
        "authz_portal": PORTAL,
    }
    return lambda **more: load_settings(None, {**given, **more})


@pytest.fixture
def manager(make):
    settings = make()
    url = settings.store_url.get_secret_value()
    with SessionManager.from_url(url, settings.session_config()) as opened:
        yield opened


@pytest.fixture
def alice(manager, new_name):
    name = new_name()
    UserDirectory(manager, hasher=PasswordHasher(memory_kib=CHEAP_KIB)).add(name, PASSWORD)
    return name


@pytest.fixture
async def service(start, make):
    return await start(make())


@pytest.fixture
def visitor(service):
    return Visitor(service)
