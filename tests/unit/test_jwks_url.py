"""Verifiers that fetch the keys of their issuer, on both faces, from a server on this machine."""

import asyncio
import gzip
import json
import logging
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from clusterpass import (
    AccessClaims,
    AsyncTokenVerifier,
    InvalidToken,
    KeyRing,
    KeysUnavailable,
    TokenExpired,
    TokenKeyUnknown,
    TokenVerifier,
)

from .jwks_issuer import AUDIENCE, ISSUER, NOW, Clock, JwksIssuer, Loop, Threads, served

OPTIONS: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "clock": lambda: NOW}
INTERVAL = 10


@pytest.fixture
def issuer() -> Iterator[JwksIssuer]:
    with served() as issuer:
        yield issuer


@pytest.fixture(params=[Threads, Loop])
def face(request: pytest.FixtureRequest) -> Iterator[Any]:
    face = request.param()
    yield face
    face.close()


@pytest.fixture
def steady() -> Clock:
    return Clock()


@pytest.fixture
def verifier(face: Any, issuer: JwksIssuer, steady: Clock) -> Any:
    return face.made(
        issuer.url, timeout=30.0, interval=INTERVAL, ssl_context=None, steady=steady, **OPTIONS
    )


@pytest.fixture
def verify(face: Any, verifier: Any) -> Callable[[str], AccessClaims]:
    return lambda token: face.verify(verifier, token)


def test_both_faces_are_opened_by_a_url(issuer: JwksIssuer) -> None:
    verifier = TokenVerifier.from_jwks_url(issuer.url, timeout=30, **OPTIONS)
    assert isinstance(verifier, TokenVerifier)
    assert verifier.verify(issuer.token()).subject == "alice"
    other = AsyncTokenVerifier.from_jwks_url(issuer.url, timeout=30, **OPTIONS)
    assert asyncio.run(other.verify(issuer.token())).subject == "alice"
    assert asyncio.run(other.verify(issuer.token())).subject == "alice", "in another loop"
    assert issuer.requests == 2


def test_a_program_that_ends_does_not_wait_for_the_time_limit_of_a_fetch(
    issuer: JwksIssuer,
) -> None:
    verifier = TokenVerifier.from_jwks_url(issuer.url, timeout=30, **OPTIONS)
    issuer.may_answer.clear()
    fetching = threading.Thread(target=verifier.verify, args=(issuer.token(),))
    fetching.start()
    assert issuer.came.acquire(timeout=30)
    timers = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    issuer.may_answer.set()
    fetching.join(30)
    assert [each.daemon for each in timers] == [True]


def test_keys_are_fetched_by_the_first_verify_and_kept(verify: Any, issuer: JwksIssuer) -> None:
    assert issuer.requests == 0
    for _ in range(20):
        assert verify(issuer.token()).subject == "alice"
    assert issuer.requests == 1


@pytest.mark.parametrize(
    ("control", "seconds"),
    [("max-age=1", 60), ("public, max-age=300", 300), ("max-age=99999", 3600), (None, 300)],
)
def test_a_set_is_fresh_as_long_as_it_says_within_bounds(
    verify: Any, issuer: JwksIssuer, steady: Clock, control: str | None, seconds: int
) -> None:
    issuer.headers = {} if control is None else {"Cache-Control": control}
    verify(issuer.token())
    steady.now += seconds - 0.5
    verify(issuer.token())
    assert issuer.requests == 1
    steady.now += 0.5
    verify(issuer.token())
    assert issuer.requests == 2


def test_a_key_that_was_withdrawn_is_refused_once_the_set_is_fetched_again(
    verify: Any, issuer: JwksIssuer, steady: Clock
) -> None:
    old = issuer.token()
    verify(old)
    issuer.ring = KeyRing.generate()
    assert verify(old), "for as long as the set is fresh"
    steady.now += 301
    with pytest.raises(TokenKeyUnknown):
        verify(old)
    assert verify(issuer.token())


