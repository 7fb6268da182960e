"""Credentials for connections that expire: when authentication is tried again, and how."""

import asyncio
import logging
import time
from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from redis.exceptions import ResponseError

from clusterpass import Credentials, StoreUnavailable
from clusterpass.store import credentials as module
from clusterpass.store.address import Address
from clusterpass.store.credentials import pause_after_failure
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.wire.background import BackgroundTasks
from clusterpass.store.wire.reauthentication import Reauthentication
from clusterpass.store.wire.redis_py import _Login, renew_login


@pytest.mark.parametrize(
    ("left", "pause"),
    [(inf, 1.0), (60.0, 1.0), (2.0, 0.51), (0.4, 0.11), (0.0, 0.01), (-5.0, 0.01)],
)
def test_who_could_not_authenticate_tries_again_before_the_credentials_expire(
    left: float, pause: float
) -> None:
    assert pause_after_failure(100.0, 100.0 + left) == pytest.approx(pause)


class Connection(_Login):
    """An open connection to a server that takes some passwords."""

    def __init__(self, *taken: bytes) -> None:
        self.taken = taken
        self.sent: list[tuple[Any, ...]] = []

    def send_command(self, *command: Any, check_health: bool) -> None:
        assert not check_health
        self.sent.append(command)

    def read_response(self) -> None:
        if self.sent[-1][-1] not in self.taken:
            raise ResponseError("WRONGPASS")


def in_time(connection: Connection, renewal: float, end: float) -> None:
    now = time.monotonic()
    connection.renewal, connection.end = now + renewal, now + end


def renew(connection: Any) -> None:
    renew_login(connection)


def test_a_login_is_renewed_when_it_is_time() -> None:
    connection = Connection(b"new")
    connection.note(lambda: Credentials(username="app", password="new", expires_in=100), ANY)
    renew(connection)
    assert connection.sent == [], "its login is good for long"
    in_time(connection, -1, 10)
    renew(connection)
    assert connection.sent == [("AUTH", b"app", b"new")]
    left = connection.renewal - time.monotonic(), connection.end - time.monotonic()
    assert left == pytest.approx((75, 100), abs=5)


ANY = Credentials(password="old", expires_in=100)


def test_while_the_login_of_before_is_good_a_failure_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection = Connection(b"new")
    connection.note(lambda: Credentials(password="refused"), ANY)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            in_time(connection, -1, 60)
            renew(connection)
            assert 0 < connection.renewal - time.monotonic() <= 1
    (line,) = caplog.messages
    assert "keeps its old login: AUTH is refused" in line
    connection.source = lambda: Credentials(password="new")
    in_time(connection, -1, 60)
    renew(connection)
    assert (connection.renewal, connection.has_failed) == (inf, False)


def test_once_the_login_is_over_a_failure_is_one_of_the_call() -> None:
    connection = Connection()
    connection.note(lambda: Credentials(password="refused"), ANY)
    in_time(connection, -2, -1)
    with pytest.raises(ResponseError):
        renew(connection)

    def fail() -> Credentials:
        raise OSError

    connection.source = fail
    with pytest.raises(StoreUnavailable):
        renew(connection)


class Multiplexed:
    """A connection that others use, too; ``answers``: what becomes of each AUTH, the last again."""

    def __init__(self, *answers: Replies | Fault) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []
        self.is_open = True

    async def ask(self, packed: bytes, count: int, *, urgent: bool = False) -> Any:
        assert urgent and count == 1, "the requests of others go on meanwhile"
        self.sent.append(packed)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def end(self) -> None:
        self.is_open = False


async def authenticate(
    connection: Multiplexed, source: Callable[[], Any], *, expires_in: float = 100
) -> None:
    """Keeps the connection authenticated until nothing is left to do."""
    background = BackgroundTasks()
    Reauthentication(
        connection,  # type: ignore[arg-type]
        Address("a", 1),
        source,
        Credentials(password="old", expires_in=expires_in),
        seconds=20,
        background=background,
    )
    async with asyncio.timeout(20):
        await background.ended()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon it is time to authenticate again, and again after a failure."""
    monkeypatch.setattr(module, "_SHARE_OF_LIFETIME", 0.0001)
    monkeypatch.setattr(module, "_PAUSE_AFTER_FAILURE", 0.01)


OK, REFUSED = Replies([b"OK"]), Replies([ServerError("WRONGPASS", "no")])


@pytest.mark.usefixtures("soon")
async def test_a_shared_connection_tells_each_time_that_it_begins_to_keep_its_old_login(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection = Multiplexed(Fault("timeout"), REFUSED, OK, REFUSED, Fault("busy"), OK)
    given = [*["new"] * 5, "for ever"]

    def source() -> Credentials:
        password = given.pop(0)
        return Credentials(
            username="app", password=password, expires_in=100 if password == "new" else None
        )

    await authenticate(connection, source)
    told = "a:1: a connection keeps its old login: "
    assert caplog.messages == [
        f"{told}no answer to AUTH",
        f"{told}the server answers WRONGPASS to AUTH",
    ]
    assert connection.is_open
    assert len(connection.sent) == 6
    assert connection.sent[-1] == b"*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$8\r\nfor ever\r\n"


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("answer", [REFUSED, Fault("timeout")])
async def test_a_shared_connection_ends_once_its_login_is_over(answer: Any) -> None:
    connection = Multiplexed(answer)
    await authenticate(connection, lambda: ("app", "refused"), expires_in=0.02)
    assert not connection.is_open
    assert connection.sent


@pytest.mark.usefixtures("soon")
async def test_a_connection_that_was_lost_is_not_authenticated() -> None:
    connection = Multiplexed(OK)
    connection.end()
    await authenticate(connection, lambda: ("app", "new"))
    assert connection.sent == []
