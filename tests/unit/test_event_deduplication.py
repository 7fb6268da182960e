"""Deduplication for cluster listeners.

Each history line and each event of this process is delivered once.
"""

import threading
from dataclasses import replace
from typing import Any, get_args

import pytest

from clusterpass.model.events import EventKind, SessionEvent
from clusterpass.model.values import Actor
from clusterpass.protocol.records import LiveRecord, Tombstone
from clusterpass.protocol.replies import Details, HistoryLine, Listed, Stored
from clusterpass.sessions import event_deduplication as heard_module
from clusterpass.sessions.event_deduplication import Heard
from clusterpass.sessions.event_of_line import TOLD_BY_HISTORY
from clusterpass.tokens.identifiers import encode_session_id

EPOCH = 1_000_000
"""The second at which the steady clock shows 0."""
A, B, C, NONE = b"a" * 16, b"b" * 16, b"c" * 16, bytes(16)
ADDRESS = bytes([192, 0, 2, 7])
NUMBERS = {kind: number for number, kind in enumerate(get_args(EventKind), 1)}


def line(
    kind: str, at: int, session_id: bytes = A, *, count: int = 1, text: str = "", address=b""
) -> HistoryLine:
    return HistoryLine(NUMBERS[kind], at, count, session_id, address, text)


def own(kind: Any, at: int, *session_ids: bytes, **others: Any) -> SessionEvent:
    ids = tuple(map(encode_session_id, session_ids))
    return SessionEvent(kind, "alice", at, session_ids=ids, **others)


def live(created_milliseconds: int, device: str = "", details: Details | None = None) -> Stored:
    record = LiveRecord(
        flags=0,
        created_milliseconds=created_milliseconds,
        absolute_end=EPOCH * 2,
        refreshed_at=created_milliseconds // 1000,
        idle_seconds=0,
        rotation=0,
        refresh_digest=b"",
        device=device,
    )
    return Stored(0, record, details or Details({}))