def test_a_new_key_is_fetched_when_a_token_names_it(
    verify: Any, issuer: JwksIssuer, steady: Clock
) -> None:
    old = issuer.token()
    verify(old)
    issuer.rotate()
    steady.now += INTERVAL
    assert verify(issuer.token()).subject == "alice"
    assert verify(old).subject == "alice"
    assert issuer.requests == 2


def test_an_expired_token_of_any_key_is_verified_where_that_is_asked_for(
    face: Any, issuer: JwksIssuer, steady: Clock
) -> None:
    options = {**OPTIONS, "clock": lambda: NOW + 10_000}
    verifier = face.made(
        issuer.url, timeout=30.0, interval=INTERVAL, ssl_context=None, steady=steady, **options
    )
    for _ in range(2):
        assert face.verify(verifier, issuer.token(), allow_expired=True).subject == "alice"
        with pytest.raises(TokenExpired):
            face.verify(verifier, issuer.token())
        issuer.rotate()
        steady.now += INTERVAL
    assert issuer.requests == 2


def test_tokens_with_made_up_keys_cause_one_request_an_interval(
    verify: Any, issuer: JwksIssuer, steady: Clock
) -> None:
    verify(issuer.token())
    for round_ in range(3):
        for _ in range(5):
            with pytest.raises(TokenKeyUnknown):
                verify(issuer.token(KeyRing.generate()))
        assert issuer.requests == 1 + round_
        steady.now += INTERVAL


