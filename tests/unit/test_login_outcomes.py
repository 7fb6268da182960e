"""Options of the login flow, and logins that the store refuses."""

from typing import Any

import pytest

from clusterpass import (
    Actor,
    Ban,
    ImpersonationRefused,
    InvalidInput,
    LoginOvertaken,
    SessionEvent,
    SessionExpired,
    SessionNotFound,
    SessionPolicy,
    SessionRevoked,
    SessionUnknown,
    SubjectBanned,
    TooManySessions,
)
from clusterpass.model.values import Session
from clusterpass.protocol.records import BY_PASSWORD, HAS_DETAILS, IMPERSONATED, Tombstone
from clusterpass.protocol.replies import Details
from clusterpass.tokens.identifiers import decode_session_id, encode_session_id
from clusterpass.tokens.refresh import parse_refresh_token

from .driven_flows import NOW, SESSION_ID, drive, life, live, opened, refuse_at_once, stored

OTHER = b"r" * 16
BANS = b'{"":{"l":2,"u":0,"r":"spam","a":5},"chat":{"l":1,"u":0,"r":"","a":6}}'
POLICY = SessionPolicy(max_sessions=3, max_per_device=2, overflow="refuse")


def sent(**options: Any) -> tuple[bytes | int, ...]:
    """Return the arguments that a login with these options sends after the first one."""
    _, (call,) = drive(life().login("alice", **options), opened(live()))
    arguments: tuple[bytes | int, ...] = call.arguments[1:]
    return arguments


def test_every_option_reaches_the_store() -> None:
    arguments = sent(
        device="Sofa",
        device_type="tv",
        claims={"a": 1},
        policy=POLICY,
        replace=encode_session_id(OTHER),
        lifetime=500,
        idle_lifetime=50,
        acr="2",
        amr=["pwd", "otp"],
        address="127.0.0.1",
        generation=17,
    )
    details = Details({"a": 1}, None, "2", ("pwd", "otp")).encode()
    assert arguments[2:] == (
        *(500, 50, HAS_DETAILS, b"tv\0Sofa", details, 3, 2, b"refuse", OTHER, 17),
        *(b"\x7f\x00\x00\x01", 1, b"Sofa", b"Sofa", b""),
    )


@pytest.mark.parametrize(
    ("options", "position", "expected"),
    [
        ({"amr": ("pwd",)}, 4, BY_PASSWORD),
        ({"amr": ()}, 4, 0),
        ({"amr": ("otp",)}, 4, HAS_DETAILS),
        ({"amr": ("pwd",)}, 6, b""),
        ({"acr": "1"}, 6, b""),
        ({"acr": None}, 6, b""),
        ({"claims": {}}, 6, b""),
        ({"claims": None}, 6, b""),
        ({"idle_lifetime": 0}, 3, 0),
        ({"idle_lifetime": None}, 3, 3600),
        ({"lifetime": None}, 2, 86_400),
        ({"remember": True}, 2, 90 * 86_400),
        ({"remember": True}, 3, 30 * 86_400),
        ({"remember": True, "lifetime": 60}, 2, 60),
        ({"remember": True, "idle_lifetime": 60}, 3, 60),
        ({"remember": False}, 2, 86_400),
        ({"policy": None}, 7, 50),
        ({"generation": 0}, 11, 0),
        ({"generation": 2**53 - 1}, 11, 2**53 - 1),
        ({"generation": None}, 11, b""),
        ({"replace": None}, 10, b""),
        ({"address": None}, 12, b""),
        ({"address": "unix"}, 12, b""),
        ({"device_type": "tv"}, 5, b"tv\0"),
        ({"device_type": "tv"}, 14, b"tv"),
        ({"device_type": "tv", "device": "Sofa"}, 14, b"Sofa"),
        ({"device_type": "tv", "device": "d" * 18}, 5, b"tv\0" + b"d" * 18),
        ({"device_type": "tv", "device": "d" * 19}, 5, b"tv\0"),
        ({}, 14, b""),
    ],
)
def test_an_option_goes_where_its_script_reads_it(
    options: Any, position: int, expected: Any
) -> None:
    assert sent(**options)[position] == expected


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"policy": "single"}, "policy must be a SessionPolicy"),
        ({"policy": 0}, "policy must be a SessionPolicy"),
        ({"generation": -1}, "generation must be what"),
        ({"generation": 2**53}, "generation must be what"),
        ({"generation": True}, "generation must be what"),
        ({"generation": "5"}, "generation must be what"),
        ({"remember": 1}, "remember must be True or False"),
        ({"remember": None}, "remember must be True or False"),
        ({"lifetime": 0}, "lifetime must be"),
        ({"idle_lifetime": 9}, "idle_lifetime must be"),
        ({"acr": "9"}, "level must be one of 1, 2, 3"),
        ({"amr": "pwd"}, "amr must be a sequence"),
        ({"amr": None}, "amr must be a sequence"),
        ({"device_type": ""}, "device_type must be"),
        ({"address": 5}, "address must be a string"),
    ],
)
def test_what_an_option_may_not_be_is_said_before_anything_is_asked(
    options: Any, says: str
) -> None:
    assert says in str(refuse_at_once(InvalidInput, life().login("alice", **options)))


