"""Administrators' changes of users: disabled, removed, erased; in doubt the sessions end."""

import asyncio
from typing import Any

import pytest

from clusterpass import (
    Ended,
    InvalidInput,
    StoreUnavailable,
    UserNotFound,
)

from .user_scene import (
    ALICE,
    FACES,
    HASH,
    KEYSPACE,
    LIGHT,
    NEW,
    NOBODY,
    PASSWORD,
    SESSION,
    SESSION_ID,
    Loop,
    Scene,
    arguments_of,
    opened,
)


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> Any:
    return request.param()


def test_a_new_password_ends_all_sessions(face: Any) -> None:
    scene = Scene()
    assert face.run(opened(face, scene).set_password("alice", "a new password")) == "ended"
    assert scene.scripts() == ["user_change", "revoke_all"]
    ((field, value, expected),) = arguments_of(scene, "user_change")
    assert (field, expected) == (b"password", b"")
    assert LIGHT.verify(value.decode(), "a new password")
    assert scene.asked[0][1] == (KEYSPACE.user("alice"),)
    assert scene.asked[1] == ("revoke_all", ("alice",), {})


def test_disabling_ends_all_sessions_and_enabling_ends_none(face: Any) -> None:
    scene = Scene()
    directory = opened(face, scene)
    assert face.run(directory.disable("alice")) == "ended"
    assert face.run(directory.enable("alice")) is None
    key = (KEYSPACE.user("alice"),)
    assert scene.asked == [
        ("user_change", key, (b"disabled", b"1", b"")),
        ("revoke_all", ("alice",), {}),
        ("user_change", key, (b"disabled", b"0", b"")),
    ]


@pytest.mark.parametrize(
    ("verb", "more"), [("set_password", (PASSWORD,)), ("disable", ()), ("enable", ())]
)
def test_a_change_of_nobody(face: Any, verb: str, more: tuple[str, ...]) -> None:
    scene = Scene(user_change=[b"UNKNOWN"])
    with pytest.raises(UserNotFound):
        face.run(getattr(opened(face, scene), verb)("alice", *more))
    assert scene.scripts() == ["user_change"]
    with pytest.raises(InvalidInput):
        face.run(getattr(opened(face, scene), verb)("", *more))
    assert scene.scripts() == ["user_change"]


def test_a_user_is_disabled_logged_out_and_removed(face: Any) -> None:
    scene = Scene()
    assert face.run(opened(face, scene).delete("alice")) == "ended"
    assert scene.scripts() == ["user_find", "user_change", "revoke_all", "user_remove"]
    assert scene.asked[1][2] == (b"disabled", b"1", b"")
    assert scene.asked[-1][1:] == ((KEYSPACE.user("alice"),), (1000,))


def test_a_user_who_is_erased(face: Any) -> None:
    scene = Scene()
    assert face.run(opened(face, scene).delete("alice", erase=True)) == "erased"
    assert scene.scripts() == ["user_find", "user_change", "erase", "user_remove"]


def test_nobody_is_deleted(face: Any) -> None:
    scene = Scene(user_find=[NOBODY])
    with pytest.raises(UserNotFound):
        face.run(opened(face, scene).delete("alice"))
    assert scene.scripts() == ["user_find"]


def test_a_user_whom_another_administrator_removed_meanwhile(face: Any) -> None:
    scene = Scene(user_find=[ALICE, [HASH.encode(), b"0", 2000]], user_remove=[0])
    assert face.run(opened(face, scene).delete("alice")) == "ended"
    assert scene.asked[-1][2] == (1000,)  # not the user who was added under that name since
    scene = Scene(user_change=[b"UNKNOWN"])
    with pytest.raises(UserNotFound):
        face.run(opened(face, scene).delete("alice"))


CHANGES = {
    "set_password": ("user_change", ("alice", NEW)),
    "disable": ("user_change", ("alice",)),
    "use_link": ("link_use", ("cpl_YWxpY2U." + "A" * 43, NEW)),
    "change_password": ("user_change", (SESSION, PASSWORD, NEW)),
}


@pytest.mark.parametrize("lost", ["answer", "caller"])
@pytest.mark.parametrize("verb", [*CHANGES, "delete"])
def test_a_change_that_may_have_been_made_ends_the_sessions(
    face: Any, verb: str, lost: str
) -> None:
    """Who repeats it is refused: the link is over, the password another one."""
    gone = asyncio.CancelledError if isinstance(face, Loop) else KeyboardInterrupt
    error = StoreUnavailable if lost == "answer" else gone
    script, given = CHANGES.get(verb, ("user_change", ("alice",)))
    scene = Scene(**{script: [error()]})
    with pytest.raises(error):
        face.run(getattr(opened(face, scene), verb)(*given))
    keep = {"keep": SESSION_ID} if verb == "change_password" else {}
    assert scene.asked[-1] == ("revoke_all", ("alice",), keep)


@pytest.mark.parametrize(
    ("verb", "asked"), [("use_link", "link_check"), ("change_password", "count_attempt")]
)
def test_a_change_that_was_not_asked_for_ends_nothing(face: Any, verb: str, asked: str) -> None:
    scene = Scene(**{asked: [StoreUnavailable()]})
    with pytest.raises(StoreUnavailable):
        face.run(getattr(opened(face, scene), verb)(*CHANGES[verb][1]))
    assert scene.scripts() == [asked]


async def test_the_end_of_the_sessions_does_not_depend_on_who_waits_for_it() -> None:
    begun, go_on, is_over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    sessions = Loop().sessions(Scene())

    async def slow(*_: Any, **__: Any) -> str:
        begun.set()
        await go_on.wait()
        is_over.set()
        return "ended"

    sessions.revoke_all = slow
    disabling = asyncio.create_task(Loop.directory(sessions, hasher=LIGHT).disable("alice"))
    await begun.wait()
    disabling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await disabling
    go_on.set()
    async with asyncio.timeout(20):
        await is_over.wait()


@pytest.mark.parametrize("verb", ["set_password", "disable", "use_link", "delete"])
def test_an_end_is_as_durable_as_the_change_that_it_is_for(face: Any, verb: str) -> None:
    given = CHANGES[verb][1] if verb in CHANGES else ("alice",)
    for is_durable in (True, False):
        scene = Scene()
        scene.ended, scene.is_durable = Ended(1, durable=True, journaled=True), is_durable
        ended = face.run(getattr(opened(face, scene), verb)(*given))
        assert ended == Ended(1, durable=is_durable, journaled=True)
