"""A portal that hands sessions over to hosts of other domains."""

import os

import pytest

from clusterpass import PasswordHasher, SessionManager, UserDirectory
from clusterpass.service.calls.hand_over import HandOvers
from clusterpass.service.calls.proxy_cookie import ProxyCookies
from clusterpass.service.settings.loading import load_settings
from clusterpass.testing import SimulatedClock

from ...conftest import CHEAP_KIB, PASSWORD
from ..browsing import Visitor
from .visits import HOSTS, POLICY, PORTAL


@pytest.fixture
def clock(monkeypatch):
    moved = SimulatedClock()
    moved.begin()
    for each in (ProxyCookies, HandOvers):
        monkeypatch.setitem(each.__init__.__kwdefaults__, "clock", moved.wall)
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
        "authz_portal": PORTAL,
        "authz_hand_over_hosts": HOSTS,
    }
    return lambda **more: load_settings(None, {**given, **more})


@pytest.fixture
def manager(make):
    settings = make()
    url = settings.store_url.get_secret_value()
    with SessionManager.from_url(url, settings.session_config()) as opened:
        yield opened


@pytest.fixture
def new_user(manager, new_name):
    def add() -> str:
        name = new_name()
        UserDirectory(manager, hasher=PasswordHasher(memory_kib=CHEAP_KIB)).add(name, PASSWORD)
        return name

    return add


@pytest.fixture
def alice(new_user):
    return new_user()


@pytest.fixture
async def service(start, make):
    return await start(make())


@pytest.fixture
def visitor(service):
    return Visitor(service, PORTAL)
