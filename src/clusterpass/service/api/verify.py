"""GET /verify, as the framework routes it and the OpenAPI document describes it.

The hot path (:mod:`clusterpass.service.hot.verify`) answers in its place, unless the request is
invalid.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from clusterpass.service.api.dependencies import CurrentService, Token, log_fields, unrepeated
from clusterpass.service.api.openapi import BEARER_ONLY, PROXY_HEADERS, problems
from clusterpass.service.bodies import requests, responses
from clusterpass.service.calls import verify as calls
from clusterpass.web.identity_headers import identity_headers

router: Final = APIRouter()


@router.get(
    "/verify",
    tags=["sessions"],
    openapi_extra=BEARER_ONLY,
    responses={**PROXY_HEADERS, **problems(400, 401, 403, 422, 503)},
    dependencies=[Depends(unrepeated("scope", "not_banned"))],
)
async def verify(
    request: Request,
    response: Response,
    service: CurrentService,
    token: Token,
    wanted: Annotated[requests.VerifyQuery, Query()],
) -> responses.SessionResponse:
    """Return the live session of the access token, for proxies also in the X-Auth-* headers.

    Each parameter is a condition. If one is not met, the response is 401 (`level`,
    `max_auth_age`: the user must authenticate again) or 403 (`scope`, `not_banned`).
    """
    session = await calls.verify(service, token, wanted, request.scope, log_fields(request))
    response.headers.update(identity_headers(session))
    return responses.SessionResponse.of(session)
