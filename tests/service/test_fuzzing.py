"""Fuzzing of a running service: thousands of malformed requests.

They cause no 5xx other than 503, no traceback, and no secret in the log.
``CLUSTERPASS_ODD_REQUESTS`` sets how many there are (3,000), and ``CLUSTERPASS_TEST_SEED`` which.
"""

import asyncio
import json
import os
from collections import Counter
from urllib.parse import urlsplit

import httpx
import pytest

from clusterpass import PasswordHasher, SessionManager, UserDirectory
from clusterpass.service.settings.loading import load_settings

from .conftest import CHEAP_KIB, PASSWORD, bearer
from .fuzzed_requests import SECRET, OddRequests

# Read before the fixtures empty the environment.
COUNT = int(os.environ.get("CLUSTERPASS_ODD_REQUESTS", "3000"))
SEED = int(os.environ.get("CLUSTERPASS_TEST_SEED", "20260"), 0)
_AT_ONCE = 8
_HANGING = 60


@pytest.fixture
def url(cluster_url, keys_file, new_name):
    """A namespace of its own, in which an administrator may do whatever the requests say."""
    url = f"{cluster_url}{'&' if '?' in cluster_url else '?'}namespace={new_name()}"
    config = load_settings(None, {"keys_file": keys_file}).session_config()
    with SessionManager.from_url(url, config) as sessions:
        users = UserDirectory(sessions, hasher=PasswordHasher(memory_kib=CHEAP_KIB))
        for name in ("alice", "root"):
            users.add(name, PASSWORD)
    return url


def tokens_of(server):
    found = []
    for name in ("alice", "root"):
        body = {"username": name, "password": PASSWORD, "device": SECRET}
        answer = httpx.post(f"{server.url}/login", json=body)
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["access_token"])
    return found


async def answered(port, sent):
    """The status line of the answer; empty when the server has closed the connection."""
    async with asyncio.timeout(_HANGING):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        received = b""
        try:
            writer.write(sent)
            while part := await reader.read(65_536):
                received += part
        except ConnectionError:
            pass  # the server has refused what was still being sent
        finally:
            writer.close()
        return received.partition(b"\r\n")[0]


async def ask_all(port, requests, count):
    seen = Counter()
    left = iter(range(count))

    async def ask():
        for _ in left:
            sent = requests.draw()
            line = await answered(port, sent)
            status = int(line.split()[1]) if line else 0
            seen[status] += 1
            assert status < 500 or status == 503, (status, sent)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(ask())
    return seen


@pytest.mark.alternating
@pytest.mark.timeout(180 + COUNT // 20)
def test_no_request_is_answered_with_a_5xx_but_503_and_none_leaves_a_secret_in_the_log(serve, url):
    server = serve(
        CLUSTERPASS_STORE_URL=url,
        CLUSTERPASS_ADMINISTRATORS="root",
        CLUSTERPASS_BODY_TIMEOUT="0.2",
        CLUSTERPASS_CORS_ORIGINS="https://x",
        CLUSTERPASS_TRUSTED_PROXIES="127.0.0.1",
        CLUSTERPASS_LOG_WARM_VERIFIES="true",
        CLUSTERPASS_MAX_SESSIONS="500",
    )
    port, seen, left, round_number = urlsplit(server.url).port, Counter(), COUNT, 0
    while left:
        # A round ends sessions of its users, so that each begins with new ones.
        count = min(left, 500)
        requests = OddRequests(SEED + round_number, tokens_of(server))
        seen += asyncio.run(ask_all(port, requests, count))
        left, round_number = left - count, round_number + 1
    print(f"{COUNT} requests from seed {SEED}: {sorted(seen.items())}")
    assert seen.total() == COUNT
    assert {200, 400, 401, 404, 405, 413, 415, 422} <= set(seen), seen
    assert server.process.poll() is None
    token = tokens_of(server)[0]
    answer = httpx.get(f"{server.url}/verify", headers=bearer({"access_token": token}))
    assert answer.json()["subject"] == "alice"
    text = server.log_file.read_text()
    assert SECRET not in text and PASSWORD not in text and "Traceback" not in text
    logged = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert len(logged) > COUNT / 2
    assert [line for line in logged if "fault" in line] == []
