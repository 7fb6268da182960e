"""``clusterpass migration``: what became of old tokens, for people and for programs."""

import json
import time
from collections.abc import Iterator

import jwt
import pytest

from clusterpass import Config, InvalidRefreshToken, KeyRing, TokenExpired
from clusterpass.migrate import MigratingSessionManager, authx, pyjwt
from clusterpass.protocol.keyspace import Keyspace

from .conftest import IMPATIENT, assert_refused

SECRET = "the-secret-of-the-old-application"
HOUR = 3600
ISSUER = pyjwt(SECRET, lifetime=2 * HOUR)
MEMBERS = [
    *("issuer", "accepted", "exchanged", "refused", "last_seen_at", "last_issued_at"),
    *("lifetime", "ends_at", "is_over"),
]


@pytest.fixture
def moving(url: str) -> Iterator[MigratingSessionManager]:
    config = Config(
        issuer="https://cli.example", keys=KeyRing.generate(), generation_lifetime=30 * 86_400
    )
    with MigratingSessionManager.from_url(url, config) as opened:
        opened.accept(ISSUER)
        yield opened


def old_token(number: int = 0, *, age: int = 0) -> str:
    issued_at = int(time.time()) - age
    claims = {"sub": "7", "n": number, "iat": issued_at, "exp": issued_at + 2 * HOUR}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def test_it_says_what_became_of_them(run, moving):
    first, second = old_token(1), old_token(2)
    moving.verify(first)
    moving.verify(second)
    moving.refresh(first)
    moving.logout(second)
    with pytest.raises(InvalidRefreshToken):
        moving.refresh(second)
    moving.migration_reports()
    told = run("migration")
    assert (told.returncode, told.stderr) == (0, "")
    head, row, _, verdict = told.stdout.splitlines()
    assert head.split() == [
        *("ISSUER", "ACCEPTED", "EXCHANGED", "REFUSED", "LAST", "SEEN", "LIFETIME"),
        *("VALID", "UNTIL"),
    ]
    assert row.split()[:4] == ["pyjwt", "2", "1", "1"]
    assert " 2 h " in row
    until = row.rpartition(" h ")[2].strip()
    assert verdict == (
        f"the code that accepts old tokens can go after {until}, and a lifetime after the last old"
        " server stopped"
    )


def test_it_says_so_to_programs(run, moving):
    moving.verify(old_token())
    began = int(time.time())
    moving.migration_reports()
    moving.accept(authx("another secret of another application", lifetime=4 * HOUR))
    moving.migration_reports()
    others, report = json.loads(run("migration", "--json").stdout)
    assert list(report) == list(others) == MEMBERS
    assert (others["issuer"], others["accepted"], others["last_seen_at"]) == ("authx", 0, 0)
    assert (report["issuer"], report["accepted"], report["is_over"]) == ("pyjwt", 1, False)
    assert report["lifetime"] == 2 * HOUR
    assert abs(report["ends_at"] - began - 2 * HOUR) < 60
    assert abs(report["last_seen_at"] - began) < 60


def test_it_says_when_the_code_can_go(run, moving, url, cluster):
    """When the longest-lived token that anybody may hold has expired."""
    with pytest.raises(TokenExpired):
        moving.verify(old_token(age=3 * HOUR))
    moving.migration_reports()
    (counted,) = json.loads(run("migration", "--json").stdout)
    assert (counted["refused"], counted["last_issued_at"], counted["is_over"]) == (1, 0, False)
    key = Keyspace(url.rpartition("=")[2]).old_tokens()
    with cluster.client(cluster.primary_of(key)) as client:
        assert client.hincrby(key, "pyjwt:began_at", -3 * HOUR)
    (report,) = json.loads(run("migration", "--json").stdout)
    assert report == {**counted, "ends_at": counted["ends_at"] - 3 * HOUR, "is_over": True}
    assert "can go now, if the last old server stopped" in run("migration").stdout


def test_where_nobody_moves_in_it_says_so(run, url):
    told = run("migration")
    assert (told.returncode, told.stdout, told.stderr) == (
        *(0, "no process on this namespace has counted an old token\n", ""),
    )
    assert json.loads(run("migration", "--json").stdout) == []


@pytest.mark.parametrize("arguments", [["all"], ["--yaml"], ["--config"]])
def test_wrong_usage_is_explained(run, arguments):
    outcome = run("migration", *arguments)
    assert (outcome.returncode, outcome.stdout) == (2, "")


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_store_that_is_away_is_told(run, arguments):
    outcome = run("migration", *arguments, CLUSTERPASS_STORE_URL=IMPATIENT)
    assert_refused(outcome, saying="temporarily unavailable")
