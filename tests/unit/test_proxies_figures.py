"""The figures of ``benchmarks.proxies``, and its edits of the files of ``deploy/``."""

import itertools
import shutil
from pathlib import Path

import pytest
from benchmarks.http_paths.wrk import Answered, Load, parse
from benchmarks.proxies import figures
from benchmarks.proxies.figures import ALONE, CONSTANT, OURS, Measured
from benchmarks.proxies.sessions import TOKENS, Sessions, share_of_new
from benchmarks.proxies.without_auth import without_question

from tests.proxies.programs import DEPLOY, PROGRAMS

ASKING = (
    *("auth_request /", "forward_auth", "clusterpass]", "ext_authz\n", "http-request lua"),
    "LuaHookAccessChecker",
)
"""What of the files makes a proxy ask."""


def load(per_second: int, proxy: float, backend: float) -> Load:
    return Load(Answered(per_second, 1.0), proxy / 1e6, backend / 1e6, 0.5, 0.5)


def measured(proxy: str, ours: tuple[float, float], passed: list[float]) -> Measured:
    loads = {
        ALONE: [load(9_000, 40, 0), load(9_000, 50, 0)],
        CONSTANT: [load(4_000, 80, 20), load(2_000, 160, 40)],
        OURS: [load(2_000, *ours), load(1_000, 2 * ours[0], 2 * ours[1])],
    }
    return Measured(proxy, loads, passed)


def test_the_cost_is_that_of_proxy_and_backend_within_a_round() -> None:
    found = [measured("nginx", (90, 25), [0.0, 0.002]), measured("caddy", (100, 25), [0.0, 0.6])]
    cost, other, passes, passes_long = figures.goals(found)
    assert (cost.measured, other.measured) == (pytest.approx(1.15), pytest.approx(1.25))
    assert not other.met
    assert (passes.measured, passes.met) == (pytest.approx(2), True)
    assert (passes_long.measured, passes_long.met) == (pytest.approx(600), False)


def test_a_row_for_whom_a_proxy_asks() -> None:
    passed = [0.0] * 98 + [0.001, 0.005]
    assert list(figures.rows([measured("nginx", (90, 30), passed)])) == [
        ["nginx", ALONE, "9,000", "45", "", "", "0.33", "1", "", ""],
        ["nginx", CONSTANT, "3,000", "120", "30", "", "1", "3.25", "", ""],
        ["nginx", OURS, "1,500", "135", "45", "7.5", "1.20", "3.90", "1.0", "5.0"],
    ]


def test_both_ways_of_a_proxy_are_compared() -> None:
    found = [measured("envoy", (80, 20), [0.0]), measured("envoy-grpc", (110, 40), [0.0])]
    said = figures.beside(found, "envoy-grpc", "envoy")
    assert "1.50 times the processor time (2.00 times that of the backend), 1.00 times" in said
    assert figures.beside(found[:1], "envoy-grpc", "envoy") == ""


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_files_of_a_proxy_no_longer_ask(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    shutil.copytree(DEPLOY / PROGRAMS[name].folder, folder)
    before = {file: file.read_text() for file in folder.rglob("*") if file.is_file()}
    without_question(name)(folder)
    (changed,) = (file for file, text in before.items() if file.read_text() != text)
    left = changed.read_text()
    assert len(left) < len(before[changed])
    assert not any(asking in left for asking in ASKING)
    with pytest.raises(RuntimeError, match="not known here"):
        without_question(name)(folder)


def test_a_connection_that_the_server_closes_is_no_refusal() -> None:
    line = "MEASURED requests=1000 microseconds=1000000 failed={} p99=5 closed={}\n"
    assert parse(line.format(3, 3), 0.01).requests == 1000
    for failed, closed, most in ((3, 3, 0.0), (3, 2, 0.01), (30, 30, 0.01), (1, 0, 0.01)):
        with pytest.raises(RuntimeError, match="requests failed"):
            parse(line.format(failed, closed), most)


def test_a_tenth_of_the_tokens_is_new_whenever_a_load_begins() -> None:
    numbers = itertools.count()
    sessions = Sessions(lambda: f"token-{next(numbers)}")
    seen = set(sessions.current())
    assert len(seen) == TOKENS
    for _ in range(3):
        lines = sessions.rotated()
        assert len(lines) == TOKENS
        new = [index for index, line in enumerate(lines) if line not in seen]
        assert new == list(range(0, TOKENS, 10))
        seen.update(lines)
        assert sessions.current() == lines
    assert (share_of_new(500), share_of_new(1_000), share_of_new(4_000)) == (0.1, 0.1, 0.025)
