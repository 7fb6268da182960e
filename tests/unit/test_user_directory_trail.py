"""The audit trail of the user directory: what is done, what fails, and what nobody waits for."""

from typing import Any

import pytest

from clusterpass import (
    ClusterPassError,
)
from clusterpass.tokens.encoding import encode_base64url

from .user_scene import (
    FACES,
    LIGHT,
    NEW,
    NOBODY,
    PASSWORD,
    SESSION,
    SESSION_ID,
    Scene,
)


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> Any:
    return request.param()


ALICES_LINK = "cpl_" + encode_base64url(b"alice") + "." + encode_base64url(b"s" * 32)


class Trail:
    """An audit trail that keeps what it is told."""

    def __init__(self) -> None:
        self.noted: list[Any] = []

    def note_result(self, action: str, result: Any, about: Any) -> Any:
        self.noted.append((action, "done", about))
        yield from ()

    def note_error(self, action: str, error: ClusterPassError, about: Any) -> Any:
        self.noted.append((action, error.code, about))
        yield from ()

    def note_end(self, action: str, about: Any) -> None:
        self.noted.append((action, "unknown", about))


OF_ALICE = {"subject": "alice"}


BY_ALICE = {"subject": "alice", "actor": "alice"}


IN_SESSION = {**BY_ALICE, "session_id": SESSION_ID, "address": "10.0.0.1"}


@pytest.mark.parametrize(
    ("act", "done", "about", "error"),
    [
        (lambda each: each.add("alice", PASSWORD), ["add_user"], OF_ALICE, "user_exists"),
        (
            lambda each: each.set_password("alice", NEW),
            ["set_password"],
            OF_ALICE,
            "user_not_found",
        ),
        (lambda each: each.disable("alice"), ["disable_user"], OF_ALICE, "user_not_found"),
        (lambda each: each.enable("alice"), ["enable_user"], OF_ALICE, "user_not_found"),
        (
            lambda each: each.delete("alice"),
            ["disable_user", "delete_user"],
            OF_ALICE,
            "user_not_found",
        ),
        (lambda each: each.invite("alice"), ["invite_user"], OF_ALICE, "user_exists"),
        (lambda each: each.make_link("alice"), ["make_link"], OF_ALICE, "user_not_found"),
        (lambda each: each.use_link(ALICES_LINK, NEW), ["use_link"], BY_ALICE, None),
        (
            lambda each: each.authenticate("alice", PASSWORD, address="10.0.0.1"),
            [],
            {**OF_ALICE, "address": "10.0.0.1"},
            "invalid_credentials",
        ),
        (
            lambda each: each.change_password(SESSION, PASSWORD, NEW, address="10.0.0.1"),
            ["change_password"],
            IN_SESSION,
            "invalid_credentials",
        ),
        (
            lambda each: each.change_password(
                SESSION, PASSWORD, NEW, address="10.0.0.1", end_others=False
            ),
            ["change_password"],
            IN_SESSION,
            "invalid_credentials",
        ),
    ],
)
def test_what_is_done_and_what_fails_is_in_the_trail(
    face: Any, act: Any, done: list[str], about: dict[str, Any], error: str | None
) -> None:
    sessions, trail = face.sessions(Scene()), Trail()
    sessions.audit.trail = trail
    face.run(act(face.directory(sessions, hasher=LIGHT)))
    assert trail.noted == [(action, "done", about) for action in done]
    nobody = Scene(
        user_find=[NOBODY],
        user_add=[b"EXISTS"],
        user_change=[b"UNKNOWN"],
        link_make=[[b"UNKNOWN", 0]],
        link_use=[0],
    )
    sessions, trail = face.sessions(nobody), Trail()
    sessions.audit.trail = trail
    with pytest.raises(ClusterPassError) as refused:
        face.run(act(face.directory(sessions, hasher=LIGHT)))
    first = (done or ["authenticate"])[0]
    assert trail.noted == ([] if error is None else [(first, error, about)])
    assert error in {None, refused.value.code}


class Gone(BaseException):
    """Raised where the caller no longer waits for the result."""


def test_a_change_that_nobody_waits_for_is_in_the_trail_at_once(face: Any) -> None:
    sessions, trail = face.sessions(Scene(user_change=[Gone()])), Trail()
    sessions.audit.trail = trail
    with pytest.raises(Gone) as gone:
        face.run(face.directory(sessions, hasher=LIGHT).enable("alice"))
    assert trail.noted == [("enable_user", "unknown", OF_ALICE)]
    assert gone.traceback, "with which what was begun is not collected yet"
