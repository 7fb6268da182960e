"""Verify modes and requirements: stateless, cached, grace, levels and ages."""

import json
from typing import Any

import pytest

from clusterpass import (
    Actor,
    InvalidInput,
    SessionExpired,
    SessionRevoked,
    StepUpRequired,
    StoreDenied,
    StoreUnavailable,
    TokenExpired,
)
from clusterpass.protocol.records import HAS_DETAILS, Tombstone
from clusterpass.protocol.script import Answer
from clusterpass.sessions.memory.denial import Denial
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.issuer import TokenIssuer

from .driven_flows import (
    ISSUER,
    NOW,
    SESSION_ID,
    Counter,
    access_token,
    drive,
    first_call,
    life,
    live,
    refuse_at_once,
    ring,
    stored,
)

NAME = encode_session_id(SESSION_ID)
ACTOR = encode_session_id(b"r" * 16)
IMPERSONATION = json.dumps({"act": ["root", ACTOR, "help"]}).encode()
OLD = live(created_milliseconds=(NOW - 100) * 1000)


def token(**members: Any) -> str:
    maker = TokenIssuer(ring().signing_key, issuer=ISSUER, audience=ISSUER, random_bytes=Counter())
    return maker.issue(
        "alice",
        NAME,
        issued_at=NOW - 50,
        expires_at=NOW + 900,
        claims={"a": 1},
        authentication=members,
    )


