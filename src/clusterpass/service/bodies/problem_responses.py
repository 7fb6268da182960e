"""Problem details (RFC 9457) for requests that the framework rejects."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from clusterpass.web.problems import Problem, of_status

_LONGEST_FIELD_NAME: Final = 64
_MOST_FIELDS: Final = 20


class Rejection(Protocol):
    """Starlette's HTTPException."""

    status_code: int
    headers: Mapping[str, str] | None


class InvalidRequest(Protocol):
    """FastAPI's RequestValidationError."""

    def errors(self) -> Sequence[Any]:
        """Return what is invalid, as pydantic describes it."""


def of_http_exception(error: Rejection) -> Problem:
    """Return the problem for a request that the framework rejected."""
    return of_status(error.status_code, headers=error.headers)


def of_validation(error: InvalidRequest) -> Problem:
    """Return the problem for an invalid request: 400 when the body is not JSON, otherwise 422."""
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        return of_status(400, "The body is not valid JSON.")
    fields = [
        {"field": _field_name(entry["loc"]), "message": _message(entry)}
        for entry in found[:_MOST_FIELDS]
    ]
    names = ", ".join(dict.fromkeys(entry["field"] for entry in fields))
    problem = of_status(422, f"The request has invalid fields: {names}.")
    return Problem(problem.status, problem.error, problem.title, problem.detail, fields=fields)


def _field_name(location: Sequence[int | str]) -> str:
    name = ".".join(str(part) for part in location[1:]) or "body"
    return name if len(name) <= _LONGEST_FIELD_NAME else f"{name[:_LONGEST_FIELD_NAME]}..."


def _message(entry: Mapping[str, Any]) -> str:
    # Fixed messages: those of pydantic might quote a value in a later release.
    return _MESSAGES.get(entry["type"], "is not valid")


_MESSAGES: Final = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "string_type": "must be a string",
    "string_unicode": "is not valid Unicode text",
    "string_too_short": "is too short",
    "string_too_long": "is too long",
    "string_pattern_mismatch": "has an invalid format",
    "too_long": "has too many entries",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "is out of range",
    "int_from_float": "must be an integer",
    "greater_than_equal": "is out of range",
    "less_than_equal": "is out of range",
    "less_than": "is out of range",
    "repeated": "is given more than once",
    "model_attributes_type": "must be a JSON object",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
}
