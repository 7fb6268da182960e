"""What administrators see: who is online, and all about one subject. Nothing is changed here.

An administrator is a subject that the settings name, in a session of its own. For everybody else
these pages do not exist.
"""

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from clusterpass import (
    OnlinePage,
    Session,
)
from clusterpass.service.page.forms import make_form_token
from clusterpass.service.page.history import tell
from clusterpass.service.page.home import support_of
from clusterpass.service.page.views import notice, render
from clusterpass.service.page.visit import Visit, Visitor

ONLINE: Final = "/page/online"
SUBJECT: Final = "/page/subject"
_SUBJECTS_ON_A_PAGE: Final = 50
BAN_CHOICES: Final = (
    ("hour", "1 hour", 3600),
    ("day", "1 day", 86_400),
    ("week", "7 days", 7 * 86_400),
    ("month", "30 days", 30 * 86_400),
    ("good", "For good", None),
)


async def show_online(visit: Visit, visitor: Visitor) -> Response:
    """Some of those who are online; the cursor in the address leads to the next."""
    online = visit.service.sessions.online
    cursor = visit.request.query_params.get("cursor")
    page: OnlinePage = await online.page(cursor, limit=_SUBJECTS_ON_A_PAGE)
    count = await online.count() if cursor is None else None
    response = render(
        "online.html",
        subjects=_by_subject(page.sessions),
        count=count,
        is_first=cursor is None,
        next_page=None
        if page.next_cursor is None
        else f"{ONLINE}?{urlencode({'cursor': page.next_cursor})}",
        form_token=make_form_token(visit.service.sessions.config, visitor.session.session_id),
        notice=notice(visit.cookies.notice(visit.request)),
    )
    visit.cookies.drop_notice(response)
    return response


async def show_subject(visit: Visit, visitor: Visitor) -> Response:
    """The sessions, bans, live claims and history of one subject, and what can be done."""
    sessions = visit.service.sessions
    subject = visit.request.query_params.get("name", "")
    found = await sessions.sessions(subject)
    claims = await sessions.claims.get(subject)
    response = render(
        "subject.html",
        subject=subject,
        may_be_acted_for=subject != visitor.session.subject
        and subject not in sessions.config.protected_subjects,
        sessions=[(each, support_of(each)) for each in found],
        own_session_id=visitor.session.session_id,
        bans=await sessions.bans.list(subject),
        ban_choices=BAN_CHOICES,
        claims=json.dumps(dict(claims), indent=2, ensure_ascii=False) if claims else "",
        happenings=tell(await sessions.history(subject), found),
        form_token=make_form_token(sessions.config, visitor.session.session_id),
        notice=notice(visit.cookies.notice(visit.request)),
    )
    visit.cookies.drop_notice(response)
    return response


def subject_page(subject: str) -> str:
    """The address of the page about ``subject``."""
    return f"{SUBJECT}?{urlencode({'name': subject})}"


def _by_subject(sessions: Iterable[Session]) -> list[tuple[str, str, list[Session]]]:
    """Subjects with the address of their page and their sessions, in the order of the store."""
    return [
        (subject, subject_page(subject), list(of_one))
        for subject, of_one in groupby(sessions, key=lambda session: session.subject)
    ]
