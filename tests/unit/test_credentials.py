"""Credentials for connections that expire: when authentication is tried again, and how."""

import logging
import time
from math import inf
from typing import Any

import pytest
from redis.exceptions import ResponseError

from clusterpass import Credentials, StoreUnavailable
from clusterpass.store.credentials import pause_after_failure
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
