"""The calls of the service pass on all their arguments, with any password check."""

from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import Actor, ImpersonationRefused, InvalidCredentials, Session, TooManyAttempts
from clusterpass.service.bodies.requests import (
    LinkRequest,
    LoginRequest,
    PasswordRequest,
    RefreshRequest,
    StepUpRequest,
)
from clusterpass.service.calls import password_check, tokens
from clusterpass.service.calls.password_check import make_authenticator
from clusterpass.service.settings.loading import make_settings

SETTINGS = make_settings(
    {
        "store_url": "embedded://",
        "keys_file": "keys.json",
        "hash_concurrency": 3,
        "account_attempts": 7,
        "shortest_password": 11,
        "step_up_seconds": 77,
    }
)
SESSION = Session("alice", "s" * 22, None, 1, 2, 3)
ABOUT: dict[str, Any] = {
    "device": "phone",
    "device_type": "mobile",
    "remember": True,
    "replace": "r" * 22,
}
PAIR: Any = SimpleNamespace(subject="alice")
ADDRESS = "10.0.0.1"


class Asked:
    """Answers every verb, and keeps what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._answers = answers

    def __getattr__(self, verb: str) -> Any:
        if verb.startswith("_"):
            raise AttributeError(verb)

        async def ask(*positional: Any, **named: Any) -> Any:
            self.asked.append((verb, *positional, named))
            answer = self._answers.get(verb)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask


class Sessions(Asked):
    """A manager."""

    counters = SimpleNamespace(hashing=None)
    config = SimpleNamespace(levels=("1", "2"))


@pytest.fixture
def throttle(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The throttle of who checks passwords by a function."""
    made = Asked()

    def begin(_: Any, policy: Any) -> Asked:
        assert policy.account_attempts == 7
        return made

    monkeypatch.setattr(password_check, "AsyncLoginThrottle", begin)
    return made


async def test_the_user_directory_is_as_the_settings_say_and_told_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    users, given = Asked(login=PAIR), {}

    def made(sessions: Any, **options: Any) -> Asked:
        given.update(options, sessions=sessions)
        return users

    monkeypatch.setattr(password_check, "AsyncUserDirectory", made)
    sessions: Any = Sessions()
    authenticator = make_authenticator(SETTINGS, sessions, None)
    assert given["sessions"] is sessions
    assert given["hash_concurrency"] == 3
    assert given["throttle"].account_attempts == 7
    assert given["passwords"].shortest == 11
    options = {**ABOUT, "address": ADDRESS, "known": "k"}
    assert await authenticator.login("alice", "pw", **options) is PAIR
    await authenticator.confirm("alice", "pw", address=ADDRESS, known="k")
    await authenticator.close()
    assert authenticator.users is users
    assert users.asked == [
        ("login", "alice", "pw", options),
        ("authenticate", "alice", "pw", {"address": ADDRESS, "known": "k"}),
        ("close", {}),
    ]
    users.asked.clear()
    await authenticator.login("alice", "pw", device=None, address=None)
    nothing = dict.fromkeys((*ABOUT, "address", "known"))
    assert users.asked == [("login", "alice", "pw", nothing | {"remember": False})]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("verdict", "subject", "generation"),
    [(True, "alice", 5), ("alice", "alice", 5), ("u7", "u7", None)],
)
async def test_a_function_of_the_operator_opens_sessions_behind_the_throttle(
    throttle: Asked, is_async: bool, verdict: Any, subject: str, generation: int | None
) -> None:
    async def later(username: str, password: str) -> Any:
        return verdict if (username, password) == ("alice", "pw") else None

    def check(username: str, password: str) -> Any:
        return verdict if (username, password) == ("alice", "pw") else None

    sessions: Any = Sessions(generation=5, login=PAIR)
    authenticator = make_authenticator(SETTINGS, sessions, later if is_async else check)
    try:
        options = {**ABOUT, "address": ADDRESS}
        assert await authenticator.login("alice", "pw", **options, known="k") is PAIR
        assert throttle.asked == [
            ("admit", "alice", {"address": ADDRESS, "known": "k"}),
            ("forget", "alice", {"known": "k"}),
        ]
        more = {"amr": ("pwd",), "generation": generation}
        assert sessions.asked == [
            ("generation", "alice", {}),
            ("login", subject, {**options, **more}),
        ]
        throttle.asked.clear()
        confirming = authenticator.confirm("alice", "pw", address=ADDRESS, known="k")
        if subject == "alice":
            await confirming
            assert throttle.asked[1:] == [("forget", "alice", {"known": "k"})]
        else:
            with pytest.raises(InvalidCredentials):
                await confirming
            assert len(throttle.asked) == 1, "it stays counted"
        assert throttle.asked[0] == ("admit", "alice", {"address": ADDRESS, "known": "k"})
        assert authenticator.users is None
    finally:
        await authenticator.close()


@pytest.mark.parametrize("verdict", [False, None])
async def test_a_password_that_the_function_refuses_stays_counted_and_is_noted(
    throttle: Asked, verdict: Any
) -> None:
    sessions: Any = Sessions(generation=5)
    authenticator = make_authenticator(SETTINGS, sessions, lambda *_: verdict)
    with pytest.raises(InvalidCredentials):
        await authenticator.login("alice", "pw", device=None, address=ADDRESS)
    await authenticator.close()
    about = {"error": "invalid_credentials", "address": ADDRESS}
    assert sessions.asked[1:] == [("login_failed", "alice", about)]
    assert throttle.asked == [("admit", "alice", {"address": ADDRESS, "known": None})]


