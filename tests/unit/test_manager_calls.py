"""Every argument of every verb reaches its flow, and what the store answers reaches the caller."""

import asyncio
import dataclasses
import inspect
import math
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import (
    AsyncSessionManager,
    Config,
    ConfigurationError,
    InvalidInput,
    KeyRing,
    SessionEvent,
    SessionManager,
    StoreUnavailable,
)
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.sessions.event_of_line import TOLD_BY_HISTORY

CONFIG = Config(issuer="https://auth.example", keys=KeyRing.generate(), staleness_bound=0.4)
# The verb, and the flow that it runs.
VERBS = [
    ("refresh", "refresh.refresh"),
    ("logout", "end.logout"),
    ("sessions", "subject.sessions"),
    ("get", "get.get"),
    ("history", "subject.history"),
    ("export", "data.export"),
    ("erase", "data.erase"),
    ("revoke", "end.revoke"),
    ("revoke_all", "end.revoke_all"),
    ("revoke_before", "end.revoke_before"),
    ("generation", "subject.generation"),
    ("shorten", "adjust.shorten"),
    ("elevate", "adjust.elevate"),
    ("impersonate", "login.impersonate"),
    ("bans.add", "subject.ban"),
    ("bans.lift", "subject.unban"),
    ("bans.list", "subject.bans"),
    ("bans.check", "subject.check_ban"),
    ("claims.set", "subject.set_claims"),
    ("claims.get", "subject.claims"),
    ("online.count", "online.count"),
    ("online.page", "online.page"),
    ("online.prune", "online.prune"),
    ("audit.page", "audit.page"),
    ("audit.check", "audit.check"),
]


class Flow:
    """Stands for a flow: what it was made with."""

    def __init__(self, made: str, taken: dict[str, Any]) -> None:
        self.made, self.taken = made, taken


class Store:
    """A store that runs nothing and says what it was told."""

    keyspace, deadline, has_epochs = Keyspace("app"), 2.5, False

    def __init__(self) -> None:
        self.told: list[Any] = []

    def observe(self, observer: Any, bound: float) -> None:
        self.told.append(("observe", observer, bound))

    def confirm_by(self, durability: str) -> None:
        self.told.append(("confirm_by", durability))

    def describe_durability(self) -> str:
        return "as durable as this"

    def silent_nodes(self) -> tuple[str, ...]:
        return ("10.0.0.1:7000",)

    def missing_commands(self) -> tuple[str, ...]:
        return ("HELLO: nothing is pushed",)

    def owner_of(self, slot: int) -> int:
        return slot

    def run(self, flow: Any) -> Any:
        return ("answer", flow)

    def ping(self) -> None:
        self.told.append("ping")

    def close(self) -> None:
        self.told.append("close")


class AwaitableStore(Store):
    """A store whose calls are awaited."""

    async def run(self, flow: Any) -> Any:
        return ("answer", flow)

    async def ping(self) -> None:
        self.told.append("ping")

    async def close(self) -> None:
        self.told.append("close")


FACES: list[tuple[Any, Any]] = [(SessionManager, Store), (AsyncSessionManager, AwaitableStore)]


@pytest.fixture(params=FACES, ids=["threads", "loop"])
def manager(request: pytest.FixtureRequest) -> Any:
    kind, store = request.param
    return kind(store(), CONFIG)


def ran(outcome: Any) -> Any:
    async def awaited() -> Any:
        return await outcome

    return asyncio.run(awaited()) if inspect.isawaitable(outcome) else outcome


def member(of: Any, path: str) -> Any:
    for name in path.split("."):
        of = getattr(of, name)
    return of


def record(manager: Any, flow: str) -> None:
    """Replaces a flow by one that says with what it was made, by the names of its parameters."""
    group, name = flow.split(".")
    flows = getattr(manager._flows, group)
    signature = inspect.signature(getattr(flows, name))

    def made(*positional: Any, **named: Any) -> Flow:
        return Flow(flow, dict(signature.bind(*positional, **named).arguments))

    setattr(flows, name, made)


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


def test_ping_and_close_reach_the_store_and_all_that_runs(manager: Any) -> None:
    ran(manager.ping())
    assert manager.store.told[-1] == "ping"
    ran(manager.close())
    assert manager.store.told[-1] == "close"
    assert manager._watching._worker.is_stopping
    assert manager._listeners._worker.is_stopping
    assert manager._confirming._worker.is_stopping


def test_after_its_close_a_manager_refuses_every_call(manager: Any) -> None:
    ran(manager.close())
    told = list(manager.store.told)
    ran(manager.close())
    assert manager.store.told == told, "closing again does nothing"
    for verb, flow in [*VERBS, ("login", "login.login"), ("verify", "verify.verify"), ("ping", "")]:
        if flow:
            record(manager, flow)
        call = member(manager, verb)
        parameters = inspect.signature(call).parameters.values()
        needed = {
            each.name: each.name
            for each in parameters
            if each.default is each.empty and each.kind is not each.VAR_KEYWORD
        }
        with pytest.raises(StoreUnavailable, match="was closed") as caught:
            ran(call(**needed))
        assert caught.value.reason == "closed", verb
    assert manager.store.told == told
    assert manager.recall("token") is None