class Scene:
    """Listeners that began at second 100 of the steady clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.heard = Heard(lambda: self.now, threading.Lock)
        self.heard.begin()
        self.now = 110.0

    def listed(
        self, *lines: HistoryLine, newest: int | None = None, sessions: Any = None
    ) -> Listed:
        number = len(lines) - 1 if newest is None else newest
        milliseconds = int((EPOCH + self.now) * 1000)
        return Listed(milliseconds, sessions or {}, list(lines), number)

    def read(self, *lines: HistoryLine, subject: str = "alice", **others: Any) -> list[Any]:
        return self.heard.read(subject, self.listed(*lines, **others))

    def kinds(self, *lines: HistoryLine, **others: Any) -> list[str]:
        return [event.kind for event in self.read(*lines, **others)]


@pytest.fixture
def scene() -> Scene:
    return Scene()


# Lines.


def test_lines_before_the_listener_are_old_and_each_later_one_is_told_once(scene: Scene) -> None:
    old, new = line("login", EPOCH + 99), line("refresh", EPOCH + 101)
    assert scene.kinds(old, new) == ["refresh"]
    assert scene.kinds(old, new) == []
    later = line("logged_out", EPOCH + 101)
    assert scene.kinds(old, new, later) == ["logged_out"], "in the same second"
    assert scene.kinds(old, new, later) == []


def test_the_record_tells_the_millisecond_of_a_login(scene: Scene) -> None:
    scene.heard.end()
    scene.now = 100.5
    scene.heard.begin()
    sessions = {A: live(EPOCH * 1000 + 100_499), B: live(EPOCH * 1000 + 100_500)}
    events = scene.read(
        line("login", EPOCH + 100, A), line("login", EPOCH + 100, B), sessions=sessions
    )
    assert [event.session_ids for event in events] == [(encode_session_id(B),)]


def test_refreshes_of_a_session_share_a_line_that_counts_them(scene: Scene) -> None:
    login, other = line("login", EPOCH + 50), line("elevated", EPOCH + 50)
    assert scene.kinds(login, line("refresh", EPOCH + 104, count=7), other) == ["refresh"]
    events = scene.read(login, line("refresh", EPOCH + 109, count=9), other)
    assert [(event.kind, event.at) for event in events] == [("refresh", EPOCH + 109)] * 2
    assert scene.kinds(login, line("refresh", EPOCH + 109, count=9), other) == []


def test_all_refreshes_of_a_new_session_are_new(scene: Scene) -> None:
    events = scene.kinds(
        line("login", EPOCH + 105),
        line("refresh", EPOCH + 106, count=3),
        sessions={A: live((EPOCH + 105) * 1000)},
    )
    assert events == ["login", "refresh", "refresh", "refresh"]
    assert scene.kinds(line("refresh", EPOCH + 107, B, count=2), subject="bob") == ["refresh"]


def test_lines_that_were_overwritten_unread_are_counted(scene: Scene) -> None:
    assert scene.kinds(line("login", EPOCH + 101), newest=4) == ["login"]
    lines = [line("elevated", EPOCH + 105)] * 3
    assert scene.kinds(*lines, newest=10) == ["elevated"] * 3
    assert scene.heard.overrun == 3


def test_an_own_event_whose_line_was_overwritten_hides_no_other_one(scene: Scene) -> None:
    assert scene.kinds(line("login", EPOCH + 101), newest=4) == ["login"]
    assert scene.heard.told(own("refresh", EPOCH + 104, A))
    assert scene.kinds(*[line("elevated", EPOCH + 105)] * 3, newest=10) == ["elevated"] * 3
    scene.now = 130.0
    lines = [*[line("elevated", EPOCH + 105)] * 2, line("refresh", EPOCH + 129)]
    assert scene.kinds(*lines, newest=11) == ["refresh"], "of another process"


def test_a_history_that_began_anew_is_told_from_its_beginning(scene: Scene) -> None:
    """The history expired with its subject, who came back."""
    assert scene.kinds(line("login", EPOCH + 101), line("logged_out", EPOCH + 102)) != []
    scene.now = 500.0
    assert scene.kinds(line("login", EPOCH + 490, B)) == ["login"], "fewer lines than before"
    scene.now = 900.0
    assert scene.kinds(line("login", EPOCH + 890, C)) == ["login"], "as many lines as before"


def test_an_empty_history_is_continued_by_the_first_line(scene: Scene) -> None:
    assert scene.kinds() == []
    assert scene.kinds(line("login", EPOCH + 110)) == ["login"]
    assert scene.heard.overrun == 0


def test_kinds_that_are_never_told_are_left_out(scene: Scene) -> None:
    unknown = HistoryLine(200, EPOCH + 105, 1, A, b"", "")
    assert scene.kinds(line("expired", EPOCH + 105), line("idle", EPOCH + 105), unknown) == []
    assert set(get_args(EventKind)) - {"expired", "idle", "refused"} == TOLD_BY_HISTORY


def test_lines_are_told_in_the_order_of_their_times(scene: Scene) -> None:
    assert scene.kinds(
        line("refresh", EPOCH + 109), line("login", EPOCH + 105, B), line("banned", EPOCH + 109)
    ) == ["login", "refresh", "banned"]


# Events of this process.


def test_an_own_event_is_told_once_when_the_verb_comes_first(scene: Scene) -> None:
    assert scene.heard.told(own("login", EPOCH + 110, A))
    assert scene.kinds(line("login", EPOCH + 110)) == []
    assert scene.kinds(line("login", EPOCH + 110)) == []


def test_an_own_event_is_told_once_when_the_history_comes_first(scene: Scene) -> None:
    assert scene.kinds(line("login", EPOCH + 110)) == ["login"]
    assert not scene.heard.told(own("login", EPOCH + 110, A))


def test_others_do_the_same_in_the_same_second(scene: Scene) -> None:
    assert scene.heard.told(own("claims_changed", EPOCH + 110))
    changed = line("claims_changed", EPOCH + 109, NONE)
    assert scene.kinds(changed, changed, changed) == ["claims_changed"] * 2
    assert scene.heard.told(own("refresh", EPOCH + 110, A))
    refreshed = line("refresh", EPOCH + 113, count=2)
    scene.kinds(changed, changed, changed)
    assert scene.kinds(changed, changed, changed, refreshed) == ["refresh"]


def test_another_session_kind_or_time_is_another_event(scene: Scene) -> None:
    assert scene.heard.told(own("login", EPOCH + 110, A))
    assert scene.heard.told(own("banned", EPOCH + 80))
    lines = (
        line("login", EPOCH + 110, B),
        line("revoked", EPOCH + 110, A),
        line("banned", EPOCH + 110, NONE),
    )
    assert scene.kinds(*lines) == ["login", "revoked", "banned"]


def test_a_ban_ends_one_session_or_several(scene: Scene) -> None:
    """Its line names none of them."""
    assert scene.heard.told(own("banned", EPOCH + 110, A))
    assert scene.heard.told(own("revoked", EPOCH + 110, B, C))
    lines = line("banned", EPOCH + 110, NONE), line("revoked", EPOCH + 110, NONE, count=2)
    assert scene.kinds(*lines) == []


def test_an_own_event_without_a_line_is_not_waited_for_long(scene: Scene) -> None:
    """As one whose line newer ones had replaced before it was read."""
    assert scene.heard.told(own("claims_changed", EPOCH + 110))
    scene.now += 130
    assert scene.kinds(line("claims_changed", EPOCH + 115, NONE)) == ["claims_changed"]


# Memory.


def test_a_forgotten_subject_is_not_told_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heard_module, "MOST_SUBJECTS", 2)
    first = line("login", EPOCH + 105)
    assert scene.kinds(first) == ["login"]
    for name in ("bob", "carol"):
        scene.now += 10
        assert scene.kinds(line("login", EPOCH + 105, B), subject=name) == ["login"]
    scene.now += 10
    assert scene.kinds(first, line("logged_out", EPOCH + 135)) == ["logged_out"]


def test_after_the_last_listener_nothing_is_remembered(scene: Scene) -> None:
    assert scene.kinds(line("login", EPOCH + 105)) == ["login"]
    scene.heard.end()
    assert not scene.heard.is_listening
    assert scene.kinds(line("login", EPOCH + 105), line("login", EPOCH + 110, B)) == []
    assert not scene.heard.told(own("login", EPOCH + 110, A))
    scene.now = 200.0
    scene.heard.begin()
    scene.now = 210.0
    lines = line("login", EPOCH + 105), line("logged_out", EPOCH + 205)
    assert scene.kinds(*lines) == ["logged_out"], "what happened meanwhile is over"


# Fields.


def test_the_record_tells_all_of_the_device(scene: Scene) -> None:
    found = line("login", EPOCH + 105, text="a long na", address=ADDRESS)
    (event,) = scene.read(found, sessions={A: live((EPOCH + 105) * 1000, "web\0a long name")})
    assert event == own(
        "login", EPOCH + 105, A, device="a long name", device_type="web", address="192.0.2.7"
    )
    (gone,) = scene.read(found, subject="bob")
    assert (gone.device, gone.device_type) == ("a long na", None)


def test_the_details_tell_who_impersonates(scene: Scene) -> None:
    found = line("impersonated", EPOCH + 105, text="root: ticket")
    acting = live((EPOCH + 105) * 1000, details=Details({}, actor=("root", "id", "ticket")))
    (event,) = scene.read(found, sessions={A: acting})
    actor = Actor("root", "id", "ticket")
    assert event == own("impersonated", EPOCH + 105, A, reason="ticket", actor=actor)
    (gone,) = scene.read(found, subject="bob")
    assert (gone.actor, gone.reason) == (None, "root: ticket")


def test_tombstones_tell_which_sessions_ended_together(scene: Scene) -> None:
    buried = Stored(0, Tombstone("revoked", EPOCH + 105, EPOCH * 2, "lost"))
    assert isinstance(buried.record, Tombstone)
    before = replace(buried, record=replace(buried.record, ended_at=EPOCH + 104))
    found = line("revoked", EPOCH + 105, NONE, count=2, text="lost")
    (event,) = scene.read(found, sessions={A: buried, B: before, C: buried})
    assert event == own("revoked", EPOCH + 105, A, C, reason="lost")
    (unclear,) = scene.read(found, sessions={A: buried, B: before}, subject="bob")
    assert (unclear.session_ids, unclear.reason) == ((), "lost")
    alone = line("revoked", EPOCH + 105, B)
    told = scene.read(alone, found, sessions={A: buried, B: buried, C: buried}, subject="carol")
    ids = [event.session_ids for event in told]
    assert ids == [(encode_session_id(B),), (encode_session_id(A), encode_session_id(C))]


@pytest.mark.parametrize(
    ("kind", "text", "reason", "device"),
    [
        ("logged_out", "", None, None),
        ("replaced", "phone", None, "phone"),
        ("revoked", "lost", "lost", None),
        ("banned", "chat spam", "chat spam", None),
        ("unbanned", "chat", "chat", None),
        ("reused", "stale", "stale", None),
        ("elevated", "2", "2", None),
        ("claims_changed", "", None, None),
    ],
)
def test_what_the_text_of_a_line_means(
    scene: Scene, kind: str, text: str, reason: str | None, device: str | None
) -> None:
    (event,) = scene.read(line(kind, EPOCH + 105, text=text))
    assert event == own(kind, EPOCH + 105, A, reason=reason, device=device)


@pytest.mark.parametrize(
    "kind", ["login", "impersonated", "logged_out", "revoked", "replaced", "reused"]
)
def test_what_happens_to_a_session_once_is_told_once_however_far_the_clocks_are_apart(
    scene: Scene, kind: str
) -> None:
    assert scene.heard.told(own(kind, EPOCH + 105, A))
    assert scene.kinds(line(kind, EPOCH + 105 + 3600)) == []


def test_lines_that_were_numbered_anew_are_not_told_again(scene: Scene) -> None:
    assert scene.kinds(line("login", EPOCH + 105), newest=5) == ["login"]
    scene.now = 120.0
    lines = line("login", EPOCH + 105), line("login", EPOCH + 115, B)
    assert [event.session_ids for event in scene.read(*lines)] == [own("login", 0, B).session_ids]


def test_a_line_of_refreshes_that_moves_on_in_time_is_the_same_line(scene: Scene) -> None:
    assert scene.kinds(line("refresh", EPOCH + 105)) == ["refresh"]
    scene.now = 120.0
    assert scene.kinds(line("refresh", EPOCH + 118, count=2)) == ["refresh"]
    assert scene.kinds(line("refresh", EPOCH + 119, count=4)) == ["refresh", "refresh"]
    assert scene.kinds(line("refresh", EPOCH + 119, count=4)) == []
