"""The library as its users write it: read by the type checker, never run."""

from contextlib import aclosing
from typing import assert_type

from clusterpass import (
    AccessClaims,
    Applied,
    AsyncSessionManager,
    AsyncSessionWatch,
    AsyncUserDirectory,
    Ban,
    Config,
    Credentials,
    EmbeddedCluster,
    Ended,
    EventKind,
    HistoryEntry,
    KeyRing,
    ListenerStats,
    ManagerStats,
    OnlinePage,
    PendingStats,
    RevocationPending,
    RevokedBefore,
    Session,
    SessionChange,
    SessionEvent,
    SessionManager,
    SessionPolicy,
    SessionRevoked,
    SessionWatch,
    TokenPair,
    TokenVerifier,
    TooManySessions,
    UserDirectory,
)

config = Config(
    issuer="https://auth.example",
    keys=KeyRing.generate("ES256"),
    policy=SessionPolicy(max_sessions=3),
)


async def token() -> Credentials:
    return Credentials(username="app", password=str(config.issuer), expires_in=900)


def password() -> tuple[str, str]:
    return "app", "a password"


def reach(address: tuple[str, int]) -> tuple[str, int]:
    return "127.0.0.1", address[1]


def with_credentials(url: str) -> None:
    SessionManager.from_url(url, config, credentials=password, address_remap=reach)
    AsyncSessionManager.from_url(url, config, credentials=token)
    SessionManager.from_url(url, config, credentials="a password")  # type: ignore[arg-type]
    SessionManager.from_url(url, config, address_remap={})  # type: ignore[arg-type]
    Credentials("app", "a password")  # type: ignore[call-arg]


def with_threads(url: str) -> None:
    with SessionManager.from_url(url, config) as sessions:
        assert_type(sessions, SessionManager)
        pair = sessions.login("alice", device="laptop", claims={"role": "editor"})
        assert_type(pair, TokenPair)
        session = sessions.verify(pair.access_token)
        assert_type(session, Session)
        assert_type(session.device, str | None)
        assert_type(sessions.refresh(pair.refresh_token), TokenPair)
        assert_type(sessions.sessions("alice"), list[Session])
        assert_type(sessions.revoke("alice", session.session_id), Ended)
        assert_type(sessions.revoke_all("alice", keep=session.session_id).count, int)
        assert_type(sessions.logout(pair.access_token), Ended)
        assert_type(UserDirectory(sessions).login("alice", "secret", address="::1"), TokenPair)
        sessions.login(b"alice")  # type: ignore[arg-type]
        sessions.login("alice", "laptop")  # type: ignore[call-arg]


def lifecycle(sessions: SessionManager, session: Session) -> None:
    assert_type(
        sessions.login("a", policy=SessionPolicy.one_per_device(), remember=True), TokenPair
    )
    assert_type(sessions.history("a"), list[HistoryEntry])
    assert_type(sessions.generation("a"), int)
    assert_type(sessions.revoke_before(), RevokedBefore)
    assert_type(sessions.shorten("a", session.session_id, lifetime=60), Session)
    assert_type(sessions.elevate(session, "2", for_seconds=60, amr=["otp"]), TokenPair)
    assert_type(sessions.impersonate(session, "b", reason="help"), TokenPair)
    assert_type(sessions.bans.add("a", for_seconds=60), Ended)
    assert_type(sessions.bans.list("a"), tuple[Ban, ...])
    assert_type(sessions.claims.set("a", {"plan": "pro"}), Applied)
    assert_type(sessions.online.page(limit=10), OnlinePage)
    SessionPolicy(overflow="newest")  # type: ignore[arg-type]
    sessions.on("no such event")  # type: ignore[arg-type]

    @sessions.on("login", "banned")
    def listener(event: SessionEvent) -> None:
        assert_type(event.session_ids, tuple[str, ...])

    @sessions.on()
    async def awaited(event: SessionEvent) -> None:
        assert_type(event.reason, str | None)

    @sessions.on("revoked", scope="cluster")
    def everywhere(event: SessionEvent) -> None:
        assert_type(event.kind, EventKind)

    sessions.on(scope="namespace")  # type: ignore[arg-type]
    assert_type(sessions.stats().listeners, ListenerStats)
    sessions.off(listener)
    sessions.off(awaited)


async def with_tasks(url: str) -> None:
    async with AsyncSessionManager.from_url(url, config) as sessions:
        assert_type(sessions, AsyncSessionManager)
        pair = await sessions.login("alice")
        assert_type(await sessions.verify(pair.access_token), Session)
        assert_type(await sessions.sessions("alice"), list[Session])
        assert_type(await AsyncUserDirectory(sessions).login("alice", "secret"), TokenPair)


def elsewhere(jwks: dict[str, object], token: str) -> AccessClaims:
    verifier = TokenVerifier(KeyRing.from_jwks(jwks), issuer="https://auth.example", audience="api")
    return verifier.verify(token)


def refused(error: TooManySessions) -> list[str | None]:
    return [session.device for session in error.sessions]


def explained(error: SessionRevoked) -> tuple[str, str | None, int]:
    return error.code, error.reason, error.ended_at


with EmbeddedCluster(nodes=3) as cluster:
    assert_type(cluster.url, str)


def from_memory(sessions: SessionManager, token: str) -> None:
    assert_type(sessions.verify(token, verification="strict"), Session)
    assert_type(sessions.recall(token), Session | None)
    assert_type(sessions.stats(), ManagerStats)
    assert_type(sessions.stats().nodes[0].lease_seconds, float)
    assert_type(sessions.stats().cache.hits, int)


async def from_memory_awaited(sessions: AsyncSessionManager, token: str) -> None:
    assert_type(await sessions.verify(token, verification="stateless"), Session)
    assert_type(sessions.recall(token), Session | None)
    assert_type(sessions.stats(), ManagerStats)


def durable_endings(sessions: SessionManager, token: str) -> tuple[str, int, bool]:
    try:
        assert_type(sessions.revoke_all("alice", operation_id="0123456789abcdef"), Ended)
    except RevocationPending as pending:
        return pending.operation_id, pending.retry_after, pending.is_retried
    assert_type(sessions.verify(token, outage_grace=30).in_grace, bool)
    assert_type(sessions.stats().pending, PendingStats)
    assert_type(sessions.stats().durability, str)
    Config(issuer="https://auth.example", keys=config.keys, durability="fsync", outage_grace=1.5)
    return "", 0, True


def watched(sessions: SessionManager, session: Session) -> None:
    changes = sessions.watch(session)
    assert_type(changes, SessionWatch)
    for change in changes:
        assert_type(change, SessionChange)
        changes.close()


async def watched_awaited(sessions: AsyncSessionManager, session: Session) -> None:
    async with aclosing(sessions.watch(session)) as changes:
        assert_type(changes, AsyncSessionWatch)
        async for change in changes:
            assert_type(change, SessionChange)
