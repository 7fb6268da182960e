"""Every argument of every verb reaches its flow, and what the store answers reaches the caller."""

import dataclasses
import inspect
import math
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import (
    Config,
    ConfigurationError,
    KeyRing,
    SessionManager,
)

from .manager_scene import CONFIG, FACES, VERBS, Flow, Store, member, ran, record


@pytest.fixture(params=FACES, ids=["threads", "loop"])
def manager(request: pytest.FixtureRequest) -> Any:
    kind, store = request.param
    return kind(store(), CONFIG)


@pytest.mark.parametrize(("verb", "flow"), VERBS, ids=[verb for verb, _ in VERBS])
def test_a_verb_runs_its_flow_with_all_that_it_was_given(
    manager: Any, verb: str, flow: str
) -> None:
    record(manager, flow)
    call = member(manager, verb)
    parameters = inspect.signature(call).parameters.values()
    given = {each.name: f"given as {each.name}" for each in parameters}
    outcome = ran(call(**given))
    if verb == "bans.check":  # answers by raising or not
        assert outcome is None
        return
    answer, made = outcome
    assert answer == "answer"
    assert (made.made, made.taken) == (flow, given)


@pytest.mark.parametrize(("verb", "flow"), VERBS, ids=[verb for verb, _ in VERBS])
def test_a_verb_passes_the_defaults_on_that_it_documents(
    manager: Any, verb: str, flow: str
) -> None:
    record(manager, flow)
    call = member(manager, verb)
    parameters = inspect.signature(call).parameters.values()
    required = {each.name: each.name for each in parameters if each.default is each.empty}
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    outcome = ran(call(**required))
    if verb != "bans.check":
        assert outcome[1].taken == required | defaults


def test_an_entry_of_the_audit_trail_has_what_its_verb_was_given(manager: Any) -> None:
    noted: list[tuple[str, dict[str, Any]]] = []

    def around(action: str, flow: Any, **about: Any) -> Any:
        noted.append((action, about))
        return flow

    manager._running.trail = SimpleNamespace(around=around)
    for verb, flow in VERBS:
        record(manager, flow)
        call = member(manager, verb)
        given = {name: f"given as {name}" for name in inspect.signature(call).parameters}
        before = len(noted)
        ran(call(**given))
        for _, about in noted[before:]:
            wanted = {"subject", "session_id", "reason", "address"} & given.keys()
            assert {name: about.get(name) for name in wanted} == {
                name: given[name] for name in wanted
            }, verb
    assert {"revoke", "revoke_all", "ban", "impersonate", "logout"} <= {each for each, _ in noted}


def test_the_audit_trail_tells_of_each_ban_and_of_each_key_what_was_done(manager: Any) -> None:
    noted: dict[str, Any] = {}

    def around(action: str, flow: Any, **about: Any) -> Any:
        noted[action] = about["details"]
        return flow

    def flow_of(*_: Any, **__: Any) -> Flow:
        return Flow("any", {})

    manager._running.trail = SimpleNamespace(around=around)
    flows = manager._flows.subject
    flows.ban = flows.unban = flow_of
    manager.keys._signing = SimpleNamespace(revoke=flow_of)
    manager.keys._secrets = SimpleNamespace(rotate=flow_of)
    ran(manager.bans.add("alice", scope="comments", level=7, for_seconds=60))
    ran(manager.bans.lift("alice", scope="comments"))
    ran(manager.keys.revoke("leaked"))
    ran(manager.keys.rotate_refresh_secret(retire_others=True))
    assert noted == {
        "ban": {"scope": "comments", "level": 7, "for_seconds": 60},
        "lift_ban": {"scope": "comments"},
        "revoke_key": {"kid": "leaked"},
        "rotate_refresh_secret": {"retire_others": True},
    }


def test_every_verb_that_runs_a_flow_is_listed() -> None:
    named = {verb for verb, _ in VERBS} | {
        "login",
        "login_failed",
        "verify",
        "watch",
        "ping",
        "close",
        "audit.note",
        "audit.flush",
    }
    groups = {"bans", "claims", "online", "audit"}
    manager = SessionManager(Store(), CONFIG)
    holders = [("", manager), *((f"{group}.", getattr(manager, group)) for group in groups)]
    found = {
        f"{before}{name}"
        for before, holder in holders
        for name, _ in inspect.getmembers(holder, inspect.ismethod)
        if not name.startswith("_")
    }
    assert found - {"from_url", "on", "off", "recall", "replace_keys", "stats"} == named


def test_a_check_of_a_ban_is_asked_with_its_scope_and_level(manager: Any) -> None:
    flows, asked = manager._flows.subject, []
    flows.check_ban = lambda *given: asked.append(given)
    ran(manager.bans.check("alice", "comments", level=7))
    ran(manager.bans.check("alice"))
    assert asked == [("alice", "comments", 7), ("alice", "", 1)]


def test_a_rotated_refresh_secret_leaves_the_others_unless_that_is_asked_for(manager: Any) -> None:
    asked: list[bool] = []
    secrets = manager._flows.context.secrets
    secrets.rotate = lambda *, retires_others: asked.append(retires_others)
    ran(manager.keys.rotate_refresh_secret())
    ran(manager.keys.rotate_refresh_secret(retire_others=True))
    assert asked == [False, True]


def test_keys_that_replace_others_are_those_of_the_configuration_from_then_on(manager: Any) -> None:
    keys = KeyRing.generate()
    manager.replace_keys(keys)
    assert manager.config == dataclasses.replace(CONFIG, keys=keys)
    assert manager.config.keys is keys


