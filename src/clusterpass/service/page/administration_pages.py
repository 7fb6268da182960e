"""The pages for administrators: who is online, and everything about one subject. Read-only.

An administrator is a subject that the setting ``administrators`` names, in a session of its own.
Everyone else gets 404 from these pages.
"""

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from starlette.responses import Response

from clusterpass import (
    OnlinePage,
    Session,
)
from clusterpass.service.language.marks import mark
from clusterpass.service.page.history_sentences import describe_history
from clusterpass.service.page.home import impersonator_of
from clusterpass.service.page.html_responses import notice, render
from clusterpass.service.page.paths import ONLINE, SUBJECT, Paths
from clusterpass.service.page.visit import Visit, Visitor

_SUBJECTS_ON_A_PAGE: Final = 50
BAN_CHOICES: Final = (
    ("hour", mark("1 hour"), 3600),
    ("day", mark("1 day"), 86_400),
    ("week", mark("7 days"), 7 * 86_400),
    ("month", mark("30 days"), 30 * 86_400),
    ("good", mark("Permanently"), None),
)


async def show_online(visit: Visit, visitor: Visitor) -> Response:
    """Show one page of the online users; the query parameter ``cursor`` selects the next page."""
    online = visit.service.sessions.online
    cursor = visit.request.query_params.get("cursor")
    page: OnlinePage = await online.page(cursor, limit=_SUBJECTS_ON_A_PAGE)
    count = await online.count() if cursor is None else None
    return render(
        visit,
        "online.html",
        subjects=_by_subject(visit.paths, page.sessions),
        count=count,
        is_first=cursor is None,
        next_page=None
        if page.next_cursor is None
        else visit.paths.at(ONLINE, cursor=page.next_cursor),
        form_token=visit.csrf.make(visitor.session.session_id),
        has_directory=visit.service.authenticator.users is not None,
        sends_mails=visit.service.mail is not None,
        notice=notice(visit.take_notice(), visit.language),
    )


async def show_subject(visit: Visit, visitor: Visitor) -> Response:
    """Show the sessions, bans, live claims and history of one subject, and the forms."""
    sessions = visit.service.sessions
    subject = await visit.service.subject_of(visit.request.query_params.get("name", ""))
    found = await sessions.sessions(subject)
    claims = await sessions.claims.get(subject)
    return render(
        visit,
        "subject.html",
        subject=subject,
        is_unknown=not found and await visit.service.is_known(subject) is False,
        may_be_impersonated=subject != visitor.session.subject
        and subject not in sessions.config.protected_subjects,
        sessions=[(each, impersonator_of(each)) for each in found],
        own_subject=visitor.session.subject,
        own_session_id=visitor.session.session_id,
        bans=await sessions.bans.list(subject),
        ban_choices=BAN_CHOICES,
        claims=json.dumps(dict(claims), indent=2, ensure_ascii=False) if claims else "",
        activity=describe_history(
            await sessions.history(subject), found, visit.language, visitor.session.subject
        ),
        form_token=visit.csrf.make(visitor.session.session_id),
        has_directory=visit.service.authenticator.users is not None,
        sends_mails=visit.service.mail is not None,
        notice=notice(visit.take_notice(), visit.language),
    )


def subject_page(paths: Paths, subject: str) -> str:
    """Return the URL path and query of the page about ``subject``."""
    return paths.at(SUBJECT, name=subject)


def _by_subject(paths: Paths, sessions: Iterable[Session]) -> list[tuple[str, str, list[Session]]]:
    """Group sessions by subject: its name, the URL of its page, its sessions. Keeps the order."""
    return [
        (subject, subject_page(paths, subject), list(of_one))
        for subject, of_one in groupby(sessions, key=lambda session: session.subject)
    ]
