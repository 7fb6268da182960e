"""History entries on the service's page, with and without a known device."""

from dataclasses import replace
from typing import Any

import pytest

from clusterpass import Actor, HistoryEntry, Session
from clusterpass.service.language.translation import language
from clusterpass.service.page.history_sentences import ActivityLine, describe_history
from clusterpass.service.page.sentences import Quoted

ENGLISH = language("en")
ID, OTHER = "a" * 22, "b" * 22
LIVE = Session("alice", ID, "laptop", 1, 2, 3)
ENTRY = HistoryEntry(kind="login", at=7, count=1, session_id=None, address="10.0.0.1", text="")


def lines(*entries: HistoryEntry, sessions: Any = (LIVE,)) -> list[ActivityLine]:
    return describe_history(entries, sessions, ENGLISH, "alice")


def said(line: ActivityLine) -> str:
    """The sentence, with what somebody else has written in <>."""
    return "".join(
        f"<{each.text}>" if isinstance(each, Quoted) else str(each) for each in line.sentence
    )


@pytest.mark.parametrize(
    ("kind", "more", "sentence"),
    [
        ("login", {}, "Logged in"),
        ("login", {"text": "phone"}, "Logged in on <phone>"),
        ("refresh", {}, "Session renewed once on a device"),
        ("refresh", {"count": 3}, "Session renewed 3 times on a device"),
        ("refresh", {"count": 3, "session_id": ID}, "Session renewed 3 times on <laptop>"),
        ("logged_out", {"session_id": ID}, "Logged out on <laptop>"),
        ("logged_out", {"session_id": OTHER}, "Logged out on a device"),
        ("replaced", {"count": 2}, "2 devices were logged out by a newer login"),
        (
            "replaced",
            {"session_id": ID, "text": "phone"},
            "<laptop> was logged out by a newer login on <phone>",
        ),
        ("revoked", {}, "A device was logged out"),
        ("revoked", {"text": "lost", "count": 2}, "2 devices were logged out: <lost>"),
        ("revoked", {"session_id": ID, "text": "lost"}, "<laptop> was logged out: <lost>"),
        ("revoked", {"by": "alice"}, "You logged out a device"),
        ("revoked", {"by": "alice", "text": "lost"}, "You logged out a device: <lost>"),
        ("revoked", {"by": "alice", "session_id": ID}, "You logged out <laptop>"),
        (
            "revoked",
            {"by": "alice", "session_id": ID, "text": "lost"},
            "You logged out <laptop>: <lost>",
        ),
        ("revoked", {"by": "root", "count": 2}, "<root> logged out 2 devices"),
        ("revoked", {"by": "root", "session_id": ID}, "<root> logged out <laptop>"),
        ("banned", {"text": "spam"}, "Banned: <spam>"),
        ("idle", {"session_id": ID}, "<laptop> was logged out due to inactivity"),
        ("impersonated", {"text": "help"}, "Support logged in to this account: <help>"),
        ("refused", {"count": 4}, "4 logins failed"),
        ("of a later release", {}, "of a later release"),
    ],
)
def test_each_entry_is_a_sentence(kind: Any, more: Any, sentence: str) -> None:
    (line,) = lines(replace(ENTRY, kind=kind, **more))
    assert said(line) == sentence
    assert (line.at, line.address) == (7, "10.0.0.1")
    assert line.is_latest is (kind in {"refresh", "refused"} and more.get("count", 1) > 1)
    assert line.is_alarm is (kind in {"reused", "banned", "impersonated", "refused"})


def test_a_device_is_known_by_its_login_after_it_has_ended() -> None:
    login = replace(ENTRY, session_id=OTHER, text="phone")
    ended = replace(ENTRY, kind="logged_out", session_id=OTHER)
    assert [said(each) for each in lines(ended, login)] == [
        "Logged out on <phone>",
        "Logged in on <phone>",
    ]


@pytest.mark.parametrize("is_live", [True, False])
def test_what_support_does_is_told_from_what_the_user_does(is_live: bool) -> None:
    acting = replace(LIVE, session_id=OTHER, act=Actor("root", "r" * 22, "help"))
    began = replace(ENTRY, kind="impersonated", session_id=OTHER, text="help")
    entries = [
        replace(ENTRY, kind=kind, session_id=OTHER)
        for kind in ("refresh", "logged_out", "revoked", "expired")
    ]
    entries.append(replace(ENTRY, kind="revoked", session_id=OTHER, by="alice"))
    told = lines(*entries, *([] if is_live else [began]), sessions=[acting] if is_live else [])
    assert [said(each) for each in told[:5]] == [
        "Support session renewed",
        "Support logged out",
        "Support was logged out",
        "Support session expired",
        "Support was logged out",
    ]
