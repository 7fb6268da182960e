"""A connection that is attached to a session is closed to the end, and left once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, InvalidInput, Session
from clusterpass.integrations.attached import attached
from clusterpass.integrations.streams import while_live
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.tokens.identifiers import decode_session_id
from clusterpass.web.needs import Needs


@pytest.fixture
async def sessions(cluster: EmbeddedCluster, config: Config) -> AsyncIterator[AsyncSessionManager]:
    async with AsyncSessionManager.from_url(cluster.url, config) as opened:
        yield opened


@pytest.fixture
async def session(sessions: AsyncSessionManager, subject: str) -> Session:
    return await sessions.verify((await sessions.login(subject)).access_token)


class Connection:
    """A connection that takes a while to be closed."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()
        self.may_close = asyncio.Event()
        self.closed = False

    async def close(self, code: int, reason: str) -> None:
        self.closing.set()
        await self.may_close.wait()
        self.closed = True


async def test_a_body_that_ends_while_the_connection_is_closed_waits_for_it(
    sessions, session
) -> None:
    connection = Connection()

    async def handle() -> int:
        async with attached(sessions, session, connection.close):
            await sessions.revoke_all(session.subject)
            await connection.closing.wait()
            asyncio.get_running_loop().call_later(0.1, connection.may_close.set)
        assert connection.closed
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert await asyncio.create_task(handle()) == 0


async def test_a_handler_that_is_cancelled_while_the_connection_is_closed_stays_cancelled(
    sessions, session
) -> None:
    connection = Connection()

    async def handle() -> None:
        async with attached(sessions, session, connection.close):
            await asyncio.Event().wait()
        pytest.fail("the handler went on")

    handler = asyncio.create_task(handle())
    await asyncio.sleep(0)
    await sessions.revoke_all(session.subject)
    await connection.closing.wait()
    handler.cancel()
    await asyncio.sleep(0)
    connection.may_close.set()
    with pytest.raises(asyncio.CancelledError):
        await handler
    assert connection.closed


async def test_a_client_that_has_left_is_no_error_when_its_session_ends(sessions, session) -> None:
    async def close(code: int, reason: str) -> None:
        raise RuntimeError("Cannot call send once a close message has been sent.")

    async def handle() -> tuple[int, str] | None:
        async with attached(sessions, session, close) as found:
            await sessions.revoke_all(session.subject)
            await asyncio.Event().wait()
        return found.closed_with

    assert await asyncio.create_task(handle()) == (4401, "session_revoked: revoked")


async def test_a_handler_that_cannot_send_while_its_connection_is_closed_does_not_fail(
    sessions, session
) -> None:
    connection = Connection()

    async def handle() -> bool:
        async with attached(sessions, session, connection.close):
            await sessions.revoke_all(session.subject)
            await connection.closing.wait()
            asyncio.get_running_loop().call_soon(connection.may_close.set)
            raise RuntimeError("Cannot call send once a close message has been sent.")
        return connection.closed

    assert await asyncio.create_task(handle())


async def test_what_a_handler_fails_with_otherwise_is_raised(sessions, session) -> None:
    connection = Connection()
    connection.may_close.set()

    async def fail_at_once() -> None:
        async with attached(sessions, session, connection.close):
            raise LookupError

    async def fail_when_left() -> None:
        async with attached(sessions, session, connection.close):
            try:
                await sessions.revoke_all(session.subject)
                await asyncio.Event().wait()
            finally:
                raise LookupError

    for handle in (fail_at_once, fail_when_left):
        with pytest.raises(LookupError):
            await asyncio.create_task(handle())


async def test_a_connection_that_nobody_watches_is_closed(
    cluster: EmbeddedCluster, config: Config, subject: str
) -> None:
    told: list[tuple[int, str]] = []

    async def close(code: int, reason: str) -> None:
        told.append((code, reason))

    sessions = AsyncSessionManager.from_url(cluster.url, config)
    session = await sessions.verify((await sessions.login(subject)).access_token)
    async with attached(sessions, session, close) as found:
        await sessions.close()
        await asyncio.Event().wait()
    assert told == [(4503, "store_unavailable: closed")]
    assert found.closed_with == told[0]


async def test_a_watch_that_fails_closes_the_connection(
    sessions, session, cluster: EmbeddedCluster, caplog
) -> None:
    """A record of a later release, for example: what becomes of the session is not known."""
    told: list[tuple[int, str]] = []

    async def close(code: int, reason: str) -> None:
        told.append((code, reason))

    key = Keyspace().sessions(session.subject)
    async with attached(sessions, session, close):
        with cluster.client(cluster.primary_of(key)) as client:
            client.hset(key, decode_session_id(session.session_id), b"\x7fof a later release")
        await asyncio.Event().wait()
    assert told == [(4503, "record_unreadable")]
    assert "not watched any more" in caplog.text


async def test_what_is_no_session_is_refused_at_once(sessions) -> None:
    with pytest.raises(InvalidInput):
        async with attached(sessions, None, Connection().close):  # type: ignore[arg-type]
            pytest.fail("the body was run")


@pytest.mark.parametrize("body", ["waits", "sends", "returns"])
async def test_a_session_that_was_never_as_it_has_to_be_is_closed_before_the_body_runs(
    sessions, session, body
) -> None:
    closed: list[tuple[int, str]] = []

    async def close(code: int, reason: str) -> None:
        closed.append((code, reason))

    async def handle() -> int:
        needs = Needs(scopes=("orders:read",))
        async with attached(sessions, session, close, needs=needs):
            assert closed == [(4403, "scope_missing: insufficient_scope")]
            if body == "sends":
                raise RuntimeError("the connection is closed")
            if body == "waits":
                await asyncio.Event().wait()
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert await asyncio.create_task(handle()) == 0
    assert len(closed) == 1


async def test_a_stream_of_a_session_that_was_never_as_it_has_to_be_has_no_events(
    sessions, session
) -> None:
    async def secrets() -> AsyncIterator[str]:
        while True:
            yield "secret"

    needs = Needs(scopes=("orders:read",))
    live = while_live(sessions, session, secrets(), needs=needs, last=lambda end: str(end.code))
    assert [event async for event in live] == ["4403"]
