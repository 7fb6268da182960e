"""Errors as HTTP answers: problem details (RFC 9457) with the stable code of the error.

- What the client sent is never repeated: fields are named, values are not.
- A fault of ours (5xx) says no more than its kind; the log has the rest.
- A 401 carries the challenge of RFC 6750 section 3: plain when no token was sent; of a session that
  must be stepped up that of RFC 9470. So does the 403 of a scope that is missing.
- Of a session that has ended it is said when and why; of a ban, and of too many sessions, which.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from clusterpass import (
    ClusterPassError,
    InvalidRefreshToken,
    InvalidToken,
    RevocationPending,
    ScopeMissing,
    SessionExpired,
    SessionRevoked,
    StepUpRequired,
    StoreUnavailable,
    SubjectBanned,
    TokenMissing,
    TooManyAttempts,
    TooManySessions,
)
from clusterpass.service.bodies.responses import BanResponse, SessionResponse

MEDIA_TYPE: Final = "application/problem+json"
_LONGEST_FIELD_NAME: Final = 64
_MOST_FIELDS: Final = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, for the client."""

    status: int
    error: str
    """The stable code."""
    title: str
    detail: str
    reason: str | None = None
    fields: Sequence[Mapping[str, str]] = ()
    """``{"field": ..., "message": ...}`` for each field that is wrong."""
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further members, of some errors."""

    def body(self) -> bytes:
        """The JSON text, in ASCII: half a surrogate pair in a name must not break the answer."""
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

    def response(self) -> Response:
        """The answer to send."""
        return Response(self.body(), self.status, headers=dict(self.headers), media_type=MEDIA_TYPE)


def of_error(error: ClusterPassError) -> Problem:
    """The problem that an error of the library is to the client."""
    title = (type(error).__doc__ or error.code).splitlines()[0]
    is_ours = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    headers: dict[str, str] = {}
    if isinstance(error, TooManyAttempts | StoreUnavailable):
        headers["Retry-After"] = str(max(1, error.retry_after))
    if error.status == HTTPStatus.UNAUTHORIZED or isinstance(error, ScopeMissing):
        headers["WWW-Authenticate"] = _challenge(error)
    return Problem(
        status=error.status,
        error=error.code,
        title=title,
        detail=title if is_ours else error.message,
        reason=error.reason,
        headers=headers,
        more=_more(error),
    )


def _more(error: ClusterPassError) -> dict[str, Any]:
    match error:
        case SubjectBanned():
            return {"ban": BanResponse.of(error.ban).model_dump()}
        case TooManySessions():
            return {"sessions": [SessionResponse.of(each).model_dump() for each in error.sessions]}
        case SessionRevoked() | InvalidRefreshToken():
            told: dict[str, Any] = {"ended_at": error.ended_at, "note": error.note}
        case SessionExpired():
            told = {"ended_at": error.ended_at}
        case RevocationPending():
            return {"operation_id": error.operation_id, "retried": error.is_retried}
        case _:
            return {}
    return {name: value for name, value in told.items() if value}


def _challenge(error: ClusterPassError) -> str:
    if isinstance(error, StepUpRequired | ScopeMissing):
        return error.challenge
    if not isinstance(error, InvalidToken) or isinstance(error, TokenMissing):
        return "Bearer"
    # RFC 6750 section 3: no quotes, backslashes or bytes beyond ASCII in the description.
    description = "".join(
        character
        for character in error.message
        if " " <= character <= "~" and character not in '"\\'
    )
    return f'Bearer error="invalid_token", error_description="{description}"'


def of_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem for an HTTP status that no error of the library stands for."""
    error, title = _STATUS_CODES.get(status, ("http_error", "The request was refused."))
    return Problem(status, error, title, detail, headers=dict(headers or {}))


_STATUS_CODES: Final = {
    400: ("invalid_request", "The request is not well-formed."),
    404: ("not_found", "There is nothing at this path."),
    405: ("method_not_allowed", "The path does not know this method."),
    413: ("body_too_large", "The body of the request is too large."),
    415: ("unsupported_media_type", "The body of the request has the wrong type."),
    422: ("invalid_request", "The request holds what is not expected."),
    500: ("internal_error", "Something failed in the service."),
}


def of_http_exception(error: HTTPException) -> Problem:
    """The problem for what the framework refuses."""
    status = error.status_code
    title = _STATUS_CODES.get(status, ("", "The request was refused."))[1]
    return of_status(status, title, error.headers)


def of_validation(error: RequestValidationError) -> Problem:
    """The problem for a request that does not fit its schema: 400 for no JSON, else 422."""
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        return of_status(400, "The body is not valid JSON.")
    fields = [
        {"field": _field_name(entry["loc"]), "message": _advice(entry)}
        for entry in found[:_MOST_FIELDS]
    ]
    names = ", ".join(dict.fromkeys(entry["field"] for entry in fields))
    problem = of_status(422, f"Wrong in the request: {names}.")
    return Problem(problem.status, problem.error, problem.title, problem.detail, fields=fields)


def _field_name(location: Sequence[int | str]) -> str:
    name = ".".join(str(part) for part in location[1:]) or "body"
    return name if len(name) <= _LONGEST_FIELD_NAME else f"{name[:_LONGEST_FIELD_NAME]}..."


def _advice(entry: Mapping[str, Any]) -> str:
    # Fixed sentences: the validator's own might quote a value in a later release.
    return _ADVICE.get(entry["type"], "is not valid")


_ADVICE: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "string_type": "must be a string",
    "string_unicode": "is not valid Unicode text",
    "string_too_short": "is too short",
    "string_too_long": "is too long",
    "string_pattern_mismatch": "has not the right form",
    "too_long": "has too many entries",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is out of its range",
    "int_from_float": "must be a whole number",
    "greater_than_equal": "is out of its range",
    "less_than_equal": "is out of its range",
    "less_than": "is out of its range",
    "repeated": "is given more than once",
    "model_attributes_type": "must be a JSON object",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
}
