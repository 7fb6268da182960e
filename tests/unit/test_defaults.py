"""The defaults that docs/reference promises: a release must not change one unnoticed."""

import dataclasses
import inspect
import math
from typing import Any

import pytest

from clusterpass import (
    AsyncHashing,
    AsyncTokenVerifier,
    AsyncUserDirectory,
    AuditPolicy,
    Config,
    ConfigurationError,
    EmbeddedCluster,
    Hashing,
    PasswordPolicy,
    SessionManager,
    SessionPolicy,
    ThrottlePolicy,
    TokenVerifier,
    UserDirectory,
    limits,
)
from clusterpass.managers.aio.groups import AsyncOnlineSubjects
from clusterpass.managers.sync.groups import OnlineSubjects
from clusterpass.model.clock import steady_seconds
from clusterpass.model.events import SessionEvent
from clusterpass.model.old_tokens import OldToken
from clusterpass.model.statistics import NOTHING_PENDING, ListenerStats, ManagerStats, PendingStats
from clusterpass.model.values import AccessClaims, Actor, Ended, Session, SessionChange, TokenPair
from clusterpass.protocol.calls.call_time import NO_TIME
from clusterpass.protocol.calls.end import EndedAll
from clusterpass.protocol.calls.journal import ReadFrom
from clusterpass.protocol.calls.session import NewSession, Rotated
from clusterpass.protocol.calls.subject_change import NO_OPERATION, Housekeeping
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.records import LiveRecord, Tombstone
from clusterpass.protocol.replies import NO_DETAILS, Details, Elevation, Stored
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.sessions.memory.denial import Denial, Sweep
from clusterpass.sessions.revocations.outcome import Outcome
from clusterpass.store.drivers.heartbeat import Heartbeat, Pulse
from clusterpass.store.exchanges.steps import Agree, LookUp, Send
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Fault, Replies
from clusterpass.store.patience import Patience
from clusterpass.store.topology.cluster_nodes import Member
from clusterpass.store.topology.slots import Shard
from clusterpass.users.passwords import PasswordHasher
from clusterpass.web.settings import WebSettings

