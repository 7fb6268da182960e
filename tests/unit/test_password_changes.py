"""Changes of a password by its user: checks, races with logins, and the tokens that follow."""

from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import (
    ImpersonationRefused,
    InvalidCredentials,
    InvalidInput,
    TooManyAttempts,
)

from .user_scene import (
    ALICE,
    FACES,
    HASH,
    KEYSPACE,
    LIGHT,
    NEW,
    NOBODY,
    OTHER_HASH,
    PAIR,
    PASSWORD,
    SAME_PASSWORD,
    SESSION,
    SESSION_ID,
    Scene,
    arguments_of,
    opened,
)


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> Any:
    return request.param()


def change(face: Any, scene: Scene, current: str = PASSWORD, new: str = NEW, **options: Any) -> Any:
    return face.run(opened(face, scene).change_password(SESSION, current, new, **options))


def test_a_user_changes_the_password_and_goes_on_with_new_tokens(face: Any) -> None:
    scene = Scene()
    assert change(face, scene, address="10.0.0.1", for_seconds=40) is PAIR
    counted, given_back = ["count_attempt", "count_attempt"], ["forget_attempts", "return_attempt"]
    steps = [*counted, "user_find", "user_change", *given_back, "revoke_all", "elevate"]
    assert scene.scripts() == steps
    asked = {step[0]: step[1:] for step in reversed(scene.asked)}
    known = asked["count_attempt"][0]
    assert known == asked["forget_attempts"][0] != (KEYSPACE.attempts_by_account("alice"),)
    (field, new_hash, expected) = asked["user_change"][1]
    assert (field, expected) == (b"password", HASH.encode())
    assert LIGHT.verify(new_hash.decode(), NEW)
    assert asked["revoke_all"] == (("alice",), {"keep": SESSION_ID})
    options = {"for_seconds": 40, "amr": ("pwd",), "address": "10.0.0.1", "password_changed": True}
    assert asked["elevate"] == ((SESSION, "1"), options)


def test_other_sessions_go_on_where_the_user_says_so(face: Any) -> None:
    scene = Scene()
    change(face, scene, end_others=False)
    assert scene.scripts()[-3:] == ["forget_attempts", "return_attempt", "elevate"]


@pytest.mark.parametrize("found", [ALICE, NOBODY, [HASH.encode(), b"1", 1000]])
def test_a_wrong_current_password_changes_nothing_and_stays_counted(face: Any, found: Any) -> None:
    scene = Scene(user_find=[found])
    with pytest.raises(InvalidCredentials):
        change(face, scene, "wrong" if found is ALICE else PASSWORD)
    assert scene.scripts() == ["count_attempt", "count_attempt", "user_find"]


def test_a_bad_new_password_is_no_attempt(face: Any) -> None:
    scene = Scene()
    with pytest.raises(InvalidInput):
        change(face, scene, new="7 chars")
    assert scene.asked == []


def test_no_attempt_is_left(face: Any) -> None:
    scene = Scene(count_attempt=[17])
    with pytest.raises(TooManyAttempts):
        change(face, scene)
    assert scene.scripts() == ["count_attempt"]


def test_a_hash_that_a_login_replaced_meanwhile_is_tried_again(face: Any) -> None:
    scene = Scene(user_find=[ALICE, [SAME_PASSWORD, b"0", 1000]], user_change=[b"CHANGED", b"OK"])
    assert change(face, scene) is PAIR
    first, second = arguments_of(scene, "user_change")
    assert (first[1], second[2]) == (second[1], SAME_PASSWORD)


def test_another_password_meanwhile_wins(face: Any) -> None:
    scene = Scene(user_find=[ALICE, [OTHER_HASH, b"0", 1000]], user_change=[b"CHANGED"])
    with pytest.raises(InvalidCredentials):
        change(face, scene)
    assert "elevate" not in scene.scripts()


def test_an_entry_that_never_rests(face: Any) -> None:
    scene = Scene(user_change=[b"CHANGED"])
    with pytest.raises(InvalidCredentials):
        change(face, scene)
    assert scene.scripts().count("user_change") == 5


def test_an_impersonation_changes_no_password(face: Any) -> None:
    scene, acting = Scene(), SimpleNamespace(**vars(SESSION) | {"act": "root"})
    with pytest.raises(ImpersonationRefused):
        face.run(opened(face, scene).change_password(acting, PASSWORD, NEW))
    assert scene.asked == []
