"""Jobs that carry a session: admission, arguments that are refused, and the current session."""

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, signals

from clusterpass import (
    Ban,
    ConfigurationError,
    InvalidInput,
    KeyRing,
    ScopeMissing,
    Session,
    StepUpRequired,
    StoreUnavailable,
    SubjectBanned,
    TokenMissing,
    TokenPair,
)
from clusterpass.integrations import celery, jobs
from clusterpass.integrations.attached import reason_of
from clusterpass.integrations.jobs import (
    JobSessions,
    acting_for,
    admit,
    current_session,
    for_session,
    found_session,
    is_within,
    needs_of,
    refuse_tokens,
    running,
)
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.refresh import RefreshToken

from .manager_scene import CONFIG

ID = encode_session_id(b"session-id-of-16")
CODE = "store_unavailable: "
CARRIED = {"clusterpass-subject": "alice", "clusterpass-session": ID}


def session(**more: Any) -> Session:
    now = int(time.time())
    members: dict[str, Any] = {
        "subject": "alice",
        "session_id": ID,
        "device": None,
        "created_at": now - 100,
        "refreshed_at": now,
        "expires_at": now + 100,
        "auth_time": now - 100,
        "acr": CONFIG.levels[0],
    }
    return Session(**(members | more))


class Sessions:
    """A manager that has one session."""

    config = CONFIG
    store = SimpleNamespace(keyspace=Keyspace("app"))

    def __init__(self, found: Session) -> None:
        self.found = found
        self.asked: list[tuple[str, str]] = []

    def get(self, subject: str, session_id: str) -> Session:
        self.asked.append((subject, session_id))
        return self.found


def admitted(found: Session, carried: Any = CARRIED, **needs: Any) -> Session:
    wanted = {"scope": (), "level": None, "max_auth_age": None, "not_banned": None, **needs}
    sessions: Any = Sessions(found)
    admission = admit(sessions, carried, needs_of(**wanted))
    assert sessions.asked == [("alice", ID)]
    return admission


def test_a_job_carries_the_subject_and_the_id() -> None:
    assert for_session(session()) == CARRIED
    for wrong in ({"session_id": "x"}, {"subject": ""}):
        with pytest.raises(InvalidInput):
            for_session(session(**wrong))


@pytest.mark.parametrize("missing", CARRIED)
def test_a_job_that_carries_no_session_is_refused(missing: str) -> None:
    carried = {name: value for name, value in CARRIED.items() if name != missing}
    with pytest.raises(TokenMissing, match="carries no session"):
        admitted(session(), carried)


def test_a_job_is_admitted_as_its_session_is_now() -> None:
    found = session(claims={"scope": "orders:read"})
    assert admitted(found) is found
    assert admitted(found, scope="orders:read") is found
    with pytest.raises(ScopeMissing):
        admitted(found, scope="orders:write")
    with pytest.raises(ScopeMissing):
        admitted(found, scope=["orders:read", "orders:write"])
    ban = Ban(scope="orders", level=1, until=None, reason="", banned_at=0)
    with pytest.raises(SubjectBanned):
        admitted(session(bans=(ban,)), not_banned="orders")
    assert admitted(session(bans=(ban,)), not_banned="comments")


def test_a_job_may_need_a_strong_or_a_recent_authentication() -> None:
    assert admitted(session(), level=CONFIG.levels[0], max_auth_age=1000)
    with pytest.raises(StepUpRequired):
        admitted(session(), level=CONFIG.levels[1])
    with pytest.raises(StepUpRequired):
        admitted(session(auth_time=int(time.time()) - 1000), max_auth_age=100)
    with pytest.raises(InvalidInput):
        admit(Sessions(session()), CARRIED, needs_of((), "none", None, None))  # type: ignore[arg-type]


def test_the_current_session_is_that_of_the_innermost_context() -> None:
    first, second = session(), session(subject="bob")
    assert found_session() is None
    with acting_for(first):
        with acting_for(second):
            assert current_session() is second
        assert found_session() is current_session() is first
    with pytest.raises(TokenMissing, match="No job"):
        current_session()


def test_a_job_is_left_for_the_one_that_has_called_it() -> None:
    first, second = session(), session(subject="bob")
    assert not is_within("1")
    with running(first, "1"):
        with running(second, "2"):
            assert (is_within("1"), is_within("2"), is_within(None)) == (False, True, False)
            assert current_session() is second
        assert (is_within("1"), is_within("2"), is_within(None)) == (True, False, False)
        assert current_session() is first
        with running(second, None):
            assert not is_within("1")
            assert not is_within(None)
    assert not is_within("1")
    assert found_session() is None


def jwt(typ: Any, parts: int = 3) -> str:
    header = encode_base64url(json.dumps({"alg": "EdDSA", "typ": typ}).encode())
    return ".".join([header, *["e30"] * (parts - 1)])


REFRESH = RefreshToken(
    subject="alice", session_id=b"s" * 16, rotation=1, secret=b"x" * 32, tag=b"t" * 16
).encode()


