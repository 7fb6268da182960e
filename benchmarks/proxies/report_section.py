"""Composes the section of docs/benchmarks.md about the front door behind proxies."""

import re
import subprocess
import time
from collections.abc import Sequence
from typing import Final

from tests.proxies.programs import PROGRAMS, locate

from benchmarks.proxies import figures
from benchmarks.proxies.backends import GRPC
from benchmarks.report import Report

_TITLE: Final = "The front door behind reverse proxies"
_TEXT: Final = """\
Each proxy with the files of `deploy/` and nothing else but other ports, in front of an application
that returns a constant. It asks nobody (the same files without the question), a server of one
worker that returns 200 with the headers of ours (ASGI on granian; for `envoy-grpc` grpc.aio), or
ours: `clusterpass serve` with one worker, `deploy/policy.toml` and no other setting of the front
door, on a cluster of six nodes. wrk with 32 connections and no pause, on the two cores that all of
them share; 1,000 tokens take turns, and when a load of ours begins, a tenth of them belong to
sessions that are new to the worker, which has to verify them with the store: the fewer requests a
load makes, the larger their share, which the table has in percent. Processor time in us for a
request: of the proxy, of the auth backend, and of both, as a ratio. The three take turns in every
round, as do both ways of Envoy; ratios are taken within a round, and the table has medians. Then
{revocations} sessions are revoked, one after the other, through the library, while the proxy is
asked without a pause: the milliseconds from the acknowledgement to the last answer that let one
pass, 0 where the first one refused it.
Measured on {date}."""
_COLUMNS: Final = (
    *("proxy", "asks", "requests/s", "proxy us", "backend us", "new %", "both : constant"),
    *("both : nobody", "revoked, p99 ms", "revoked, longest ms"),
)
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_ASKED_VERSION: Final = {"caddy": "version", "traefik": "version", "envoy": "--version"}


def make_report(
    found: Sequence[figures.Measured], missing: Sequence[str], servers: Sequence[str]
) -> Report:
    """Return the report; ``missing``: what could not be measured, and why."""
    revocations = len(found[0].passed) if found else 0
    text = _TEXT.format(revocations=revocations, date=time.strftime("%F"))
    comparison = figures.beside(found, GRPC, "envoy")
    return Report(
        name="proxies",
        title=_TITLE,
        text=text.replace("\n", " "),
        columns=_COLUMNS,
        rows=list(figures.rows(found)),
        goals=figures.goals(found),
        notes=[
            *([comparison] if comparison else ()),
            *(f"- Not measured: {reason}." for reason in missing),
        ],
        servers=[*servers, *(_version_of(each.proxy) for each in found if each.proxy != GRPC)],
    )


def _version_of(proxy: str) -> str:
    command = PROGRAMS[proxy].command or proxy
    program = locate(proxy)
    assert program is not None
    said = subprocess.run(
        [program, _ASKED_VERSION.get(command, "-v")], capture_output=True, text=True, check=True
    )
    number = _VERSION.search(said.stdout + said.stderr)
    return f"{proxy} {number[0] if number else ''}".strip()
