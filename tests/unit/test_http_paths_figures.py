"""The figures of ``benchmarks.http_paths``, computed from recorded output without a load."""

import asyncio
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from benchmarks.http_paths import figures, half_rate, ours
from benchmarks.http_paths.candidates import Candidate
from benchmarks.http_paths.figures import Found
from benchmarks.http_paths.floor import ASGI
from benchmarks.http_paths.half_rate import Latency, answer_of
from benchmarks.http_paths.load_requests import Requests, verifies
from benchmarks.http_paths.report_section import tried
from benchmarks.http_paths.wrk import (
    Answered,
    Load,
    busy_seconds,
    machine_seconds,
    parse,
)
from benchmarks.open_loop import Call
from benchmarks.report import Report, with_head, with_section

OUTPUT = """Running 1s test @ http://127.0.0.1:47747/verify
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.12ms    1.51ms  27.62ms   91.02%
    Req/Sec    41.35k     4.33k   49.10k    70.00%
  41141 requests in 1.00s, 26.80MB read
Requests/sec:  41114.62
Transfer/sec:     26.78MB
MEASURED requests=41141 microseconds=1000642 failed=0 p99=6710
"""
PEER, OTHER = "a peer", "another peer"


def load(per_second: float, microseconds: float, *, store: float = 0, busy: float = 0.5) -> Load:
    return Load(Answered(int(per_second), 1.0), microseconds / 1e6, store / 1e6, 0.5, busy)


def found(**changes: list[Load]) -> Found:
    loads = {
        ours.CACHED_ONE: [load(50_000, 20), load(40_000, 25)],
        ours.CACHED: [load(48_000, 21), load(39_000, 25)],
        ours.cached(50_000): [load(40_000, 24), load(38_000, 26)],
        ours.STRICT: [load(10_000, 84, store=50), load(9_000, 100, store=50)],
        ours.REFRESH: [load(3_000, 300), load(3_000, 400)],
        ASGI: [load(60_000, 15), load(52_000, 16)],
        PEER: [load(2_000, 400, store=20), load(2_000, 500, store=20)],
        OTHER: [load(1_000, 900, store=60), load(1_000, 900, store=60)],
    } | changes
    latencies = {label: [Latency(100, 0.004, 0.001)] for label in loads}
    return Found(loads, latencies, [PEER, OTHER], [0.0002, 0.0002], 50_000)


def test_wrk_says_how_many_requests_it_had_answered_and_in_which_time() -> None:
    answered = parse(OUTPUT)
    assert answered == Answered(41_141, 1.000642)
    assert answered.per_second == pytest.approx(41_114.6, abs=0.1)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (OUTPUT.replace("failed=0", "failed=1"), "1 of 41141 requests failed"),
        (OUTPUT.replace("requests=41141", "requests=0"), "0 of 0 requests failed"),
        (OUTPUT.partition("MEASURED")[0], "measured nothing"),
        ("unable to connect to 127.0.0.1:1", "unable to connect"),
    ],
)
def test_what_is_no_measurement_is_none(output: str, reason: str) -> None:
    with pytest.raises(RuntimeError, match=reason):
        parse(output)


def test_what_the_whole_machine_did_is_neither_idling_nor_waiting() -> None:
    stat = "cpu  1000 200 300 90000 800 40 60 7 8 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    assert busy_seconds(stat, 100) == 16.0
    assert machine_seconds() > 0


def test_ratios_are_taken_within_rounds() -> None:
    these, those = [load(1, 10), load(1, 40), load(1, 30)], [load(1, 20), load(1, 20), load(1, 10)]
    assert figures.median_ratio(figures.spent, these, those) == pytest.approx(2)
    assert figures.median(figures.spent, these) == pytest.approx(30e-6)


def test_goals_compare_what_they_say() -> None:
    judged = {goal.what: goal for goal in figures.goals(found())}
    measured = {what: round(goal.measured, 3) for what, goal in judged.items()}
    assert measured == {
        "processor, strict : cached": 4.0,
        f"processor, strict : {PEER}, the cheapest peer": 0.205,
        "requests/s, cached, 1,000 tokens : 1": 0.968,
        "requests/s, cached, 50,000 tokens : 1": 0.875,
        f"requests/s, cached : {ASGI}": 0.775,
        "processor, POST /refresh : the library's refresh": 1.75,
    }
    assert [goal.met for goal in judged.values()] == [False, True, True, False, False, True]


def test_the_cheapest_peer_is_the_one_with_the_least_processor_time() -> None:
    cheap = found(**{OTHER: [load(500, 100), load(500, 100)]})
    goal = next(goal for goal in figures.goals(cheap) if "cheapest" in goal.what)
    assert OTHER in goal.what
    assert goal.measured == pytest.approx(0.92)
    assert not goal.met


def test_a_peer_that_is_better_is_said_to_be() -> None:
    assert figures.better_peers(found()) == [
        f"{PEER}: its store needs 0.40 times the processor time."
    ]
    better = found(**{OTHER: [load(20_000, 42, store=60), load(18_000, 50, store=60)]})
    better.latencies[OTHER][0] = Latency(100, 0.001, 0.001)
    assert figures.better_peers(better)[1] == (
        f"{OTHER}: it needs 0.50 times the processor time, it answers 2.00 times the requests, "
        "its p99 at half of its own rate is 0.25 times ours."
    )
    worse = found(**{PEER: [load(1, 900, store=60)] * 2, OTHER: [load(1, 900, store=0)] * 2})
    assert figures.better_peers(worse) == [
        "No peer is better than a strict verify in any column of this table."
    ]


