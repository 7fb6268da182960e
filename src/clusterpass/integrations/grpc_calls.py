"""Code that the gRPC interceptors share: rules for methods, admission of calls, and refusals."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

import grpc

from clusterpass.integrations.attached import InOutage
from clusterpass.model.authentication_errors import SessionUnknown, TokenMissing
from clusterpass.model.errors import (
    ClusterPassError,
    ConfigurationError,
    LoginOvertaken,
    StoreUnavailable,
    TooManyBans,
    UserExists,
)
from clusterpass.model.values import Session, SessionChange, TooManySessions
from clusterpass.web.bearer import bearer_token
from clusterpass.web.flow import Ask, WebFlow
from clusterpass.web.gate import NO_NEEDS, Needs
from clusterpass.web.problems import of_error

logger: Final = logging.getLogger("clusterpass.grpc")
_EVERY: Final = "/*"
_METHOD: Final = re.compile(r"/[\w.]+/(?:\w+|\*)")
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
_CODE_OF_ERROR: Final[dict[type[ClusterPassError], grpc.StatusCode]] = {
    LoginOvertaken: grpc.StatusCode.ABORTED,
    TooManyBans: grpc.StatusCode.RESOURCE_EXHAUSTED,
    TooManySessions: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UserExists: grpc.StatusCode.ALREADY_EXISTS,
}
_CODE_OF_STATUS: Final[dict[int, grpc.StatusCode]] = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


def requires(
    *scopes: str,
    level: str | None = None,
    max_auth_age: int | None = None,
    not_banned: str | None = None,
    strict: bool = False,
) -> Needs:
    """Return what a method requires of a session, beside that it is live.

    ``scopes``: the session must have them all; wildcards count. ``level``: the lowest of
    ``Config.levels`` that is sufficient. ``max_auth_age``: the oldest authentication allowed, in
    seconds. ``not_banned``: a scope from which the subject must not be banned. ``strict``: the
    store is asked each time.
    """
    return Needs(
        scopes=scopes,
        level=level,
        max_auth_age=max_auth_age,
        not_banned=not_banned,
        strict=strict,
    )


class Rules:
    """The requirements of a server's methods. A method that is not listed requires a session."""

    def __init__(
        self,
        needs: Mapping[str, Needs],
        public: Iterable[str],
        in_outage: InOutage,
        levels: Sequence[str],
    ) -> None:
        """``levels``: those of the Config.

        Raises ConfigurationError for what names no method, for a method that is listed twice, and
        for a level that is none.
        """
        for name, each in needs.items():
            if not isinstance(each, Needs):
                raise ConfigurationError(
                    f"what {name} needs must be made by requires(); list it in public if it needs"
                    " no session"
                )
            each.require_known(levels)
        if isinstance(public, str):
            raise ConfigurationError("public must be a list of methods, not one string")
        if in_outage not in {"stay", "close"}:
            raise ConfigurationError("in_outage must be 'stay' or 'close'")
        self.in_outage: Final = in_outage
        self._rules: Final[dict[str, Needs | None]] = dict(needs)
        for name in public:
            if name in self._rules:
                raise ConfigurationError(f"{name} is public, and in needs too")
            if name == _EVERY:
                raise ConfigurationError("public must not open every service: name them")
            self._rules[name] = None
        for name in self._rules:
            if name != _EVERY and not _METHOD.fullmatch(name):
                raise ConfigurationError(
                    f"{name!r} names no method: write '/package.Service/Method',"
                    " or '/package.Service/*' for all methods of a service"
                )

    def of(self, method: str) -> Needs | None:
        """Return what ``method`` requires, by the most specific rule; None: it is public."""
        for name in (method, f"{method.rpartition('/')[0]}/*", _EVERY):
            if name in self._rules:
                return self._rules[name]
        return NO_NEEDS


class Call:
    """A call that was admitted."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session
        """The session; in a stream, its claims and bans follow changes."""

    def judge(
        self, change: SessionChange, needs: Needs, in_outage: InOutage
    ) -> ClusterPassError | None:
        """Take note of a change of the session; return why the stream has to end, if it has to."""
        if change.kind == "ended":
            return change.error or SessionUnknown()
        if change.kind == "unavailable":
            return change.error if in_outage == "close" else None
        new = change.session
        self.session = replace(self.session, claims=new.claims, bans=new.bans)
        try:
            needs.check(self.session)
        except ClusterPassError as error:
            return error
        return None


current_call: Final[ContextVar[Call | None]] = ContextVar("clusterpass_grpc_call", default=None)
"""The call that the code which runs now belongs to."""


def current_session() -> Session:
    """Return the session of the call that is being handled.

    In a stream, its claims and bans follow changes. Raises TokenMissing where no session was
    admitted: in a public method, and outside of calls.
    """
    call = current_call.get()
    if call is None:
        raise TokenMissing
    return call.session


def admit(metadata: Iterable[tuple[str, str | bytes]] | None, needs: Needs) -> WebFlow[Session]:
    """Return the session of a call, by the token in its metadata, if it is as the method ``needs``.

    Raises what ``SessionManager.verify`` raises, TokenMissing without a token, InvalidInput for
    two, ScopeMissing and SubjectBanned.
    """
    values = [
        value if isinstance(value, str) else value.decode("latin-1")
        for key, value in metadata or ()
        if key == "authorization"
    ]
    session: Session = yield Ask("verify", bearer_token(values), **needs.options)
    needs.check(session)
    return session


def unwatched() -> ClusterPassError:
    """Return why a stream ends when the manager is closed: an end would not be noticed."""
    return StoreUnavailable(reason="closed")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal of a call: status code, details and trailing metadata."""

    code: grpc.StatusCode
    details: str
    metadata: tuple[tuple[str, str], ...]
    """What is added to the trailing metadata."""

    def after(self, metadata: Any) -> tuple[tuple[str, str | bytes], ...]:
        """Return all trailing metadata; ``metadata``: what the handler has set."""
        return (*(tuple(each) for each in metadata or ()), *self.metadata)


def refusal_of(error: ClusterPassError) -> Refusal:
    """Return how ``error`` is reported to the client; a fault of the server is logged."""
    problem = of_error(error)
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("a call failed: %s", error.code, exc_info=error)
    code = _CODE_OF_ERROR.get(type(error)) or _CODE_OF_STATUS.get(problem.status)
    pairs = {"clusterpass-error": problem.error}
    if problem.reason is not None:
        pairs["clusterpass-reason"] = problem.reason
    pairs |= {name.lower(): value for name, value in problem.headers.items()}
    return Refusal(
        code or grpc.StatusCode.INTERNAL,
        problem.detail.encode(errors="replace").decode(),
        tuple((name, _UNPRINTABLE.sub("?", value)) for name, value in pairs.items()),
    )


_MAKERS: Final[dict[tuple[bool, bool], tuple[str, Any]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def function_of(handler: Any) -> Any:
    """Return the application's function in a method handler."""
    return getattr(handler, _MAKERS[handler.request_streaming, handler.response_streaming][0])


def with_function(handler: Any, function: Any) -> Any:
    """Return a method handler like ``handler`` with another function."""
    make = _MAKERS[handler.request_streaming, handler.response_streaming][1]
    return make(function, handler.request_deserializer, handler.response_serializer)