@pytest.mark.parametrize("session_id", ["", "x", 5, SESSION_ID])
def test_what_cannot_be_replaced(session_id: Any) -> None:
    flow = life().login("alice", replace=session_id)
    assert "to replace does not exist" in str(refuse_at_once(SessionNotFound, flow))


def test_an_option_that_there_is_not_is_named() -> None:
    with pytest.raises(TypeError, match=r"^login\(\) got an unexpected keyword argument 'agent'$"):
        next(life().login("alice", agent="x", device="Sofa", zone="y"))


def test_a_login_tells_who_came_from_where_and_what_it_replaced() -> None:
    own = life()
    reply = opened(live(device="tv\0Sofa"))
    reply[2] = [OTHER, SESSION_ID]
    flow = own.login("alice", device="Sofa", device_type="tv", address="127.0.0.1")
    pair, _ = drive(flow, reply)
    common: dict[str, Any] = {"device": "Sofa", "device_type": "tv", "address": "127.0.0.1"}
    ended = (encode_session_id(OTHER), encode_session_id(SESSION_ID))
    assert own.told == [
        SessionEvent("replaced", "alice", NOW, session_ids=ended, **common),
        SessionEvent("login", "alice", NOW, session_ids=(pair.session_id,), **common),
    ]


def test_a_ban_refuses_a_login_and_is_shown() -> None:
    own = life()
    raw = [*stored(None)[:5], BANS, 0, b""]
    with pytest.raises(SubjectBanned) as caught:
        drive(own.login("alice", device="Sofa", address="::1"), [b"BANNED", raw, [], [], []])
    assert caught.value.ban == Ban("", 2, None, "spam", 5)
    assert own.told == [
        SessionEvent("refused", "alice", NOW, device="Sofa", address="::1", reason="banned")
    ]


def test_a_login_that_was_overtaken_is_told() -> None:
    own = life()
    with pytest.raises(LoginOvertaken):
        drive(own.login("alice"), [b"OVERTAKEN", stored(None), [], [], []])
    assert own.told == [SessionEvent("refused", "alice", NOW, reason="overtaken")]


def test_too_many_sessions_are_listed_without_impersonations() -> None:
    own = life()
    act = Details({}, actor=("root", encode_session_id(OTHER), "help")).encode()
    fields = [
        *(SESSION_ID, live(device="Sofa").pack(), OTHER, live(flags=HAS_DETAILS).pack()),
        *(OTHER + b"d", act),
    ]
    with pytest.raises(TooManySessions) as caught:
        drive(own.login("alice"), [b"REFUSED", stored(None), [], fields, []])
    (session,) = caught.value.sessions
    assert (session.device, decode_session_id(session.session_id)) == ("Sofa", SESSION_ID)
    assert own.told == [SessionEvent("refused", "alice", NOW, reason="too_many_sessions")]


