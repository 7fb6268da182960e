"""Names of users: the form in which they are kept, and names kept by an earlier release."""

from typing import Any

import pytest

from clusterpass import (
    InvalidCredentials,
    UserExists,
)
from clusterpass.users.usernames import prepare_name

from .user_scene import (
    ALICE,
    FACES,
    KEYSPACE,
    LIGHT,
    NOBODY,
    PAIR,
    PASSWORD,
    Scene,
    arguments_of,
    opened,
)


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> Any:
    return request.param()


def test_a_user_is_added_in_composed_letters(face: Any) -> None:
    scene = Scene(user_find=[NOBODY])
    face.run(opened(face, scene).add("Zo\u0308e", PASSWORD))
    assert scene.asked[-1][:2] == ("user_add", (KEYSPACE.user("Z\u00f6e"),))


def test_a_name_that_an_earlier_release_kept_is_taken(face: Any) -> None:
    scene = Scene(user_find=[ALICE])
    with pytest.raises(UserExists):
        face.run(opened(face, scene).add("A\u0308lice", PASSWORD))
    assert scene.asked == 2 * [("user_find", (KEYSPACE.user("A\u0308lice"),), ())]


@pytest.mark.parametrize(
    ("found", "name"),
    [([NOBODY, ALICE, ALICE], "\u00c4lice"), ([ALICE, ALICE, ALICE], "A\u0308lice")],
)
def test_a_login_is_of_the_name_that_is_kept(face: Any, found: list[Any], name: str) -> None:
    scene = Scene(user_find=list(found))
    assert face.run(opened(face, scene).login("A\u0308lice", PASSWORD)) is PAIR
    asked = {verb: rest for verb, *rest in scene.asked}
    assert asked["login"][0] == asked["generation"][0] == (name,)
    finds = [keys for script, keys, _ in scene.asked if script == "user_find"]
    assert finds == [(KEYSPACE.user(each),) for each in ("A\u0308lice", name, name)]


def test_a_name_in_its_form_is_not_looked_up_first(face: Any) -> None:
    scene = Scene()
    assert face.run(opened(face, scene).name_of("\u00c4lice")) == "\u00c4lice"
    assert scene.asked == []


@pytest.mark.parametrize("verb", ["disable", "set_password"])
def test_what_ends_sessions_ends_those_of_the_name_that_is_kept(face: Any, verb: str) -> None:
    scene = Scene(user_find=[NOBODY])
    more = ("a new password",) if verb == "set_password" else ()
    face.run(getattr(opened(face, scene), verb)("A\u0308lice", *more))
    assert scene.asked[-2][:2] == ("user_change", (KEYSPACE.user("\u00c4lice"),))
    assert scene.asked[-1] == ("revoke_all", ("\u00c4lice",), {})


def test_only_the_exact_name_is_authenticated(face: Any) -> None:
    scene = Scene(user_find=[NOBODY])
    with pytest.raises(InvalidCredentials):
        face.run(opened(face, scene).authenticate("A\u0308lice", PASSWORD))
    finds = [keys for script, keys, _ in scene.asked if script == "user_find"]
    assert finds == [(KEYSPACE.user("A\u0308lice"),)]


def test_a_hash_of_the_password_as_it_was_typed_is_made_again(face: Any) -> None:
    typed = "correct ho\u0308rse"
    known = LIGHT._hasher.hash(typed.encode()).encode()
    scene = Scene(user_find=[[known, b"0", 1000]])
    face.run(opened(face, scene).authenticate("alice", typed))
    ((field, value, expected),) = arguments_of(scene, "user_change")
    assert (field, expected) == (b"password", known)
    assert LIGHT.verify(value.decode(), "correct h\u00f6rse")
    assert not LIGHT.is_as_typed(value.decode(), typed)


def test_a_hash_of_the_prepared_password_is_left_alone(face: Any) -> None:
    known = LIGHT.hash("correct h\u00f6rse").encode()
    for typed in ("correct h\u00f6rse", "correct ho\u0308rse"):
        scene = Scene(user_find=[[known, b"0", 1000]])
        face.run(opened(face, scene).authenticate("alice", typed))
        assert "user_change" not in scene.scripts()


@pytest.mark.parametrize(
    ("spelt", "kept"),
    [
        ("alice", "alice"),
        ("Alice@Example.COM", "Alice@Example.COM"),
        ("Zo\u0308e \u00d6zil", "Z\u00f6e \u00d6zil"),
        ("\uff21\uff4cice", "Alice"),
        ("\U0001f600 Alice", "\U0001f600 Alice"),  # the profile forbids it
        ("\u00d6  x", "\u00d6  x"),
        ("{A}", "{A}"),
    ],
)
def test_the_form_of_a_name(spelt: str, kept: str) -> None:
    assert prepare_name(spelt) == kept
    assert prepare_name(kept) == kept
