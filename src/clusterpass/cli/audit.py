"""``clusterpass audit``: read, export and check the audit trail."""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from clusterpass.cli.exit_status import ExitStatus
from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import counted, json_option, print_facts, print_json, printable
from clusterpass.cli.store_connection import config_option, open_sessions
from clusterpass.cli.time_arguments import parse_time
from clusterpass.cli.value_types import TEXT
from clusterpass.model.errors import InvalidInput, StoreUnavailable

if TYPE_CHECKING:
    from clusterpass import AuditEntry, SessionManager

Command = TypeVar("Command", bound=Callable[..., Any])
Wanted = Callable[["AuditEntry"], bool]
_AT_ONCE: Final = 1000
_SECONDS_BETWEEN_LOOKS: Final = 1.0
_MILLISECONDS: Final = 1000


@click.group()
@config_option
@click.pass_context
def audit(context: click.Context, config: Path | None) -> None:
    """Read, export and check the audit trail: who did what to whom.

    The service and these commands write the trail unless the setting "audit" is false.
    """
    context.obj = config


def _filters(command: Command) -> Command:
    """Add the options that say which entries are wanted."""
    for option in (
        click.option(
            "--outcome", type=TEXT, help="Only entries with this outcome, such as refused."
        ),
        click.option(
            "--action", type=TEXT, help="Only entries about this action, such as revoke_all."
        ),
        click.option("--actor", type=TEXT, help="Only what ACTOR did."),
        click.option("--subject", type=TEXT, help="Only what was done to SUBJECT."),
    ):
        command = option(command)
    return command


@audit.command(
    epilog=examples(
        "clusterpass audit tail --follow", "clusterpass audit tail --subject alice --lines 50"
    )
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, 100_000),
    default=20,
    show_default=True,
    help="How many of the latest entries to print.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new entries until Ctrl-C.")
@_filters
@json_option
@click.pass_obj
def tail(
    config: Path | None, /, *, lines: int, follow: bool, as_json: bool, **wanted: str | None
) -> None:
    """Print the latest entries, one in a line, the oldest first.

    With --json each line is a JSON object. While the store is away, --follow waits for it, and says
    so once on standard error.
    """
    is_wanted = _test(wanted)
    with open_sessions(config) as manager:
        found, cursor = _latest(manager, lines, is_wanted)
        _print(found, as_json=as_json)
        if follow:
            _follow(manager, cursor, is_wanted, as_json=as_json)


@audit.command(
    epilog=examples(
        "clusterpass audit export > audit.jsonl",
        "clusterpass audit export --since 2026-11-01 --subject alice",
        "clusterpass audit export --after 1795747743297-1 >> audit.jsonl",
    )
)
@click.option(
    "--since", type=TEXT, metavar="TIME", help="Begin with this time, in ISO 8601 or seconds."
)
@click.option("--until", type=TEXT, metavar="TIME", help="End before this time.")
@click.option("--after", type=TEXT, metavar="ID", help="Begin behind the entry with this id.")
@_filters
@click.pass_obj
def export(
    config: Path | None,
    /,
    *,
    since: str | None,
    until: str | None,
    after: str | None,
    **wanted: str | None,
) -> None:
    """Write entries to standard output as JSON lines, the oldest first.

    Standard error says how many there were, and the id to go on with the next time; also when the
    export was cut short, as the store went away. Entries that cannot be read are counted there.
    """
    if sys.stdout is None:  # closed by whoever started the command
        raise InvalidInput("standard output is closed: there is nowhere to export to")
    is_wanted = _test(wanted)
    begin = 0 if since is None else parse_time(since) * _MILLISECONDS
    end = None if until is None else parse_time(until) * _MILLISECONDS
    progress = _Progress(after or (f"{begin - 1}-0" if begin else ""))
    with open_sessions(config) as manager:
        try:
            for entry in _behind(manager, progress.cursor, progress):
                at = int(entry.id.partition("-")[0])
                if end is not None and at >= end:
                    break
                if at >= begin and is_wanted(entry):
                    _print([entry], as_json=True)
                    progress.count += 1
                progress.cursor = entry.id
        except BaseException:
            if progress.count:
                click.echo(f"not all: {progress}", err=True)
            raise
    click.echo(str(progress), err=True)


@audit.command(
    epilog=examples(
        "clusterpass audit check",
        "clusterpass audit check --head 4711:cc5db9c07927f812e4f97cba1ae9b729a52ecd64",
    )
)
@click.option(
    "--head",
    type=TEXT,
    metavar="NUMBER:CHAIN",
    help="What an earlier check has printed as the head.",
)
@json_option
@click.pass_context
def check(context: click.Context, head: str | None, as_json: bool) -> None:
    """Check whether an entry was changed, and whether entries are missing.

    Keep the head that is printed where nobody who administers the store can change it, and give it
    to the next check: then not even a trail that was written anew passes.

    The exit status is 0 if the trail is sound, and 1 if it is not.
    """
    with open_sessions(context.obj) as manager:
        report = manager.audit.check(head=head)
    if as_json:
        print_json({**report.to_dict(), "sound": report.is_sound})
    else:
        print_facts(
            [
                ("entries", str(report.count)),
                ("numbers", f"{report.first} to {report.last}" if report.count else "-"),
                ("head", report.head or "-"),
            ]
        )
        for fault in report.faults:
            click.echo(f"{fault.kind}: {printable(fault.message)}")
        state = counted(len(report.faults), "fault") if report.faults else "the trail is sound"
        click.echo(state)
    if not report.is_sound:
        context.exit(ExitStatus.FAILED)


