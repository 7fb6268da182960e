"""The OpenAPI description, complete with the errors."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from clusterpass.service.bodies.problems import MEDIA_TYPE
from clusterpass.service.bodies.responses import ProblemResponse

BEARER_ONLY: Final[dict[str, Any]] = {"security": [{"accessToken": []}]}
PROXY_HEADERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "headers": {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in (
                ("X-Auth-Subject", "The subject, percent-encoded but for visible ASCII."),
                ("X-Auth-Session", "The session's id."),
                ("X-Auth-Level", "The level of authentication in force."),
                ("X-Auth-Scope", "The scopes granted, each encoded as the subject is."),
                ("X-Auth-Actor", "Who acts in it, encoded alike; of an impersonation only."),
                ("X-Auth-Grace", "`1` when the store could not be asked (`outage_grace`)."),
            )
        }
    }
}
_REFERENCE: Final = "#/components/schemas/{model}"
_MEANINGS: Final = {
    400: "The request is not well-formed.",
    401: "Who is asking could not be established; `error` and `reason` say why.",
    403: "It is not allowed; `error` says why, and `ban` what a ban forbids.",
    404: "There is no such session.",
    409: "It does not go with what there is: `sessions` lists them where there are too many.",
    413: "The body is larger than 64 KiB.",
    415: "The body is not sent as application/json.",
    422: "The body or the query holds what is not expected; `fields` names it.",
    429: "Too many attempts; see Retry-After.",
    503: "The session store cannot be reached; nobody was logged out. See Retry-After. Of what ends"
    " sessions, `revocation_pending`: it is over here, but not confirmed yet, and tried again.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The description of error answers, for a route."""
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
    """The document for ``app``."""
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
            # The framework's own 422, where the only parameter is a text that always fits.
            responses = operation["responses"]
            if "422" in responses and MEDIA_TYPE not in responses["422"].get("content", {}):
                del responses["422"]
    return document
