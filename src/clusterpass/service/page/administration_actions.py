"""The administrators' actions on a subject's sessions and bans; each is a form on its page."""

import re
from typing import Final

from starlette.responses import Response

from clusterpass import (
    InvalidInput,
    SessionNotFound,
)
from clusterpass.service.language.marks import mark
from clusterpass.service.page.administration_pages import BAN_CHOICES, subject_page
from clusterpass.service.page.handler_wrappers import Action, Fields, redirect
from clusterpass.service.page.home import ended_code
from clusterpass.service.page.visit import Visit, Visitor

_LONGEST_MINUTES: Final = 60
_MINUTES: Final = re.compile(r"[1-9][0-9]?")


async def end_session(visit: Visit, _: Visitor, fields: Fields) -> Response:
    """End one session."""
    subject = await _subject(visit, fields)
    try:
        ended = await visit.service.sessions.revoke(
            subject, fields.get("session_id", ""), reason=_text(fields, "reason")
        )
    except SessionNotFound:
        return _to_subject(visit, subject, "gone")
    return _to_subject(visit, subject, "ended" if ended.count else "gone")


async def end_sessions(visit: Visit, _: Visitor, fields: Fields) -> Response:
    """End all sessions."""
    subject = await _subject(visit, fields)
    ended = await visit.service.sessions.revoke_all(subject, reason=_text(fields, "reason"))
    return _to_subject(visit, subject, ended_code("all", ended.count))


async def ban(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
    """Ban from everything, or from one scope."""
    subject, scope = await _subject(visit, fields), _text(fields, "scope")
    seconds = {name: seconds for name, _, seconds in BAN_CHOICES}
    wanted = fields.get("duration", "")
    if wanted not in seconds:
        raise InvalidInput(mark("Choose how long the ban lasts."))
    if subject == visitor.session.subject and not scope:
        raise InvalidInput(mark("You cannot ban yourself from everything."))
    await visit.service.sessions.bans.add(
        subject, reason=_text(fields, "reason"), for_seconds=seconds[wanted], scope=scope
    )
    return _to_subject(visit, subject, "banned")


async def lift(visit: Visit, _: Visitor, fields: Fields) -> Response:
    """Lift a ban before it expires."""
    subject = await _subject(visit, fields)
    lifted = await visit.service.sessions.bans.lift(subject, scope=fields.get("scope", ""))
    return _to_subject(visit, subject, "lifted" if lifted.count else "unbanned")


async def impersonate(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
    """Replace the session of this browser by an impersonation of the subject."""
    minutes = fields.get("minutes", "")
    if not _MINUTES.fullmatch(minutes) or int(minutes) > _LONGEST_MINUTES:
        raise InvalidInput(mark("Enter a whole number of minutes from 1 to 60."))
    pair = await visit.service.sessions.impersonate(
        visitor.session,
        await _subject(visit, fields),
        reason=_text(fields, "reason"),
        for_seconds=int(minutes) * 60,
    )
    visit.set_tokens(pair)
    return redirect(visit)


ACTIONS: Final[dict[str, Action]] = {
    "revoke": end_session,
    "revoke-all": end_sessions,
    "ban": ban,
    "lift": lift,
    "impersonate": impersonate,
}
"""The actions, by the last segment of the path that their form is sent to."""


async def _subject(visit: Visit, fields: Fields) -> str:
    return await visit.service.subject_of(fields.get("subject", ""))


def _text(fields: Fields, name: str) -> str:
    return fields.get(name, "").strip()


def _to_subject(visit: Visit, subject: str, code: str) -> Response:
    return redirect(visit, code, to=subject_page(visit.paths, subject))
