"""The OpenAPI description of the API, including error responses."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from clusterpass.service.bodies.responses import ProblemResponse
from clusterpass.web.problems import MEDIA_TYPE

BEARER_ONLY: Final[dict[str, Any]] = {"security": [{"accessToken": []}]}
PROXY_HEADERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "headers": {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in (
                ("X-Auth-Subject", "The subject, percent-encoded except for visible ASCII."),
                ("X-Auth-Session", "The session id."),
                ("X-Auth-Level", "The current authentication level."),
                (
                    "X-Auth-Scope",
                    "The granted scopes, separated by spaces, each encoded like the subject.",
                ),
                (
                    "X-Auth-Actor",
                    "The impersonating subject, encoded alike; for impersonations only.",
                ),
                (
                    "X-Auth-Grace",
                    "`1` if the session was accepted during a store outage (`outage_grace`).",
                ),
            )
        }
    }
}
_REFERENCE: Final = "#/components/schemas/{model}"
_MEANINGS: Final = {
    400: "The request is malformed.",
    401: "The caller could not be authenticated; `error` and `reason` say why.",
    403: "The caller is not allowed to do this; `error` says why, and `ban` describes a ban.",
    404: "The session, the user or the link does not exist.",
    409: "The request conflicts with the current state. With `too_many_sessions`, `sessions` lists"
    " the live sessions.",
    413: "The body is larger than 64 KiB.",
    415: "The Content-Type of the body is not application/json.",
    422: "The body or the query has invalid or unknown fields; `fields` lists them. With"
    " `operation_mismatch`, the Idempotency-Key was used for another request.",
    429: "Too many attempts; wait as long as Retry-After says.",
    502: "The mail server did not take the mail; the link was not sent. Repeat the request.",
    503: "The session store is unavailable; no session was ended. Retry after Retry-After seconds."
    " With `revocation_pending`, no replica has confirmed the revocation yet: if `retried` is"
    " true, it is in effect on this worker and is retried; otherwise repeat the request.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of the error responses of a route."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model=ProblemResponse.__name__)}
    described: dict[str, Any] = {
        "description": _MEANINGS[status],
        "content": {MEDIA_TYPE: {"schema": schema}},
    }
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        described["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        described["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return described


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of ``app``."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = document.setdefault("components", {})
    own = ProblemResponse.model_json_schema(ref_template=_REFERENCE)
    schemas = components.setdefault("schemas", {})
    for name, schema in own.pop("$defs", {}).items():
        schemas.setdefault(name, schema)
    schemas[ProblemResponse.__name__] = own
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    for path in document["paths"].values():
        for operation in path.values():
            # FastAPI adds a 422 to routes whose only parameter is a string, which is always valid.
            responses = operation["responses"]
            if "422" in responses and MEDIA_TYPE not in responses["422"].get("content", {}):
                del responses["422"]
    return document
