"""The time by which a script judges a call: the server's clock, unless it is too far off.

The include is run by a real server, with what TIME would answer put in its place.
"""

from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.limits import CLOCK_TOLERANCE, MOST_CLOCKS_APART
from clusterpass.protocol.script import load_script

SERVER = 1_900_000_000_123
TOLERATED, APART = CLOCK_TOLERANCE * 1000, MOST_CLOCKS_APART * 1000
JUDGE = """
local judged, part, server = judged_milliseconds(tonumber(ARGV[1]), tonumber(ARGV[2]))
return {judged or 'refused', part, server}
"""
SECOND = "return on_server_clock(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))"


@pytest.fixture(params=["cp-test-x", "cp:x"])
def evaluate(cluster: EmbeddedCluster, request: pytest.FixtureRequest) -> Any:
    """Runs Lua behind the include, with a key of a namespace that is for tests, or is not."""
    text = load_script("touch").source.decode()
    begin, end = text.index("local TOLERATED_MS"), text.index("-- The error for a call that cannot")
    rest = text[text.index("local function on_server_clock") :]
    include = text[begin:end] + rest[: rest.index("\nend\n") + 5]
    time = "redis.call('TIME')"
    assert include.count(time) == 1
    include = include.replace(time, f"{{'{SERVER // 1000}', '123456'}}")
    with cluster.client(cluster.primary_of(request.param.encode())) as client:
        yield lambda code, *arguments: client.eval(include + code, 1, request.param, *arguments)


def test_the_limits_are_those_of_the_library() -> None:
    assert (TOLERATED, APART) == (5000, 600_000)


@pytest.mark.parametrize(
    ("called", "is_agreed", "judged"),
    [
        (0, 0, SERVER),
        (0, 1, SERVER),
        (SERVER, 1, SERVER),
        (SERVER - TOLERATED, 1, SERVER),
        (SERVER - TOLERATED - 1, 1, SERVER - 1),
        (SERVER - 10 * APART, 1, SERVER - 10 * APART + TOLERATED),
        (SERVER + TOLERATED, 1, SERVER),
        (SERVER + TOLERATED + 1, 1, SERVER + 1),
        (SERVER + 10 * APART, 1, SERVER + 10 * APART - TOLERATED),
        (SERVER - APART, 0, SERVER),
        (SERVER + APART, 0, SERVER),
        (SERVER - APART - 1, 0, b"refused"),
        (SERVER + APART + 1, 0, b"refused"),
    ],
)
def test_the_servers_clock_counts_within_limits(
    evaluate: Any, called: int, is_agreed: int, judged: int | bytes
) -> None:
    assert evaluate(JUDGE, called, is_agreed) == [judged, 456 * 32 // 1000, SERVER]


def test_only_in_a_namespace_for_tests_a_caller_sets_the_time(
    evaluate: Any, request: pytest.FixtureRequest
) -> None:
    judged, _, server = evaluate(JUDGE, 17, 2)
    assert judged == (17 if "cp-test-x" in request.node.name else b"refused")
    assert server == SERVER


@pytest.mark.parametrize(
    ("now", "server_ms", "expected"),
    [(50, 50_999, 100), (50, 51_000, 101), (50, 60_000, 110), (50, 40_000, 100)],
)
def test_a_key_expires_late_rather_than_early(
    evaluate: Any, now: int, server_ms: int, expected: int
) -> None:
    assert evaluate(SECOND, 100, now, server_ms) == expected
