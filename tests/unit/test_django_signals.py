"""Django signals: changes of a user end the user's sessions after the commit."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.dispatch import Signal

from clusterpass.integrations.django import signals
from clusterpass.integrations.django.request_state import current

from .gate_scene import SESSION


class World:
    """Calls of the manager, and callbacks that wait for the commit, with their database."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str | None]] = []
        self.waiting: list[tuple[Callable[[], Any], str]] = []
        self.sessions = self

    def subject_of(self, user: Any) -> str:
        return str(user.name)

    def revoke_all(self, subject: str, *, keep: str | None) -> None:
        self.ended.append((subject, keep))

    def on_commit(self, act: Callable[[], Any], using: str | None = None) -> None:
        self.waiting.append((act, str(using)))

    def commit(self, using: str) -> list[tuple[str, str | None]]:
        """Run the callbacks of a commit, and return the calls that have ended sessions."""
        for act, of in self.waiting:
            if of == using:
                act()
        return self.ended


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(signals, "installed", lambda: made)
    monkeypatch.setattr(signals.transaction, "on_commit", made.on_commit)
    return made


def user(name: str = "alice", **changed: Any) -> Any:
    return SimpleNamespace(name=name, is_active=True, _password=None, **changed)


def saved(instance: Any, *, created: bool = False, raw: bool = False) -> None:
    signals._saved(instance=instance, created=created, raw=raw, using="other", signal=None)


def with_password(name: str = "alice", *, is_active: bool = True) -> Any:
    return SimpleNamespace(name=name, is_active=is_active, _password="new")


def in_session(session: Any) -> Any:
    return current.set(SimpleNamespace(session=lambda: session))  # type: ignore[arg-type]


def test_a_new_password_ends_the_sessions_with_the_commit_of_its_database(world: World) -> None:
    saved(with_password())
    assert world.ended == []
    assert world.commit("default") == []
    assert world.commit("other") == [("alice", None)]


@pytest.mark.parametrize(
    ("changed", "session", "keep"),
    [
        (with_password(), SESSION, SESSION.session_id),
        (with_password(), None, None),
        (with_password("bob"), SESSION, None),
        (with_password(is_active=False), SESSION, None),
    ],
)
def test_the_session_in_which_a_user_changes_the_password_goes_on(
    world: World, changed: Any, session: Any, keep: str | None
) -> None:
    mark = in_session(session)
    try:
        saved(changed)
        assert world.commit("other") == [(changed.name, keep)]
    finally:
        current.reset(mark)


def test_a_user_who_is_not_active_any_more_is_logged_out(world: World) -> None:
    saved(SimpleNamespace(name="alice", is_active=False))
    assert world.commit("other") == [("alice", None)]


def test_what_changes_no_login_ends_no_session(world: World) -> None:
    saved(user())
    saved(SimpleNamespace(name="of a model without these fields"))
    saved(with_password(), created=True)
    saved(with_password(), raw=True)
    assert world.waiting == []


def test_a_user_who_is_deleted_is_logged_out_with_the_commit(world: World) -> None:
    mark = in_session(SESSION)
    try:
        signals._deleted(instance=user(), using="other", signal=None)
        assert world.ended == []
        assert world.commit("default") == []
        assert world.commit("other") == [("alice", None)]
    finally:
        current.reset(mark)


class Users:
    """The model of users."""


class Orders:
    """Another model."""


def test_changes_of_users_alone_are_followed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("setting_changed", "user_logged_in", "user_logged_out", "user_login_failed"):
        monkeypatch.setattr(signals, name, Signal())
    saves, deletes = Signal(), Signal()
    monkeypatch.setattr(signals, "post_save", saves)
    monkeypatch.setattr(signals, "post_delete", deletes)
    monkeypatch.setattr(signals, "get_user_model", lambda: Users)
    for _ in range(2):  # Django may set itself up twice
        signals.connect()
    changed = {"instance": with_password(), "using": "other"}
    saves.send(Orders, created=False, raw=False, **changed)
    deletes.send(Orders, **changed)
    assert world.waiting == []
    saves.send(Users, created=False, raw=False, **changed)
    assert len(world.waiting) == 1
    deletes.send(Users, **changed)
    assert len(world.waiting) == 2