def result_of(flow: Any) -> Any:
    """Return the result of a flow that sends no request."""
    with pytest.raises(StopIteration) as end:
        next(flow)
    return end.value.value


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"level": "9"}, "level must be one of"),
        ({"max_auth_age": -1}, "max_auth_age must be .* from 0 to 316224000"),
        ({"max_auth_age": 316_224_001}, "max_auth_age must be .* from 0 to 316224000"),
        ({"max_auth_age": 1.0}, "max_auth_age must be"),
        ({"verification": "lazy"}, "verification"),
        ({"outage_grace": -1}, "outage_grace"),
        ({"outage_grace": "1"}, "outage_grace"),
    ],
)
def test_what_may_not_be_required(wanted: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        next(life().verify(access_token(), **wanted))


def test_nothing_is_cached_where_the_configuration_does_not_say_so() -> None:
    for mode in ("strict", "stateless"):
        flow = life(verification=mode).verify(access_token(), verification="cached")
        assert "nothing is cached here" in str(refuse_at_once(InvalidInput, flow))
    drive(life().verify(access_token(), verification="cached"), stored(live()))


@pytest.mark.parametrize(
    ("wanted", "suffices"),
    [
        ({"level": "1"}, True),
        ({"level": "2"}, False),
        ({"max_auth_age": 100}, True),
        ({"max_auth_age": 99}, False),
        ({"level": "1", "max_auth_age": 100}, True),
        ({"max_auth_age": 0}, False),
    ],
)
@pytest.mark.parametrize("mode", ["strict", "cached"])
def test_the_authentication_is_judged_by_the_clock_of_the_store(
    mode: Any, wanted: Any, suffices: bool
) -> None:
    flow = life(verification=mode).verify(access_token(), **wanted)
    if suffices:
        assert drive(flow, stored(OLD))[0].auth_time == NOW - 100
        return
    with pytest.raises(StepUpRequired):
        drive(flow, stored(OLD))


@pytest.mark.parametrize(
    ("wanted", "suffices"),
    [
        ({}, True),
        ({"level": "2"}, True),
        ({"level": "3"}, False),
        ({"max_auth_age": 20}, True),
        ({"max_auth_age": 19}, False),
    ],
)
def test_a_token_is_judged_by_itself(wanted: Any, suffices: bool) -> None:
    flow = life(verification="stateless").verify(token(auth_time=NOW - 20, acr="2"), **wanted)
    if suffices:
        session = result_of(flow)
        assert (session.auth_time, session.acr, session.claims) == (NOW - 20, "2", {"a": 1})
        assert session.is_stateless
        return
    refuse_at_once(StepUpRequired, flow)


def test_one_verify_may_do_without_the_store() -> None:
    session = result_of(life().verify(access_token(), verification="stateless"))
    assert session.is_stateless
    assert not drive(life().verify(access_token()), stored(live()))[0].is_stateless


def test_what_is_known_to_be_over_is_refused_without_the_store() -> None:
    own = life(verification="stateless")
    own.flows.memory.denials.add(SESSION_ID, Denial("revoked", NOW - 5, "by Ann"))
    error = refuse_at_once(SessionRevoked, own.verify(access_token()))
    assert (error.ended_at, error.note) == (NOW - 5, "by Ann")


def test_an_impersonation_whose_actor_is_known_to_be_gone_is_refused_without_the_store() -> None:
    act = {"sub": "root", "sid": ACTOR}
    own = life(verification="stateless")
    session = result_of(own.verify(token(act=act)))
    assert session.act == Actor("root", ACTOR)
    own.flows.memory.denials.add(b"r" * 16, Denial("banned", NOW - 5, "secret"))
    error = refuse_at_once(SessionRevoked, own.verify(token(act=act)))
    assert (error.reason, error.note) == ("revoked", "the impersonation has ended")


def test_an_impersonation_is_verified_with_its_actor() -> None:
    raw = stored(live(flags=HAS_DETAILS), IMPERSONATION)
    session, (_, asked) = drive(life().verify(access_token()), raw, stored(live()))
    assert session.act == Actor("root", ACTOR, "help")
    assert (asked.keys[0], asked.arguments) == (b"cp:{root}", (b"r" * 16,))
    for record in (None, Tombstone("banned", NOW - 7, NOW + 9), live(absolute_end=NOW)):
        with pytest.raises(SessionRevoked) as caught:
            drive(life().verify(access_token()), raw, stored(record))
        assert caught.value.note == "the impersonation has ended"


class Patient:
    """A process that verified a session, whose store is away from then on."""

    def __init__(self, **values: Any) -> None:
        self.own = life(**values)
        drive(self.own.verify(access_token()), stored(OLD))

    def verify(self, error: Any = None, **wanted: Any) -> Any:
        flow = self.own.verify(access_token(), **wanted)
        try:
            first_call(flow)
            for _ in range(9):  # each copy of the cutoff, and the session
                flow.throw(error or StoreUnavailable(reason="timeout"))
        except StopIteration as end:
            return end.value
        raise AssertionError("asked for ever")


def test_without_a_grace_an_outage_is_told() -> None:
    for values, wanted in (
        ({}, {}),
        ({"outage_grace": 60}, {"outage_grace": 0}),
        ({"outage_grace": 60, "verification": "strict"}, {"verification": "strict"}),
    ):
        own = Patient(**values)  # type: ignore[arg-type]
        with pytest.raises(StoreUnavailable):
            own.verify(**wanted)
        assert own.own.flows.stats().grace_accepted == 0


def test_in_the_grace_the_last_answer_holds() -> None:
    for values, wanted in (({"outage_grace": 60}, {}), ({}, {"outage_grace": 60})):
        own = Patient(**values)  # type: ignore[arg-type]
        session = own.verify(**wanted)
        assert session.in_grace
        assert (session.subject, session.auth_time) == ("alice", NOW - 100)
        assert own.own.flows.stats().grace_accepted == 1


def test_missing_rights_are_no_outage() -> None:
    with pytest.raises(StoreDenied):
        Patient(outage_grace=60).verify(StoreDenied(reason="noperm"))


def test_the_grace_forgives_no_weak_authentication() -> None:
    own = Patient(outage_grace=60)
    with pytest.raises(StepUpRequired):
        own.verify(level="2")
    assert own.own.flows.stats().grace_accepted == 0


def test_the_grace_ends_with_what_is_known() -> None:
    own = Patient(outage_grace=60)
    own.own.flows.memory.denials.add(SESSION_ID, Denial("revoked", NOW - 5))
    with pytest.raises(SessionRevoked):
        own.verify()
    own = Patient(outage_grace=60)
    own.own.flows.memory.pending_cutoffs = 1
    with pytest.raises(StoreUnavailable):
        own.verify()
    own = Patient(outage_grace=60)
    own.own.flows.memory.cutoff.raise_to(OLD.created_milliseconds + 1)
    with pytest.raises(StoreUnavailable):
        own.verify()


def test_the_use_of_a_session_is_known_at_once_when_it_was_noted() -> None:
    record = live(refreshed_at=NOW - 1000)
    for reply, active_at in ((1, NOW), (0, NOW - 1000)):
        own = life()
        flow = own.verify(access_token())
        call = first_call(flow)
        touch = flow.send(Answer(call.read(stored(record)), False))
        assert touch.arguments[0] == SESSION_ID
        with pytest.raises(StopIteration):
            flow.send(Answer(reply, False))
        entry = own.flows.memory.near.entry(access_token())
        if entry is not None and entry.loaded is not None:
            assert entry.loaded.session.active_at == active_at


def test_who_never_read_the_cutoff_is_cold() -> None:
    own = life()
    assert own.flows.verify.is_cold
    assert not life(verification="stateless").flows.verify.is_cold
    drive(own.verify(access_token()), stored(live()))
    assert not own.flows.verify.is_cold


def test_a_token_that_expires_while_the_store_is_asked() -> None:
    old = access_token(issued_at=NOW - 900, expires_at=NOW + 5)
    raw = stored(live(absolute_end=NOW + 9999))
    raw[0] = (NOW + 5) * 1000
    with pytest.raises(TokenExpired):
        drive(life().verify(old), raw)
    raw[0] = (NOW + 4) * 1000 + 999
    assert drive(life().verify(old), raw)[0].subject == "alice"


def test_a_session_that_ends_while_the_store_is_asked() -> None:
    raw = stored(live(absolute_end=NOW + 5))
    raw[0] = (NOW + 5) * 1000
    with pytest.raises(SessionExpired):
        drive(life().verify(access_token()), raw)


@pytest.mark.parametrize(
    ("configured", "wanted", "follows"),
    [
        ("strict", None, False),
        ("cached", None, True),
        ("cached", "strict", False),
        ("strict", "strict", False),
    ],
)
def test_what_is_served_from_memory_is_read_where_changes_are_pushed(
    configured: Any, wanted: Any, follows: bool
) -> None:
    call = first_call(life(verification=configured).verify(access_token(), verification=wanted))
    assert call.follows is follows
    assert call.deadline is None


def test_only_a_cached_session_is_served_without_asking() -> None:
    own = life()
    for _ in range(2):
        _, calls = drive(own.verify(access_token()), stored(live()))
        assert [call.script.name for call in calls] == ["verify"]


@pytest.mark.parametrize(
    ("idle", "interval", "seconds"),
    [(10, None, 1), (39, None, 1), (400, None, 20), (400, 7, 7), (0, 7, 7), (400, 60, 60)],
)
def test_how_often_a_use_is_noted(idle: int, interval: int | None, seconds: int) -> None:
    """Twenty times in an idle lifetime, or as often as is configured if that is less often."""
    own = life(activity_interval=interval) if interval else life()
    record = live(idle_seconds=idle, refreshed_at=NOW - seconds)
    flow = own.verify(access_token())
    call = first_call(flow)
    told = flow.send(Answer(call.read(stored(record)), True))
    assert told.script.name == "touch"
