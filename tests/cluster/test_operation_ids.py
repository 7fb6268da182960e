"""An operation id belongs to the first request that brings it: on every engine, for every verb."""

import inspect
import time
from collections.abc import Callable
from typing import Any

import pytest

from clusterpass import OperationMismatch, SessionNotFound
from clusterpass.limits import MOST_BANS
from clusterpass.model.errors import TooManyBans
from clusterpass.protocol.calls import end as end_calls, subject as subject_calls
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace, slot_of
from clusterpass.protocol.records import Tombstone
from clusterpass.protocol.script import ScriptCall
from tests.cluster.stored import home_of, let_expire, record_of

OPERATION = "0123456789abcdef"
OTHER = "fedcba9876543210"
KEYSPACE = Keyspace()
KEEPING = Housekeeping(900)
SESSIONS_IN_A_SCORE = 512
"""The index of who is online: a second times this, and the number of sessions."""


class Scene:
    """A subject with four sessions, and the requests that name an operation."""

    def __init__(self, manager: Any, subject: str) -> None:
        self.manager, self.subject = manager, subject
        self.pairs = [
            manager.login(subject, device_type=device_type)
            for device_type in ("phone", "phone", "web", "web")
        ]

    def revoke(self, number: int, **options: Any) -> Any:
        return self.manager.revoke(self.subject, self.pairs[number].session_id, **options)

    def state(self) -> Any:
        """Return the state that a request could change: sessions, bans, generation, history."""
        manager, subject = self.manager, self.subject
        return (
            [session.session_id for session in manager.sessions(subject)],
            manager.bans.list(subject),
            manager.generation(subject),
            manager.history(subject),
        )


REQUESTS: dict[str, Callable[[Scene, str], Any]] = {
    "revoke": lambda scene, operation: scene.revoke(0, operation_id=operation),
    "revoke another": lambda scene, operation: scene.revoke(2, operation_id=operation),
    "revoke for a reason": lambda scene, operation: scene.revoke(
        0, reason="lost", operation_id=operation
    ),
    "logout": lambda scene, operation: scene.manager.logout(
        scene.pairs[0].access_token, operation_id=operation
    ),
    "logout of another": lambda scene, operation: scene.manager.logout(
        scene.pairs[2].refresh_token, operation_id=operation
    ),
    "revoke_all": lambda scene, operation: scene.manager.revoke_all(
        scene.subject, operation_id=operation
    ),
    "revoke_all but one": lambda scene, operation: scene.manager.revoke_all(
        scene.subject, keep=scene.pairs[3].session_id, operation_id=operation
    ),
    "revoke_all of a type": lambda scene, operation: scene.manager.revoke_all(
        scene.subject, device_type="phone", operation_id=operation
    ),
    "revoke_all of no session": lambda scene, operation: scene.manager.revoke_all(
        scene.subject, device_type="watch", operation_id=operation
    ),
    "revoke_all for a reason": lambda scene, operation: scene.manager.revoke_all(
        scene.subject, reason="leak", operation_id=operation
    ),
    "ban": lambda scene, operation: scene.manager.bans.add(scene.subject, operation_id=operation),
    "ban for a time": lambda scene, operation: scene.manager.bans.add(
        scene.subject, for_seconds=3600, operation_id=operation
    ),
    "ban from a scope": lambda scene, operation: scene.manager.bans.add(
        scene.subject, scope="chat", operation_id=operation
    ),
    "ban at a level": lambda scene, operation: scene.manager.bans.add(
        scene.subject, scope="chat", level=2, operation_id=operation
    ),
    "ban for a reason": lambda scene, operation: scene.manager.bans.add(
        scene.subject, scope="chat", reason="spam", operation_id=operation
    ),
}


@pytest.fixture
def scene(manager: Any, subject: str) -> Scene:
    return Scene(manager, subject)


def ask(manager: Any, call: ScriptCall[Any]) -> Any:
    """The reply to a call, by the manager's store."""

    def flow() -> Any:
        answer = yield call
        return answer.reply

    found = manager.store.run(flow())
    return manager._run(found) if inspect.isawaitable(found) else found


