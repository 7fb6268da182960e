"""A service that judges requests by a policy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clusterpass.service.settings.loading import load_settings
from clusterpass.service.settings.service import Settings

from ..conftest import Service
from .asking import POLICY, PROXY


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)
    return file


@pytest.fixture
def make(cluster_url: str, keys_file: Path) -> Callable[..., Settings]:
    def made(**more: Any) -> Settings:
        given = {"store_url": cluster_url, "keys_file": keys_file, "address_attempts": 1_000_000}
        return load_settings(None, {**given, "trusted_proxies": PROXY, **more})

    return made


@pytest.fixture
async def door(start: Any, make: Callable[..., Settings], policy: Path) -> Service:
    return await start(make(authz_policy=policy))
