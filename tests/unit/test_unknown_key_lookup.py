"""A search of the store for what a token names: one a second, for all who came before it."""

from collections.abc import Generator
from typing import Any

import pytest

from clusterpass.protocol.script import Rest
from clusterpass.sessions.memory.unknown_key_lookups import Searches
from clusterpass.sessions.unknown_key_lookup import search


class Scene:
    """A store that has what is wanted, or not; time passes while somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.searches = Searches(lambda: self.now)
        self.known: set[str] = set()
        self.held: set[str] = set()
        self.reads = 0

    def read(self) -> Generator[Any, Any, None]:
        self.reads += 1
        yield "asked"
        self.known |= self.held

    def search(self, wanted: str) -> None:
        for step in search(self.searches, lambda: wanted in self.known, self.read):
            if isinstance(step, Rest):
                self.now += step.seconds


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_the_store_holds_is_found(scene: Scene) -> None:
    scene.held = {"a", "b"}
    scene.search("a")
    assert (scene.known, scene.reads) == ({"a", "b"}, 1)
    scene.search("b")
    assert scene.reads == 1, "it is known"


def test_whoever_comes_after_a_search_waits_for_the_next_one(scene: Scene) -> None:
    scene.search("none")
    scene.now, scene.held = 100.25, {"a"}
    scene.search("a")
    assert scene.known == {"a"}
    assert (scene.reads, scene.now) == (2, 101.0)


def test_a_search_that_failed_is_none(scene: Scene) -> None:
    flow = search(scene.searches, lambda: False, scene.read)
    next(flow)
    with pytest.raises(ConnectionError):
        flow.throw(ConnectionError())
    scene.held = {"a"}
    scene.search("a")
    assert scene.known == {"a"}


@pytest.mark.parametrize(("waiting", "waits"), [(63, True), (64, False)])
def test_made_up_tokens_do_not_pile_up(scene: Scene, waiting: int, waits: bool) -> None:
    scene.search("none")
    scene.now, scene.held, scene.searches.waiting = 100.25, {"a"}, waiting
    scene.search("a")
    assert scene.now == (101.0 if waits else 100.25)
    assert ("a" in scene.known) is waits
    assert scene.searches.waiting == waiting
