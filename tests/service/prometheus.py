"""A real Prometheus that scrapes a service every half second."""

import json
import math
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_port
from tests.proxies.programs import DEPLOY, locate

_CONFIG = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: clusterpass
    static_configs: [{{targets: {targets}}}]
"""
RULES = DEPLOY / "prometheus" / "alerts.yaml"


class Prometheus:
    """A client of one."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, what: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{what}", params=parameters)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    def numbers(self, expression: str) -> list[float]:
        """The values of a query that are numbers."""
        found = (float(each["value"][1]) for each in self.ask("query", query=expression)["result"])
        return [each for each in found if not math.isnan(each)]


@contextmanager
def prometheus(targets: str | list[str], folder: Path) -> Iterator[Prometheus]:
    """A Prometheus with our rules, that scrapes ``targets``; its data is in ``folder``."""
    config, port = folder / "prometheus.yml", free_port()
    told = [targets] if isinstance(targets, str) else targets
    config.write_text(_CONFIG.format(rules=RULES, targets=json.dumps(told)))
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(locate("prometheus"), f"--config.file={config}"),
                *(
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/-/ready").status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < deadline, (folder / "prometheus.log").read_text()
            time.sleep(0.05)
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(30)


def measured(alert: str) -> str:
    """What an alert compares, without the comparison: it is there before anything is wrong."""
    side, comparisons = re.subn(r" (?:==|>|<) [\d.]+$", "", alert)
    assert comparisons == 1, alert
    return side