def test_a_session_that_ended_as_it_was_opened_is_opened_again_under_another_id() -> None:
    own = life()
    over = [b"OK", stored(Tombstone("revoked", NOW, NOW + 9)), [], [], []]
    pair, calls = drive(own.login("alice"), over, over, opened(live()))
    assert len({call.arguments[1] for call in calls}) == 3
    assert len({call.arguments[2] for call in calls}) == 3
    token = parse_refresh_token(pair.refresh_token)
    assert (token.session_id, token.digest) == calls[2].arguments[1:3]
    assert [event.session_ids for event in own.told] == [(pair.session_id,)]


def test_a_login_gives_up_after_three_sessions_that_ended_at_once() -> None:
    over = [b"OK", stored(Tombstone("revoked", NOW, NOW + 9)), [], [], []]
    with pytest.raises(SessionRevoked):
        drive(life().login("alice"), over, over, over)


def actor(**changed: Any) -> Session:
    values: dict[str, Any] = {
        "subject": "root",
        "session_id": encode_session_id(OTHER),
        "device": None,
        "created_at": NOW,
        "refreshed_at": NOW,
        "expires_at": NOW + 60,
    }
    return Session(**{**values, **changed})


def impersonate(own: Any, by: Any = None, subject: Any = "alice", **changed: Any) -> Any:
    values: dict[str, Any] = {"reason": "help", "for_seconds": 60, **changed}
    return own.flows.login.impersonate(actor() if by is None else by, subject, **values)


def test_an_impersonation_asks_about_its_actor_and_is_opened_in_their_name() -> None:
    own = life()
    reply = opened(live(flags=IMPERSONATED, device="impersonation\0", absolute_end=NOW + 60))
    pair, (asked, call) = drive(impersonate(own), stored(live()), reply)
    assert (asked.script.name, asked.arguments) == ("verify", (OTHER,))
    assert asked.keys[0] == b"cp:{root}"
    members = ("root", encode_session_id(OTHER), "help")
    assert call.arguments[3:] == (
        *(60, 0, IMPERSONATED | HAS_DETAILS, b"impersonation\0"),
        *(Details({}, actor=members).encode(), 1, 0, b"oldest", b"", b"", b"", 10),
        *(b"root: help", b"root: help", b""),
    )
    claims = own.verifier.verify(pair.access_token)
    assert claims.act == Actor("root", encode_session_id(OTHER))
    assert own.told == [
        SessionEvent(
            "impersonated",
            "alice",
            NOW,
            session_ids=(pair.session_id,),
            reason="help",
            actor=Actor("root", encode_session_id(OTHER), "help"),
        )
    ]


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (None, SessionUnknown),
        (Tombstone("revoked", NOW - 5, NOW + 9), SessionRevoked),
        (live(absolute_end=NOW - 60), SessionExpired),
    ],
)
def test_nobody_acts_whose_own_session_is_over(record: Any, error: Any) -> None:
    with pytest.raises(error):
        drive(impersonate(life()), stored(record))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"by": actor(act=Actor("eve", "s" * 22))}, "nested"),
        ({"subject": "root"}, "self"),
        ({"subject": "boss"}, "protected"),
    ],
)
def test_who_may_not_be_impersonated(changed: Any, reason: str) -> None:
    own = life(protected_subjects=frozenset({"boss"}))
    error = refuse_at_once(ImpersonationRefused, impersonate(own, **changed))
    assert error.reason == reason


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"by": "root"}, "actor must be a Session"),
        ({"by": actor(subject="")}, "subject"),
        ({"subject": ""}, "subject"),
        ({"reason": ""}, "a reason must be given"),
        ({"for_seconds": 0}, "for_seconds must be .* from 1 to 3600"),
        ({"for_seconds": 3601}, "for_seconds must be .* from 1 to 3600"),
    ],
)
def test_what_an_impersonation_may_not_be(changed: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        next(impersonate(life(), **changed))


def test_an_actor_whose_session_id_cannot_be_one() -> None:
    refuse_at_once(SessionUnknown, impersonate(life(), actor(session_id="x")))