HOUR, DAY, MIB = 3600, 86_400, 2**20
FIELDS: dict[type[Any], dict[str, Any]] = {
    Config: {
        "audience": "",
        "client_id": "",
        "access_lifetime": HOUR // 4,
        "absolute_lifetime": 30 * DAY,
        "idle_lifetime": 7 * DAY,
        "remember_lifetime": 90 * DAY,
        "remember_idle_lifetime": 30 * DAY,
        "activity_interval": 300,
        "refresh_grace": 30,
        "refresh_retry": None,
        "compatibility": "current",
        "refresh_secrets": (),
        "key_encryption_keys": (),
        "clock_leeway": 30,
        "expiry_leeway": 0,
        "policy": SessionPolicy(max_sessions=50, max_per_device=0, overflow="oldest"),
        "levels": ("1", "2", "3"),
        "protected_subjects": frozenset(),
        "history_entries": 20,
        "history_lifetime": 0,
        "stored_addresses": "full",
        "stored_devices": True,
        "generation_lifetime": 3600,
        "audit": None,
        "index_online": True,
        "step_up_ends_older_tokens": False,
        "verification": "cached",
        "staleness_bound": 0.5,
        "durability": "replicated",
        "outage_grace": 0.0,
        "cache_entries": 100_000,
        "cache_bytes": 256 * MIB,
    },
    SessionPolicy: {"max_sessions": 50, "max_per_device": 0, "overflow": "oldest"},
    PasswordPolicy: {"shortest": 8},
    ThrottlePolicy: {
        "account_attempts": 10,
        "account_window": 300,
        "address_attempts": 100,
        "address_window": 300,
        "network_attempts": 1000,
        "network_window": 300,
        "total_attempts": 100_000,
        "total_window": 300,
        "known_attempts": 10,
        "known_window": 300,
        "known_total_attempts": 50,
    },
    ManagerStats: {
        "durability": "",
        "pending": PendingStats(waiting=0, oldest_seconds=0.0, confirmed=0, refused=0),
        "rollbacks": 0,
        "grace_accepted": 0,
        "silent_nodes": (),
        "missing_commands": (),
        "listeners": ListenerStats(waiting=0, dropped=0, reads=0, unread=0, overrun=0, gaps=0),
        "audit": None,
    },
    AuditPolicy: {"retention": 90 * DAY, "most_entries": 1_000_000},
    Actor: {"reason": ""},
    OldToken: {"is_exchangeable": False, "issuer": ""},
    AccessClaims: {
        "auth_time": None,
        "acr": None,
        "amr": (),
        "act": None,
        "step_up": None,
        "client_id": None,
    },
    Session: {
        "device_type": None,
        "active_at": 0,
        "auth_time": 0,
        "acr": "",
        "amr": (),
        "act": None,
        "bans": (),
        "is_stateless": False,
        "in_grace": False,
    },
    ScriptCall: {
        "confirm": True,
        "insists": False,
        "is_ending": False,
        "deadline": None,
        "slot": None,
        "follows": False,
        "packed": None,
    },
    Answer: {"node": None, "is_confirmed": True},
    Housekeeping: {
        "history_entries": 0,
        "history_seconds": 0,
        "cutoff_milliseconds": 0,
        "indexed": True,
        "time": NO_TIME,
        "operation_until": 0,
        "generation_seconds": 3600,
    },
    NewSession: {
        "flags": 0,
        "device": "",
        "most_per_device": 0,
        "overflow": "oldest",
        "replaced": b"",
        "generation": None,
        "address": b"",
        "is_impersonation": False,
        "label": "",
        "operation": NO_OPERATION,
        "opened_milliseconds": None,
    },
    EndedAll: {"status": "OK"},
    Rotated: {"key": 0},
    LiveRecord: {"flags": 0, "burst": 0, "burst_span": 0, "seen_at": 0, "used": 0},
    Tombstone: {"note": "", "by": None},
    Details: {"device": None, "level": None, "methods": (), "actor": None},
    Elevation: {
        "id": b"",
        "first_rotation": 2**32 - 1,
        "ends_older": False,
        "older_rotation": None,
    },
    Stored: {"details": NO_DETAILS, "elevation": None, "bans": (), "generation": 0},
    ReadFrom: {"cursor": b"0", "began_at": 0},
    JournalEntry: {"milliseconds": None},
    Denial: {"note": "", "is_pending": False, "known_at": -math.inf, "requests": frozenset()},
    Sweep: {
        "until": math.inf,
        "since": math.inf,
        "keep": None,
        "device_type": None,
        "bans": (),
    },
    Outcome: {"is_journaled": False},
    Ended: {"journaled": False},
    SessionEvent: {
        "session_ids": (),
        "device": None,
        "device_type": None,
        "address": None,
        "reason": None,
        "actor": None,
    },
    SessionChange: {"error": None},
    TokenPair: {"session_expires_in": 0, "acr": "", "token_type": "Bearer"},
    Fault: {"stale": False, "idle_since": None, "cause": None, "error": None, "node": None},
    Replies: {"confirmed": 0, "attached": ()},
    Send: {"wait": None, "until": None, "urgent": False, "fresh": False},
    LookUp: {"counts_replicas": False},
    Agree: {"made_at": 0.0, "is_durable": False},
    Terms: {
        "durability": "primary",
        "doubts": None,
        "is_cluster": True,
        "blame": Fault,
        "steady": steady_seconds,
    },
    Shard: {"is_whole": True, "at": frozenset()},
    Member: {"moving": ()},
    Heartbeat: {"has_journal": False},
    Pulse: {"told": None, "own_epoch": None},
    StoreLocation: {
        "is_embedded": False,
        "username": None,
        "password": None,
        "tls_files": None,
        "patience": Patience(),
        "service": None,
        "sentinel_username": None,
        "sentinel_password": None,
        "address_remap": None,
        "credential_source": None,
    },
    Patience: {
        "timeout": 0.5,
        "deadline": 2.5,
        "replica_wait": None,
        "max_connections": 64,
        "max_pending": 10_000,
        "max_waiting": 256,
    },
}
OF_JWKS_URLS = {
    "clock_leeway": 30,
    "expiry_leeway": 0,
    "timeout": 2.0,
    "interval": 10.0,
    "ssl_context": None,
}
ARGUMENTS: list[tuple[Any, dict[str, Any]]] = [
    (TokenVerifier, {"clock_leeway": 30, "expiry_leeway": 0}),
    (TokenVerifier.from_jwks_url, OF_JWKS_URLS),
    (AsyncTokenVerifier.from_jwks_url, OF_JWKS_URLS),
    (AsyncHashing, {"concurrency": None, "most_waiting": 64}),
    (Hashing, {"concurrency": None, "most_waiting": 64}),
    (UserDirectory, {"hash_concurrency": None, "most_waiting": 64}),
    (AsyncUserDirectory, {"hash_concurrency": None, "most_waiting": 64}),
    (PasswordHasher, {"memory_kib": 46 * 1024, "passes": 1, "lanes": 1}),
    (EmbeddedCluster, {"nodes": 6, "node_timeout": 2.0, "persistent": False}),
    (SessionManager.impersonate, {"for_seconds": 900}),
    (OnlineSubjects.page, {"cursor": None, "limit": 50}),
    (AsyncOnlineSubjects.page, {"cursor": None, "limit": 50}),
]