def _test(wanted: dict[str, str | None]) -> Wanted:
    """Return the function that says whether an entry has what the options ask for."""
    asked = {name: _spelt(name, value) for name, value in wanted.items() if value is not None}

    def is_wanted(entry: "AuditEntry") -> bool:
        return all(_spelt(name, getattr(entry, name)) == value for name, value in asked.items())

    return is_wanted


def _spelt(name: str, value: str | None) -> str | None:
    """The value of a member, names of users in one spelling."""
    if not value or name not in {"actor", "subject"} or value.isascii():
        return value
    from clusterpass.users.usernames import prepare_name  # noqa: PLC0415 - quick --help

    return prepare_name(value)


def _latest(
    manager: "SessionManager", most: int, is_wanted: Wanted
) -> tuple[list["AuditEntry"], str]:
    """The latest ``most`` entries that are wanted, and the id of the latest of all."""
    found: list[AuditEntry] = []
    cursor: str | None = ""
    latest = ""
    while cursor is not None and (len(found) < most or not latest):
        page = manager.audit.page(before=cursor, limit=min(max(most, 1), _AT_ONCE))
        latest = latest or (page.entries[-1].id if page.entries else "")
        found = [*(each for each in page.entries if is_wanted(each)), *found]
        cursor = page.next_cursor if most else None
    return found[max(len(found) - most, 0) :], latest


@dataclass(slots=True)
class _Progress:
    """How far a reader of the trail has come."""

    cursor: str
    count: int = 0
    unreadable: int = 0
    recent: "deque[AuditEntry]" = field(default_factory=lambda: deque(maxlen=_AT_ONCE))

    def __str__(self) -> str:
        what = "1 entry" if self.count == 1 else f"{self.count} entries"
        if self.unreadable:
            what += f", without {self.unreadable} that cannot be read (clusterpass audit check)"
        return f"{what}; go on with --after {self.cursor}" if self.cursor else what


def _follow(
    manager: "SessionManager", cursor: str, is_wanted: Wanted, *, as_json: bool
) -> NoReturn:
    """Print new entries until Ctrl-C, also behind an outage of the store."""
    progress, is_away = _Progress(cursor), False
    while True:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        try:
            for entry in _behind(manager, progress.cursor, progress):
                progress.cursor = entry.id
                if is_wanted(entry):
                    _print([entry], as_json=as_json)
        except StoreUnavailable as error:
            if not is_away:
                click.echo(f"clusterpass: {error.message}; waiting for it", err=True)
            is_away = True
        else:
            is_away = False


def _behind(manager: "SessionManager", cursor: str, progress: _Progress) -> Iterator["AuditEntry"]:
    """All entries behind ``cursor``, each once, also if it was written twice."""
    following: str | None = cursor
    while following is not None:
        page = manager.audit.page(after=following, limit=_AT_ONCE)
        progress.unreadable += page.unreadable
        known = set(map(_identity, progress.recent))
        for entry in page.entries:
            if _identity(entry) not in known:
                yield entry
        progress.recent.extend(page.entries)
        following = page.next_cursor


def _identity(entry: "AuditEntry") -> tuple[object, ...]:
    """What an entry and its repetition have in common."""
    return entry.writer, entry.writer_number, entry.at, entry.action, entry.subject


def _print(entries: list["AuditEntry"], *, as_json: bool) -> None:
    for entry in entries:
        click.echo(json.dumps(entry.to_dict()) if as_json else printable(_line(entry)))


def _line(entry: "AuditEntry") -> str:
    """The entry in one line, for people."""
    at = datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    parts = [f"{at}Z", f"#{entry.number}", entry.action, entry.outcome]
    if entry.error is not None:
        parts.append(f"({entry.error})")
    for name in ("actor", "subject", "session_id", "via", "address", "request_id"):
        value = getattr(entry, name)
        if value is not None:
            parts.append(f"{name}={_quoted(value)}")
    parts += [f"{name}={_quoted(value)}" for name, value in entry.details.items()]
    if entry.reason is not None:
        parts.append(f"reason={json.dumps(entry.reason, ensure_ascii=False)}")
    return " ".join(parts)


def _quoted(value: object) -> str:
    """The value as it is, or in quotes where it could be taken for several."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    is_plain = bool(text) and not any(each.isspace() or each in '"=' for each in text)
    return text if is_plain or not isinstance(value, str) else json.dumps(text, ensure_ascii=False)
