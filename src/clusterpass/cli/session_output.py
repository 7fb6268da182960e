"""The output of sessions, as JSON, as rows of a table and in full; also of claims and bans."""

import dataclasses
import json
from typing import Any, Final

from clusterpass.cli.output import moment
from clusterpass.model.bans import Ban
from clusterpass.model.values import Session

TABLE_HEAD: Final = (
    *("SUBJECT", "SESSION", "DEVICE", "TYPE"),
    *("LOGGED IN", "LAST USED", "EXPIRES", "ACTOR"),
)
"""The column titles for :func:`table_row`."""


def as_members(session: Session) -> dict[str, Any]:
    """The fields of ``session`` as values that JSON can represent."""
    return {
        field.name: _plain(getattr(session, field.name)) for field in dataclasses.fields(session)
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return dict(value) if hasattr(value, "keys") else value


def table_row(session: Session) -> tuple[str, ...]:
    """The cells of ``session`` below :data:`TABLE_HEAD`."""
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


def session_facts(session: Session) -> list[tuple[str, str]]:
    """All details of ``session``, as pairs of a name and a value."""
    facts = [
        ("session", session.session_id),
        ("device", session.device or "-"),
        ("type", session.device_type or "-"),
        ("logged in", moment(session.created_at)),
        ("refreshed", moment(session.refreshed_at)),
        ("last used", moment(session.active_at)),
        ("expires", moment(session.expires_at)),
        ("authenticated", f"{moment(session.auth_time)}, level {session.acr}"),
        ("methods", " ".join(session.amr) or "-"),
        ("claims", claims_text(dict(session.claims))),
    ]
    if session.act:
        facts.append(("impersonated by", f"{session.act.subject}: {session.act.reason}"))
    return facts


def claims_text(claims: dict[str, Any]) -> str:
    """``claims`` on one line, such as "plan=pro, teams=["a"]"; "-" when there are none."""
    return ", ".join(f"{name}={_value_text(value)}" for name, value in claims.items()) or "-"


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def ban_text(ban: Ban) -> str:
    """``ban`` on one line: its scope, level, end and reason."""
    until = "permanent" if ban.until is None else f"until {moment(ban.until)}"
    reason = f": {ban.reason}" if ban.reason else ""
    return f"{ban.scope or 'everything'}, level {ban.level}, {until}{reason}"
