"""The program that compares apps: it finds what is there, and nothing in an app without it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from benchmarks.apps.candidates import FLASK_JWT_EXTENDED, find
from benchmarks.apps.check_runner import carry_out
from benchmarks.apps.measure import CHECKS, measure
from benchmarks.apps.report_page import page
from benchmarks.apps.serving import Served

from clusterpass import EmbeddedCluster

from .conftest import wsgi_server

WHAT_ANY_APP_PASSES = {"refresh", "retry", "wildcards"}


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[EmbeddedCluster]:
    """All of its nodes are paused by a check."""
    with EmbeddedCluster(nodes=6, node_timeout=60.0) as running:
        yield running


def test_a_shop_on_clusterpass_passes_every_check(own_cluster):
    measured = measure(find("fastapi_shop"), own_cluster)
    failed = {key: each for key, each in measured.outcomes.items() if each.mark != "yes"}
    assert not failed
    assert (measured.client.requests, measured.browser.requests) == (13, 12)
    assert 0 < measured.client.round_trips < 15, "four of them limit guesses"
    text = page([measured])
    assert all(f"| {listed.says} |" in text for listed in CHECKS.values())
    assert f"| {measured.passed} of {len(CHECKS)} |" in text


def test_no_check_that_protects_passes_where_everything_is_let_in(own_cluster, tmp_path):
    answer = {
        "access_token": "x",
        "refresh_token": "x",
        "name": "alice",
    }

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    with wsgi_server(app) as port:
        url = f"http://127.0.0.1:{port}"
        served = Served(FLASK_JWT_EXTENDED, (url, url), own_cluster, tmp_path, patience=0.05)
        outcomes = carry_out(served, CHECKS)
    passed = {name for name, outcome in outcomes.items() if outcome.mark == "yes"}
    assert passed <= WHAT_ANY_APP_PASSES
    assert outcomes.keys() == CHECKS.keys()