@pytest.mark.parametrize("first", REQUESTS)
def test_another_request_with_the_id_is_refused_and_changes_nothing(
    scene: Scene, first: str
) -> None:
    done = REQUESTS[first](scene, OPERATION)
    before = scene.state()
    for name, request in REQUESTS.items():
        if name != first:
            with pytest.raises(OperationMismatch) as refused:
                request(scene, OPERATION)
            assert (refused.value.code, refused.value.status) == ("operation_mismatch", 422), name
    assert scene.state() == before
    assert REQUESTS[first](scene, OPERATION) == done
    assert scene.state() == before
    # Nothing of the refused requests stays in this process.
    alive = set(before[0])
    for pair in scene.pairs:
        if pair.session_id in alive:
            found = scene.manager.verify(pair.access_token, verification="strict")
            assert found.bans == before[1]
    assert scene.manager.stats().pending.waiting == 0


CALLS: dict[str, Callable[[str, bytes], ScriptCall[Any]]] = {
    "end_session": lambda subject, operation: end_calls.end_session(
        KEYSPACE,
        KEEPING,
        subject,
        session_id=b"s" * 16,
        reason="revoked",
        operation=operation,
    ),
    "end_all": lambda subject, operation: end_calls.end_all(
        KEYSPACE, KEEPING, subject, keep=None, reason="revoked", operation=operation
    ),
    "ban": lambda subject, operation: subject_calls.ban(
        KEYSPACE, KEEPING, subject, scope="", level=1, seconds=0, reason="", operation=operation
    ),
    "unban": lambda subject, operation: subject_calls.unban(
        KEYSPACE, KEEPING, subject, scope="chat", operation=operation
    ),
    "set_claims": lambda subject, operation: subject_calls.set_claims(
        KEYSPACE, KEEPING, subject, claims=b"{}", operation=operation
    ),
}


@pytest.mark.parametrize("refused", CALLS)
def test_a_request_that_is_refused_clears_away_what_has_ended(
    engine: Any, scene: Scene, refused: str
) -> None:
    """As every change does: otherwise a subject of whom little is asked keeps it for long."""
    scene.revoke(0, operation_id=OPERATION)
    let_expire(engine, scene.pairs[3])
    ask(scene.manager, CALLS[refused](scene.subject, bytes.fromhex(OPERATION)))
    left = record_of(engine, scene.pairs[3])
    assert isinstance(left, Tombstone)
    assert left.reason == "expired"
    key = KEYSPACE.sessions(scene.subject)
    with home_of(engine, key) as node:
        score = node.zscore(KEYSPACE.online(slot_of(key)), scene.subject)
    assert score % SESSIONS_IN_A_SCORE == 2, "the index counts those that live"


def test_a_ban_from_a_scope_does_not_pass_for_the_end_of_all_sessions(scene: Scene) -> None:
    scene.manager.bans.add(scene.subject, scope="chat", operation_id=OPERATION)
    for refused in ("ban", "revoke_all"):
        with pytest.raises(OperationMismatch):
            REQUESTS[refused](scene, OPERATION)
    assert scene.manager.revoke_all(scene.subject, operation_id=OTHER).count == 4


def test_the_address_is_no_part_of_the_request(scene: Scene) -> None:
    token = scene.pairs[0].access_token
    for address in ("192.0.2.1", "2001:db8::7", None):
        ended = scene.manager.logout(token, address=address, operation_id=OPERATION)
        assert ended.count == 1


def test_an_id_may_be_used_for_each_subject(manager: Any, new_subject: Any) -> None:
    for _ in range(2):
        subject = new_subject()
        manager.login(subject)
        assert manager.revoke_all(subject, operation_id=OPERATION).count == 1


def test_what_had_ended_before_takes_the_id_too(scene: Scene) -> None:
    scene.revoke(0)
    assert scene.revoke(0, operation_id=OPERATION).count == 0
    with pytest.raises(OperationMismatch):
        scene.manager.revoke_all(scene.subject, operation_id=OPERATION)
    assert len(scene.manager.sessions(scene.subject)) == 3
    assert scene.revoke(0, operation_id=OPERATION).count == 0