def test_a_refused_login_is_noted_with_all_that_was_given(manager: Any) -> None:
    asked: list[tuple[Any, ...]] = []
    manager._flows.subject.login_failed = lambda subject, **given: asked.append((subject, given))
    ran(manager.login_failed("alice", error="too_many_attempts", address="192.0.2.1"))
    ran(manager.login_failed("bob"))
    assert asked == [
        ("alice", {"error": "too_many_attempts", "address": "192.0.2.1", "trail": None}),
        ("bob", {"error": "invalid_credentials", "address": None, "trail": None}),
    ]


def test_an_entry_of_the_application_is_noted_with_all_that_was_given(manager: Any) -> None:
    asked: list[tuple[Any, ...]] = []
    manager._flows.audit.note = lambda action, **given: asked.append((action, given))
    parameters = [*inspect.signature(manager.audit.note).parameters]
    given = {name: f"given as {name}" for name in parameters if name != "action"}
    ran(manager.audit.note("invoice.approved", **given))
    ran(manager.audit.note("invoice.sent"))
    nothing = {"subject": None, "reason": "", "error": None, "details": None}
    assert asked == [
        ("invoice.approved", given),
        ("invoice.sent", nothing | {"outcome": "done", "sparing": False}),
    ]


def test_login_passes_its_options_on(manager: Any) -> None:
    record(manager, "login.login")
    answer, made = ran(manager.login("alice", device="phone", generation=3))
    assert answer == "answer"
    assert made.taken == {"subject": "alice", "options": {"device": "phone", "generation": 3}}


def test_a_store_is_told_how_it_is_used(manager: Any) -> None:
    near = manager._flows.memory.near
    assert manager.store.told == [("observe", near, 0.4), ("confirm_by", "replicated")]
    assert near.leases.majority_until == math.inf, "a single server has no majority"
    assert manager.config is CONFIG


@pytest.mark.parametrize(("kind", "store"), FACES)
def test_a_grace_that_is_not_longer_than_the_deadline_is_refused(kind: Any, store: Any) -> None:
    slow = store()
    slow.deadline = 30.0
    with pytest.raises(ConfigurationError, match=r"refresh_grace \(30 s\) must be longer"):
        kind(slow, CONFIG)
    slow.deadline = 29.9
    kind(slow, CONFIG)


def test_what_is_remembered_is_changed_by_one_thread_at_a_time(
    manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = manager._flows.memory.near
    has_begun, go_on, steps = threading.Event(), threading.Event(), []

    def slowly(key: bytes) -> None:
        steps.append(f"{key!r} begins")
        has_begun.set()
        go_on.wait(5)
        steps.append(f"{key!r} ends")

    monkeypatch.setattr(type(near.followers), "changed", lambda _, key: slowly(key))
    one, other = (threading.Thread(target=near.changed, args=(key,)) for key in (b"a", b"b"))
    one.start()
    has_begun.wait(5)
    other.start()
    other.join(0.05)
    go_on.set()
    one.join(5)
    other.join(5)
    assert steps == ["b'a' begins", "b'a' ends", "b'b' begins", "b'b' ends"]


def test_what_stats_add(manager: Any) -> None:
    told = manager.stats()
    assert told.durability == "as durable as this"
    assert told.silent_nodes == ("10.0.0.1:7000",)
    assert told.missing_commands == ("HELLO: nothing is pushed",)
    assert (told.verification, told.staleness_bound) == ("cached", 0.4)


@pytest.mark.parametrize(("kind", "_store"), FACES)
def test_only_the_embedded_cluster_needs_no_configuration(kind: Any, _store: Any) -> None:
    for url in ("redis://127.0.0.1:1", "redis+cluster://127.0.0.1:1"):
        with pytest.raises(ConfigurationError, match="a manager needs a Config"):
            kind.from_url(url)


def test_verify_asks_the_store_with_all_that_it_was_given(manager: Any) -> None:
    record(manager, "verify.verify")
    given = {
        "access_token": "token",
        "level": "2",
        "max_auth_age": 60,
        "verification": "stateless",
        "outage_grace": 5.0,
    }
    answer, made = ran(manager.verify(**given))
    assert (answer, made.taken) == ("answer", {**given, "is_late": False})


@pytest.mark.parametrize("shares", [False, True])
def test_a_plain_verify_waits_out_an_outage_as_long_as_it_was_told(
    manager: Any, shares: bool
) -> None:
    record(manager, "verify.verify")
    manager._shares_loads = shares
    answer, made = ran(manager.verify("token", outage_grace=5.0))
    assert answer == "answer"
    assert (made.taken["access_token"], made.taken["outage_grace"]) == ("token", 5.0)


@pytest.mark.parametrize(
    "special", [{"level": "2"}, {"max_auth_age": 60}, {"verification": "cached"}]
)
def test_what_is_remembered_answers_only_a_plain_verify(
    manager: Any, special: dict[str, Any]
) -> None:
    record(manager, "verify.verify")
    manager._remembered = lambda token: ("remembered", token)
    assert ran(manager.verify("token")) == ("remembered", "token")
    assert ran(manager.verify("token", outage_grace=5.0)) == ("remembered", "token")
    assert manager.recall("token") == ("remembered", "token")
    answer, made = ran(manager.verify("token", **special))
    assert answer == "answer"
    assert made.taken["access_token"] == "token"


@pytest.mark.parametrize(("kind", "store"), FACES)
def test_a_strict_manager_remembers_nothing(kind: Any, store: Any) -> None:
    strict = Config(issuer="https://auth.example", keys=CONFIG.keys, verification="strict")
    manager = kind(store(), strict)
    record(manager, "verify.verify")
    manager._remembered = lambda token: ("remembered", token)
    assert ran(manager.verify("token"))[0] == "answer"
