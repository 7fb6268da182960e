"""The life of one session from login to logout, for tests of faults before the store."""

from typing import Any

import pytest

from clusterpass.model.authentication_errors import SessionRevoked


def life_of(manager: Any, subject: str) -> None:
    """All that happens to a session, each answer compared."""
    first = manager.login(subject, device=subject[:60], claims={"me": subject})
    assert first.subject == subject
    session = manager.verify(first.access_token)
    assert (session.subject, session.session_id) == (subject, first.session_id)
    assert session.claims == {"me": subject}
    second = manager.refresh(first.refresh_token)
    assert (second.subject, second.session_id) == (subject, first.session_id)
    assert [one.session_id for one in manager.sessions(subject)] == [first.session_id]
    ended = manager.logout(second.access_token)
    # Where many wait for one connection, the journals may acknowledge it first, and count nothing.
    assert ended.count == 1 or ended.journaled
    with pytest.raises(SessionRevoked):
        manager.verify(second.access_token)