def test_rows_say_where_the_load_generator_was_the_limit() -> None:
    limited = found(**{ASGI: [load(60_000, 15, busy=0.97)] * 2})
    rows = {row[0]: row[1:] for row in figures.rows(limited)}
    assert rows[ASGI] == [
        *("60,000", "15", "", "0.16", "0.66", "4.0 (at 100/s)", "0.97 (the limit)")
    ]
    assert rows[ours.STRICT][2:4] == ["50", "1.00"]


def test_the_middle_one_of_latencies() -> None:
    fast, middle, slow = (Latency(9, seconds, 0.001) for seconds in (0.001, 0.002, 0.009))
    assert figures.middle([slow, fast, middle]) == middle
    assert figures.middle([fast, slow]) == slow
    assert str(Latency(1_000, 0.0125, 0.02)) == "12.5 (at 1,000/s, generator late)"


def test_what_accepts_a_session_after_its_logout_is_named() -> None:
    def candidate(label: str, notices: bool | None) -> Candidate:
        return Candidate(label, 1, 1, verifies(["A: b"]), None, notices)  # type: ignore[arg-type]

    assert "refused" in tried([candidate("x", True), candidate("y", None)])
    assert tried([candidate("x", True), candidate("y", False)]).endswith("by y.")


def test_p99_counts_from_when_a_request_was_due() -> None:
    calls = [Call(float(due), due + 0.002, True) for due in range(98)]
    calls += [Call(98.0, 98.5, True), Call(99.0, 99.5, True)]
    assert half_rate.summarize(calls, [0.001] * 100, 10).p99 == pytest.approx(0.5, rel=0.01)
    with pytest.raises(RuntimeError, match="1 of 101"):
        half_rate.summarize([*calls, Call(1.0, 1.1, False)], [0.001] * 100, 10)
    assert half_rate.half(1_000) == 500
    assert half_rate.half(10**6) == half_rate.MOST_PER_SECOND


@pytest.mark.parametrize(
    ("received", "answer"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", (True, b"abc")),
        (b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", (False, b"")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", None),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            (True, b"1\r\na\r\n0\r\n\r\n"),
        ),
    ],
)
def test_answers_are_complete_or_not(received: bytes, answer: tuple[bool, bytes] | None) -> None:
    assert answer_of(received) == answer


def test_requests_as_bytes() -> None:
    assert verifies(["Cookie: a=b"]).as_bytes("Cookie: a=b", 80) == (
        b"GET /verify HTTP/1.1\r\nHost: 127.0.0.1:80\r\nCookie: a=b\r\n\r\n"
    )
    rotating = Requests("rotate", "POST", "/refresh", list)
    assert rotating.as_bytes("cpr_1", 80) == (
        b"POST /refresh HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Type: application/json\r\n"
        b'Content-Length: 25\r\n\r\n{"refresh_token":"cpr_1"}'
    )


def test_a_new_head_leaves_the_sections_as_they_are() -> None:
    sections = "\n## One\n\nold\n\n## Two\n\nkept\n"
    page = with_head(f"# Page\n\nof long ago\n{sections}")
    head = page.removesuffix(sections)
    assert head != page
    assert "of long ago" not in head
    assert f"Python {platform.python_version()}" in head
    assert with_head(page) == page


def test_a_section_takes_the_place_of_the_one_of_its_title() -> None:
    page = "# Page\n\nHead.\n\n## One\n\nold\n\n## Two\n\nkept\n"
    one, two, three = (
        Report("name", title, "new", ("a",), [["1"]], notes=["- " + "word " * 30])
        for title in ("One", "Two", "Three")
    )
    assert with_section(page, one) == f"# Page\n\nHead.\n\n{one.markdown()}\n## Two\n\nkept\n"
    assert with_section(page, two).endswith(f"## One\n\nold\n\n{two.markdown()}")
    added = with_section(page, three)
    assert added == f"{page}\n{three.markdown()}"
    assert with_section(added, three) == added
    assert "\n\n- word" in three.markdown()
    assert "\n  word" in three.markdown()


@contextmanager
def server(refuse_after: int) -> Iterator[tuple[int, list[bytes]]]:
    """Answers refresh tokens with the next ones, and no more than ``refuse_after`` times."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b'"refresh_token":"')
                token = (await reader.readuntil(b'"}'))[:-2]
                seen.append(token)
                body = b'{"refresh_token":"%sn"}' % token
                status = b"200 OK" if len(seen) <= refuse_after else b"401 No"
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
                writer.write(body)
        except asyncio.IncompleteReadError:
            writer.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(
        asyncio.start_server(serve, "127.0.0.1", 0), loop
    ).result(10)

    async def stop() -> None:
        listening.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait([task], timeout=10)

    try:
        yield listening.sockets[0].getsockname()[1], seen
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def test_every_refresh_token_is_used_once() -> None:
    requests = Requests("rotate", "POST", "/refresh", lambda: [f"t{n}." for n in range(80)])
    with server(refuse_after=10_000) as (port, seen):
        latency = half_rate.measure(port, requests, rate=2_000, seconds=0.2, offset=0)
    assert latency.per_second == 2_000
    assert latency.p99 > 0
    assert len(seen) == len(set(seen)) == 400
    assert {token.rstrip(b"n") for token in seen} == {b"t%d." % n for n in range(80)}


def test_a_refusal_is_no_latency() -> None:
    requests = Requests("rotate", "POST", "/refresh", lambda: [f"t{n}." for n in range(80)])
    with (
        server(refuse_after=399) as (port, _),
        pytest.raises(RuntimeError, match="1 of 400 requests failed"),
    ):
        half_rate.measure(port, requests, rate=2_000, seconds=0.2, offset=0)
