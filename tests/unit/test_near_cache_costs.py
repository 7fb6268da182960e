"""The cost of near cache calls, counted in instructions instead of seconds."""

import gc
import sys
from types import FrameType
from typing import Any

import pytest

from clusterpass.sessions.memory import token_index
from clusterpass.sessions.memory.packed_tokens import Packed, PackedTokens

from .near_cache_scene import WALL, Scene


class Steps:
    """Counts the instructions of the interpreter that this thread carries out."""

    def __enter__(self) -> "Steps":
        self.count = 0
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.count += event == "opcode"
        return self._trace


def costs(
    monkeypatch, entries: int, *, used: bool = False, subject: str = "", objects: int = 64
) -> dict[str, int]:
    """Return the most instructions that each call takes in a full cache of that many entries."""
    monkeypatch.setattr(token_index, "MOST_OBJECTS", objects)
    scene = Scene(entries=entries)
    made = [scene.entry(f"t-{number}", subject or f"u-{number}") for number in range(entries + 200)]
    for entry in made[:entries]:
        scene.now += 0.0001
        scene.keep(entry)
    scene.beat()
    scene.beat()
    most = {"keep": 0, "find": 0, "find packed": 0, "changed": 0}
    for number, entry in enumerate(made[entries:]):
        if used:  # no object may be passed over for long, though all were used
            scene.now += 0.0001
            for token in list(scene.cache._tokens.objects):
                scene.cache.find(token)
        for name, call in (
            ("keep", lambda entry=entry: scene.keep(entry)),
            ("find", lambda entry=entry: scene.cache.find(entry.token)),
            ("find packed", lambda at=entries - 200 - number: scene.cache.find(f"t-{at}")),
            ("changed", lambda entry=entry: scene.cache.changed(entry.key)),
        ):
            scene.now += 0.0001
            with Steps() as steps:
                call()
            most[name] = max(most[name], steps.count)
    assert scene.cache.stats().evictions >= 200
    return most


@pytest.mark.parametrize("used", [False, True])
def test_no_call_takes_longer_in_a_larger_cache(monkeypatch, used):
    small, large = costs(monkeypatch, 500, used=used), costs(monkeypatch, 16_000, used=used)
    assert small["find"] < 100
    for name, most in small.items():
        assert large[name] <= most * 1.2 + 50, name


def test_no_call_takes_longer_with_more_objects_that_were_all_used(monkeypatch):
    few, many = costs(monkeypatch, 800, used=True), costs(monkeypatch, 800, used=True, objects=400)
    for name, most in few.items():
        assert many[name] <= most * 1.2 + 50, name


def test_a_change_takes_as_long_for_a_subject_with_many_tokens(monkeypatch):
    few, many = costs(monkeypatch, 500, subject="a"), costs(monkeypatch, 8_000, subject="a")
    for name, most in few.items():
        assert many[name] <= most * 1.2 + 50, name


def test_no_dictionary_grows_with_the_cache_and_the_collector_tracks_no_item():
    index = PackedTokens(100_000)
    for number in range(100_000):
        index.put(f"t-{number}", b"k-%d" % (number // 3), WALL + 900, Packed(b"contents"), WALL)
        if number % 5 == 0:
            index.changed(b"k-%d" % (number // 4))
    for dictionary in (*index._entries, *index._keys):
        assert len(dictionary) < 300
        assert not any(map(gc.is_tracked, (*dictionary, *dictionary.values())))
        if sys.version_info < (3, 14):  # which tracks every dictionary
            assert not gc.is_tracked(dictionary)


def test_expired_entries_are_found_without_looking_at_all(monkeypatch):
    """An expired token leaves when its dictionary is met, and no other dictionary is looked at."""
    index = PackedTokens(10_000)
    for number in range(10_000):
        index.put(f"t-{number}", b"key", WALL + 900 + number % 2, Packed(b""), WALL)
    with Steps() as steps:
        assert index.make_room(WALL + 900.5) == 0
    assert steps.count < 10_000
    assert 9_700 < len(index) < 10_000
    while len(index) > 5_000:
        assert index.make_room(WALL + 900.5) == 0
    assert index.make_room(WALL + 900.5) == 1, "those that are left have not expired"
