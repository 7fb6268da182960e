"""ClusterPass in Flask: an extension, decorators, a blueprint and ``flask clusterpass`` commands.

cp = ClusterPass()
cp.init_app(app)  # app.config["CLUSTERPASS_STORE_URL"], ... or variables of that name
app.register_blueprint(cp.blueprint(), url_prefix="/auth")  # refresh, logout, devices

@app.get("/orders")
@session_required(scope="orders:read")
def orders():
    return {"subject": current_session.subject}
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, ParamSpec, TypeVar, cast

from flask import Blueprint, Flask, Response, current_app, g
from flask.cli import AppGroup
from werkzeug.local import LocalProxy

from clusterpass.integrations.commands import add_commands
from clusterpass.integrations.flask_requests import (
    add_headers,
    form_token,
    known_session,
    known_visit,
    make_response,
    recall,
    this_visit,
)
from clusterpass.integrations.flask_routes import make_blueprint
from clusterpass.integrations.flask_state import EXTENSION, Extension, extension_here
from clusterpass.integrations.login_options import login_options
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.model.errors import ClusterPassError, TooManyAttempts
from clusterpass.model.values import Session, TokenPair
from clusterpass.sessions.options import LoginOptions
from clusterpass.web import endpoints
from clusterpass.web.acting import acting_in
from clusterpass.web.flow import run
from clusterpass.web.gate import Gate, Needs
from clusterpass.web.needs import scope_names

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")
UserLoader = TypeVar("UserLoader", bound=Callable[[Session], Any])
_PREFIX: Final = "CLUSTERPASS_"


class ClusterPass:
    """The extension. One object may serve several applications, each with its own settings.

    ``current_session`` and ``current_user`` are the session of the request and what the function
    registered with :meth:`user_loader` makes of it; both are available in templates, with
    ``csrf_token()`` for the hidden field of a form.
    """

    def __init__(self, app: Flask | None = None, **settings: Any) -> None:
        """``app``: initialised at once; None: call :meth:`init_app` later.

        ``settings``: as in ``app.config``, without the prefix and in lower case; they come first.
        """
        self._settings: Final = settings
        self._load_user: Callable[[Session], Any] = _no_user
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, sessions: SessionManager | None = None) -> None:
        """Use ``app.config["CLUSTERPASS_..."]``, and register what the application needs.

        ``sessions``: a manager of the application's own; None: one is opened at the first request,
        and closed when the application is gone or the process ends. Raises ConfigurationError
        for an unsafe setting, now and not at the first request.
        """
        values = {
            name.removeprefix(_PREFIX): value
            for name, value in app.config.items()
            if name.startswith(_PREFIX)
        }
        values |= {name.upper(): value for name, value in self._settings.items()}
        app.extensions[EXTENSION] = Extension(self, values, sessions)
        app.register_error_handler(ClusterPassError, _refuse)
        # Flask goes through them backwards: no other function has the last word on caches.
        functions = app.after_request_funcs.setdefault(None, [])
        if add_headers not in functions:
            functions.insert(0, add_headers)
        app.context_processor(_template_values)
        group = AppGroup(EXTENSION, help="Sessions of this application's users.")
        app.cli.add_command(add_commands(group, lambda: nullcontext(extension_here().sessions)))

    def user_loader(self, function: UserLoader) -> UserLoader:
        """Register ``function``, which returns the application's user of a session.

        ``current_user`` calls it once in a request, when it is first used.
        """
        self._load_user = function
        return function

    def load_user(self, session: Session) -> Any:
        """Return the application's user of ``session``."""
        return self._load_user(session)

    @property
    def sessions(self) -> SessionManager:
        """The session manager of the current application."""
        return extension_here().sessions

    def count_attempt(self, username: str) -> None:
        """Count an attempt at the account ``username``; call it before the password is checked.

        :meth:`log_in` gives the attempt back. Raises TooManyAttempts (429, with Retry-After) when a
        limit of the login throttle is exceeded, and InvalidCredentials for a name that no account
        can have.
        """
        extension = extension_here()
        try:
            run(extension.throttle(), extension.attempts.count(this_visit(), username))
        except TooManyAttempts as error:
            self.login_failed(username, error.code)
            raise

    def login_failed(self, username: str, error: str = "invalid_credentials") -> None:
        """Note that the application refused the password of ``username``, as it was typed.

        The history of the user, the listeners to ``refused`` and the audit trail are told, with the
        client's address. ``error``: as for ``SessionManager.login_failed``. No
        ClusterPassError is raised, as the answer to the client does not depend on the store.
        """
        extension = extension_here()
        run(extension.sessions, extension.attempts.refuse(this_visit(), username, error))

    def acting(self) -> AbstractContextManager[None]:
        """Return a block in which whoever sends the request acts.

        The audit trail and the history say so, with the client's address. The actor is the subject
        of the admitted session, or whoever impersonates it.
        """
        return acting_in(extension_here().gate, this_visit())

    def log_in(self, subject: str, /, **options: Any) -> Response:
        """Open a session of ``subject``, whom the application has authenticated.

        ``options``: as for ``SessionManager.login``; device, type of device and address come from
        the request unless given. ``target`` (a path of this site) leads a form there. The response
        has the tokens in cookies for a browser, and in its body for an app. ``allow_cross_site``:
        see :func:`clusterpass.web.endpoints.require_own_login`. Raises RequestRefused for a login
        that another site has made a browser send, and what ``SessionManager.login`` raises.
        """
        target = options.pop("target", None)
        allow_cross_site = options.pop("allow_cross_site", False)
        extension, visit = extension_here(), this_visit()
        endpoints.require_own_login(extension.gate, visit, allow_cross_site=allow_cross_site)
        wanted = login_options(extension.gate, visit.request, options)
        pair = extension.sessions.login(subject, **cast("LoginOptions", wanted))
        if visit.attempt is not None:
            run(extension.throttle(), extension.attempts.succeed(visit))
        return self.respond(pair, target=target, allow_cross_site=allow_cross_site)

    def respond(
        self, pair: TokenPair, *, target: str | None = None, allow_cross_site: bool = False
    ) -> Response:
        """Return the response that delivers ``pair``, after a login or a step-up.

        ``target``, ``allow_cross_site``: as for :meth:`log_in`. Raises RequestRefused.
        """
        return make_response(
            endpoints.pair_answer(
                extension_here().gate,
                this_visit(),
                pair,
                target=target,
                allow_cross_site=allow_cross_site,
            )
        )

    def blueprint(self, name: str = "clusterpass") -> Blueprint:
        """Return the routes every application needs, to be registered under a prefix of its choice.

        ``POST /refresh``, ``POST /logout``, ``POST /logout-all``, ``GET /devices`` and
        ``DELETE /devices/<id>``.
        """
        return make_blueprint(name)


