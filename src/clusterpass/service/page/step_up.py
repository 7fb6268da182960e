"""Step-up: an administrator's act asks for the password, unless it was given a short while ago.

- The form that was sent is kept in the form that asks, so that nothing typed is lost: when the
  password is right, the act is done.
- The session is elevated and stays the same one; the browser gets another access token for it.
"""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from clusterpass import (
    InvalidCredentials,
    InvalidInput,
    StepUpRequired,
    TooManyAttempts,
)
from clusterpass.service.api.dependencies import STRICT
from clusterpass.service.page.administration import subject_page
from clusterpass.service.page.forms import TOKEN_FIELD, make_form_token
from clusterpass.service.page.sentences import duration
from clusterpass.service.page.steps import Act, Fields, back
from clusterpass.service.page.views import render
from clusterpass.service.page.visit import Visit, Visitor

CONFIRM: Final = "/page/confirm"
_ACT_FIELD: Final = "act"
_DOING: Final = {
    "revoke": "log out a device of",
    "revoke-all": "log out all devices of",
    "ban": "ban",
    "lift": "lift a ban of",
    "impersonate": "act as",
}
_OWN_FIELDS: Final = frozenset({TOKEN_FIELD, "password", _ACT_FIELD})


def guarding(name: str, act: Act) -> Act:
    """``act``, after a recent authentication only; ``name``: what forms call it."""

    async def guarded(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
        try:
            await visit.service.sessions.verify(
                visitor.access_token,
                max_auth_age=visit.service.settings.administration_max_age,
                verification=STRICT,
            )
        except StepUpRequired:
            return _ask(visit, visitor, name, fields)
        return await act(visit, visitor, fields)

    return guarded


def confirming(acts: Mapping[str, Act]) -> Act:
    """What the form with the password does; ``acts``: by the names that forms call them."""

    async def confirm(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
        service, session = visit.service, visitor.session
        name, password = fields.get(_ACT_FIELD, ""), fields.get("password", "")
        if name not in acts:
            return back()
        if not password:
            return _ask(visit, visitor, name, fields, status=400, error="Enter your password.")
        try:
            await service.doorkeeper.confirm(session.subject, password, address=visit.address)
        except (InvalidCredentials, InvalidInput):
            return _ask(visit, visitor, name, fields, status=401, error="The password is wrong.")
        except TooManyAttempts as error:
            sentence = f"Too many attempts. Try again in {duration(error.retry_after)}."
            wait = error.retry_after
            return _ask(visit, visitor, name, fields, status=429, error=sentence, retry_after=wait)
        token = await service.sessions.elevate(
            session,
            service.sessions.config.levels[0],
            for_seconds=service.settings.step_up_seconds,
            amr=("pwd",),
            address=visit.address,
        )
        visit.hand_out_access(token)
        return await acts[name](visit, Visitor(session, token.access_token), fields)

    return confirm


def _ask(
    visit: Visit,
    visitor: Visitor,
    name: str,
    fields: Fields,
    *,
    status: int = 200,
    error: str = "",
    retry_after: int = 0,
) -> Response:
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    subject = fields.get("subject", "")
    return render(
        "confirm.html",
        status,
        headers,
        act=name,
        doing=_DOING[name],
        kept=[(key, value) for key, value in fields.items() if key not in _OWN_FIELDS],
        subject=subject,
        subject_page=subject_page(subject),
        username=visitor.session.subject,
        error=error,
        form_token=make_form_token(visit.service.sessions.config, visitor.session.session_id),
    )
