"""The administrators' actions on accounts: links, invitations, deletion, erasure and export.

The JSON calls for the same actions are in ``service/api/admin_accounts.py``.
"""

import json
from typing import Final
from urllib.parse import quote

from starlette.responses import Response

from clusterpass import AsyncUserDirectory, InvalidInput, OneTimeLink
from clusterpass.service.calls.one_time_links import address_of_link, mail_with
from clusterpass.service.language.choice import LANGUAGES
from clusterpass.service.language.marks import mark
from clusterpass.service.mail import MailKind, check_address, send_in_time
from clusterpass.service.page.administration_pages import subject_page
from clusterpass.service.page.handler_wrappers import Action, Fields, redirect
from clusterpass.service.page.html_responses import render
from clusterpass.service.page.visit import Visit, Visitor


async def export(visit: Visit, _: Visitor) -> Response:
    """Return all that the store holds of a subject, without secrets, as a file in JSON."""
    subject = await visit.service.subject_of(visit.request.query_params.get("name", ""))
    users = visit.service.authenticator.users
    found = await (visit.service.sessions if users is None else users).export(subject)
    visit.log(target=subject)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(subject, safe='')}.json"
    }
    text = json.dumps(found, indent=2, ensure_ascii=True)
    return Response(text, headers=headers, media_type="application/json")


async def erase(visit: Visit, _: Visitor, fields: Fields) -> Response:
    """End all sessions of the subject, and erase what is known of it; bans stay."""
    subject = await visit.service.subject_of(_sure_about(visit, fields))
    await visit.service.sessions.erase(subject)
    return redirect(visit, "erased", to=subject_page(visit.paths, subject))


async def delete(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
    """Remove the subject from the directory, and end its sessions."""
    subject, users = _sure_about(visit, fields), _users(visit)
    if await users.name_of(subject) == visitor.session.subject:
        raise InvalidInput(mark("You cannot delete yourself."))
    await users.delete(subject, erase="erase" in fields)
    return redirect(visit, "deleted", to=subject_page(visit.paths, subject))


async def make_reset_link(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
    """Make a link by which the subject sets a new password, and show it or mail it."""
    subject, to = fields.get("subject", ""), _address(visit, fields)
    visit.log(target=subject)
    seconds = visit.service.settings.reset_link_lifetime
    made = await _users(visit).make_link(subject, for_seconds=seconds)
    if to:
        await _send(visit, "reset", made, to, fields)
    return _show_made(visit, visitor, made, to)


async def invite(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
    """Add a user, and make the link by which the user sets the first password."""
    subject, to = fields.get("subject", "").strip(), _address(visit, fields)
    visit.log(target=subject)
    seconds = visit.service.settings.invitation_lifetime
    made = await _users(visit).invite(subject, for_seconds=seconds)
    if to:
        await _send(visit, "invitation", made, to, fields)
    return _show_made(visit, visitor, made, to)


ACCOUNT_ACTIONS: Final[dict[str, Action]] = {"erase": erase}
"""The actions, by the last segment of the path that their form is sent to."""
DIRECTORY_ACTIONS: Final[dict[str, Action]] = {
    "delete": delete,
    "invite": invite,
    "reset-link": make_reset_link,
}
"""The actions that need the user directory."""


def _users(visit: Visit) -> AsyncUserDirectory:
    users = visit.service.authenticator.users
    assert users is not None  # these actions are offered with a directory alone
    return users


def _sure_about(visit: Visit, fields: Fields) -> str:
    """Return the subject of a form; raise InvalidInput unless its box was ticked."""
    subject = fields.get("subject", "")
    visit.log(target=subject)
    if "sure" not in fields:
        raise InvalidInput(mark("Tick the box to confirm that you want this."))
    return subject


def _address(visit: Visit, fields: Fields) -> str:
    """Return where to send a link; empty: nowhere. Raises InvalidInput for what is no address."""
    to = fields.get("send_to", "").strip()
    if to:
        check_address(visit.service.mail, to)
    return to


async def _send(visit: Visit, kind: MailKind, made: OneTimeLink, to: str, fields: Fields) -> None:
    wanted = fields.get("language", "")
    tag = wanted if wanted in LANGUAGES else visit.language.tag
    send = check_address(visit.service.mail, to)
    mail = mail_with(visit.service.settings, kind, made, to, tag)
    await send_in_time(send, mail)


def _show_made(visit: Visit, visitor: Visitor, made: OneTimeLink, to: str) -> Response:
    return render(
        visit,
        "link_made.html",
        sent_to=to,
        username=made.username,
        link="" if to else address_of_link(visit.service.settings, made.token),
        expires_at=made.expires_at,
        subject_page=subject_page(visit.paths, made.username),
        form_token=visit.csrf.make(visitor.session.session_id),
    )
