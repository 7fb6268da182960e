"""Export and erasure of a subject's data; tokens of an erased subject stay refused."""

import json
from dataclasses import replace

import pytest

from clusterpass import InvalidRefreshToken, SessionRevoked
from tests.cluster.stored import fields_of


@pytest.fixture
def pair(manager, subject):
    pair = manager.login(
        subject, device="Sofa", device_type="phone", address="192.0.2.7", claims={"plan": "gold"}
    )
    manager.claims.set(subject, {"role": "editor"})
    return pair


def test_an_export_has_all_and_no_secret(manager, subject, pair):
    gone = manager.login(subject, device="Pocket")
    manager.revoke(subject, gone.session_id, reason="lost")
    manager.bans.add(subject, scope="chat", reason="spam")
    held = manager.export(subject)
    text = json.dumps(held)
    assert list(held) == [
        *("subject", "exported_at", "sessions", "ended_sessions", "history", "bans", "claims")
    ]
    (session,), (ended,), (ban,) = held["sessions"], held["ended_sessions"], held["bans"]
    assert (session["session_id"], session["device"]) == (pair.session_id, "Sofa")
    assert session["claims"] == {"plan": "gold", "role": "editor"}
    assert (ended["session_id"], ended["reason"], ended["note"]) == (
        *(gone.session_id, "revoked", "lost"),
    )
    assert (ban["scope"], ban["reason"], held["claims"]) == ("chat", "spam", {"role": "editor"})
    kinds = [entry["kind"] for entry in held["history"]]
    assert kinds == ["banned", "revoked", "login", "claims_changed", "login"]
    assert "192.0.2.7" in text
    for token in (pair.access_token, pair.refresh_token):
        assert not any(part in text for part in token.split("."))


def test_nobody_has_an_export(manager, subject):
    held = manager.export(subject)
    assert (held["sessions"], held["history"], held["bans"], held["claims"]) == ([], [], [], {})


def test_an_erased_subject_has_no_history_and_its_tokens_stay_dead(engine, manager, subject, pair):
    gone = manager.login(subject, device="Pocket", device_type="web")
    manager.revoke(subject, gone.session_id, reason="lost")
    manager.revoke_all(subject, device_type="web")
    manager.bans.add(subject, scope="chat", reason="spam")
    assert manager.erase(subject).count == 1
    held = manager.export(subject)
    assert (held["sessions"], held["history"], held["claims"]) == ([], [], {})
    assert {each["note"] for each in held["ended_sessions"]} == {""}
    assert {each["session_id"] for each in held["ended_sessions"]} == {
        *(pair.session_id, gone.session_id)
    }
    assert [ban["scope"] for ban in held["bans"]] == ["chat"]
    for token in (pair, gone):
        with pytest.raises(SessionRevoked):
            manager.verify(token.access_token)
        with pytest.raises(InvalidRefreshToken):
            manager.refresh(token.refresh_token)
    assert manager.generation(subject) > 0
    stored = b" ".join(fields_of(engine, subject).values())
    for trace in (b"Sofa", b"Pocket", b"lost", b"phone", b"web", b"editor", b"gold"):
        assert trace not in stored
    assert subject not in [each.subject for each in manager.online.page(limit=200).sessions]


def test_an_erased_subject_begins_anew(manager, subject, pair):
    manager.erase(subject)
    again = manager.login(subject, device="New")
    assert manager.verify(again.access_token).device == "New"
    assert [entry.kind for entry in manager.history(subject)] == ["login"]


def test_little_is_kept_where_that_was_chosen(open_manager, config, engine, subject):
    own = open_manager(replace(config, stored_addresses="network", stored_devices=False))
    pair = own.login(subject, device="Sofa", device_type="phone", address="192.0.2.77")
    own.refresh(pair.refresh_token, address="2001:db8:1:2::3")
    own.elevate(own.verify(pair.access_token), "2", for_seconds=60, address="192.0.2.77")
    own.logout(pair.access_token, address="192.0.2.77")
    addresses = [entry.address for entry in own.history(subject)]
    assert addresses == ["192.0.2.0", "192.0.2.0", "2001:db8:1::", "192.0.2.0"]
    assert b"Sofa" not in b" ".join(fields_of(engine, subject).values())
    assert own.history(subject)[-1].text == "phone"


def test_erasing_nobody_is_no_error(manager, subject):
    assert manager.erase(subject).count == 0
    assert manager.erase(subject).count == 0