FAULTS: dict[str, Callable[[JwksIssuer], None]] = {
    "status": lambda issuer: setattr(issuer, "status", 500),
    "redirect": lambda issuer: vars(issuer).update(
        status=302, headers={"Location": issuer.url + "?other"}
    ),
    "no JSON": lambda issuer: setattr(issuer, "body", b"<html>"),
    "no set": lambda issuer: setattr(issuer, "body", b"{}"),
    "empty": lambda issuer: setattr(issuer, "body", b'{"keys": []}'),
    "too large": lambda issuer: setattr(issuer, "body", b" " * 600_000 + issuer.answer()),
    "not what it says": lambda issuer: issuer.headers.update({"Content-Encoding": "gzip"}),
    "another compression": lambda issuer: issuer.headers.update({"Content-Encoding": "br"}),
    "half of it": lambda issuer: vars(issuer).update(
        body=gzip.compress(issuer.answer())[:-9], headers={"Content-Encoding": "gzip"}
    ),
    "only foreign keys": lambda issuer: setattr(
        issuer, "body", b'{"keys": [{"kty": "AKP", "kid": "x"}, 5]}'
    ),
    "a secret": lambda issuer: setattr(
        issuer, "body", KeyRing.generate("HS256").private_jwks_text().encode()
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_last_good_set_is_kept_whatever_is_answered(
    verify: Any, issuer: JwksIssuer, steady: Clock, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    verify(issuer.token())
    FAULTS[fault](issuer)
    for round_ in range(3):
        steady.now += 4000
        with caplog.at_level(logging.WARNING, "clusterpass.keys"):
            for _ in range(3):
                assert verify(issuer.token()).subject == "alice"
        assert issuer.requests == 2 + round_
        assert len(caplog.records) == 1 + round_
    issuer.status, issuer.body, issuer.headers = 200, None, {}
    issuer.rotate()
    steady.now += INTERVAL
    assert verify(issuer.token()).subject == "alice"


@pytest.mark.parametrize("fault", FAULTS)
def test_without_any_set_nothing_is_known(
    verify: Any, issuer: JwksIssuer, steady: Clock, fault: str
) -> None:
    FAULTS[fault](issuer)
    for _ in range(3):
        with pytest.raises(KeysUnavailable) as caught:
            verify(issuer.token())
        assert (caught.value.status, caught.value.retry_after) == (503, 1)
    assert issuer.requests == 1
    issuer.status, issuer.body, issuer.headers = 200, None, {}
    steady.now += 1
    assert verify(issuer.token()).subject == "alice"


def test_keys_of_this_machine_go_through_no_proxy(
    verify: Any, issuer: JwksIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert verify(issuer.token()).subject == "alice"


def test_nobody_listens(face: Any, steady: Clock) -> None:
    with served() as issuer:
        token = issuer.token()
    verifier = face.made(
        issuer.url, timeout=1.0, interval=INTERVAL, ssl_context=None, steady=steady, **OPTIONS
    )
    with pytest.raises(KeysUnavailable):
        face.verify(verifier, token)


def test_a_fault_while_keys_are_fetched_is_not_repeated_by_the_next_verify(
    issuer: JwksIssuer, steady: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = Threads.made(
        issuer.url, timeout=1.0, interval=INTERVAL, ssl_context=None, steady=steady, **OPTIONS
    )
    tried = []

    def fetch() -> None:
        tried.append(steady.now)
        raise RuntimeError("a proxy that the environment names is not understood")

    monkeypatch.setattr(verifier, "_fetch", fetch)
    for error in (RuntimeError, KeysUnavailable):
        with pytest.raises(error):
            verifier.verify(issuer.token())
    assert len(tried) == 1


def test_a_server_that_says_nothing_is_given_up(
    face: Any, issuer: JwksIssuer, steady: Clock
) -> None:
    issuer.may_answer.clear()
    verifier = face.made(
        issuer.url, timeout=0.2, interval=INTERVAL, ssl_context=None, steady=steady, **OPTIONS
    )
    with pytest.raises(KeysUnavailable):
        face.verify(verifier, issuer.token())


@pytest.mark.parametrize(
    ("begin", "piece"), [(b"", b"X-More: to come\r\n"), (b'\r\n{"keys": []}', b" ")]
)
def test_a_server_that_says_a_little_at_a_time_is_given_up(
    face: Any,
    issuer: JwksIssuer,
    steady: Clock,
    caplog: pytest.LogCaptureFixture,
    begin: bytes,
    piece: bytes,
) -> None:
    """The timeout is that of the whole request, not of each byte."""
    may_end, has_said_all = threading.Event(), threading.Event()

    def trickle(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client, suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\n" + begin)
            for _ in range(200):
                client.sendall(piece)
                if may_end.wait(0.05):
                    return
            has_said_all.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=trickle, args=(listener,))
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/jwks.json"
        verifier = face.made(
            url, timeout=0.3, interval=INTERVAL, ssl_context=None, steady=steady, **OPTIONS
        )
        with pytest.raises(KeysUnavailable):
            face.verify(verifier, issuer.token())
        assert "it takes too long" in caplog.text
        assert not has_said_all.is_set(), "nobody waits for the rest"
        may_end.set()
        server.join()


def test_a_compressed_set_is_read_and_a_bomb_is_not_unpacked(
    verify: Any, issuer: JwksIssuer, steady: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.headers = {"Content-Encoding": "gzip"}
    issuer.body = gzip.compress(issuer.answer())
    assert verify(issuer.token()).subject == "alice"
    issuer.body = gzip.compress(b" " * 50_000_000)
    steady.now += 4000
    tracemalloc.start()
    try:
        assert verify(issuer.token()).subject == "alice"
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert "larger than" in caplog.text


@pytest.mark.parametrize("is_longer", [False, True])
def test_a_set_may_have_half_a_megabyte(verify: Any, issuer: JwksIssuer, is_longer: bool) -> None:
    issuer.body = issuer.answer().ljust(512 * 1024 + is_longer)
    if is_longer:
        with pytest.raises(KeysUnavailable):
            verify(issuer.token())
    else:
        assert verify(issuer.token()).subject == "alice"


def test_the_first_verifies_share_one_request(face: Any, verifier: Any, issuer: JwksIssuer) -> None:
    issuer.may_answer.clear()
    begun = face.begin(verifier, [issuer.token()] * 8)
    assert issuer.came.acquire(timeout=30)
    issuer.may_answer.set()
    assert [each().subject for each in begun] == ["alice"] * 8
    assert issuer.requests == 1


def test_tokens_of_a_new_key_share_one_request(
    face: Any, verifier: Any, issuer: JwksIssuer, steady: Clock
) -> None:
    face.verify(verifier, issuer.token())
    issuer.came.acquire()
    issuer.rotate()
    steady.now += INTERVAL
    issuer.may_answer.clear()
    begun = face.begin(verifier, [issuer.token()] * 8)
    assert issuer.came.acquire(timeout=30)
    issuer.may_answer.set()
    assert [each().subject for each in begun] == ["alice"] * 8
    assert issuer.requests == 2


def test_others_go_on_with_the_old_set_while_one_fetches(
    face: Any, verifier: Any, issuer: JwksIssuer, steady: Clock
) -> None:
    token = issuer.token()
    face.verify(verifier, token)
    issuer.came.acquire()
    steady.now += 301
    issuer.may_answer.clear()
    (first,) = face.begin(verifier, [token])
    assert issuer.came.acquire(timeout=30)
    assert face.verify(verifier, token).subject == "alice", "although nothing was answered yet"
    issuer.may_answer.set()
    assert first().subject == "alice"
    assert issuer.requests == 2


def test_a_caller_who_gives_up_takes_the_request_from_nobody(issuer: JwksIssuer) -> None:
    async def main() -> None:
        verifier = AsyncTokenVerifier.from_jwks_url(issuer.url, timeout=30, **OPTIONS)
        issuer.may_answer.clear()
        first = asyncio.ensure_future(verifier.verify(issuer.token()))
        second = asyncio.ensure_future(verifier.verify(issuer.token()))
        assert await asyncio.to_thread(issuer.came.acquire, timeout=30)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        issuer.may_answer.set()
        assert (await second).subject == "alice"

    asyncio.run(main())
    assert issuer.requests == 1


def test_symmetric_keys_are_no_keys_and_private_halves_are_dropped(
    verify: Any, verifier: Any, issuer: JwksIssuer
) -> None:
    secret = KeyRing.generate("HS256")
    keys = json.loads(issuer.ring.private_jwks_text())["keys"]
    issuer.body = json.dumps(
        {"keys": [*json.loads(secret.private_jwks_text())["keys"], *keys]}
    ).encode()
    assert verify(issuer.token()).subject == "alice"
    with pytest.raises(TokenKeyUnknown):
        verify(issuer.token(secret))
    assert not verifier._cache._ring.can_sign


def test_a_lock_that_a_forked_child_was_born_with_is_not_waited_for_endlessly(
    issuer: JwksIssuer,
) -> None:
    verifier: Any = TokenVerifier.from_jwks_url(issuer.url, timeout=0.01, **OPTIONS)
    assert verifier._flight.acquire()
    told: list[KeysUnavailable] = []

    def verify() -> None:
        try:
            verifier.verify(issuer.token())
        except KeysUnavailable as error:
            told.append(error)

    verifying = threading.Thread(target=verify, daemon=True)
    verifying.start()
    verifying.join(10)
    assert [error.retry_after for error in told] == [1]
    assert issuer.requests == 0


@pytest.mark.parametrize("opened", [TokenVerifier, AsyncTokenVerifier])
@pytest.mark.parametrize(
    ("clock", "leeway"), [(NOW - 50, {"clock_leeway": 60}), (NOW + 905, {"expiry_leeway": 10})]
)
def test_both_faces_forgive_as_much_as_they_are_told(
    issuer: JwksIssuer, opened: Any, clock: int, leeway: dict[str, int]
) -> None:
    options = {**OPTIONS, "clock": lambda: clock}

    def subject(**more: int) -> str:
        told = opened.from_jwks_url(issuer.url, **options, **more).verify(issuer.token())
        claims: AccessClaims = asyncio.run(told) if opened is AsyncTokenVerifier else told
        return claims.subject

    with pytest.raises(InvalidToken):
        subject()
    assert subject(**leeway) == "alice"
