"""The state of one request: its session, its user, and the cookies of its response."""

from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

from django.contrib import auth
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from clusterpass.integrations.django.conf import Installed, installed
from clusterpass.integrations.django.csrf import form_token, has_django_check, is_genuine
from clusterpass.integrations.django.requests import DjangoRequest
from clusterpass.model.authentication_errors import AuthenticationError, TokenMissing
from clusterpass.model.errors import (
    ClusterPassError,
    ConfigurationError,
    InvalidInput,
    RequestRefused,
    SessionNotFound,
    StoreUnavailable,
)
from clusterpass.model.refusals import refusal_here
from clusterpass.model.values import Session, TokenPair
from clusterpass.web.credentials import Credentials, find_credentials
from clusterpass.web.flow import run
from clusterpass.web.gate import ENDED, NO_NEEDS, Needs, Visit
from clusterpass.web.messages import SOCKET
from clusterpass.web.settings import TokenPlace

TIE: Final = "_clusterpass_session_id"
"""The name under which Django's session keeps the id of the session that it lives with."""
_STATE: Final = "_clusterpass"


class RequestState:
    """The session, the user and the cookies of one request."""

    def __init__(self, request: HttpRequest) -> None:
        self.request: Final[Any] = request
        self.visit: Final = Visit(DjangoRequest(request))
        self.refusal: ClusterPassError | None = None
        """Why a permission of Django REST framework was denied."""
        self.outage: StoreUnavailable | None = None
        """Why the sender of the request could not be found."""
        self.was_asked = False
        """Whether the response depends on who sent the request."""
        self.is_ending = False
        """Whether the session has ended already, so that Django's logout has nothing to end."""
        self._django_user: Final = getattr(request, "user", None)
        self._looked: bool = False
        self._error: ClusterPassError | None = None
        self._has_user: bool = False
        self._user: Any = None

    @property
    def installed(self) -> Installed:
        """ClusterPass as the settings describe it."""
        return installed()

    def is_by_header(self) -> bool:
        """Return whether a bearer token says who sends the request, so that no cookie does."""
        return self._place() == "header"

    def _place(self) -> TokenPlace | None:
        try:
            return find_credentials(self.visit.request, self.installed.gate.settings).place
        except (AuthenticationError, InvalidInput):
            return None

    def admit(self, needs: Needs = NO_NEEDS, request: Any = None) -> Session:
        """Return the session, if it is as a view ``needs``, and if no other site sent the request.

        ``request``: a wrapper of the request that has read its form. Raises what ``Gate.admit``
        raises.
        """
        visit, gate, sessions = self.visit, self.installed.gate, self.installed.sessions
        self.was_asked = True
        token = self.prepare_check(request)
        if visit.session is None or visit.access_token is None:
            return run(sessions, gate.admit(visit, needs, form_token=token))
        needs.require_known(gate.levels)
        found = visit.credentials
        if found is not None and found.is_old:  # which bring no CSRF token of the new session
            gate.require_no_forgery_by(visit, found, token)
        elif visit.is_by_cookie:
            gate.require_no_forgery(visit, visit.session.session_id, token)
        session = run(sessions, gate.verify(visit, visit.access_token, **needs.options))
        needs.check(session)
        return session

    def prepare_check(self, request: Any = None) -> str:
        """Note whether Django has checked the request; return the CSRF token in its form."""
        request = self.request if request is None else request
        self.visit.is_genuine = is_genuine(request)
        return form_token(request)

    def session(self) -> Session | None:
        """Return the session of whoever sends the request; None: nobody is logged in.

        Django's own CSRF middleware protects a view that asks for no more, where it is installed.
        Raises StoreUnavailable.
        """
        self.was_asked = True
        if self.visit.session is None and not self._looked:
            token = self.prepare_check()
            self.visit.is_genuine = self.visit.is_genuine or has_django_check()
            flow = self.installed.gate.admit(self.visit, form_token=token)
            try:
                run(self.installed.sessions, flow)
            except (AuthenticationError, InvalidInput, RequestRefused) as error:
                self.note(error)
            except StoreUnavailable as error:
                self.outage = error
                raise
            self._looked = True
        return self.visit.session

    def note(self, error: ClusterPassError) -> None:
        """Note why there is no session: somebody has looked for it."""
        self._error, self._looked = error, True

    def user(self) -> Any:
        """Return the user: that of the session, or an AnonymousUser. Raises StoreUnavailable."""
        if not self._has_user:
            self._user = self._find_user()
            self._has_user = True
            self.request.user = self._user  # a logout has replaced it
        return self._user

    def _find_user(self) -> Any:
        from django.contrib.auth.models import AnonymousUser  # noqa: PLC0415 (models)

        session = self.session()
        if self._place() in {"header", "query"}:  # which say nothing about Django's session
            return self._user_of(session) or AnonymousUser()
        tie, user = self.tie(), self._django_user
        is_known = user is not None and user.is_authenticated
        if session is None:
            if not is_known or tie is None:
                return AnonymousUser() if user is None else user
            if self._is_over():
                self.log_out_of_django()
            return AnonymousUser()
        if user is not None and tie == session.session_id:
            if not is_known:  # Django ended it: the password has changed, for example
                self.end()
            return user
        own = self._user_of(session)
        if is_known and user == own:
            self.request.session[TIE] = session.session_id
            return user
        if is_known:
            self.log_out_of_django()
        return own or AnonymousUser()

    def _is_over(self) -> bool:
        """Return whether the session that Django's session lives with has ended, or is none."""
        if self.visit.request.method == SOCKET:  # which cannot renew a token that has expired
            return isinstance(self._error, ENDED)
        is_refused = isinstance(self._error, AuthenticationError)
        return is_refused and not isinstance(self._error, TokenMissing)

    def _user_of(self, session: Session | None) -> Any:
        return None if session is None else self.installed.user_of(session)

    def tie(self) -> str | None:
        """Return the id of the session that Django's session lives with; None: there is none."""
        session = getattr(self.request, "session", None)
        tie: str | None = None if session is None else session.get(TIE)
        return tie

    def take(self, pair: TokenPair) -> None:
        """Give the browser the tokens of a session that was just opened."""
        gate = self.installed.gate
        gate.keep(self.visit, pair)
        self.visit.credentials = Credentials("cookie", pair.access_token, pair.refresh_token)
        self.visit.renewed = None
        self.visit.access_token = pair.access_token
        taken = gate.verify(self.visit, pair.access_token)
        self.visit.session = run(self.installed.sessions, taken)
        self._set_lazily()

    def end(self, user: Any = None) -> None:
        """End the session, and take the tokens away from the browser.

        ``user``: whose session it is, where the browser has lost its tokens. Raises
        RevocationPending and StoreUnavailable.
        """
        visit, sessions, gate = self.visit, self.installed.sessions, self.installed.gate
        found, tie = visit.credentials, self.tie()
        with suppress(AuthenticationError, InvalidInput, SessionNotFound):
            if found is None:
                found = find_credentials(visit.request, gate.settings)
            token = found.refresh_token or found.access_token
            if visit.renewed is not None:
                token = visit.renewed.refresh_token
            if token is not None:
                sessions.logout(token, address=gate.address(visit.request))
            elif tie is not None and user is not None:
                sessions.revoke(self.installed.subject_of(user), tie)
        self.forget()

    def note_refusal(self, username: object, error: str) -> None:
        """Note that a password of ``username`` was refused, unless the check itself has noted it.

        ``username``: as it was typed. Whatever happens, no error of ours is raised.
        """
        if refusal_here().take() or not isinstance(username, str):
            return
        with suppress(ClusterPassError):
            here = self.installed
            flow = here.attempts.refuse(self.visit, here.subject_named(username), error)
            run(here.sessions, flow)

    def forget(self) -> None:
        """Note that the session has ended: the rest of the request has none."""
        if self.visit.credentials is None or self.visit.is_by_cookie:
            self.installed.gate.forget(self.visit)
        self.visit.session = self.visit.access_token = None
        self._looked = True
        self._set_lazily()

    def log_out_of_django(self) -> None:
        """End Django's session, whose own session has ended."""
        self.is_ending = True
        try:
            if getattr(self.request, "session", None) is not None:
                self.request.user = self._django_user
                auth.logout(self.request)
        finally:
            self.is_ending = False

    def _set_lazily(self) -> None:
        self.request.clusterpass_session = SimpleLazyObject(self.session)


def attach(request: Any) -> RequestState:
    """Make the state of ``request``, on which ``clusterpass_session`` is the session, lazily."""
    state = RequestState(request)
    setattr(request, _STATE, state)
    state._set_lazily()
    return state


def state_of(request: Any) -> RequestState:
    """Return the state of ``request``.

    Raises ConfigurationError when it did not come through the middleware.
    """
    state = find_state(request)
    if state is None:
        raise ConfigurationError("ClusterPassMiddleware is not in MIDDLEWARE")
    return state


def named_in(credentials: Mapping[str, Any]) -> Any:
    """Return the name of the user in credentials of ``authenticate``; None: there is none."""
    field: Any = auth.get_user_model().USERNAME_FIELD
    return credentials.get(field, credentials.get("username"))


def find_state(request: Any) -> RequestState | None:
    """Return the state of ``request``; None when it did not come through the middleware."""
    return getattr(request, _STATE, None)


current: Final[ContextVar[RequestState | None]] = ContextVar("clusterpass_request", default=None)
"""The request that is being answered."""
