"""The synchronous manager under gunicorn: forked workers, threads, greenlets."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager
from tests.cluster.stored import eventually
from tests.ports import free_port

APPLICATION = """
    import os
    from clusterpass import Config, KeyRing, SessionManager
    from clusterpass.model.errors import ClusterPassError

    config = Config(issuer="https://auth.example", keys=KeyRing.load(os.environ["KEYS_FILE"]))
    sessions = SessionManager.from_url(os.environ["STORE_URL"], config)
    if "USE_BEFORE_FORK" in os.environ:
        sessions.verify(os.environ["TOKEN"])  # starts the watch in the parent

    def app(environ, start_response):
        token = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        try:
            known = sessions.recall(token)
            subject = sessions.verify(token).subject
            status, body = "200 OK", f"{os.getpid()} {known is not None} {subject}"
        except ClusterPassError as error:
            status, body = f"{error.status} Refused", f"{os.getpid()} {error.code}"
        start_response(status, [("Content-Type", "text/plain")])
        return [body.encode()]
"""


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing.generate("HS256")


@contextmanager
def gunicorn(folder: Path, environment: dict[str, str], *options: str) -> Iterator[str]:
    """The address of a server that answers; ended by its process id."""
    (folder / "application.py").write_text(textwrap.dedent(APPLICATION))
    port = free_port()
    log = folder / "gunicorn.log"
    command = [sys.executable, "-m", "gunicorn", "application:app", "--bind", f"127.0.0.1:{port}"]
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, *options], cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(20)


def environment_of(cluster: EmbeddedCluster, keys: KeyRing, folder: Path, token: str) -> dict:
    keys_file = folder / "keys.json"
    keys.save(keys_file)
    return {
        "KEYS_FILE": str(keys_file),
        "STORE_URL": cluster.url,
        "TOKEN": token,
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


@pytest.mark.sampled(1)
@pytest.mark.parametrize("before_fork", [False, True], ids=["unused", "used before the fork"])
def test_forked_workers_with_threads(cluster, keys, tmp_path, subject, before_fork):
    config = Config(issuer="https://auth.example", keys=keys)
    with SessionManager.from_url(cluster.url, config) as manager:
        token = manager.login(subject).access_token
        environment = environment_of(cluster, keys, tmp_path, token)
        if before_fork:
            environment["USE_BEFORE_FORK"] = "1"
        options = ("--preload", "--workers", "2", "--threads", "4", "--worker-class", "gthread")
        with gunicorn(tmp_path, environment, *options) as url:

            def ask() -> list[str]:
                """The worker and what it said; nothing while it does not listen yet."""
                try:
                    answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
                except httpx.TransportError:
                    return ["", ""]
                return answer.text.split(" ")[:2]

            warm = set()

            def both_serve_from_memory() -> bool:
                worker, from_memory = ask()
                if from_memory == "True":
                    warm.add(worker)
                return len(warm) == 2

            eventually(both_serve_from_memory, seconds=60)
            manager.revoke_all(subject)
            acknowledged = time.monotonic()
            refusals = set()

            def both_refuse() -> bool:
                asked = time.monotonic()
                worker, outcome = ask()
                if outcome == "session_revoked":
                    refusals.add(worker)
                else:
                    assert asked - acknowledged < 0.5, "within the staleness bound"
                return refusals == warm

            eventually(both_refuse)


def test_greenlets_are_refused_when_the_worker_starts(cluster, keys, tmp_path, subject):
    environment = environment_of(cluster, keys, tmp_path, "")
    with gunicorn(tmp_path, environment, "--worker-class", "gevent"):
        log = tmp_path / "gunicorn.log"
        eventually(lambda: "verification='strict'" in log.read_text(), seconds=60)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("before_fork", [False, True], ids=["unused", "used before the fork"])
def test_greenlets_that_come_with_a_fork_are_refused(cluster, keys, tmp_path, subject, before_fork):
    config = Config(issuer="https://auth.example", keys=keys)
    with SessionManager.from_url(cluster.url, config) as manager:
        token = manager.login(subject).access_token
    environment = environment_of(cluster, keys, tmp_path, token)
    if before_fork:
        environment["USE_BEFORE_FORK"] = "1"
    with gunicorn(tmp_path, environment, "--preload", "--worker-class", "gevent") as url:

        def is_refused() -> bool:
            try:
                answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
            except httpx.TransportError:
                return False
            assert answer.status_code == 500, answer.text
            assert answer.text.endswith(" configuration_invalid")
            return True

        eventually(is_refused, seconds=60)
