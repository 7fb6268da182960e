"""Errors as problem details (RFC 9457), with the stable error code.

- Nothing that the client sent is echoed: invalid fields are named, their values are not.
- A server error (5xx) reveals its kind only; details belong in the log.
- A problem about a session that has ended says when and why; one about a ban or too many sessions
  lists them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from clusterpass.model.authentication_errors import (
    InvalidRefreshToken,
    SessionExpired,
    SessionRevoked,
)
from clusterpass.model.errors import (
    ClusterPassError,
    RevocationPending,
    StoreUnavailable,
    SubjectBanned,
    TooManyAttempts,
)
from clusterpass.model.values import TooManySessions
from clusterpass.web.challenges import challenge
from clusterpass.web.session_json import ban_json, session_json

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """An error response: status, headers and the members of its JSON body."""

    status: int
    error: str
    """The stable error code."""
    title: str
    detail: str
    reason: str | None = None
    fields: Sequence[Mapping[str, str]] = ()
    """``{"field": ..., "message": ...}`` for each invalid field."""
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    """Additional members, which depend on the error."""

    def body(self) -> bytes:
        """Return the JSON text, in ASCII: a lone surrogate in a name must not break it."""
        members: dict[str, Any] = {
            "type": f"urn:clusterpass:error:{self.error}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "error": self.error,
        }
        if self.reason is not None:
            members["reason"] = self.reason
        if self.fields:
            members["fields"] = list(self.fields)
        members.update(self.more)
        return json.dumps(members, separators=(",", ":")).encode("ascii")


def of_error(error: ClusterPassError) -> Problem:
    """Return the problem that reports ``error`` to the client."""
    title = (type(error).__doc__ or error.code).splitlines()[0]
    is_server_error = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    headers: dict[str, str] = {}
    if isinstance(error, TooManyAttempts | StoreUnavailable):
        headers["Retry-After"] = str(max(1, error.retry_after))
    if (challenged := challenge(error)) is not None:
        headers["WWW-Authenticate"] = challenged
    return Problem(
        status=error.status,
        error=error.code,
        title=title,
        detail=title if is_server_error else error.message,
        reason=error.reason,
        headers=headers,
        more=_additional_members(error),
    )


def _additional_members(error: ClusterPassError) -> dict[str, Any]:
    match error:
        case SubjectBanned():
            return {"ban": ban_json(error.ban)}
        case TooManySessions():
            return {"sessions": [session_json(session) for session in error.sessions]}
        case SessionRevoked() | InvalidRefreshToken():
            members: dict[str, Any] = {"ended_at": error.ended_at, "note": error.note}
        case SessionExpired():
            members = {"ended_at": error.ended_at}
        case RevocationPending():
            return {"operation_id": error.operation_id, "retried": error.is_retried}
        case _:
            return {}
    return {name: value for name, value in members.items() if value}


def of_status(
    status: int, detail: str | None = None, headers: Mapping[str, str] | None = None
) -> Problem:
    """Return the problem for an HTTP status that no ClusterPassError stands for.

    ``detail``: the title of the status unless given.
    """
    error, title = _STATUS_CODES.get(status, ("http_error", "The request was rejected."))
    return Problem(status, error, title, detail or title, headers=dict(headers or {}))


_STATUS_CODES: Final = {
    400: ("invalid_request", "The request is malformed."),
    404: ("not_found", "No resource exists at this path."),
    405: ("method_not_allowed", "This path does not support the request method."),
    408: ("request_timeout", "The request body did not arrive in time."),
    413: ("body_too_large", "The request body is too large."),
    415: ("unsupported_media_type", "The Content-Type of the request is not supported."),
    421: ("misdirected_request", "This service does not answer for the host of the request."),
    422: ("invalid_request", "The request has invalid or unknown fields."),
    429: ("too_many_requests", "Too many requests at once."),
    500: ("internal_error", "An internal error occurred."),
}