def test_a_session_that_is_not_known_takes_the_id_too(manager: Any, subject: str) -> None:
    """Also of a subject that the store has never heard of."""
    for _ in range(2):
        with pytest.raises(SessionNotFound):
            manager.revoke(subject, "A" * 22, operation_id=OPERATION)
    manager.login(subject)
    for act in (manager.revoke_all, manager.bans.add):
        with pytest.raises(OperationMismatch):
            act(subject, operation_id=OPERATION)
    assert len(manager.sessions(subject)) == 1


def test_a_ban_that_found_no_room_takes_the_id_and_may_be_tried_again(scene: Scene) -> None:
    bans, subject = scene.manager.bans, scene.subject
    for number in range(MOST_BANS):
        bans.add(subject, scope=f"scope-{number}")
    for _ in range(2):
        with pytest.raises(TooManyBans):
            bans.add(subject, scope="chat", operation_id=OPERATION)
    with pytest.raises(OperationMismatch):
        bans.add(subject, operation_id=OPERATION)
    bans.lift(subject, scope="scope-0")
    bans.add(subject, scope="chat", operation_id=OPERATION)
    assert "chat" in {ban.scope for ban in bans.list(subject)}
    bans.lift(subject, scope="chat")
    bans.add(subject, scope="chat", operation_id=OPERATION)
    assert "chat" not in {ban.scope for ban in bans.list(subject)}, "it was carried out before"


def test_an_id_outlives_what_it_did(manager: Any, subject: str) -> None:
    """Nothing is left of a ban that is over, but the id still belongs to it."""
    manager.bans.add(subject, scope="chat", for_seconds=1, operation_id=OPERATION)
    deadline = time.monotonic() + 20
    while manager.bans.list(subject):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert manager.bans.lift(subject, scope="posts").count == 0
    with pytest.raises(OperationMismatch):
        manager.revoke_all(subject, operation_id=OPERATION)


def test_changes_of_claims_and_lifted_bans_are_compared_too(scene: Scene) -> None:
    """Their ids are the library's own, and travel with what is asked all the same."""
    subject, operation = scene.subject, bytes.fromhex(OPERATION)

    def claims(value: bytes) -> subject_calls.ClaimsSet:
        return ask(
            scene.manager,
            subject_calls.set_claims(KEYSPACE, KEEPING, subject, claims=value, operation=operation),
        )

    def unban(scope: str, operation: bytes) -> int:
        call = subject_calls.unban(KEYSPACE, KEEPING, subject, scope=scope, operation=operation)
        return int(ask(scene.manager, call))

    for _ in range(2):  # a repetition tells what the first run did
        assert claims(b'{"a":1}') == subject_calls.ClaimsSet("OK", 4, is_changed=True)
    assert claims(b'{"a":2}') == subject_calls.ClaimsSet("MISMATCH", 4, is_changed=False)
    assert unban("", operation) == subject_calls.UNBAN_MISMATCH
    assert scene.manager.claims.get(subject) == {"a": 1}
    with pytest.raises(OperationMismatch):
        scene.manager.revoke_all(subject, operation_id=OPERATION)
    scene.manager.bans.add(subject, scope="chat")
    lifting = bytes.fromhex(OTHER)
    assert unban("posts", lifting) == 0
    assert unban("chat", lifting) == subject_calls.UNBAN_MISMATCH
    assert unban("posts", lifting) == 0
    assert [ban.scope for ban in scene.manager.bans.list(subject)] == ["chat"]


def test_a_late_repetition_does_not_undo_a_later_change_of_claims(scene: Scene) -> None:
    """Also of a call that found the claims as it wanted them."""
    scene.manager.claims.set(scene.subject, {"a": 1})
    call = subject_calls.set_claims(
        KEYSPACE, KEEPING, scene.subject, claims=b'{"a":1}', operation=bytes.fromhex(OPERATION)
    )
    assert not ask(scene.manager, call).is_changed
    scene.manager.claims.set(scene.subject, {"a": 2})
    assert not ask(scene.manager, call).is_changed
    assert scene.manager.claims.get(scene.subject) == {"a": 2}
