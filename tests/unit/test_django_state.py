"""The request state under Django: the user, and the tie to Django's own session."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import InvalidCredentials, StoreUnavailable
from clusterpass.integrations.django import request_state as module
from clusterpass.integrations.django.request_state import TIE, RequestState, attach, find_state
from clusterpass.model.refusals import open_refusal
from clusterpass.web.gate import Gate
from clusterpass.web.settings import WebSettings

from .gate_scene import CONFIG, PAIR, SESSION
from .web_apps import Sessions, cookies

PLACES = ("header", "cookie", "query")


class User:
    """A user, or nobody."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.is_authenticated = bool(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, User) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class Manager(Sessions):
    """Notes with which arguments it was asked to end a session."""

    def logout(self, token: str, **about: Any) -> Any:
        self.asked.append(("logout", (token, about)))

    def revoke(self, subject: str, session_id: str) -> Any:
        self.asked.append(("revoke", (subject, session_id)))


class Attempts:
    """Refuses attempts."""

    def refuse(self, visit: Any, subject: str, error: str) -> Any:
        refused.append((subject, error))
        yield from ()


refused: list[tuple[str, str]] = []


class World:
    """Django, and ClusterPass in it."""

    def __init__(self) -> None:
        self.sessions, self.attempts = Manager(), Attempts()
        settings = WebSettings(cookie_secure=False, token_places=PLACES)
        self.gate = Gate(CONFIG, settings)
        self.logged_out: list[Any] = []
        refused.clear()

    def user_of(self, session: Any) -> User:
        return User(session.subject)

    def subject_of(self, user: User) -> str:
        return f"subject of {user.name}"

    def subject_named(self, name: str) -> str:
        return f"subject named {name}"

    def logout(self, request: Any) -> None:
        self.logged_out.append(request.user)

    def get_user_model(self) -> Any:
        return SimpleNamespace(USERNAME_FIELD="email")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(module, "installed", lambda: made)
    monkeypatch.setattr(module, "auth", made)
    monkeypatch.setattr(module, "form_token", lambda _: "")
    monkeypatch.setattr(module, "is_genuine", lambda _: False)
    monkeypatch.setattr(module, "has_django_check", lambda: True)
    nobody = SimpleNamespace(AnonymousUser=User)
    monkeypatch.setitem(sys.modules, "django.contrib.auth.models", nobody)  # type: ignore[arg-type]
    return made


class Query(dict[str, str]):
    """The query of a request."""

    def getlist(self, name: str) -> list[str]:
        return [self[name]] if name in self else []


def request(
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    *,
    user: User | None = None,
    tie: str | None = None,
    method: str = "GET",
) -> Any:
    names = {name.lower(): value for name, value in (headers or {}).items()}
    return SimpleNamespace(
        method=method,
        headers=names,
        META={"HTTP_HOST": "shop.example", "REMOTE_ADDR": "10.0.0.1"},
        GET=Query(query or {}),
        get_full_path=lambda: "/orders",
        user=User() if user is None else user,
        session={} if tie is None else {TIE: tie},
    )


BOB, ALICE, NOBODY = User("bob"), User("alice"), User()
OWN, OTHER = SESSION.session_id, "o" * 22


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "Bearer good"}, {}),
        ({"accept": "text/event-stream"}, {"access_token": "good"}),
    ],
)
@pytest.mark.parametrize("tie", [None, OTHER])
def test_a_token_that_is_no_cookie_says_nothing_of_djangos_session(
    world: World, headers: Any, query: Any, tie: str | None
) -> None:
    sent = request(headers, query, user=BOB, tie=tie)
    state = RequestState(sent)
    assert state.user() == ALICE
    assert state.is_by_header() is ("authorization" in headers)
    assert world.logged_out == []
    assert sent.session == ({} if tie is None else {TIE: tie})
    wrong = {name: value.replace("good", "none") for name, value in headers.items()}
    other = dict.fromkeys(query, "none")
    assert RequestState(request(wrong, other, user=BOB, tie=tie)).user() == NOBODY
    assert world.logged_out == []


