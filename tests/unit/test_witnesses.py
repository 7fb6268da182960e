"""The watch's inquiries at Sentinels: whether they still name the primary in use."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass.model.errors import StoreUnavailable
from clusterpass.store.address import Address
from clusterpass.store.drivers.primary_confirmation import PrimaryConfirmation
from clusterpass.store.drivers.witnesses import Witnesses
from clusterpass.store.exchanges.sentinels import Named
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.wire.background import BackgroundTasks

NOBODY = "no majority of the Sentinels names a primary"


class Scene:
    """Sentinels that answer as the test says."""

    def __init__(self, service: str | None = "main") -> None:
        self.observer = SimpleNamespace(refusal="")
        self.asked = self.changed = 0
        self.failures: list[BaseException] = []
        self.outcome: Any = None
        store = SimpleNamespace(
            location=SimpleNamespace(service=service),
            confirm_primary=lambda observer: observer,
            search=None,
        )
        self.witnesses = Witnesses(
            store,  # type: ignore[arg-type]
            self.observer,  # type: ignore[arg-type]
            changed=self._note_change,
            fail=self.failures.append,
        )
        self.nodes: Any = SimpleNamespace(background=BackgroundTasks(), drive=self._drive)

    def _note_change(self) -> None:
        self.changed += 1

    async def _drive(self, steps: object, _: object) -> Any:
        assert steps is self.observer
        self.asked += 1
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    async def answer(self, outcome: Any) -> str:
        """Ask; return what the observer was told."""
        self.outcome = outcome
        self.witnesses.ask(self.nodes)
        self.witnesses.ask(self.nodes)
        for _ in range(3):
            await asyncio.sleep(0)
        refusal: str = self.observer.refusal
        return refusal


async def test_what_is_refused_is_told_until_it_is_over() -> None:
    scene = Scene()
    away = StoreUnavailable(reason="timeout")
    told = [await scene.answer(each) for each in (True, None, True, away, True)]
    assert told == ["", NOBODY, "", str(away), ""]
    assert scene.asked == 5, "one inquiry at a time"
    assert (scene.changed, scene.failures) == (0, [])


async def test_what_somebody_else_has_told_stays() -> None:
    scene = Scene()
    await scene.answer(None)
    scene.observer.refusal = "another reason"
    assert await scene.answer(True) == "another reason"


@pytest.mark.parametrize("before", [True, None])
async def test_another_primary_is_a_change(before: bool | None) -> None:
    scene = Scene()
    await scene.answer(before)
    assert await scene.answer(False) == ""
    assert scene.changed == 1


async def test_what_is_no_fault_of_the_store_ends_the_watch() -> None:
    scene, error = Scene(), ZeroDivisionError()
    assert await scene.answer(error) == ""
    assert (scene.failures, scene.changed) == ([error], 0)


async def test_an_inquiry_that_is_cancelled_tells_nothing() -> None:
    scene = Scene()
    scene.outcome = False
    scene.witnesses.ask(scene.nodes)
    scene.witnesses.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (scene.observer.refusal, scene.changed) == ("", 0)


async def test_without_sentinels_nobody_is_asked() -> None:
    scene = Scene(service=None)
    assert await scene.answer(None) == ""
    assert scene.asked == 0


@pytest.mark.parametrize(("named", "confirmed"), [("a", True), ("b", False), (None, None)])
def test_who_is_named_is_the_primary_in_use_or_another(
    named: str | None, confirmed: bool | None
) -> None:
    told: list[tuple[Any, ...]] = []

    class Sentinels:
        def inquire(self, *_: object) -> Any:
            return None if named is None else Named(Address(named, 1), 7)
            yield

    store: Any = SimpleNamespace(
        _sentinels=Sentinels(),
        _steady=lambda: 5.0,
        location=parse_store_url("redis+sentinel://s:1/main"),
        slots=SimpleNamespace(primaries=lambda: {Address("a", 1)}),
    )
    observer: Any = SimpleNamespace(agreed=lambda *given, epoch: told.append((*given, epoch)))
    with pytest.raises(StopIteration) as stop:
        next(PrimaryConfirmation.confirm_primary(store, observer))
    assert stop.value.value is confirmed
    assert told == ([(Address("a", 1), 5.0, 7)] if confirmed else [])
