"""Step-up authentication: administrative actions ask for the password unless it is recent.

- The fields of the original form travel in the password form, so nothing that was typed is lost:
  when the password is correct, the action is performed.
- The session is elevated and stays the same; the browser receives new tokens for it, and only
  they count as recent.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.responses import Response

from clusterpass import (
    InvalidCredentials,
    InvalidInput,
    Session,
    StepUpRequired,
    TokenPair,
    TooManyAttempts,
)
from clusterpass.service.calls.verify import STRICT
from clusterpass.service.language.marks import mark
from clusterpass.service.page.administration_pages import subject_page
from clusterpass.service.page.handler_wrappers import Action, Fields, redirect
from clusterpass.service.page.html_responses import render
from clusterpass.service.page.sentences import Quoted, compose
from clusterpass.service.page.visit import Visit, Visitor
from clusterpass.service.settings.service import TOKEN_FIELD
from clusterpass.web.challenges import BEARER

_ACTION_FIELD: Final = "act"
_DESCRIPTIONS: Final = {
    "revoke": mark(
        "You are about to log out a device of {subject}. To continue, enter your password again."
    ),
    "revoke-all": mark(
        "You are about to log out all devices of {subject}. To continue, enter your password again."
    ),
    "ban": mark("You are about to ban {subject}. To continue, enter your password again."),
    "lift": mark(
        "You are about to lift a ban on {subject}. To continue, enter your password again."
    ),
    "impersonate": mark(
        "You are about to impersonate {subject}. To continue, enter your password again."
    ),
    "invite": mark("You are about to invite {subject}. To continue, enter your password again."),
    "reset-link": mark(
        "You are about to make a link to reset the password of {subject}. To continue, enter your"
        " password again."
    ),
    "erase": mark(
        "You are about to erase the data of {subject}. To continue, enter your password again."
    ),
    "delete": mark(
        "You are about to delete the user {subject}. To continue, enter your password again."
    ),
}
_OWN_FIELDS: Final = frozenset({TOKEN_FIELD, "password", _ACTION_FIELD})


class Refusal(NamedTuple):
    """The response to a step-up whose password is refused."""

    status: int
    error: str
    """For the user."""
    retry_after: int = 0
    """Seconds until another attempt counts; 0: at once."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the response."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = BEARER
        return headers


async def elevated(visit: Visit, session: Session, password: str) -> TokenPair | Refusal:
    """Step up ``session`` if ``password`` is that of its user, and give its browser new tokens."""
    service = visit.service
    if not password:
        return Refusal(400, visit.language.gettext("Enter your password."))
    try:
        await service.authenticator.confirm(
            session.subject, password, address=visit.address, known=session.session_id
        )
    except (InvalidCredentials, InvalidInput):
        return Refusal(401, visit.language.gettext("The password is incorrect."))
    except TooManyAttempts as error:
        wait = error.retry_after
        return Refusal(429, visit.language.try_again_in(wait), wait)
    pair = await service.sessions.elevate(
        session,
        service.sessions.config.levels[0],
        for_seconds=service.settings.step_up_seconds,
        amr=("pwd",),
        address=visit.address,
    )
    visit.set_tokens(pair)
    return pair


def requiring_recent_login(name: str, action: Action) -> Action:
    """Return ``action`` with step-up: without a recent authentication, ask for the password.

    ``name``: the value that identifies the action in forms.
    """

    async def guarded(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
        try:
            await visit.verify(
                visitor.access_token,
                max_auth_age=visit.service.settings.administration_max_age,
                verification=STRICT,
            )
        except StepUpRequired:
            return _ask_password(visit, visitor, name, fields)
        return await action(visit, visitor, fields)

    return guarded


def confirmation(actions: Mapping[str, Action]) -> Action:
    """Return the action of the password form; ``actions``: by the names that forms use."""

    async def confirm(visit: Visit, visitor: Visitor, fields: Fields) -> Response:
        session = visitor.session
        name, password = fields.get(_ACTION_FIELD, ""), fields.get("password", "")
        if name not in actions:
            return redirect(visit)

        pair = await elevated(visit, session, password)
        if isinstance(pair, Refusal):
            return _ask_password(visit, visitor, name, fields, pair)
        return await actions[name](visit, Visitor(session, pair.access_token), fields)

    return confirm


def _ask_password(
    visit: Visit,
    visitor: Visitor,
    name: str,
    fields: Fields,
    refused: Refusal | None = None,
) -> Response:
    subject = fields.get("subject", "")
    return render(
        visit,
        "confirm.html",
        200 if refused is None else refused.status,
        {} if refused is None else refused.headers,
        action=name,
        description=compose(
            visit.language.gettext(_DESCRIPTIONS[name]), subject=(Quoted(subject),)
        ),
        kept=[(key, value) for key, value in fields.items() if key not in _OWN_FIELDS],
        subject=subject,
        subject_page=subject_page(visit.paths, subject),
        username=visitor.session.subject,
        error="" if refused is None else refused.error,
        form_token=visit.csrf.make(visitor.session.session_id),
    )
