"""The fixture of an asynchronous manager; for runs with pytest-asyncio or anyio's plugin."""

import importlib.util
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

if TYPE_CHECKING:
    from clusterpass import AsyncSessionManager, Config

_Function = TypeVar("_Function", bound=Callable[..., object])

# Its strict mode wants fixtures that it has made; anyio takes those of pytest.
_chosen: Any = pytest.fixture
if importlib.util.find_spec("pytest_asyncio") is not None:
    import pytest_asyncio

    _chosen = pytest_asyncio.fixture
_fixture = cast("Callable[[_Function], _Function]", _chosen)


@_fixture
async def cp_async_sessions(
    cp_url: str, cp_config: "Config"
) -> "AsyncIterator[AsyncSessionManager]":
    """An asynchronous manager on the namespace of the test."""
    from clusterpass import AsyncSessionManager  # noqa: PLC0415 - loaded on demand

    async with AsyncSessionManager.from_url(cp_url, cp_config) as manager:
        yield manager