def test_no_argument_of_a_job_is_a_refresh_token() -> None:
    for value in (REFRESH, f"Bearer {REFRESH}", REFRESH.encode(), [REFRESH]):
        with pytest.raises(InvalidInput, match="argument number 1"):
            refuse_tokens((value,), {})


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT"])
@pytest.mark.parametrize(
    "held",
    [
        lambda token: token,
        lambda token: f"Bearer {token}",
        lambda token: f"  bearer   {token} ",
        lambda token: token.encode(),
        lambda token: {"a": [1, {"b": (None, token)}]},
        lambda token: {token},
        lambda token: frozenset({token}),
        lambda token: ["x"] * 998 + [token],
    ],
)
def test_no_argument_of_a_job_holds_an_access_token(typ: str, held: Any) -> None:
    value = held(jwt(typ))
    with pytest.raises(InvalidInput, match="argument number 2 of the job holds a token") as caught:
        refuse_tokens(("x", value), {})
    assert jwt(typ) not in str(caught.value)
    with pytest.raises(InvalidInput, match="argument key of the job holds a token"):
        refuse_tokens((), {"other": 1, "key": value})


@pytest.mark.parametrize(
    "value",
    [
        jwt("JWT"),
        jwt(5),
        jwt("at+jwt", parts=2),
        jwt("at+jwt", parts=4),
        f"x{jwt('at+jwt')}",
        "eyJ.e30.e30",
        "Bearer",
        "",
        b"\xff",
        5,
        None,
        ["x"] * 2000,
        session(),
    ],
)
def test_what_is_no_token_may_be_carried(value: Any) -> None:
    refuse_tokens((value,), {"a": value})


def test_a_pair_of_tokens_is_not_carried() -> None:
    pair = TokenPair.__new__(TokenPair)
    with pytest.raises(InvalidInput, match="number 1"):
        refuse_tokens(([pair],), {})


class Opened:
    """A manager that was opened with settings."""

    made: list[tuple[str, Any]] = []  # noqa: RUF012
    closed = 0

    @classmethod
    def from_url(cls, url: str, config: Any) -> "Opened":
        cls.made.append((url, config))
        return cls()

    def close(self) -> None:
        Opened.closed += 1


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    Opened.made, Opened.closed = [], 0
    monkeypatch.setattr(jobs, "SessionManager", Opened)
    keys = KeyRing.generate()
    return {"store_url": "redis://h", "issuer": "https://i", "keys": keys}


def test_a_manager_is_opened_once_and_may_be_opened_again(settings: dict[str, Any]) -> None:
    held = JobSessions(None, settings)
    assert Opened.made == []
    first = held.open()
    held.begin_anew()
    assert held.open() is first
    held.close()
    held.close()
    assert Opened.closed == 1
    assert held.open() is not first
    assert [url for url, _ in Opened.made] == ["redis://h"] * 2
    assert Opened.made[0][1].verification == "cached"


def test_a_manager_of_the_application_is_not_closed(settings: dict[str, Any]) -> None:
    own: Any = Opened()
    held = JobSessions(own, {})
    assert held.open() is own
    held.close()
    assert Opened.closed == 0
    with pytest.raises(ConfigurationError, match="either a session manager or settings"):
        JobSessions(own, settings)


@pytest.mark.parametrize(
    ("chosen", "verification"), [({}, "strict"), ({"verification": "cached"}, "cached")]
)
def test_green_threads_hear_of_no_change_and_so_ask_each_time(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, chosen: Any, verification: str
) -> None:
    monkeypatch.setattr(jobs, "has_green_threads", lambda: True)
    JobSessions(None, settings | chosen).open()
    assert Opened.made[0][1].verification == verification


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("x", f"{CODE}x"),
        ("x" * 104, CODE + "x" * 104),
        ("x" * 105, CODE + "x" * 104),
        ("x" * 103 + "é", CODE + "x" * 103),
    ],
)
def test_the_reason_of_a_close_fits_into_its_frame(reason: str, told: str) -> None:
    assert reason_of(StoreUnavailable(reason=reason)) == told
    assert len(told.encode()) <= 123
    assert reason_of(None) == ""


def test_celery_opens_a_manager_for_each_process_and_closes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    app = Celery("shop")
    jobs_of_shop = celery.ClusterPass(app, store_url="redis://x", issuer="i", keys=CONFIG.keys)

    def note(what: str) -> Callable[[JobSessions], None]:
        # Signals reach whatever else listens in this process, too.
        return lambda jobs: done.append(what) if jobs is jobs_of_shop._jobs else None

    monkeypatch.setattr(JobSessions, "open", note("open"))
    monkeypatch.setattr(JobSessions, "close", note("close"))
    for signal in ("worker_process_init", "worker_process_shutdown", "worker_shutdown"):
        getattr(signals, signal).send(sender=app)
        done.append(signal)
    jobs_of_shop.close()
    first = ["open", "worker_process_init", "close", "worker_process_shutdown"]
    assert done == [*first, "close", "worker_shutdown", "close"]


def test_celery_tries_again_after_twice_the_pause_and_after_ten_minutes_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[float, float]] = []
    monkeypatch.setattr(celery.random, "uniform", lambda *bounds: drawn.append(bounds) or 1.5)
    assert [celery._pause(retries) for retries in (0, 1, 2, 9, 10, 11, 5000)] == [1.5] * 7
    assert drawn == [(0.5, 1), (1, 2), (2, 4), (256, 512), (300, 600), (300, 600), (300, 600)]
