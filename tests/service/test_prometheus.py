"""The rules and the dashboard of ``deploy/``, in a real Prometheus that scrapes a real service."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.ports import free_port
from tests.proxies.programs import DEPLOY, locate, require
from tests.service.conftest import PASSWORD, ServerProcess, bearer
from tests.service.prometheus import RULES, Prometheus, measured, prometheus

DASHBOARD = json.loads((DEPLOY / "grafana" / "clusterpass.json").read_text())
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALL_RULES = [rule for group in GROUPS for rule in group["rules"]]


@pytest.fixture(autouse=True)
def _program() -> None:
    require("prometheus")


def expressions() -> list[str]:
    """All that the dashboard and the rules ask."""
    panels = [
        target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())
    ]
    asked = [each.replace("$job", ".+").replace("$__rate_interval", "1m") for each in panels]
    for rule in ALL_RULES:
        asked += [measured(rule["expr"])] if "alert" in rule else [rule["expr"], rule["record"]]
    return asked


def visit(url: str, name: str) -> None:
    """Do what users do: some of it fails. Each request has a connection: both workers get some."""
    tokens: dict[str, Any] = {}
    unkept = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=url, timeout=60, limits=unkept) as client:
        for password in ("wrong password", PASSWORD):
            tokens = client.post("/login", json={"username": name, "password": password}).json()
        authorization = bearer(tokens)
        for _ in range(8):
            client.get("/verify", headers=authorization).raise_for_status()
        client.get("/no-such-route")
        body = {"refresh_token": tokens["refresh_token"]}
        client.post("/refresh", json=body).raise_for_status()
        for _ in range(8):
            client.get("/verify", headers=authorization).raise_for_status()
        client.post("/logout", headers=authorization).raise_for_status()
        assert client.get("/verify", headers=authorization).status_code == 401


@pytest.mark.alternating
@pytest.mark.timeout(300)
def test_every_expression_finds_something(
    serve: Callable[..., ServerProcess], tmp_path: Path, alice: str
) -> None:
    target = f"127.0.0.1:{free_port()}"
    server = serve("--workers", "2", CLUSTERPASS_METRICS_ADDRESS=target)
    left = set(expressions())
    with prometheus(target, tmp_path) as watching:
        deadline = time.monotonic() + 120
        while left:
            visit(server.url, alice)
            left = {each for each in left if not watching.numbers(each)}
            assert time.monotonic() < deadline, left
        check_rules(watching)
        assert watching.numbers("sum(clusterpass_processes)") == [2]
        assert watching.numbers("count(clusterpass_store_node_up == 1)") == [3]


def check_rules(watching: Prometheus) -> None:
    rules = [rule for group in watching.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(ALL_RULES)
    assert {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}
    firing = [rule["name"] for rule in rules if rule.get("state") == "firing"]
    assert not firing, "nothing was wrong"


def test_prometheus_accepts_the_files() -> None:
    for what, name in (("config", "prometheus.yml"), ("rules", "alerts.yaml")):
        command = [locate("promtool"), "check", what, str(RULES.with_name(name))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_an_alert_says_what_it_is_about() -> None:
    alerts = [rule for rule in ALL_RULES if "alert" in rule]
    assert all(rule["annotations"]["summary"] for rule in alerts)
    assert {rule["labels"]["severity"] for rule in alerts} == {"critical", "warning", "info"}
    assert len({rule["alert"] for rule in alerts}) == len(alerts)


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
