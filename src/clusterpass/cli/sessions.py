"""``clusterpass sessions``: who is logged in where, and ending it, for an administrator."""

import dataclasses
import json
import math
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from clusterpass.cli.store import (
    config_option,
    confirmed,
    counted,
    json_option,
    moment,
    open_sessions,
    print_facts,
    print_json,
    print_table,
    printable,
)
from clusterpass.model.bans import Ban
from clusterpass.model.errors import InvalidInput, SessionNotFound
from clusterpass.model.values import Session

_HEAD: Final = ("SUBJECT", "SESSION", "DEVICE", "TYPE", "LOGGED IN", "LAST USED", "ENDS", "ACTOR")
# Fewer digits are a date without dashes, more are milliseconds: neither is taken for seconds.
_EPOCH_SECONDS: Final = re.compile(r"[0-9]{9,10}")

# An id is base64url: one in sixty-four looks like an option.
_IDS_MAY_BEGIN_WITH_A_DASH: Final = {"ignore_unknown_options": True}


@click.group()
@config_option
@click.pass_context
def sessions(context: click.Context, config: Path | None) -> None:
    """List, show and revoke sessions."""
    context.obj = config


@sessions.command("list")
@click.argument("subject", required=False)
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@click.option("--cursor", help="Where the page before ended.")
@click.option("--all", "every", is_flag=True, help="All pages.")
@json_option
@click.pass_obj
def list_sessions(
    config: Path | None,
    *,
    subject: str | None,
    limit: int,
    cursor: str | None,
    every: bool,
    as_json: bool,
) -> None:
    """List the live sessions of SUBJECT, or of those who are online.

    Without SUBJECT it shows the sessions of about --limit subjects and, if there are more, the
    cursor of the next page.
    """
    if subject is not None and cursor is not None:
        raise InvalidInput("give SUBJECT or --cursor: the sessions of one subject have no pages")
    found: list[Session] = []
    following: str | None = None
    with open_sessions(config) as manager:
        if subject is not None:
            found = manager.sessions(subject)
        else:
            while True:
                page = manager.online.page(cursor, limit=limit)
                found += page.sessions
                following = cursor = page.next_cursor
                if following is None or not every:
                    break
    if as_json:
        print_json({"sessions": [as_members(each) for each in found], "next_cursor": following})
        return
    print_table(_HEAD, [_row(each) for each in found])
    if following is not None:
        click.echo(f"more: --cursor {following}", err=True)


@sessions.command()
@json_option
@click.pass_obj
def count(config: Path | None, as_json: bool) -> None:
    """Count who is online."""
    with open_sessions(config) as manager:
        found = manager.online.count()
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    click.echo(f"{counted(found.subjects, 'subject')}, {counted(found.sessions, 'session')}")


@sessions.command(context_settings=_IDS_MAY_BEGIN_WITH_A_DASH)
@click.argument("subject")
@click.argument("session_id", required=False)
@json_option
@click.pass_obj
def show(config: Path | None, subject: str, session_id: str | None, as_json: bool) -> None:
    """Show all that is known of SUBJECT's sessions, or of one of them."""
    with open_sessions(config) as manager:
        found = [
            each
            for each in manager.sessions(subject)
            if session_id is None or each.session_id == session_id
        ]
        if session_id is not None and not found:
            raise SessionNotFound
        bans, claims = manager.bans.list(subject), dict(manager.claims.get(subject))
    if as_json:
        print_json(
            {
                "subject": subject,
                "sessions": [as_members(each) for each in found],
                "bans": [dataclasses.asdict(ban) for ban in bans],
                "claims": claims,
            }
        )
        return
    print_facts(
        [
            ("subject", subject),
            *([("live sessions", str(len(found)))] if session_id is None else []),
            ("live claims", _text(claims)),
            *(("banned from", _ban_text(ban)) for ban in bans),
        ]
    )
    for each in found:
        click.echo()
        print_facts(_facts(each))


@sessions.command()
@click.argument("subject")
@json_option
@click.pass_obj
def history(config: Path | None, subject: str, as_json: bool) -> None:
    """Show what happened to SUBJECT's sessions, newest first."""
    with open_sessions(config) as manager:
        entries = manager.history(subject)
    if as_json:
        print_json([dataclasses.asdict(entry) for entry in entries])
        return
    print_table(
        ("TIME", "EVENT", "COUNT", "SESSION", "ADDRESS", "TEXT"),
        [
            (
                moment(entry.at),
                entry.kind,
                str(entry.count),
                entry.session_id or "-",
                entry.address or "-",
                entry.text,
            )
            for entry in entries
        ],
    )


