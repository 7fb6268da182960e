"""The section of docs/benchmarks.md: the table, the verdicts, and what each check is worth."""

import time
from collections.abc import Sequence

from benchmarks.http_paths import figures, ours
from benchmarks.http_paths.candidates import Candidate
from benchmarks.http_paths.half_rate import MOST_PER_SECOND
from benchmarks.http_paths.peers import PEERS
from benchmarks.report import Report

_NAME, _TITLE = "http_paths", "The service over HTTP beside what people would pick instead"
_TEXT = """\
One worker each; wrk with 32 connections and no pause, on one thread, on the two cores that
the servers and the stores share. Each load takes turns among different tokens or cookies: 1,000
unless the row says otherwise. Ours is `clusterpass serve` on a cluster of six nodes, which has
replicas to write to; the peers have one server of the same build, on loopback as well. None of
them keeps a log. Processor time is that of all processes of a server, for one request; that of the
store is of all nodes, replicas included, by `INFO CPU`, with what they do when idle. The ratios
compare processor time within a round; the table has medians of the rounds. The p99 is measured
with a load of its own at half of the requests that the row reached, at most {most:,} a second: the
time from when a request was due to its answer, with up to a millisecond of the generator's clock.
The last column says how much of a core wrk itself used; where it was the limit, requests/s say
little and processor time says all. `POST /login` has a `password_check` that accepts at once, since
hashing would be all that is seen. Measured on {date}."""
_COLUMNS = (
    *("server", "requests/s", "us/request", "store us/request", "this : strict", "this : cached"),
    *("p99 ms", "wrk, of a core"),
)


def make_report(
    found: figures.Found | None,
    candidates: Sequence[Candidate],
    missing: Sequence[str],
    server: str,
    why_not: str = "",
) -> Report:
    """The report; ``why_not``: why there are no figures."""
    if found is None:
        return Report(_NAME, _TITLE, why_not, ("",), ())
    text = _TEXT.format(most=MOST_PER_SECOND, date=time.strftime("%F")).replace("\n", " ")
    return Report(
        name=_NAME,
        title=_TITLE,
        text=text,
        columns=_COLUMNS,
        rows=list(figures.rows(found)),
        goals=figures.goals(found),
        notes=[*_comparison(found), *_checks(candidates, missing)],
        servers=[server],
        plot={
            label: figures.median(figures.spent, found.loads[label]) * 1e6
            for label in (ours.CACHED, ours.STRICT, *found.peers)
        },
        plot_label="processor time of the server for a request, us",
    )


def _comparison(found: figures.Found) -> list[str]:
    return [
        "**Where a peer is better than our strict verify:**",
        *_bullets(figures.better_peers(found)),
    ]


def _checks(candidates: Sequence[Candidate], missing: Sequence[str]) -> list[str]:
    noticed = {each.label: each.notices_logout for each in candidates}
    lines = [
        f"{peer.label} ({peer.versions()}). {peer.check} {_verdict(noticed[peer.label])}"
        for peer in PEERS
        if peer.label in noticed
    ]
    lines += [f"Not measured: {reason}." for reason in missing]
    return [
        "**What the checks are worth.** Ours from memory notices what the store tells it, within "
        "milliseconds and `staleness_bound` at the latest; ours strict asks the store. A logout of "
        "ours is confirmed once a replica has it. No peer waits for that: the write goes to one "
        "server, and a failover can lose it, after which what was logged out is accepted again or, "
        "with sessions, what was logged in is gone. None of them detects a refresh token that is "
        f"used twice. {_ours(noticed)}",
        *_bullets(lines),
    ]


def _ours(noticed: dict[str, bool | None]) -> str:
    labels = (ours.CACHED, ours.STRICT)
    return "Ours: " + "; ".join(
        f"{label.split(',')[1].strip()}: {_verdict(noticed[label])}" for label in labels
    )


def _verdict(notices: bool | None) -> str:
    return (
        "Tried before the load: after a logout, the session was refused."
        if notices
        else "Tried before the load: after a logout, the session was STILL ACCEPTED."
    )


def _bullets(lines: Sequence[str]) -> list[str]:
    return [f"- {line}" for line in lines]
