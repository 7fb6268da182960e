"""The page of somebody who is logged in: where, since when, and what happened of late.

GET shows, POST does; after a POST the browser is sent back to ``/`` and told what happened.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from starlette.responses import Response

from clusterpass import (
    InvalidInput,
    RevocationPending,
    Session,
    SessionNotFound,
    StoreUnavailable,
)
from clusterpass.service.page.ended import explain_scoped_ban
from clusterpass.service.page.forms import make_form_token
from clusterpass.service.page.history import tell
from clusterpass.service.page.login import show_login
from clusterpass.service.page.steps import Fields, back
from clusterpass.service.page.views import notice, render
from clusterpass.service.page.visit import Stranger, Visit, Visitor

_SHOWN_AT_ONCE: Final = 6


async def show_home(visit: Visit) -> Response:
    """Who and where the visitor is, or the login form."""
    visitor = await visit.recognise()
    if isinstance(visitor, Stranger):
        return await show_login(visit, visitor)
    session = visitor.session
    sessions = visit.service.sessions
    found = await sessions.sessions(session.subject)
    # The session itself may be on its way out: what verify said of it holds for this page.
    others = [each for each in found if each.session_id != session.session_id]
    response = render(
        "sessions.html",
        session=session,
        support=support_of(session),
        others=[(each, support_of(each)) for each in others],
        kinds=_kinds(others),
        bans=[explain_scoped_ban(ban) for ban in session.bans if ban.scope],
        happenings=tell(await sessions.history(session.subject), found),
        shown_at_once=_SHOWN_AT_ONCE,
        is_administrator=visit.administers(session),
        form_token=make_form_token(sessions.config, session.session_id),
        notice=notice(visit.cookies.notice(visit.request)),
    )
    visit.cookies.drop_notice(response)
    return response


async def log_out(visit: Visit, visitor: Visitor, _: Fields) -> Response:
    """End the visitor's session; with an impersonation also that of who impersonates.

    Its tokens were replaced in this browser by those of the impersonation: nobody holds them.
    """
    sessions = visit.service.sessions
    told = "out"
    try:
        await sessions.logout(visitor.access_token, address=visit.address)
    except RevocationPending:
        # It is over here and will be everywhere; the browser must not keep its tokens.
        told = "outpending"
    visit.forget()
    actor = visitor.session.act
    if actor is None:
        return back(visit, told)
    # The impersonation is over, and that is what was asked for.
    with suppress(SessionNotFound, StoreUnavailable):
        await sessions.revoke(actor.subject, actor.session_id)
    return back(visit, "stopped")


async def end_others(visit: Visit, visitor: Visitor, _: Fields) -> Response:
    """End all sessions of the visitor but this one."""
    session = visitor.session
    ended = await visit.service.sessions.revoke_all(session.subject, keep=session.session_id)
    return back(visit, ended_code("others", ended.count))


async def end_kind(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
    """End the other sessions of the visitor on devices of one kind."""
    session, kind = visitor.session, fields.get("kind", "")
    if not kind:
        raise InvalidInput("Say which kind of device.")
    ended = await visit.service.sessions.revoke_all(
        session.subject, keep=session.session_id, device_type=kind
    )
    return back(visit, ended_code("others", ended.count))


async def end_one(visit: Visit, visitor: Visitor, _: Fields) -> Response:
    """End one session of the visitor."""
    session_id = visit.request.path_params["session_id"]
    try:
        ended = await visit.service.sessions.revoke(visitor.session.subject, session_id)
    except SessionNotFound:
        return back(visit, "gone")
    return back(visit, "ended" if ended.count else "gone")


def ended_code(kind: str, count: int) -> str:
    """The notice for a number of sessions that were ended: of all, or of all others."""
    return f"{kind}-{min(count, 999)}" if count else f"no{kind}"


def support_of(session: Session) -> tuple[str, str] | None:
    """Who acts in a session that is an impersonation, and why."""
    actor = session.act
    return None if actor is None else (actor.subject, actor.reason)


def _kinds(others: Iterable[Session]) -> list[tuple[str, int]]:
    """The kinds of other devices and how many there are, when there are several kinds."""
    counted = Counter(each.device_type for each in others if each.device_type and each.act is None)
    return sorted(counted.items()) if len(counted) > 1 else []