@sessions.command(context_settings=_IDS_MAY_BEGIN_WITH_A_DASH)
@click.argument("subject")
@click.argument("session_id", required=False)
@click.option("--device-type", help="All sessions on devices of this type.")
@click.option("--all", "every", is_flag=True, help="All sessions.")
@click.option("--reason", default="", help="What the user is told.")
@click.pass_obj
def revoke(
    config: Path | None,
    *,
    subject: str,
    session_id: str | None,
    device_type: str | None,
    every: bool,
    reason: str,
) -> None:
    """End one session of SUBJECT, those on one type of device, or all."""
    if [session_id is not None, device_type is not None, every].count(True) != 1:
        raise InvalidInput("give one of SESSION_ID, --device-type and --all")
    with open_sessions(config) as manager:
        if session_id is not None:
            ended = manager.revoke(subject, session_id, reason=reason)
        else:
            ended = manager.revoke_all(subject, device_type=device_type, reason=reason)
    click.echo(f"ended {counted(ended.count, 'session')}{confirmed(durable=ended.durable)}")


@sessions.command("revoke-before")
@click.argument("when", metavar="[TIME]", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def revoke_before(config: Path | None, when: str | None, yes: bool) -> None:
    """End every session of everybody that was opened before TIME.

    TIME is ISO 8601 (2026-11-25T10:00:00Z; UTC unless it says otherwise) or seconds since the
    epoch; now, if it is missing or yet to come. It cannot be taken back.
    """
    timestamp = None if when is None else _parse_time(when)
    if not yes:
        now = int(time.time())
        shown = moment(now if timestamp is None else min(timestamp, now))
        click.confirm(f"End every session that was opened before {shown}?", abort=True)
    with open_sessions(config) as manager:
        revoked = manager.revoke_before(timestamp)
    click.echo(
        f"every session that was opened before {moment(revoked.time)} has ended"
        f"{confirmed(durable=revoked.durable)}"
    )


@sessions.command()
@click.pass_obj
def prune(config: Path | None) -> None:
    """Take those who are not online any more out of the list."""
    with open_sessions(config) as manager:
        remaining = manager.online.prune()
    click.echo(f"{counted(remaining, 'subject')} online")


def as_members(session: Session) -> dict[str, Any]:
    """A session for JSON."""
    return {
        field.name: _plain(getattr(session, field.name)) for field in dataclasses.fields(session)
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return dict(value) if hasattr(value, "keys") else value


def _row(session: Session) -> tuple[str, ...]:
    return (
        session.subject,
        session.session_id,
        session.device or "-",
        session.device_type or "-",
        moment(session.created_at),
        moment(session.active_at),
        moment(session.expires_at),
        session.act.subject if session.act else "-",
    )


def _facts(session: Session) -> list[tuple[str, str]]:
    facts = [
        ("session", session.session_id),
        ("device", session.device or "-"),
        ("type", session.device_type or "-"),
        ("logged in", moment(session.created_at)),
        ("refreshed", moment(session.refreshed_at)),
        ("last used", moment(session.active_at)),
        ("ends", moment(session.expires_at)),
        ("authenticated", f"{moment(session.auth_time)}, level {session.acr}"),
        ("methods", " ".join(session.amr) or "-"),
        ("claims", _text(dict(session.claims))),
    ]
    if session.act:
        facts.append(("impersonated by", f"{session.act.subject}: {session.act.reason}"))
    return facts


def _text(claims: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_value_text(value)}" for name, value in claims.items()) or "-"


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _ban_text(ban: Ban) -> str:
    until = "for good" if ban.until is None else f"until {moment(ban.until)}"
    reason = f": {ban.reason}" if ban.reason else ""
    return f"{ban.scope or 'everything'}, level {ban.level}, {until}{reason}"


def _parse_time(text: str) -> int:
    """Seconds since the epoch; a part of a second counts as a whole one, to spare nobody."""
    if _EPOCH_SECONDS.fullmatch(text):
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"{printable(text)} is no time: write 2026-11-25T10:00:00Z, or seconds since the epoch"
        ) from None
    seconds = math.ceil((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    if seconds <= 0:
        raise InvalidInput(f"{printable(text)} is before 1970: no session is that old")
    return seconds
