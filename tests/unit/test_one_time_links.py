"""One-time links: their tokens, and the calls of the store."""

import hashlib
from typing import Any

import pytest

from clusterpass import InvalidInput, LinkInvalid, OneTimeLink, PasswordRefused, UserNotFound
from clusterpass.users.one_time_links import read_token

from .user_scene import KEYSPACE, LIGHT, Loop, Scene, Threads

NEW = "battery staple horse"


@pytest.fixture(params=[Threads, Loop])
def face(request: pytest.FixtureRequest) -> Any:
    return request.param()


def opened(face: Any, scene: Scene) -> Any:
    return face.directory(face.sessions(scene), hasher=LIGHT)


def made(face: Any, username: str = "alice", **options: Any) -> tuple[OneTimeLink, Scene]:
    scene = Scene()
    return face.run(opened(face, scene).make_link(username, **options)), scene


@pytest.mark.parametrize("username", ["alice", "zoë {1}:*", "x" * 255, "ö" * 127])
def test_a_token_names_its_user_and_the_store_has_a_digest(face: Any, username: str) -> None:
    link, scene = made(face, username)
    assert (link.username, link.expires_at) == (username, 5000)
    assert link.token not in repr(link)
    read = read_token(link.token)
    assert read.username == username
    assert scene.asked == [("link_make", (KEYSPACE.user(username),), (read.digest, 3600))]
    assert len(read.digest) == hashlib.sha256().digest_size
    assert made(face, username)[0].token != link.token


@pytest.mark.parametrize("seconds", [0, 59, 14 * 86_400 + 1])
def test_for_how_long_a_link_may_be_used(face: Any, seconds: int) -> None:
    scene = Scene()
    for act in (opened(face, scene).make_link, opened(face, scene).invite):
        with pytest.raises(InvalidInput):
            face.run(act("alice", for_seconds=seconds))
    assert scene.asked == []  # nobody was added


def test_nobody_has_a_link(face: Any) -> None:
    with pytest.raises(UserNotFound):
        face.run(opened(face, Scene(link_make=[[b"UNKNOWN", 0]])).make_link("alice"))


def test_an_invited_user_is_added_with_a_password_that_nobody_knows(face: Any) -> None:
    scene = Scene()
    link = face.run(opened(face, scene).invite("alice", for_seconds=60))
    assert scene.scripts() == ["user_add", "link_make"]
    assert scene.asked[1][2] == (read_token(link.token).digest, 60)


TOKEN = "cpl_YWxpY2U." + "A" * 43


@pytest.mark.parametrize(
    "token",
    [
        *("", "x", TOKEN + "A", TOKEN[:-1], TOKEN[1:], TOKEN.replace("A", "+"), f" {TOKEN}"),
        *(f"{TOKEN}\n", TOKEN.replace("YWxpY2U", "____"), TOKEN.replace("YWxpY2U", "YQ0")),
        *("cpl_." + "A" * 43, None, 7, "\ud800", TOKEN.replace("YWxpY2U", "AAAA")),
        TOKEN.replace("YWxpY2U", "YWxpY"),
    ],
)
def test_what_cannot_be_a_token_is_answered_as_a_link_that_is_over(face: Any, token: Any) -> None:
    scene = Scene()
    for act in (
        lambda: opened(face, scene).user_of_link(token),
        lambda: opened(face, scene).use_link(token, NEW),
    ):
        with pytest.raises(LinkInvalid):
            face.run(act())
    assert scene.asked == []


def test_opening_a_link_reads_and_no_more(face: Any) -> None:
    scene = Scene()
    assert face.run(opened(face, scene).user_of_link(TOKEN)) == "alice"
    assert scene.scripts() == ["link_check"]


def test_using_a_link_sets_the_password_and_ends_all_sessions(face: Any) -> None:
    scene = Scene()
    assert face.run(opened(face, scene).use_link(TOKEN, NEW)) == "ended"
    assert scene.scripts() == ["link_check", "link_use", "revoke_all"]
    _, keys, (digest, new_hash) = scene.asked[1]
    assert (keys, digest) == ((KEYSPACE.user("alice"),), read_token(TOKEN).digest)
    assert LIGHT.verify(new_hash.decode(), NEW)


def test_a_link_that_is_over_hashes_nothing_and_ends_nothing(face: Any) -> None:
    scene = Scene(link_check=[0])
    with pytest.raises(LinkInvalid):
        face.run(opened(face, scene).use_link(TOKEN, NEW))
    assert scene.scripts() == ["link_check"]


def test_of_two_who_use_a_link_at_once_one_is_too_late(face: Any) -> None:
    scene = Scene(link_use=[0])
    with pytest.raises(LinkInvalid):
        face.run(opened(face, scene).use_link(TOKEN, NEW))
    assert scene.scripts() == ["link_check", "link_use"]


def test_a_password_that_is_refused_leaves_the_link(face: Any) -> None:
    scene = Scene()
    with pytest.raises(PasswordRefused):
        face.run(opened(face, scene).use_link(TOKEN, "iloveyou"))
    assert scene.scripts() == ["link_check"]
