"""The home page of a logged-in user: their sessions, recent activity, and the forms to log out."""

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
from clusterpass.service.language.marks import mark, mark_plural
from clusterpass.service.language.translation import Language
from clusterpass.service.page.device_types import log_out_all
from clusterpass.service.page.handler_wrappers import Fields, redirect
from clusterpass.service.page.history_sentences import describe_history
from clusterpass.service.page.html_responses import notice, render
from clusterpass.service.page.login import show_login
from clusterpass.service.page.paths import OF_KIND, OTHERS
from clusterpass.service.page.session_end import explain_scoped_ban
from clusterpass.service.page.visit import Anonymous, Visit, Visitor

_SHOWN_AT_ONCE: Final = 6
_CONFIRMED: Final = "confirmed"
"""The field of the form that was asked with."""
_QUESTION: Final = mark_plural("Log out {count} other device?", "Log out {count} other devices?")


async def show_home(visit: Visit) -> Response:
    """Show the visitor's sessions, or the login form."""
    visitor = await visit.authenticate()
    if isinstance(visitor, Anonymous):
        return await show_login(visit, visitor)
    session = visitor.session
    sessions = visit.service.sessions
    found = await sessions.sessions(session.subject)
    # The current session may end meanwhile: the page shows it as verify returned it.
    others = [each for each in found if each.session_id != session.session_id]
    return render(
        visit,
        "sessions.html",
        session=session,
        support=impersonator_of(session),
        others=[(each, impersonator_of(each)) for each in others],
        device_types=_buttons_by_type(others, session, visit.language),
        bans=[explain_scoped_ban(ban, visit.language) for ban in session.bans if ban.scope],
        activity=describe_history(
            await sessions.history(session.subject), found, visit.language, session.subject
        ),
        shown_at_once=_SHOWN_AT_ONCE,
        is_administrator=visit.is_administrator(session),
        may_change_password=session.act is None and visit.service.authenticator.users is not None,
        form_token=visit.csrf.make(session.session_id),
        notice=notice(visit.take_notice(), visit.language),
    )


async def log_out(visit: Visit, visitor: Visitor, _: Fields) -> Response:
    """End the visitor's session; for an impersonation, also the session of the administrator.

    The impersonation replaced the administrator's tokens in this browser, so nobody holds them.
    """
    sessions = visit.service.sessions
    code = "out"
    try:
        await sessions.logout(visitor.access_token, address=visit.address)
    except RevocationPending:
        # The logout is in effect here and is retried; the browser must not keep the tokens.
        code = "outpending"
    visit.clear_tokens()
    visit.forget_site()
    actor = visitor.session.act
    if actor is None:
        return redirect(visit, code)
    # The impersonation has ended, which is what was requested.
    with suppress(SessionNotFound, StoreUnavailable):
        await sessions.revoke(actor.subject, actor.session_id)
    return redirect(visit, "stopped")


async def end_others(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
    """End all sessions of the visitor except the current one; ask first."""
    if _CONFIRMED not in fields:
        return await _ask(visit, visitor, OTHERS)
    session = visitor.session
    ended = await visit.service.sessions.revoke_all(session.subject, keep=session.session_id)
    return redirect(visit, ended_code("others", ended.count))


async def end_kind(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
    """End the other sessions of the visitor on one type of device; ask first."""
    session, device_type = visitor.session, fields.get("kind", "")
    if not device_type:
        raise InvalidInput(mark("Choose a device type."))
    if _CONFIRMED not in fields:
        return await _ask(visit, visitor, OF_KIND, device_type)
    ended = await visit.service.sessions.revoke_all(
        session.subject, keep=session.session_id, device_type=device_type
    )
    return redirect(visit, ended_code("others", ended.count))


async def _ask(visit: Visit, visitor: Visitor, path: str, device_type: str = "") -> Response:
    """Ask whether the other devices, of one type or all, are to be logged out."""
    session = visitor.session
    found = await visit.service.sessions.sessions(session.subject)
    count = sum(
        each.session_id != session.session_id and device_type in {"", each.device_type or ""}
        for each in found
    )
    if not count:
        return redirect(visit, ended_code("others", 0))
    return render(
        visit,
        "confirm_logout.html",
        question=visit.language.counted(_QUESTION, count),
        action=visit.paths.at(path),
        kind=device_type,
        form_token=visit.csrf.make(session.session_id),
    )


async def end_one(visit: Visit, visitor: Visitor, _: Fields) -> Response:
    """End one session of the visitor."""
    session_id = visit.request.path_params["session_id"]
    try:
        ended = await visit.service.sessions.revoke(visitor.session.subject, session_id)
    except SessionNotFound:
        return redirect(visit, "gone")
    return redirect(visit, "ended" if ended.count else "gone")


def ended_code(kind: str, count: int) -> str:
    """Return the code of the notice that reports ``count`` ended sessions.

    ``kind``: ``all`` or ``others``.
    """
    return f"{kind}-{min(count, 999)}" if count else f"no{kind}"


def impersonator_of(session: Session) -> tuple[str, str] | None:
    """Return who impersonates the subject of ``session``, and why; None for other sessions."""
    actor = session.act
    return None if actor is None else (actor.subject, actor.reason)


def _buttons_by_type(
    others: Iterable[Session], own: Session, language: Language
) -> list[tuple[str, str]]:
    """Return each type of device and the words on its button, when there is more than one type."""
    counted = Counter(each.device_type for each in others if each.device_type and each.act is None)
    if len(counted) < 2:
        return []
    return [
        (each, log_out_all(each, count, language, is_own=each == own.device_type))
        for each, count in sorted(counted.items())
    ]
