"""Composes the HTTP section of docs/benchmarks.md: table, verdicts, and coverage of checks."""

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
compare processor time within a round; the table has medians over the rounds. The p99 is measured
with a load of its own at half of the requests that the row reached, at most {most:,} a second: the
time from when a request was due to its answer, with up to a millisecond of the generator's clock.
The last column says how much of a core wrk itself used; where it was the limit, requests/s say
little and processor time says all. Every token is seen once before the first round, and rounds
alternate; many tokens have a server of their own. `POST /login` has a `password_check` that accepts
at once, since hashing would be all that is seen. Measured on {date}."""
_COLUMNS = (
    *("server", "requests/s", "us/request", "store us/request", "this : strict", "this : cached"),
    *("p99 ms", "wrk, of a core"),
)


def make_report(
    found: figures.Found | None,
    candidates: Sequence[Candidate],
    missing: Sequence[str],
    servers: Sequence[str],
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
        notes=[*_comparison(found), *_checks(candidates, missing), _quiet(found)],
        servers=servers,
        plot={
            label: figures.median(figures.spent, found.loads[label]) * 1e6
            for label in (ours.CACHED, ours.STRICT, *found.peers)
        },
        plot_label="processor time of the server for a request, us",
    )


def _quiet(found: figures.Found) -> str:
    others = sorted(load.others_share for taken in found.loads.values() for load in taken)
    return (
        f"While the loads ran, other processes of the machine used {others[len(others) // 2]:.2f} "
        f"of a core in the median and {others[-1]:.2f} at most; more than a tenth makes "
        "requests/s and p99 worth little."
    )


def _comparison(found: figures.Found) -> list[str]:
    return [
        "**Where a peer is better than our strict verify:**",
        *_bullets(figures.better_peers(found)),
    ]


def _checks(candidates: Sequence[Candidate], missing: Sequence[str]) -> list[str]:
    labels = {each.label for each in candidates}
    lines = [
        f"{each.label} ({each.versions()}). {each.check}" for each in PEERS if each.label in labels
    ]
    lines += [f"Not measured: {reason}." for reason in missing]
    return [
        "**What the checks are worth.** Ours from memory hears from the store within milliseconds "
        "what has ended, and after `staleness_bound` at the latest; ours strict asks the store. A "
        "logout of ours is confirmed once a replica has it. simplejwt writes to a database, and is "
        "as durable as that is; no other peer waits for more than one Redis, so that a failover "
        "can lose the write, after which a token that was blocked, or a session that was deleted, "
        f"is accepted again. {tried(candidates)}",
        *_bullets(lines),
    ]


def tried(candidates: Sequence[Candidate]) -> str:
    """The fate of a session right after its logout, as tried before the load."""
    checking = [each for each in candidates if each.notices_logout is not None]
    accepting = [each.label for each in checking if not each.notices_logout]
    if not accepting:
        return "In this run, every one of them refused a session right after its logout."
    names = ", ".join(accepting)
    return f"In this run, a session was STILL ACCEPTED right after its logout by {names}."


def _bullets(lines: Sequence[str]) -> list[str]:
    return [f"- {line}" for line in lines]
