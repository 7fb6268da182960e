"""Requests and responses of the integration with Flask."""

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from flask import Request, Response, g, request
from werkzeug.datastructures import Headers
from werkzeug.local import LocalProxy

from clusterpass.model.values import Session
from clusterpass.web.caching import protect, varying
from clusterpass.web.endpoints import is_form
from clusterpass.web.gate import Gate, Visit
from clusterpass.web.messages import WebAnswer, WebRequest, method_of

_VISIT: Final = "_clusterpass_visit"
_RECALLED: Final = "_clusterpass_recalled"
_BEARER: Final = "Bearer "
_VARY: Final = varying(())

# What a proxy is asked for goes through several functions each time; these are asked directly.
_request_here: Final = cast("LocalProxy[Request]", request)._get_current_object
_globals_here: Final = cast("LocalProxy[Any]", g)._get_current_object


class FlaskRequest:
    """Flask's request, as :class:`clusterpass.web.messages.WebRequest`.

    It holds the request itself: each use of ``flask.request`` costs as much as a verify.
    """

    __slots__ = ("_request",)

    def __init__(self, found: Request) -> None:
        self._request = found

    @property
    def method(self) -> str:
        """The method, or SOCKET: extensions open WebSockets in a view."""
        method, upgrade = self._request.method, self._request.environ.get("HTTP_UPGRADE")
        return method if upgrade is None else method_of(method, (upgrade,))

    @property
    def target(self) -> str:
        """The path and the query, below the path at which the application is mounted."""
        return f"{self._request.root_path}{self._request.full_path}".rstrip("?")

    @property
    def host(self) -> str:
        """The Host header."""
        return self._request.headers.get("Host", "")

    @property
    def peer(self) -> str | None:
        """The address of the connection."""
        return self._request.remote_addr

    def header(self, name: str) -> Sequence[str]:
        """Return the value of a header; WSGI has one for each name."""
        value = self._request.headers.get(name)
        return () if value is None else (value,)

    def query(self, name: str) -> Sequence[str]:
        """Return the values of a parameter of the query."""
        return self._request.args.getlist(name)


def recall(remembered: Callable[[str], Session | None]) -> Session | None:
    """Return the session of the bearer token of this request, if it is ``remembered``.

    Returns None for all other requests, which a visit has to judge. None is made here: it would
    cost more than the verify.
    """
    authorization: str = _request_here().environ.get("HTTP_AUTHORIZATION", "")
    if not authorization.startswith(_BEARER):
        return None
    token = authorization[len(_BEARER) :]
    session = remembered(token)
    if session is not None:
        known = _globals_here().__dict__
        known[_RECALLED] = (session, token)
        visit: Visit | None = known.get(_VISIT)
        if visit is not None:  # the application has asked before
            visit.take(session, token)
    return session


def known_session() -> Session | None:
    """Return the session of this request; None when no view has required one yet."""
    known = _globals_here().__dict__
    recalled: tuple[Session, str] | None = known.get(_RECALLED)
    if recalled is not None:
        return recalled[0]
    visit: Visit | None = known.get(_VISIT)
    return None if visit is None else visit.session


def known_visit() -> Visit | None:
    """Return the visit of this request; None when no view has asked for it yet."""
    visit: Visit | None = _globals_here().__dict__.get(_VISIT)
    return visit


def this_visit() -> Visit:
    """Return the visit of this request, the same object each time."""
    visit = known_visit()
    if visit is None:
        known = _globals_here().__dict__
        visit = Visit(FlaskRequest(_request_here()))
        recalled: tuple[Session, str] | None = known.get(_RECALLED)
        if recalled is not None:
            visit.take(*recalled)
        known[_VISIT] = visit
    return visit


def form_token(gate: Gate, sent: WebRequest) -> str:
    """Return the CSRF token in the form that this request, ``sent``, submits; empty: none."""
    if sent.method in {"GET", "HEAD"} or not is_form(sent):
        return ""
    token: str = request.form.get(gate.settings.csrf_field, "")
    return token


def make_response(answer: WebAnswer) -> Response:
    """Return ``answer`` as a response of Flask."""
    response = Response(answer.body(), status=answer.status, mimetype=answer.media_type)
    for name, value in answer.headers:
        response.headers.add(name, value)
    return response


def add_headers(response: Response) -> Response:
    """Return ``response`` with what the visit adds to it; called by Flask."""
    known = _globals_here().__dict__
    visit: Visit | None = known.get(_VISIT)
    if visit is not None:
        headers = response.headers
        protect(visit, headers, headers.getlist("Vary"))
        for name, value in visit.headers:
            headers.add(name, value)
    elif _RECALLED in known:
        _vary(response.headers)
    return response


def _vary(headers: Headers) -> None:
    """Name in ``headers`` what a session is found by, too.

    To ask whether they have a Vary header costs an exception where they have none.
    """
    for name, _ in headers:
        if name.lower() == "vary":
            headers["Vary"] = varying(headers.getlist("Vary"))
            return
    headers.add("Vary", _VARY)
