"""The login form, and the messages to a user whose login is refused.

- A user who has reached the maximum number of sessions sees them and chooses one to end. The form
  asks for the password again, so no page ever contains it.
- A ban and the list of devices are shown only after the correct password.
"""

from collections.abc import Mapping
from functools import partial
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
from clusterpass.service.authz.return_address import ReturnAddress
from clusterpass.service.language.marks import mark
from clusterpass.service.page.forms import read_form
from clusterpass.service.page.handler_wrappers import Fields
from clusterpass.service.page.html_responses import notice, render
from clusterpass.service.page.returning import (
    FIELD,
    address_in,
    address_of_link,
    form_headers,
    form_values,
    go_on,
)
from clusterpass.service.page.sentences import Notice, Sentence
from clusterpass.service.page.session_end import explain, explain_ban
from clusterpass.service.page.visit import Anonymous, Visit
from clusterpass.web.challenges import BEARER
from clusterpass.web.device import device_name, device_type

_REFUSALS: Final = (
    InvalidCredentials,
    InvalidInput,
    LoginOvertaken,
    SubjectBanned,
    TooManyAttempts,
    TooManySessions,
)
_EMPTY: Final = mark("Enter your user name and password.")
_INCORRECT: Final = mark("The user name or password is incorrect.")
_OVERTAKEN: Final = mark(
    "All your devices were logged out while you were logging in. Please log in again."
)
_CHOOSE_ONE: Final = mark("Choose the device to log out.")


async def show_login(visit: Visit, visitor: Anonymous) -> Response:
    """Show the login form, and why the previous session ended, if there was one."""
    shown = notice(visit.take_notice(), visit.language)
    if visitor.session_end is not None:
        shown = Notice(explain(visitor.session_end, visit.language))
        visit.clear_tokens()
    return _form(visit, 200, shown=shown, address=address_of_link(visit))


async def open_login(visit: Visit) -> Response:
    """Lead a visitor with a session to where they wanted to go; show the others the login form."""
    address = address_of_link(visit)
    if address is None:
        return go_on(visit, None)  # the home page shows the form, too
    visitor = await visit.authenticate()
    if isinstance(visitor, Anonymous):
        return await show_login(visit, visitor)
    visit.admit_to_proxies(visitor)
    if visit.is_led_in_circles():
        return render(visit, "circles.html", 409, address=address.url)
    return go_on(visit, address, visitor.access_token)


async def log_in(visit: Visit) -> Response:
    """Open a session, or show the form again with the reason."""
    visit.require_own_origin()
    fields = await read_form(visit.request)
    username, password = fields.get("username", ""), fields.get("password", "")
    address = address_in(visit, fields.get(FIELD, ""))
    say = visit.language.gettext
    if not username or not password:
        return _form(visit, 400, error=(say(_EMPTY),), fields=fields, address=address)
    user_agent = visit.request.headers.get("user-agent", "")
    kind, replace = device_type(user_agent), fields.get("replace", "")
    known = await visit.known_as(username)
    try:
        pair = await visit.service.authenticator.login(
            username,
            password,
            device=device_name(user_agent),
            device_type=kind,
            address=visit.address,
            remember="remember" in fields,
            # A value that cannot be a session id belongs to no session.
            replace=replace if is_session_id(replace) else None,
            known=known,
        )
    except _REFUSALS as error:
        if isinstance(error, InvalidCredentials | TooManyAttempts):
            visit.log_attempt(username, error)
        return _refusal(visit, error, fields, kind, address)
    visit.log(subject=pair.subject)
    await visit.end_session_of_browser()
    remember = "remember" in fields
    visit.set_tokens(pair, remember=remember)
    visit.keep_device(username, known)
    visit.take_notice()  # it was for the form
    return go_on(visit, address, pair.access_token, remember=remember)


def _refusal(
    visit: Visit,
    error: ClusterPassError,
    fields: Fields,
    kind: str | None,
    address: ReturnAddress | None,
) -> Response:
    form, say = partial(_form, visit, fields=fields, address=address), visit.language.gettext
    match error:
        case TooManySessions():
            visit.log(error=error.code)
            policy = visit.service.sessions.config.policy
            sessions = _replaceable(error.sessions, policy, kind)
            return _choose_device(visit, sessions, fields, address)
        case SubjectBanned():
            visit.log(error=error.code)
            return form(403, error=explain_ban(error.ban, visit.language))
        case LoginOvertaken():
            visit.log(error=error.code)
            return form(409, error=(say(_OVERTAKEN),))
        case TooManyAttempts():
            sentence = visit.language.try_again_in(error.retry_after)
            headers = {"Retry-After": str(error.retry_after)}
            return form(429, error=(sentence,), headers=headers)
    # A malformed user name gets the same response as an unknown one.
    headers = {"WWW-Authenticate": BEARER}
    return form(401, error=(say(_INCORRECT),), headers=headers)


def _form(
    visit: Visit,
    status: int,
    *,
    shown: Notice | None = None,
    error: Sentence = (),
    fields: Fields | None = None,
    headers: Mapping[str, str] | None = None,
    address: ReturnAddress | None = None,
) -> Response:
    # Also after the device list: devices are shown only after the correct password.
    fields = fields or {}
    return render(
        visit,
        "login.html",
        status,
        {**(headers or {}), **form_headers(address)},
        notice=shown,
        error=error,
        username=fields.get("username", ""),
        is_remembered="remember" in fields,
        **form_values(address),
    )


def _choose_device(
    visit: Visit, sessions: list[Session], fields: Fields, address: ReturnAddress | None
) -> Response:
    return render(
        visit,
        "too_many.html",
        409,
        form_headers(address),
        sessions=sessions,
        error=(visit.language.gettext(_CHOOSE_ONE),) if "replace" in fields else (),
        username=fields["username"],
        is_remembered="remember" in fields,
        **form_values(address),
    )


def _replaceable(
    sessions: tuple[Session, ...], policy: SessionPolicy, kind: str | None
) -> list[Session]:
    """Return the sessions of which one must end to admit a login on a device of this type."""
    counted = [session for session in sessions if session.act is None]
    same_type = [session for session in counted if session.device_type == kind]
    if policy.max_per_device and len(same_type) >= policy.max_per_device:
        return same_type
    return counted