@pytest.mark.parametrize(
    ("sent", "user", "tie", "found", "logs_out", "ties"),
    [
        ({}, BOB, None, BOB, False, None),
        ({}, None, None, NOBODY, False, None),
        ({}, BOB, OTHER, NOBODY, False, OTHER),
        (cookies("none"), BOB, OTHER, NOBODY, True, OTHER),
        (cookies("none"), BOB, None, BOB, False, None),
        (cookies(), ALICE, OWN, ALICE, False, OWN),
        (cookies(), ALICE, None, ALICE, False, OWN),
        (cookies(), ALICE, OTHER, ALICE, False, OWN),
        (cookies(), BOB, None, ALICE, True, None),
        (cookies(), BOB, OTHER, ALICE, True, OTHER),
        (cookies(), None, None, ALICE, False, None),
    ],
)
def test_the_user_of_a_browser_that_may_have_both_sessions(
    world: World, sent: Any, user: Any, tie: Any, found: User, logs_out: bool, ties: Any
) -> None:
    asked = request(sent, user=user, tie=tie)
    state = RequestState(asked)
    if "none" in str(sent):
        state.installed.sessions.refresh = world.sessions.verify  # type: ignore[method-assign]
    assert state.user() == found
    assert state.user() is state.user()
    assert world.logged_out == ([user] if logs_out else [])
    assert asked.session.get(TIE) == ties
    assert asked.user == found


def test_a_session_of_ours_ends_with_djangos(world: World) -> None:
    """As when the password of the user has changed."""
    asked = request(cookies(), tie=OWN)
    assert RequestState(asked).user() == NOBODY
    (ended,) = world.sessions.of("logout")
    assert ended[1] == {"address": "10.0.0.1"}


def test_an_outage_is_told_and_kept(world: World) -> None:
    error = StoreUnavailable()

    def verify(*_: Any, **__: Any) -> Any:
        raise error

    world.sessions.verify = verify  # type: ignore[method-assign]
    state = RequestState(request(cookies()))
    with pytest.raises(StoreUnavailable):
        state.session()
    assert (state.outage, state.was_asked) == (error, True)


def test_the_session_is_looked_for_once_and_lazily(world: World) -> None:
    asked = request(cookies())
    state = attach(asked)
    assert find_state(asked) is state
    assert find_state(request()) is None
    assert (world.sessions.asked, state.was_asked) == ([], False)
    assert asked.clusterpass_session.subject == "alice"
    assert state.session() is state.session()
    assert len(world.sessions.of("verify")) == 1


def test_tokens_that_were_just_opened_are_those_of_the_rest_of_the_request(world: World) -> None:
    asked = request()
    state = attach(asked)
    assert state.session() is None
    state.take(PAIR)
    assert asked.clusterpass_session.subject == "alice"
    assert (state.session(), state.visit.access_token) == (SESSION, PAIR.access_token)
    assert state.visit.credentials is not None
    assert state.visit.credentials.refresh_token == PAIR.refresh_token
    set_cookies = " ".join(value for _, value in state.visit.headers)
    assert PAIR.access_token.replace(" ", "") in set_cookies.replace("%20", "").replace(" ", "")
    state.end()
    assert world.sessions.of("logout") == [(PAIR.refresh_token, {"address": "10.0.0.1"})]
    assert state.session() is None
    assert not asked.clusterpass_session


def test_where_the_browser_has_lost_its_tokens_the_tied_session_ends(world: World) -> None:
    state = RequestState(request(tie=OTHER))
    state.end(BOB)
    assert world.sessions.of("revoke") == [("subject of bob", OTHER)]
    world.sessions.asked.clear()
    RequestState(request(tie=OTHER)).end()
    RequestState(request()).end(BOB)
    assert world.sessions.asked == []


def test_a_refused_password_is_noted_once(world: World) -> None:
    state = RequestState(request())
    with open_refusal() as refusal:
        state.note_refusal("bob", InvalidCredentials.code)
        assert refused == [("subject named bob", "invalid_credentials")]
        for name in (None, 5):
            state.note_refusal(name, InvalidCredentials.code)
        refusal.tell()
        state.note_refusal("bob", InvalidCredentials.code)
    assert len(refused) == 1


def test_the_name_in_credentials_is_that_of_djangos_field(world: World) -> None:
    assert module.named_in({"email": "a", "username": "b"}) == "a"
    assert module.named_in({"username": "b"}) == "b"
    assert module.named_in({"token": "x"}) is None
