"""Django's middleware: the current request is set during the request and reset after it."""

import asyncio
from typing import Any

import pytest

from clusterpass import TokenMissing
from clusterpass.integrations.django import middleware
from clusterpass.integrations.django.middleware import ClusterPassMiddleware
from clusterpass.integrations.django.request_state import current


@pytest.fixture(autouse=True)
def states(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of a request is the request itself, and its response as the view returns it."""
    monkeypatch.setattr(middleware, "_begin", lambda request: request)
    monkeypatch.setattr(middleware, "_finish", lambda _, response: response)


def answer(view: Any, request: Any, *, is_async: bool) -> Any:
    async def view_async(request: Any) -> Any:
        return view(request)

    if not is_async:
        return ClusterPassMiddleware(view)(request)

    async def run() -> Any:
        try:
            return await ClusterPassMiddleware(view_async)(request)
        finally:
            assert current.get() is None

    return asyncio.run(run())


@pytest.mark.parametrize("is_async", [False, True])
def test_who_sends_a_request_is_known_during_the_request_alone(is_async: bool) -> None:
    def view(request: Any) -> Any:
        return request, current.get()

    assert current.get() is None
    assert answer(view, "first", is_async=is_async) == ("first", "first")
    assert current.get() is None
    assert answer(view, "second", is_async=is_async) == ("second", "second")


@pytest.mark.parametrize("is_async", [False, True])
def test_also_when_the_view_fails(is_async: bool) -> None:
    def view(_: Any) -> Any:
        raise TokenMissing

    with pytest.raises(TokenMissing):
        answer(view, "first", is_async=is_async)
    assert current.get() is None


def test_a_request_inside_another_one_gives_that_back() -> None:
    def inner(_: Any) -> Any:
        return current.get()

    def outer(_: Any) -> Any:
        return ClusterPassMiddleware(inner)("inner"), current.get()  # type: ignore[arg-type]

    assert answer(outer, "outer", is_async=False) == ("inner", "outer")
    assert current.get() is None