def service(**parts: Any) -> Any:
    return SimpleNamespace(settings=SETTINGS, **parts)


class Devices:
    """Known devices: whose, and with which text."""

    def known(self, text: str, username: str) -> str | None:
        return f"{text} of {username}"

    def make(self, username: str, known: str | None) -> str:
        return f"device of {username}, {known}"


def scope(*headers: tuple[bytes, bytes]) -> Any:
    return {"headers": list(headers), "method": "POST", "path": "/login"}


DEVICE = (tokens.DEVICE_TOKEN, b"text")


@pytest.mark.parametrize(
    ("headers", "known"), [((DEVICE,), "text of alice"), ((), None), ((DEVICE, DEVICE), None)]
)
async def test_a_login_hands_on_all_and_names_the_device(headers: Any, known: str | None) -> None:
    authenticator, fields = Asked(login=PAIR), dict[str, Any]()
    body = LoginRequest(username="alice", password="pw", **ABOUT)  # type: ignore[arg-type]
    asked = service(authenticator=authenticator, devices=Devices())
    made = await tokens.login(asked, body, scope(*headers), ADDRESS, fields)
    assert made == (PAIR, (tokens.DEVICE_TOKEN, f"device of alice, {known}".encode()))
    given = {**ABOUT, "address": ADDRESS, "known": known}
    assert authenticator.asked == [("login", "alice", "pw", given)]
    assert fields == {"subject": "alice"}


@pytest.mark.parametrize("error", [InvalidCredentials(), TooManyAttempts(retry_after=1)])
async def test_a_refused_login_is_in_the_log_with_its_address(error: Exception) -> None:
    fields: dict[str, Any] = {}
    body = LoginRequest(username="a\x1b" + "x" * 200, password="pw")  # type: ignore[arg-type]
    asked = service(authenticator=Asked(login=error), devices=Devices())
    with pytest.raises(type(error)):
        await tokens.login(asked, body, scope(), ADDRESS, fields)
    assert fields == {"client": ADDRESS, "attempted_subject": "a\ufffd" + "x" * 98}


async def test_a_step_up_is_that_of_a_session_and_as_long_as_the_settings_say() -> None:
    authenticator, sessions = Asked(), Sessions(elevate=PAIR)
    asked = service(authenticator=authenticator, sessions=sessions)
    body = StepUpRequest(password="pw")  # type: ignore[arg-type]
    assert await tokens.step_up(asked, SESSION, body, ADDRESS) is PAIR
    about = {"address": ADDRESS, "known": SESSION.session_id}
    assert authenticator.asked == [("confirm", "alice", "pw", about)]
    options = {"for_seconds": 77, "amr": ("pwd",), "address": ADDRESS}
    assert sessions.asked == [("elevate", SESSION, "1", options)]
    acting = Session("alice", "s" * 22, None, 1, 2, 3, act=Actor("helen", "h" * 22, "support"))
    with pytest.raises(ImpersonationRefused) as refused:
        await tokens.step_up(asked, acting, body, ADDRESS)
    assert refused.value.reason == "impersonated"
    assert len(authenticator.asked) == 1


async def test_a_password_is_changed_and_a_link_used_by_the_directory() -> None:
    users = Asked(change_password=PAIR, user_of_link="alice")
    asked = service(authenticator=SimpleNamespace(users=users))
    body = PasswordRequest(current_password="old", new_password="new", end_others=False)  # type: ignore[arg-type]
    assert await tokens.change_password(asked, SESSION, body, ADDRESS) is PAIR
    fields: dict[str, Any] = {}
    link = LinkRequest(token="cpl_x", new_password="new")  # type: ignore[arg-type]
    await tokens.use_link(asked, link, fields)
    options = {"address": ADDRESS, "end_others": False, "for_seconds": 77}
    assert users.asked == [
        ("change_password", SESSION, "old", "new", options),
        ("user_of_link", "cpl_x", {}),
        ("use_link", "cpl_x", "new", {}),
    ]
    assert fields == {"subject": "alice"}


async def test_a_refresh_and_a_logout_are_told_the_address() -> None:
    sessions, fields = Sessions(refresh=PAIR), dict[str, Any]()
    asked = service(sessions=sessions)
    body = RefreshRequest(refresh_token="secret")  # type: ignore[arg-type]
    assert await tokens.refresh(asked, body, ADDRESS, fields) is PAIR
    assert fields == {"subject": "alice"}
    for key in (b"1", b"1", b"2"):
        await tokens.logout(asked, "token", ADDRESS, scope((b"idempotency-key", key)))
    await tokens.logout(asked, "token", ADDRESS, scope())
    assert sessions.asked[0] == ("refresh", "secret", {"address": ADDRESS})
    ended = [(*asked[:2], asked[-1]["address"]) for asked in sessions.asked[1:]]
    assert ended == [("logout", "token", ADDRESS)] * 4
    first, again, other, without = [asked[-1]["operation_id"] for asked in sessions.asked[1:]]
    assert first == again != other
    assert len(first) == 16
    assert without is None
