"""The jobs as their readers run them: a program that enqueues two, and Celery's own worker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clusterpass.cli.local_setup import write_keys

FOLDER = Path(__file__).parents[2] / "examples" / "celery_jobs"
HANGING = 60.0


@pytest.mark.alternating
def test_the_job_of_a_lost_phone_is_not_run(cluster_url: str, tmp_path: Path) -> None:
    keys_file = tmp_path / "keys.json"
    write_keys(keys_file)
    environment = {
        **os.environ,
        "CLUSTERPASS_STORE_URL": f"{cluster_url}?namespace=celery_jobs",
        "CLUSTERPASS_ISSUER": "https://jobs.example",
        "CLUSTERPASS_KEYS_FILE": str(keys_file),
        "PYTHONPATH": ":".join([str(FOLDER), *sys.path]),
    }
    program = [sys.executable, str(FOLDER / "enqueue.py")]
    worker = [sys.executable, "-m", "celery", "--app", "tasks", "worker", "--pool", "solo"]
    started = []

    def start(command: list[str]) -> "subprocess.Popen[str]":
        started.append(
            subprocess.Popen(
                command,
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        return started[-1]

    try:
        enqueuing = start(program)
        assert enqueuing.stdout is not None
        assert next(enqueuing.stdout).startswith("The phone is lost.")
        start(worker)
        kept, stopped = enqueuing.communicate(timeout=HANGING)[0].splitlines()
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert kept == "SUCCESS May for alice"
    assert stopped.startswith("FAILURE ")
    assert "The session was revoked: lost" in stopped
