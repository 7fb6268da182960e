"""The login form, and what a login that is not admitted is told.

- Who has as many sessions as allowed sees them, and picks one that is to leave; the password is
  asked for again, so it is never kept in a page.
- A ban and the list of devices are shown after the right password only.
"""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from clusterpass import (
    ClusterPassError,
    InvalidCredentials,
    InvalidInput,
    LoginOvertaken,
    Session,
    SessionPolicy,
    SubjectBanned,
    TooManyAttempts,
    TooManySessions,
    is_session_id,
)
from clusterpass.service.page.device import device_name, device_type
from clusterpass.service.page.ended import explain, explain_ban
from clusterpass.service.page.forms import read_form
from clusterpass.service.page.sentences import Notice, Sentence, duration
from clusterpass.service.page.steps import Fields, back, check_origin
from clusterpass.service.page.views import notice, render
from clusterpass.service.page.visit import Stranger, Visit

_REFUSALS: Final = (
    InvalidCredentials,
    InvalidInput,
    LoginOvertaken,
    SubjectBanned,
    TooManyAttempts,
    TooManySessions,
)
_EMPTY: Final = "Enter your user name and your password."
_WRONG: Final = "The user name or the password is wrong."
_OVERTAKEN: Final = "All your devices were logged out just now. Please log in again."
_PICK_ONE: Final = "Pick the device that is to be logged out."


async def show_login(visit: Visit, stranger: Stranger) -> Response:
    """The login form; it says why the session is over, if there was one."""
    told = notice(visit.cookies.notice(visit.request))
    if stranger.ending is not None:
        told = Notice(explain(stranger.ending))
        visit.forget()
    response = _form(200, told=told)
    visit.cookies.drop_notice(response)
    return response


async def log_in(visit: Visit) -> Response:
    """Open a session, or say why not."""
    check_origin(visit)
    fields = await read_form(visit.request)
    username, password = fields.get("username", ""), fields.get("password", "")
    if not username or not password:
        return _form(400, error=(_EMPTY,), fields=fields)
    user_agent = visit.request.headers.get("user-agent", "")
    kind, leaving = device_type(user_agent), fields.get("replace", "")
    try:
        pair = await visit.service.doorkeeper.login(
            username,
            password,
            device=device_name(user_agent),
            device_type=kind,
            address=visit.address,
            remember="remember" in fields,
            # What cannot be a session's id is no session of anybody.
            replace=leaving if is_session_id(leaving) else None,
        )
    except _REFUSALS as error:
        return _refusal(visit, error, fields, kind)
    visit.note(subject=pair.subject)
    await visit.end_session_of_browser()
    visit.hand_out(pair)
    response = back()
    visit.cookies.drop_notice(response)
    return response


def _refusal(visit: Visit, error: ClusterPassError, fields: Fields, kind: str | None) -> Response:
    match error:
        case TooManySessions():
            visit.note(error=error.code)
            policy = visit.service.sessions.config.policy
            return _offer(_leavable(error.sessions, policy, kind), fields)
        case SubjectBanned():
            visit.note(error=error.code)
            return _form(403, error=explain_ban(error.ban), fields=fields)
        case LoginOvertaken():
            visit.note(error=error.code)
            return _form(409, error=(_OVERTAKEN,), fields=fields)
        case TooManyAttempts():
            sentence = f"Too many attempts. Try again in {duration(error.retry_after)}."
            headers = {"Retry-After": str(error.retry_after)}
            return _form(429, error=(sentence,), fields=fields, headers=headers)
    # What cannot be a user's name is answered as one that is not known.
    headers = {"WWW-Authenticate": "Bearer"}
    return _form(401, error=(_WRONG,), fields=fields, headers=headers)


def _form(
    status: int,
    *,
    told: Notice | None = None,
    error: Sentence = (),
    fields: Fields | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    # Also for who was picking a device: the devices are shown after the right password only.
    fields = fields or {}
    return render(
        "login.html",
        status,
        headers,
        notice=told,
        error=error,
        username=fields.get("username", ""),
        is_remembered="remember" in fields,
    )


def _offer(sessions: list[Session], fields: Fields) -> Response:
    return render(
        "too_many.html",
        409,
        sessions=sessions,
        error=(_PICK_ONE,) if "replace" in fields else (),
        username=fields["username"],
        is_remembered="remember" in fields,
    )


def _leavable(
    sessions: tuple[Session, ...], policy: SessionPolicy, kind: str | None
) -> list[Session]:
    """Those whose end makes room for one more, on a device of this kind."""
    counted = [session for session in sessions if session.act is None]
    alike = [session for session in counted if session.device_type == kind]
    if policy.max_per_device and len(alike) >= policy.max_per_device:
        return alike
    return counted
