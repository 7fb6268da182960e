"""The front door behind real proxies, with the files of ``deploy/``."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count, groupby
from pathlib import Path
from typing import Final

from tests.proxies.programs import HOST, PROGRAMS, Proxy, locate, proxying

from benchmarks.fixtures import make_config, server_version
from benchmarks.http_paths import wrk
from benchmarks.http_paths.load_requests import Requests
from benchmarks.proxies import backends, figures
from benchmarks.proxies.backends import Backend, Backends
from benchmarks.proxies.report_section import make_report
from benchmarks.proxies.revocations import seconds_passed
from benchmarks.proxies.sessions import Sessions
from benchmarks.proxies.without_auth import without_question
from benchmarks.report import Report
from benchmarks.timing import turn
from benchmarks.web import find_wrk
from clusterpass import EmbeddedCluster, SessionManager

_HOUR: Final = 3_600
"""Seconds that access tokens live: none may expire in a run."""
_MOST_CLOSED: Final = 0.01
"""Apache closes connections that wait for a request when all of its workers are busy."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A proxy that runs, and whom it asks."""

    proxy: Proxy
    variant: str
    asked: Backend
    requests: Requests
    loads: list[wrk.Load] = field(default_factory=list)


def run(*, rounds: int = 5, seconds: int = 2, revocations: int = 50) -> Report:
    """Each in turn, ``rounds`` times for ``seconds``."""
    found_wrk = find_wrk()
    if found_wrk is None:
        return make_report([], ["wrk is not installed"], [])
    config = replace(make_config("EdDSA"), access_lifetime=_HOUR)
    found: list[figures.Measured] = []
    with (
        EmbeddedCluster(nodes=6) as cluster,
        SessionManager.from_url(cluster.url, config) as manager,
        tempfile.TemporaryDirectory() as folder,
        ExitStack() as stack,
    ):
        numbers = count()

        def log_in() -> str:
            return manager.login(f"subject-{next(numbers)}", device="iPhone").access_token

        sessions = Sessions(log_in)
        asked = backends.start(cluster, config, log_in(), Path(folder), stack)
        application = backends.start_application(stack)
        for group in _groups():
            with ExitStack() as running:
                home = Path(running.enter_context(tempfile.TemporaryDirectory()))
                candidates = [
                    candidate
                    for name in group
                    for candidate in _start(name, asked, application, sessions, home, running)
                ]
                _measure(found_wrk, candidates, rounds, seconds)
                found += [_measured(name, candidates, manager, revocations) for name in group]
        servers = [server_version(cluster)]
    missing = [f"{name}: it is not installed" for name in PROGRAMS if locate(name) is None]
    return make_report(found, missing, servers)


def _groups() -> Iterator[Sequence[str]]:
    """The proxies that are installed; those of one program are compared, too, so they take turns.

    The others have stopped meanwhile.
    """
    installed = [program for program in PROGRAMS.values() if locate(program.name) is not None]
    for _, programs in groupby(installed, key=lambda program: program.command or program.name):
        yield [program.name for program in programs]


def _start(
    name: str,
    asked: Backends,
    application: int,
    sessions: Sessions,
    home: Path,
    running: ExitStack,
) -> Iterator[_Candidate]:
    """Start a proxy for each of the variants, until ``running`` is closed."""
    constant = asked.constant_of(name)
    nobody = replace(constant, pid=None)
    for variant, backend in zip(figures.VARIANTS, (nobody, constant, asked.ours), strict=True):
        ports = backend.port, backend.grpc_port, application
        folder = home / f"{name}-{variant.replace(' ', '-')}"
        proxy = running.enter_context(
            proxying(name, *ports, folder, edit=without_question(name))
            if variant == figures.ALONE
            else proxying(name, *ports, folder)
        )
        lines = sessions.rotated if variant == figures.OURS else sessions.current
        yield _Candidate(proxy, variant, backend, Requests("header", "GET", "/", lines, HOST))


def _measure(path: str, candidates: Sequence[_Candidate], rounds: int, seconds: int) -> None:
    for each in candidates:  # connections are opened, caches are filled
        _drive(path, each, 1)
    for number in range(rounds):
        for each in turn(list(candidates), number):
            each.loads.append(_drive(path, each, seconds))


def _drive(path: str, candidate: _Candidate, seconds: int) -> wrk.Load:
    proxy = candidate.proxy
    try:
        return wrk.drive(
            *(path, proxy.process.pid, proxy.port, candidate.requests, candidate.asked),
            seconds=seconds,
            offset=0,
            most_closed=_MOST_CLOSED,
        )
    except RuntimeError as error:
        log = proxy.log_file.read_text("utf-8", "replace")[-500:]
        raise RuntimeError(f"{proxy.name} asking {candidate.variant}: {error}\n{log}") from error


def _measured(
    name: str, candidates: Sequence[_Candidate], manager: SessionManager, revocations: int
) -> figures.Measured:
    own = {each.variant: each for each in candidates if each.proxy.name == name}
    port = own[figures.OURS].proxy.port
    loads = {variant: each.loads for variant, each in own.items()}
    return figures.Measured(name, loads, seconds_passed(port, manager, name, revocations))
