"""The shops under the servers of applications: workers share sessions, and stop when told to."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusterpass.cli.local_setup import write_keys
from tests.cluster.stored import eventually

from .conftest import EXAMPLES, HANGING
from .served import Served, served

GUNICORN = "gunicorn --bind 127.0.0.1:PORT --workers 2 served_shop:wsgi"
UVICORN = "uvicorn --port PORT --workers 2 served_shop:asgi"
HYPERCORN = "hypercorn --bind 127.0.0.1:PORT --workers 2 served_shop:asgi"
GRANIAN = "granian --port PORT --workers 2"
DAPHNE = "daphne --bind 127.0.0.1 --port PORT served_shop:asgi"
CASES = [
    *itertools.product(
        (
            GUNICORN,
            f"{GUNICORN} --threads 4",
            f"{GUNICORN} --threads 4 --preload",
            f"{GUNICORN} --worker-class gevent",
            f"{GRANIAN} --interface wsgi served_shop:wsgi",
        ),
        ("flask_shop", "django_shop"),
    ),
    *itertools.product(
        (UVICORN, HYPERCORN, f"{GRANIAN} --interface asgi served_shop:asgi", DAPHNE),
        ("fastapi_shop", "django_shop", "litestar_shop", "quart_shop"),
    ),
    # Without Django: a connection to a database that an application opens before the fork, as the
    # shop does, is none that Django lets a greenlet use.
    (f"{GUNICORN} --worker-class gevent --preload", "flask_shop"),
    (
        "gunicorn --bind 127.0.0.1:PORT --workers 2 --worker-class aiohttp.GunicornWebWorker"
        " served_shop:application",
        "aiohttp_shop",
    ),
]
_numbers = itertools.count()


def name_of(case: Any) -> str:
    command, shop = case
    words = command.split()
    options = [word for word in words[1:] if word in {"--threads", "--preload", "gevent", "wsgi"}]
    return "-".join([shop, words[0], *(word.strip("-") for word in options)])


@contextmanager
def serving(
    command: str, shop: str, store_url: str, folder: Path, **more: str
) -> Iterator[list[Served]]:
    """The shop in two processes: workers of one server, or two servers where one has no workers.

    ``more``: variables of the servers.
    """
    keys_file = folder / "keys.json"
    write_keys(keys_file)
    variables = {
        "CLUSTERPASS_STORE_URL": store_url,
        "CLUSTERPASS_ISSUER": "https://shop.example",
        "CLUSTERPASS_KEYS_FILE": str(keys_file),
        **more,
    }
    search = [str(EXAMPLES / shop), str(Path(__file__).parent)]
    with ExitStack() as stack:
        servers = []
        for number in range(1 if "--workers" in command else 2):
            own = folder / str(number)
            own.mkdir()
            servers.append(
                stack.enter_context(served(command.split(), own, variables, "/me", search))
            )
        yield servers


def ask_all(servers: list[Served], token: str) -> list[tuple[str, int, str]]:
    """Return worker, status and body of each answer to many concurrent requests.

    They are so many that no worker is left out for long.
    """

    def ask(server: Served) -> tuple[str, int, str]:
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{server.url}/me", headers=headers, timeout=HANGING)
        return answer.headers["X-Worker"], answer.status_code, answer.text

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, servers * 8))


def visit(servers: list[Served]) -> None:
    """Log in at one worker, show the token to another, log out at one, be refused by both."""
    url = servers[0].url
    credentials = {"username": "alice", "password": "pw"}
    answer = httpx.post(f"{url}/login", json=credentials, timeout=HANGING)
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    workers: set[str] = set()

    def both_admit() -> bool:
        for worker, status, text in ask_all(servers, token):
            assert status == 200, text
            workers.add(worker)
        return len(workers) == 2

    eventually(both_admit)
    headers = {"Authorization": f"Bearer {token}"}
    ended = httpx.post(f"{url}/logout-all", headers=headers, timeout=HANGING)
    assert ended.json() == {"ended": 1}
    refusing: set[str] = set()

    def both_refuse() -> bool:
        for worker, status, text in ask_all(servers, token):
            if status == 401:
                assert "revoked" in text
                refusing.add(worker)
            else:
                assert worker not in refusing, "what was refused is refused for good"
        return refusing == workers

    eventually(both_refuse)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_workers_share_sessions(case, cluster_url, tmp_path):
    command, shop = case
    store_url = f"{cluster_url}?namespace=servers-{next(_numbers)}"
    with serving(command, shop, store_url, tmp_path) as servers:
        visit(servers)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "case",
    [(f"{GUNICORN} --threads 4", "flask_shop"), (UVICORN, "fastapi_shop")],
    ids=name_of,
)
def test_workers_share_an_embedded_cluster_in_a_folder_and_stop_it(case, tmp_path):
    command, shop = case
    data = tmp_path / "data"
    with serving(command, shop, f"embedded://?nodes=1&data={data}", tmp_path) as servers:
        visit(servers)
    eventually(lambda: not processes_of(data))


@pytest.mark.sampled(1)
@pytest.mark.parametrize("options", ["", " --preload"])
def test_what_greenlets_do_not_allow_is_logged(options, cluster_url, tmp_path):
    # One worker, which has started when it answers: gunicorn waits for one that it stops too early.
    command = f"{GUNICORN} --worker-class gevent{options}".replace("--workers 2", "--workers 1")
    wanted = {"CLUSTERPASS_VERIFICATION": "cached"}
    with serving(command, "flask_shop", cluster_url, tmp_path, **wanted) as (server,):
        headers = {"Authorization": "Bearer any"}
        answer = httpx.get(f"{server.url}/me", headers=headers, timeout=HANGING)
        assert answer.status_code == 500
        assert "use verification='strict'" in server.output


def processes_of(folder: Path) -> list[str]:
    """The command lines of the processes that name ``folder``."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in text:
            found.append(text)
    return found