@pytest.mark.parametrize(
    "kind", [Config, PasswordPolicy, SessionPolicy, ThrottlePolicy, WebSettings]
)
def test_settings_are_given_by_name(kind: Any) -> None:
    """So that a release can add one anywhere."""
    with pytest.raises(TypeError, match="positional"):
        kind("a value")


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_members_that_nobody_sets(kind: type[Any]) -> None:
    set_to = {
        member.name: member.default
        for member in dataclasses.fields(kind)
        if member.default is not dataclasses.MISSING
    }
    assert set_to == FIELDS[kind]


@pytest.mark.parametrize(("called", "expected"), ARGUMENTS, ids=lambda each: str(each)[:30])
def test_arguments_that_nobody_passes(called: Any, expected: dict[str, Any]) -> None:
    parameters = inspect.signature(called).parameters
    assert {name: parameters[name].default for name in expected} == expected


@pytest.mark.parametrize("name", [member.name for member in dataclasses.fields(ThrottlePolicy)])
def test_what_a_throttle_may_be(name: str) -> None:
    most = 1_000_000 if name.endswith("attempts") else DAY
    for allowed in (1, most):
        assert getattr(ThrottlePolicy(**{name: allowed}), name) == allowed
    for refused in (0, most + 1):
        with pytest.raises(ConfigurationError):
            ThrottlePolicy(**{name: refused})


def test_nothing_is_pending_before_a_revocation() -> None:
    assert dataclasses.asdict(NOTHING_PENDING) == {
        "waiting": 0,
        "oldest_seconds": 0.0,
        "confirmed": 0,
        "refused": 0,
        "journaled": 0,
        "rejected": 0,
    }


def test_how_long_a_write_waits_for_its_confirmation() -> None:
    patience = Patience()
    assert patience.confirmation_wait("replicated") == 0.25
    assert patience.confirmation_wait("fsync") == 1.5
    assert patience.write_timeout("replicated") == 0.5
    assert patience.write_timeout("fsync") == 1.75
    assert Patience(replica_wait=0.1).confirmation_wait("fsync") == 0.1
    assert Patience(replica_wait=0.5).write_timeout("replicated") == 0.75


def test_a_deadline_may_be_as_short_as_one_attempt_at_a_write() -> None:
    Patience(deadline=1.75).check("fsync")
    with pytest.raises(ConfigurationError, match=r"deadline=1\.74 .* 1\.75 or more"):
        Patience(deadline=1.74).check("fsync")


def test_the_limits_of_what_callers_may_pass() -> None:
    found = {name: value for name, value in vars(limits).items() if isinstance(value, int)}
    assert found == {
        "DAY": DAY,
        "LONGEST_LIFETIME": 10 * 366 * DAY,
        "LONGEST_GRACE": HOUR,
        "LONGEST_IMPERSONATION": HOUR,
        "LONGEST_SUBJECT_BYTES": 255,
        "LONGEST_DEVICE_BYTES": 128,
        "LONGEST_REASON_BYTES": 200,
        "LARGEST_CLAIMS_BYTES": 4096,
        "LARGEST_LIVE_CLAIMS_BYTES": 2048,
        "LONGEST_PASSWORD_BYTES": 1024,
        "SHORTEST_NEW_PASSWORD": 8,
        "MOST_BAN_LEVEL": 1000,
        "MOST_BANS": 32,
        "CLOCK_TOLERANCE": 5,
        "MOST_CLOCKS_APART": 600,
    }