def session_required(
    *,
    scope: str | Iterable[str] = (),
    level: str | None = None,
    max_auth_age: int | None = None,
    not_banned: str | None = None,
    strict: bool = False,
) -> Callable[[Callable[Parameters, Returned]], Callable[Parameters, Returned]]:
    """Return a decorator for views that need a live session; ``current_session`` is that session.

    ``scope``: one scope or several, which the session must all have; wildcards count. ``level``,
    ``max_auth_age``: as for ``SessionManager.verify``. ``not_banned``: a scope from which the
    subject must not be banned. ``strict``: ask the store each time. A request that is refused gets
    problem details with a challenge; a browser that asks for a page is led to
    ``CLUSTERPASS_LOGIN_URL`` if that is set.
    """
    needs = Needs(
        scopes=scope_names(scope),
        level=level,
        max_auth_age=max_auth_age,
        not_banned=not_banned,
        strict=strict,
    )

    def decorate(view: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
        is_async, can_be_recalled = inspect.iscoroutinefunction(view), needs.can_be_recalled

        @functools.wraps(view)
        def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
            if not (can_be_recalled and _recall(needs)):
                _admit(needs)
            if not is_async:
                return view(*args, **kwargs)
            answer: Returned = current_app.ensure_sync(view)(*args, **kwargs)
            return answer

        return wrapped

    return decorate


def _session() -> Session | None:
    session = known_session()
    if session is not None or known_visit() is not None:
        return session
    extension_here()
    return None


def _user() -> Any:
    session = this_visit().session
    if session is None:
        return None
    if "_clusterpass_user" not in g:
        g._clusterpass_user = extension_here().owner.load_user(session)
    return g._clusterpass_user


class _CurrentSession(LocalProxy[Session | None]):
    """A proxy that goes straight to an attribute of the session: most of what it is asked for."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(_session(), name)


current_session = cast("Session", _CurrentSession(_session))
"""The session of the current request; None-like where none was required."""
current_user: Any = LocalProxy(_user)
"""What the function registered with ``user_loader`` returns for that session."""


def csrf_token() -> str:
    """Return the CSRF token of the current session, for the hidden field of a form; empty: none."""
    visit, gate = this_visit(), extension_here().gate
    if gate.csrf is None or visit.session is None:
        return ""
    return gate.csrf.make(visit.session.session_id)


def _recall(needs: Needs) -> bool:
    """Return whether a bearer token of the request is remembered; raises what ``needs`` does."""
    session = recall(extension_here().recall)
    if session is None:
        return False
    if Gate.on_admitted is not None:
        Gate.on_admitted(session)
    needs.check(session)
    return True


def _admit(needs: Needs) -> Session:
    extension, visit = extension_here(), this_visit()
    token = form_token(extension.gate, visit.request)
    return run(extension.sessions, extension.gate.admit(visit, needs, form_token=token))


def _refuse(error: ClusterPassError) -> Response:
    return make_response(endpoints.error_answer(extension_here().gate, this_visit().request, error))


def _template_values() -> dict[str, Any]:
    return {
        "current_session": current_session,
        "current_user": current_user,
        "csrf_token": csrf_token,
    }


def _no_user(session: Session) -> Any:
    """Return the session: the application has registered no function that loads users."""
    return session


__all__ = [
    "ClusterPass",
    "csrf_token",
    "current_session",
    "current_user",
    "session_required",
]
