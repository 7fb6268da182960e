"""Responses that the near cache keeps with a session: served with it, and removed with it."""

import pytest

from .near_cache_scene import BOUND, NODE, WALL, Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_response_is_served_with_its_session_and_goes_with_it(scene):
    entry = scene.entry()
    assert scene.cache.find_response("token") is None
    scene.keep(entry)
    assert scene.cache.find_response("token") is None
    before = scene.cache.stats()
    scene.cache.keep_response("token", entry.session, b"r" * 1000)
    after = scene.cache.stats()
    assert 1000 <= after.bytes - before.bytes < 1100
    assert scene.cache.find_response("token") == b"r" * 1000
    assert scene.cache.stats().hits == after.hits + 1
    scene.cache.pushed(NODE, [entry.key])
    assert scene.cache.find_response("token") is None
    assert scene.cache.response_of("token", entry.session) == b"r" * 1000, "for a strict verify"
    scene.keep(entry)
    assert scene.cache.find_response("token") is None, "another session"
    assert scene.cache.stats().bytes == before.bytes


def test_a_response_outlives_a_load_that_found_no_change(scene):
    entry, loaded = scene.entry(), scene.loaded()
    scene.keep(entry, loaded)
    scene.cache.keep_response("token", loaded.session, b"response")
    scene.cache.pushed(NODE, [entry.key])
    scene.keep(entry, loaded)
    assert scene.cache.find_response("token") == b"response"


def test_no_response_is_kept_for_another_session_or_without_an_entry(scene):
    entry = scene.entry()
    scene.keep(entry)
    scene.cache.keep_response("token", scene.loaded().session, b"response")
    scene.cache.keep_response("other", entry.session, b"response")
    assert scene.cache.find_response("token") is None
    assert scene.cache.find_response("other") is None
    assert scene.cache.response_of("other", entry.session) is None
    scene.cache.keep_response("token", entry.session, b"response")
    assert scene.cache.response_of("token", scene.loaded().session) is None


def test_a_response_is_served_no_longer_than_its_session(scene):
    entry = scene.entry()
    scene.keep(entry, scene.loaded(fresh_until=WALL + 0.5))
    scene.cache.keep_response("token", entry.session, b"response")
    scene.now += 0.4
    assert scene.cache.find_response("token") == b"response"
    scene.now += 0.2
    assert scene.cache.find_response("token") is None, "its deadline has passed"
    scene.keep(entry, scene.loaded())
    scene.cache.keep_response("token", entry.session, b"response")
    scene.now += BOUND
    assert scene.cache.find_response("token") is None, "the lease is over"


def test_a_stateless_session_begins_without_a_response(scene):
    entry, session = scene.entry(), scene.loaded().session
    scene.cache.keep_stateless(entry, session)
    scene.cache.keep_response("token", session, b"response")
    assert scene.cache.find_response("token") == b"response"
    scene.cache.keep_stateless(entry, scene.loaded().session)
    assert scene.cache.find_response("token") is None