EVENT = SessionEvent("login", "alice", 1)


def test_a_listener_may_close_a_manager_of_threads_whose_closing_waits_for_it() -> None:
    manager = SessionManager(Store(), CONFIG)
    has_begun, ended = threading.Event(), list[float]()

    @manager.on()
    def close(_: SessionEvent) -> None:
        has_begun.set()
        while not manager._listeners._worker.is_stopping:
            time.sleep(0.001)
        manager.close()
        ended.append(time.monotonic())

    manager._listeners.tell(EVENT)
    assert has_begun.wait(10)
    began = time.monotonic()
    manager.close()
    assert ended and ended[0] - began < 4, "otherwise each waits for the other one"


async def test_a_listener_may_close_a_manager_of_tasks_whose_closing_waits_for_it() -> None:
    manager = AsyncSessionManager(AwaitableStore(), CONFIG)
    has_begun, ended = asyncio.Event(), list[float]()

    @manager.on()
    async def close(_: SessionEvent) -> None:
        has_begun.set()
        while not manager._listeners._worker.is_stopping:
            await asyncio.sleep(0.001)
        await manager.close()
        ended.append(time.monotonic())

    manager._listeners.tell(EVENT)
    async with asyncio.timeout(10):
        await has_begun.wait()
    began = time.monotonic()
    await manager.close()
    assert ended and ended[0] - began < 4, "otherwise each waits for the other one"


@pytest.mark.parametrize(("kind", "store"), FACES)
def test_a_manager_that_two_close_at_once_closes_its_store_once(kind: Any, store: Any) -> None:
    manager = kind(store(), CONFIG)
    if kind is SessionManager:
        threads = [threading.Thread(target=manager.close) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:

        async def run() -> None:
            await asyncio.gather(manager.close(), manager.close())

        asyncio.run(run())
    assert manager.store.told.count("close") == 1


def test_the_store_is_closed_even_if_a_close_is_cut_short() -> None:
    manager = AsyncSessionManager(AwaitableStore(), CONFIG)

    async def hang() -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(manager.close(), 0.05)
        assert manager.store.told[-1] != "close"

    manager._confirming.close = hang  # type: ignore[method-assign]
    asyncio.run(run())
    assert manager.store.told[-1] == "close"


def test_a_block_closes_its_manager() -> None:
    with SessionManager(Store(), CONFIG) as manager:
        assert manager.store.told[-1] != "close"
    assert manager.store.told[-1] == "close"


def test_an_asynchronous_block_closes_its_manager() -> None:
    async def run() -> Any:
        async with AsyncSessionManager(AwaitableStore(), CONFIG) as manager:
            assert manager.store.told[-1] != "close"
        return manager.store.told[-1]

    assert asyncio.run(run()) == "close"


def test_listeners_come_and_go(manager: Any) -> None:
    def listener(_: Any) -> None:
        """Listens."""

    assert manager.on("login", "revoked")(listener) is listener
    subscribed = manager._listeners.subscriptions
    assert subscribed.by_kind == {"login": (listener,), "revoked": (listener,)}
    manager.off(listener)
    assert subscribed.by_kind == {"login": (), "revoked": ()}
    manager.off(listener)
    manager.on()(listener)
    assert {"login", "refresh", "revoked"} < subscribed.by_kind.keys()


def test_listeners_to_all_processes_come_and_go(manager: Any) -> None:
    def listener(_: Any) -> None:
        """Listens."""

    near, hearing = manager._flows.memory.near, manager._hearing
    assert manager.on(scope="cluster")(listener) is listener
    assert manager._listeners.cluster.by_kind.keys() == TOLD_BY_HISTORY
    assert manager._listeners.subscriptions.by_kind == {}
    assert hearing._heard.is_listening
    assert near.prefixes == (b"app:{", b"app:not-before:{")
    other = manager.on("login", scope="cluster")(lambda _: None)
    manager.off(listener)
    assert hearing._heard.is_listening
    manager.off(other)
    assert not hearing._heard.is_listening
    with pytest.raises(InvalidInput, match="must be callable"):
        manager.on("login", scope="cluster")("no function")
    assert not hearing._heard.is_listening
    ran(manager.close())


@pytest.mark.parametrize("kind", ["expired", "idle", "nothing", None])
def test_nobody_listens_to_what_is_never_told(manager: Any, kind: Any) -> None:
    with pytest.raises(InvalidInput, match=r"there is no event .*; use one of login, "):
        manager.on("login", kind)


def test_a_listener_can_be_called(manager: Any) -> None:
    with pytest.raises(InvalidInput, match="must be callable"):
        manager.on("login")("no function")
    assert manager._listeners.subscriptions.by_kind == {}


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
