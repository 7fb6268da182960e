"""Uses of sessions that are packed in memory: served, recorded, and due again."""

from typing import Any

import pytest

from clusterpass.protocol.records import OWN_USED, SECONDS
from clusterpass.protocol.script import Answer

from .driven_flows import KEYSPACE, NOW, access_token, live
from .recording_scene import INTERVAL, NODE, TOKEN, Process


@pytest.fixture
def process() -> Process:
    made = Process()
    made.uses.wake = lambda: None
    return made


def test_the_use_of_a_packed_session_is_kept_too(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    tokens = process.near._tokens
    tokens._pack(tokens.objects[TOKEN])
    flow = process.flows.verify.uses.record_late(process.uses.take())
    call = next(flow)
    tokens._pack(tokens.objects[TOKEN])
    with pytest.raises(StopIteration):
        flow.send(Answer(call.read(1 + OWN_USED), False, NODE))
    assert process.near.find(TOKEN).active_at == NOW + INTERVAL


class PackedScene:
    """A process with one session, whose entry is packed, and the response that is kept with it."""

    def __init__(self, process: Process, token: str = TOKEN) -> None:
        self.process, self.token, self.near = process, token, process.near
        self.near.keep_response(token, process.verify(token), b"answer")
        self.tokens: Any = self.near._tokens
        self.tokens._pack(self.tokens.objects[token])

    def asked(self) -> bytes | None:
        """What is answered; the entry stays packed."""
        found = self.near.find_response(self.token)
        assert self.tokens.is_packed(self.token)
        return found


def test_a_packed_session_whose_use_is_due_is_served_and_stays_packed(process):
    scene = PackedScene(process)
    process.pass_by(INTERVAL * 3 // 4 - 1)
    assert scene.asked() == b"answer"
    assert len(process.uses) == 0
    process.pass_by(INTERVAL // 4 + 1)
    hits = process.near.stats().hits
    assert scene.asked() == scene.asked() == b"answer"
    assert process.near.stats().hits == hits + 2
    assert len(process.uses) == 1
    process.record_late()
    assert process.near.find(TOKEN).active_at == NOW + INTERVAL


def test_a_packed_session_whose_use_was_not_recorded_is_due_again(process):
    scene = PackedScene(process)
    process.pass_by(INTERVAL)
    scene.asked()
    process.uses.take()
    process.pass_by(44.9)
    assert scene.asked()
    assert len(process.uses) == 0
    process.pass_by(0.2)
    assert scene.asked()
    assert len(process.uses) == 1


@pytest.mark.parametrize(
    "hindered",
    [
        lambda scene: scene.process.uses.close(),
        lambda scene: scene.near.changed(KEYSPACE.sessions("alice")),
        lambda scene: scene.near.lost(NODE),
        lambda scene: scene.process.pass_by(3600 - 119 - INTERVAL),
    ],
    ids=["nobody records", "changed", "no lease", "ends soon"],
)
def test_a_packed_session_is_asked_for_where_more_than_its_use_is_due(process, hindered):
    scene = PackedScene(process, access_token(expires_at=NOW + 5000))
    process.pass_by(INTERVAL)
    hindered(scene)
    assert scene.asked() is None
    assert len(process.uses) == 0


def test_no_packed_token_is_served_beyond_its_expiry(process):
    scene = PackedScene(process, access_token(expires_at=NOW + INTERVAL + 3))
    process.pass_by(INTERVAL)
    assert scene.asked()
    process.pass_by(1.9)
    assert scene.asked()
    process.pass_by(0.2)
    assert scene.asked() is None


def test_a_packed_token_whose_first_use_is_to_be_told_is_asked_for(process):
    process.record = live(rotation=1)
    token = access_token(rotation=1, expires_at=NOW + 3000)
    process.used = NOW + OWN_USED * SECONDS
    scene = PackedScene(process, token)
    assert scene.asked()
    scene.near.changed(KEYSPACE.sessions("alice"))
    process.used = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process.flows.verify.uses, "record", lambda _: iter(()))
        scene = PackedScene(process, token)
    assert scene.asked() is None
    assert len(process.uses) == 0
