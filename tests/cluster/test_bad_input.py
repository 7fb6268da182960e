"""Validation of arguments by the managers: invalid input is refused before any request."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from clusterpass import (
    InvalidInput,
    InvalidRefreshToken,
    Session,
    SessionManager,
    SessionNotFound,
    SessionPolicy,
    StoreUnavailable,
    TokenIssuer,
)
from clusterpass.model.authentication_errors import InvalidToken
from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.refresh_secrets import new_refresh_secret, read_refresh_secrets
from tests.cluster.conftest import Facade

NOBODY = "redis://127.0.0.1:1?timeout=0.01&deadline=0.01&replica_wait=0"
SESSION_ID = "A" * 22
SESSION = Session("alice", SESSION_ID, None, 0, 0, 0)
HUGE = "x" * 10_000_000
SUBJECTS = ["", "x" * 256, "x" * 1024, HUGE, "a\0b", "\0", "a\nb", "\x7f", "\ud800", None, 7, b"a"]
SESSION_IDS = ["", "x", "A" * 21 + "B", "é" * 22, HUGE, 7, b"A" * 22]
SECONDS = [-1, True, False, 1.5, "60", float("nan"), 2**63]

Act = Callable[[Any], Any]


@pytest.fixture(scope="module")
def config(config):
    """With secrets of refresh tokens, which a store that is not there cannot tell."""
    return dataclasses.replace(config, refresh_secrets=(new_refresh_secret(),))


@pytest.fixture(scope="module", params=["sync", "async"])
def lonely(request, config):
    """A manager without a store."""
    opened: Any = (SessionManager.from_url if request.param == "sync" else Facade)(NOBODY, config)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def refresh_token(config):
    """A genuine one, of a session that no store knows."""
    import secrets

    from clusterpass.tokens.refresh import RefreshTokens

    made = RefreshTokens(
        read_refresh_secrets(config.refresh_secrets),
        secrets.token_bytes,
        issuer=config.issuer,
        audience=config.audience,
    )
    return made.first("alice", b"s" * 16).encode()


def short(value: Any) -> str:
    return repr(value)[:30]


def of_subject(subject: Any) -> dict[str, Act]:
    """Every verb that names a subject."""
    return {
        "login": lambda m: m.login(subject),
        "login_failed": lambda m: m.login_failed(subject),
        "export": lambda m: m.export(subject),
        "erase": lambda m: m.erase(subject),
        "sessions": lambda m: m.sessions(subject),
        "get": lambda m: m.get(subject, SESSION_ID),
        "history": lambda m: m.history(subject),
        "revoke": lambda m: m.revoke(subject, SESSION_ID),
        "revoke_all": lambda m: m.revoke_all(subject),
        "generation": lambda m: m.generation(subject),
        "shorten": lambda m: m.shorten(subject, SESSION_ID, lifetime=60),
        "impersonate": lambda m: m.impersonate(SESSION, subject, reason="ticket"),
        "bans.add": lambda m: m.bans.add(subject),
        "bans.lift": lambda m: m.bans.lift(subject),
        "bans.list": lambda m: m.bans.list(subject),
        "bans.check": lambda m: m.bans.check(subject),
        "claims.set": lambda m: m.claims.set(subject, {"a": 1}),
        "claims.get": lambda m: m.claims.get(subject),
    }


def of_session(session: Any) -> dict[str, Act]:
    """Every verb that takes a session."""
    return {
        "elevate": lambda m: m.elevate(session, "2", for_seconds=60),
        "impersonate": lambda m: m.impersonate(session, "bob", reason="ticket"),
    }


def test_what_can_be_is_sent_and_finds_nobody(lonely, refresh_token):
    """Otherwise the other tests here would prove nothing."""
    acts = {
        **of_subject("bob"),
        **of_session(SESSION),
        "refresh": lambda m: m.refresh(refresh_token),
        "logout": lambda m: m.logout(refresh_token),
        "revoke_before": lambda m: m.revoke_before(),
        "online.count": lambda m: m.online.count(),
        "online.page": lambda m: m.online.page(),
        "online.prune": lambda m: m.online.prune(),
    }
    for act in acts.values():
        with pytest.raises(StoreUnavailable):
            act(lonely)
    manager = getattr(lonely, "manager", lonely)
    verbs = {name for name, _ in inspect.getmembers(manager, callable) if not name.startswith("_")}
    verbs -= {"replace_keys"}  # which sends nothing
    assert verbs - acts.keys() == {
        *("from_url", "close", "on", "off", "ping", "recall", "stats", "verify", "watch")
    }


def test_an_odd_scope_of_a_listener(lonely):
    for scope in ("", "everywhere", "Cluster", None, 7, True, b"cluster", ["cluster"], HUGE):
        with pytest.raises(InvalidInput, match=r"one of process, cluster"):
            lonely.on("login", scope=scope)
    for kind in ("refused", "expired", "idle", "", None, 7):
        with pytest.raises(InvalidInput, match=r"of other processes; use one of login, refresh"):
            lonely.on(kind, scope="cluster")
    for nonsense in (None, "login", 7):
        with pytest.raises(InvalidInput, match="callable"):
            lonely.on(scope="cluster")(nonsense)


@pytest.mark.parametrize("verb", of_subject(""))
def test_an_odd_subject(lonely, verb):
    for subject in SUBJECTS:
        with pytest.raises(InvalidInput):
            of_subject(subject)[verb](lonely)


@pytest.mark.parametrize("verb", of_subject(""))
def test_a_subject_may_hold_braces_and_pictures(lonely, verb):
    for subject in ("{}", "a}b{c 😀", "é" * 127):
        with pytest.raises(StoreUnavailable):
            of_subject(subject)[verb](lonely)


@pytest.mark.parametrize("verb", of_session(None))
def test_what_is_no_session(lonely, verb):
    for nonsense in (None, "alice", 7, {"subject": "alice"}, object()):
        with pytest.raises(InvalidInput):
            of_session(nonsense)[verb](lonely)


@pytest.mark.parametrize("verb", of_session(None))
def test_a_session_of_an_odd_subject(lonely, verb):
    for subject in SUBJECTS:
        with pytest.raises(InvalidInput):
            of_session(dataclasses.replace(SESSION, subject=subject))[verb](lonely)


@pytest.mark.parametrize("verb", of_session(None))
def test_a_session_with_an_odd_id(lonely, verb):
    for session_id in [*SESSION_IDS, None]:
        with pytest.raises((InvalidInput, InvalidToken, SessionNotFound)):
            of_session(dataclasses.replace(SESSION, session_id=session_id))[verb](lonely)


def test_an_odd_session_id_is_nobodys(lonely):
    for session_id in SESSION_IDS:
        for act in (
            lambda m, odd: m.revoke("alice", odd),
            lambda m, odd: m.shorten("alice", odd, lifetime=60),
            lambda m, odd: m.login("alice", replace=odd),
            lambda m, odd: m.revoke_all("alice", keep=odd),
        ):
            with pytest.raises(SessionNotFound):
                act(lonely, session_id)


@pytest.mark.parametrize(
    "options",
    [
        *[{"lifetime": value} for value in [*SECONDS, 0, 9]],
        *[{"idle_lifetime": value} for value in [*SECONDS, 0.0, 9]],
        *[{"remember": value} for value in (1, 0, None, "yes")],
        *[{"device": value} for value in ("a\0b", f"a\0{HUGE}", "\ud800", 7, b"a")],
        *[{"device_type": value} for value in ("", "x" * 17, HUGE, "a b", "a\0b", "é", "a\n", 7)],
        *[{"claims": value} for value in ({"x": HUGE}, {HUGE: 1}, {"x": "\ud800"}, [], "x", 7)],
        *[{"claims": {name: 1}} for name in ("iss", "sub", "exp", "sid", "act", "acr", "amr")],
        {"claims": {"x": {1, 2}}},
        {"claims": {"x": float("nan")}},
        {"claims": {"x": 10**20}},
        {"claims": {"x": {1: 1, "1": 2}}},
        *[{"policy": value} for value in ("oldest", 3, {"max_sessions": 1}, SessionPolicy)],
        *[{"acr": value} for value in ("", "4", 1, True, ["1"], HUGE)],
        *[{"amr": value} for value in ("pwd", None, 7, ["pwd"] * 9, [""], ["a b"], [HUGE], [7])],
        {"amr": {"pwd"}},
        *[{"address": value} for value in (7, b"192.0.2.7", ["192.0.2.7"])],
        *[{"generation": value} for value in (-1, True, 2**53, 1.0, "1")],
    ],
    ids=short,
)
def test_odd_options_of_a_login(lonely, options):
    with pytest.raises(InvalidInput):
        lonely.login("alice", **options)


def test_claims_that_are_nested_too_deep(lonely):
    deep: Any = {}
    for _ in range(100_000):
        deep = {"x": deep}
    for act in (
        lambda: lonely.login("alice", claims=deep),
        lambda: lonely.claims.set("alice", deep),
    ):
        with pytest.raises(InvalidInput):
            act()


@pytest.mark.parametrize(
    "options",
    [
        *[{"max_sessions": value} for value in (0, -1, 501, True, 1.0, "3", None)],
        *[{"max_per_device": value} for value in (-1, 501, True, 1.0, "3", None)],
        *[{"overflow": value} for value in ("newest", "", "OLDEST", None, 0, True)],
    ],
    ids=str,
)
def test_a_policy_that_cannot_be(options):
    with pytest.raises(ConfigurationError):
        SessionPolicy(**options)


def test_an_overflow_that_cannot_even_be_compared():
    with pytest.raises(ConfigurationError):
        SessionPolicy(overflow=["oldest"])


@pytest.mark.parametrize(
    "options",
    [
        *[{"lifetime": value} for value in [*SECONDS, 0]],
        *[{"idle_lifetime": value} for value in [*SECONDS, 0, 9]],
        {"lifetime": 60, "idle_lifetime": -1},
        {"lifetime": -1, "idle_lifetime": 60},
        {},
    ],
    ids=short,
)
def test_odd_options_of_a_shortening(lonely, options):
    with pytest.raises(InvalidInput):
        lonely.shorten("alice", SESSION_ID, **options)


@pytest.mark.parametrize("seconds", [*SECONDS, 0, 86_401, None], ids=short)
def test_odd_seconds_of_a_step_up(lonely, seconds):
    with pytest.raises(InvalidInput):
        lonely.elevate(SESSION, "2", for_seconds=seconds)


@pytest.mark.parametrize("level", ["", "4", HUGE, None, 1, True, ["1"]], ids=short)
def test_an_unknown_level(lonely, level):
    with pytest.raises(InvalidInput):
        lonely.elevate(SESSION, level, for_seconds=60)
    if level is not None:
        with pytest.raises(InvalidInput):
            lonely.verify("x", level=level)


def test_other_odd_options_of_a_step_up(lonely):
    for options in ({"amr": "otp"}, {"amr": [HUGE]}, {"amr": None}, {"address": 7}):
        with pytest.raises(InvalidInput):
            lonely.elevate(SESSION, "2", for_seconds=60, **options)


@pytest.mark.parametrize("age", SECONDS, ids=short)
def test_an_odd_age_of_an_authentication(lonely, age):
    with pytest.raises(InvalidInput):
        lonely.verify("x", max_auth_age=age)


@pytest.mark.parametrize(
    "reason", ["x" * 201, "é" * 101, HUGE, "a\nb", "\0", "\ud800", None, 7], ids=short
)
def test_an_odd_reason(lonely, reason):
    for act in (
        lambda: lonely.revoke("alice", SESSION_ID, reason=reason),
        lambda: lonely.revoke_all("alice", reason=reason),
        lambda: lonely.bans.add("alice", reason=reason),
        lambda: lonely.impersonate(SESSION, "bob", reason=reason),
    ):
        with pytest.raises(InvalidInput):
            act()


@pytest.mark.parametrize("seconds", [*SECONDS, 0, 3601, None], ids=short)
def test_odd_seconds_of_an_impersonation(lonely, seconds):
    with pytest.raises(InvalidInput):
        lonely.impersonate(SESSION, "bob", reason="ticket", for_seconds=seconds)


@pytest.mark.parametrize("kind", ["", "x" * 17, HUGE, "*", "a b", "a\0b", 7, True], ids=short)
def test_an_odd_kind_of_device(lonely, kind):
    with pytest.raises(InvalidInput):
        lonely.revoke_all("alice", device_type=kind)


@pytest.mark.parametrize(
    "options",
    [
        *[{"for_seconds": value} for value in [*SECONDS, 0]],
        *[{"level": value} for value in (0, -1, 1001, True, 1.0, "1", None)],
        *[{"scope": value} for value in (None, 7, "a b", "é", "x" * 256, HUGE, "a\0b", '"')],
    ],
    ids=short,
)
def test_odd_options_of_a_ban(lonely, options):
    with pytest.raises(InvalidInput):
        lonely.bans.add("alice", **options)
    if "for_seconds" not in options:
        with pytest.raises(InvalidInput):
            lonely.bans.check("alice", **options)
    if "scope" in options:
        with pytest.raises(InvalidInput):
            lonely.bans.lift("alice", **options)


@pytest.mark.parametrize(
    "claims",
    [{"x": HUGE}, {"x": "y" * 2048}, {"sub": "bob"}, {1: 2}, {"x": {1}}, [], "x", 7, None],
    ids=short,
)
def test_odd_live_claims(lonely, claims):
    with pytest.raises(InvalidInput):
        lonely.claims.set("alice", claims)


@pytest.mark.parametrize("time", [0, -1, True, 2**32, 1.5, "now"], ids=short)
def test_an_odd_time_to_revoke_before(lonely, time):
    with pytest.raises(InvalidInput):
        lonely.revoke_before(time)


def test_an_odd_page(lonely):
    for cursor in ("", "x", "16384.0", f"0.{2**64}", HUGE, 7):
        with pytest.raises(InvalidInput):
            lonely.online.page(cursor)
    for limit in (0, 201, True, "5", None):
        with pytest.raises(InvalidInput):
            lonely.online.page(limit=limit)


def test_who_is_online_where_that_is_not_tracked(config):
    unindexed = dataclasses.replace(config, index_online=False)
    with SessionManager.from_url(NOBODY, unindexed) as manager:
        for act in (manager.online.count, manager.online.page, manager.online.prune):
            with pytest.raises(InvalidInput):
                act()


@pytest.mark.parametrize(
    "token", ["", "x", "cpr_", "cpr_x", HUGE, "a.b.c", "\0", None, 7, b"x"], ids=short
)
def test_a_token_that_is_none(lonely, token):
    with pytest.raises(InvalidToken):
        lonely.verify(token)
    with pytest.raises(InvalidRefreshToken):
        lonely.refresh(token)
    with pytest.raises((InvalidToken, InvalidRefreshToken)):
        lonely.logout(token)


def test_an_address_that_is_no_text(lonely, refresh_token):
    for address in (7, b"192.0.2.7", ["192.0.2.7"]):
        with pytest.raises(InvalidInput):
            lonely.refresh(refresh_token, address=address)
        with pytest.raises(InvalidInput):
            lonely.logout(refresh_token, address=address)


def test_an_access_token_of_an_odd_subject(lonely, config, keys):
    """Signed by our key, as another program may do."""
    import secrets
    import time

    issuer = TokenIssuer(
        keys.signing_key,
        issuer=config.issuer,
        audience=config.audience,
        random_bytes=secrets.token_bytes,
    )
    now = int(time.time())
    for subject in ("x" * 256, "a\0b"):
        token = issuer.issue(subject, SESSION_ID, issued_at=now, expires_at=now + 60, claims={})
        for act in (lonely.verify, lonely.logout):
            with pytest.raises(InvalidToken):
                act(token)
