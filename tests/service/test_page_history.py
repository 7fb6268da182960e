"""The history of a subject as sentences, and where they stand."""

import pytest

from clusterpass.model.events import HistoryEntry
from clusterpass.model.values import Session
from clusterpass.service.language.translation import language
from clusterpass.service.page.history_sentences import describe_history
from clusterpass.service.page.sentences import Moment, Quoted, compose

from .page_browser import ADDRESS, FIREFOX, Browser, expired, markup, words

SID = "A" * 22
SCRIPT = "<script>alert(1)</script>"


def entry(kind, text="", count=1, session_id=None):
    return HistoryEntry(kind, 1_700_000_000, count, session_id, "192.0.2.1", text)


def ended_by(by, text="", count=1, session_id=None):
    return HistoryEntry("revoked", 1_700_000_000, count, session_id, None, text, by)


def said(sentence) -> str:
    return "".join(part.text if isinstance(part, Quoted) else part for part in sentence)


def told(line, *more, sessions=()) -> str:
    return said(describe_history([line, *more], sessions, language("en"), "alice")[0].sentence)


LOGIN = entry("login", "Firefox on Windows", session_id=SID)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (entry("login", "Chrome on Linux"), "Logged in on Chrome on Linux"),
        (entry("login"), "Logged in"),
        (entry("refresh", session_id=SID), "Session renewed once on Firefox on Windows"),
        (
            entry("refresh", session_id=SID, count=2),
            "Session renewed 2 times on Firefox on Windows",
        ),
        (
            entry("refresh", session_id=SID, count=12),
            "Session renewed 12 times on Firefox on Windows",
        ),
        (entry("refresh", session_id="B" * 22), "Session renewed once on a device"),
        (entry("logged_out", session_id=SID), "Logged out on Firefox on Windows"),
        (
            entry("replaced", "Safari on iPhone", session_id=SID),
            "Firefox on Windows was logged out by a newer login on Safari on iPhone",
        ),
        (
            entry("replaced", "Safari on iPhone", count=3),
            "3 devices were logged out by a newer login on Safari on iPhone",
        ),
        (entry("replaced"), "A device was logged out by a newer login"),
        (entry("revoked", session_id=SID), "Firefox on Windows was logged out"),
        (entry("revoked", "Lost", count=2), "2 devices were logged out: Lost"),
        (ended_by("alice", session_id=SID), "You logged out Firefox on Windows"),
        (ended_by("alice", "Lost", session_id=SID), "You logged out Firefox on Windows: Lost"),
        (ended_by("alice", count=2), "You logged out 2 devices"),
        (ended_by("alice", "Lost"), "You logged out a device: Lost"),
        (ended_by("root", session_id=SID), "root logged out Firefox on Windows"),
        (ended_by("root", "Spam", session_id=SID), "root logged out Firefox on Windows: Spam"),
        (ended_by("root"), "root logged out a device"),
        (ended_by("root", "Spam", count=3), "root logged out 3 devices: Spam"),
        (entry("refused", "invalid_credentials"), "A login failed"),
        (entry("refused", "invalid_credentials", count=4), "4 logins failed"),
        (entry("banned", "Spam"), "Banned: Spam"),
        (entry("banned"), "Banned"),
        (entry("unbanned", "comments"), "Ban lifted: comments"),
        (
            entry("reused", "stale", session_id=SID),
            "Firefox on Windows was logged out because a session token was used twice",
        ),
        (
            entry("elevated", "1", session_id=SID),
            "Password confirmed on Firefox on Windows",
        ),
        (
            entry("password_changed", session_id=SID),
            "Password changed on Firefox on Windows",
        ),
        (entry("impersonated", "root: help"), "Support logged in to this account: root: help"),
        (entry("claims_changed"), "Permissions were changed"),
        (entry("expired", session_id=SID), "The session on Firefox on Windows expired"),
        (
            entry("idle", session_id=SID),
            "Firefox on Windows was logged out due to inactivity",
        ),
        (entry("something new"), "something new"),
    ],
)
def test_each_line_is_a_sentence(line, sentence):
    assert told(line, LOGIN) == sentence


def test_a_live_session_names_its_device_when_the_login_is_forgotten():
    session = Session("alice", SID, "Kitchen radio", 1, 1, 2)
    assert told(entry("refresh", session_id=SID), sessions=[session]) == (
        "Session renewed once on Kitchen radio"
    )


def test_what_support_does_is_told_apart():
    begin = entry("impersonated", "root: help", session_id=SID)
    assert told(entry("logged_out", session_id=SID), begin) == "Support logged out"
    assert told(entry("revoked", "x", session_id=SID), begin) == "Support was logged out"
    assert told(entry("revoked", "x", session_id="B" * 22), begin) == "A device was logged out: x"
    assert told(entry("revoked", "x"), begin) == "A device was logged out: x"


def test_a_pattern_keeps_what_is_put_into_it_apart():
    sentence = compose("{a} and {b}!", a=(Quoted("{b}"),), b=(Moment(5), " x"))
    assert sentence == (Quoted("{b}"), " and ", Moment(5), " x", "!")


@pytest.fixture
async def service(start, settings):
    return await start(settings, ADDRESS)


async def test_recent_activity_is_on_the_page(service, alice):
    browser, other = Browser(service), Browser(service, user_agent=FIREFOX)
    await other.login(alice)
    await browser.login(alice)
    browser.set_tokens(access=expired(service, browser))
    await browser.click("/page/sessions/revoke-others", confirmed="yes")
    activity = (await browser.text()).partition("Recent activity ")[2]
    wanted = [
        "You logged out Firefox on Windows",
        "Session renewed once on Chrome on Linux",
        "Logged in on Chrome on Linux",
        "Logged in on Firefox on Windows",
    ]
    places = [activity.index(each) for each in wanted]
    assert sorted(places[2:]) == places[2:] and max(places[:2]) < places[2]
    assert f"from {ADDRESS}" in activity


async def test_many_lines_are_folded_away(service, alice):
    for number in range(9):
        await service.login(alice, device=f"device {number}")
    browser = Browser(service)
    await browser.login(alice)
    text = (await browser.text()).partition("Recent activity ")[2]
    assert text.index("device 4") < text.index("Show more") < text.index("device 3")


async def test_crafted_texts_in_the_history_are_text(service, alice):
    sessions = service.app.service.sessions
    await service.login(alice, device=SCRIPT)
    await sessions.revoke_all(alice, reason=SCRIPT)
    await sessions.bans.add(alice, scope="comments", reason=SCRIPT)
    browser = Browser(service, user_agent=f"Chrome/1 Linux {SCRIPT}")
    await browser.login(alice)
    answer = await browser.get()
    assert "<script" not in markup(answer)
    activity = words(answer).partition("Recent activity ")[2]
    for sentence in ("Logged in on ", "was logged out: ", "Banned: comments "):
        assert f"{sentence}{SCRIPT}" in activity


async def test_without_a_history_it_says_so(start, settings, alice, monkeypatch):
    service = await start(settings, ADDRESS)
    browser = Browser(service)
    await browser.login(alice)

    async def nothing(subject):
        return []

    monkeypatch.setattr(service.app.service.sessions, "history", nothing)
    assert "Recent activity No recent activity." in await browser.text()
